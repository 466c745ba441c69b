//! Every parameter of the definition does what it says: two requests that differ in nothing else are answered otherwise.

use std::collections::BTreeSet;

use form_urlencoded::byte_serialize;
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use super::operations::{OPERATIONS, Operation};
use super::site::{DONE, RUNNING, SLOW, Site, WORK_TIME, body, definition, described, operation, path, resolved};
use crate::testing::Answer;

/// What becomes of an answer by a parameter.
struct Effect {
    operation: &'static str,
    /// In `components/parameters`.
    parameter: &'static str,
    /// `None`: without it; of one in the path, the usual value.
    without: Option<&'static str>,
    with: &'static str,
    /// Where the effect is seen afterwards; empty: in the answer itself.
    look: &'static str,
    promise: fn(&Answer, &Answer) -> bool,
}

const fn effect(
    operation: &'static str,
    parameter: &'static str,
    with: &'static str,
    promise: fn(&Answer, &Answer) -> bool,
) -> Effect {
    Effect { operation, parameter, without: None, with, look: "", promise }
}

/// JSON, and a page for whoever says so, whatever `Accept` is.
const fn form(operation: &'static str) -> Effect {
    effect(operation, "f", "html", |without, with| {
        without.status == 200 && !is_page(without) && with.status == 200 && is_page(with)
    })
}

/// Of the lists there are these, newest first: a job of `other`, then two of `greet`, of which one runs.
const EFFECTS: &[Effect] = &[
    form("getLandingPage"),
    form("getConformance"),
    form("getApi"),
    form("getProcesses"),
    form("getProcess"),
    form("getPackage"),
    form("getJobs"),
    form("getStatus"),
    form("dismiss"),
    form("getResults"),
    form("getResult"),
    form("getText"),
    effect("getProcesses", "limit", "2", |all, page| ids(page) == ids(all)[..2] && has_link(page, "next")),
    effect("getProcesses", "skip", "1", |all, page| ids(page) == ids(all)[1..] && has_link(page, "prev")),
    effect("deploy", "w", "second", |first, second| id(first) == "first" && id(second) == "second"),
    Effect {
        look: "/processes/greet",
        ..effect("replace", "w", "other", |own, other| title(own) == "Flow of greet" && title(other) == "Flow of other")
    },
    Effect {
        look: "/processes/other",
        ..effect("replace", "processID", "other", |before, after| {
            title(before) == "Greets" && title(after) == "Flow of other"
        })
    },
    Effect {
        look: "/processes",
        ..effect("undeploy", "processID", "other", |greet, other| {
            ids(greet) == ["echo", "fixed", "other"] && ids(other) == ["echo", "fixed", "greet"]
        })
    },
    effect("getProcess", "processID", "other", |greet, other| id(greet) == "greet" && id(other) == "other"),
    effect("getPackage", "processID", "other", |greet, other| id(greet) == "greet" && id(other) == "other"),
    Effect {
        look: "/jobs?limit=1",
        ..effect("execute", "processID", "other", |greet, other| {
            processes(greet) == ["greet"] && processes(other) == ["other"]
        })
    },
    effect("execute", "Prefer", "respond-async", |waited, accepted| waited.status == 200 && accepted.status == 201),
    effect("execute", "Prefer", "wait=1", |waited, accepted| waited.status == 200 && accepted.status == 201),
    effect("execute", "Prefer", "return=representation", |raw, document| {
        raw.text() == "hello" && document.json() == json!({"message": "hello"})
    }),
    Effect {
        without: Some("respond-async"),
        look: "/jobs/00000000-0000-4000-8000-000000000004/results",
        ..effect("execute", "Prefer", "respond-async, return=minimal", |document, raw| {
            raw.text() == "hello" && document.json() == json!({"message": "hello"})
        })
    },
    Effect {
        without: Some("service"),
        ..effect("getJobs", "type", "process", |other, all| other.status == 400 && jobs(all) == [SLOW, RUNNING, DONE])
    },
    effect("getJobs", "processIDs", "other", |all, some| jobs(all).len() == 3 && jobs(some) == [SLOW]),
    effect("getJobs", "processIDs", "nobody,other", |_, some| jobs(some) == [SLOW]),
    effect("getJobs", "processIDs", "nobody", |_, none| none.status == 200 && jobs(none).is_empty()),
    effect("getJobs", "status", "running", |all, some| jobs(all).len() == 3 && jobs(some) == [RUNNING]),
    effect("getJobs", "status", "failed,running", |_, some| jobs(some) == [RUNNING]),
    effect("getJobs", "datetime", "2026-01-01T00:00:00Z", |_, first| jobs(first) == [DONE]),
    effect("getJobs", "datetime", "2026-01-01T00:00:01Z/..", |_, later| jobs(later) == [SLOW, RUNNING]),
    // How long the other one runs is the clock's.
    effect("getJobs", "minDuration", "6", |_, long| has_job(long, SLOW) && !has_job(long, DONE)),
    effect("getJobs", "maxDuration", "6", |_, short| has_job(short, DONE) && !has_job(short, SLOW)),
    effect("getJobs", "limit", "1", |_, page| jobs(page) == [SLOW] && has_link(page, "next")),
    effect("getJobs", "skip", "1", |_, page| jobs(page) == [RUNNING, DONE] && has_link(page, "prev")),
    effect("getStatus", "jobID", RUNNING, |done, running| job(done) == DONE && job(running) == RUNNING),
    Effect {
        look: "/jobs",
        ..effect("dismiss", "jobID", SLOW, |done, slow| jobs(done) == [SLOW, RUNNING] && jobs(slow) == [RUNNING, DONE])
    },
    effect("getResults", "jobID", SLOW, |done, slow| {
        done.json()["message"] == "hello" && slow.json()["message"] == "good bye"
    }),
    effect("getResults", "outputs", "times,message", |all, some| {
        all.json().as_object().unwrap().len() == 3 && some.json() == json!({"times": 2, "message": "hello"})
    }),
    effect("getResult", "jobID", SLOW, |done, slow| done.json() == "hello" && slow.json() == "good bye"),
    effect("getResult", "outputID", "times", |message, times| message.json() == "hello" && times.json() == 2),
    effect("getText", "work", "other-00000000-0000-4000-8000-000000000003", |done, slow| {
        done.text() == "hello\n" && slow.text() == "good bye\n"
    }),
    effect("getText", "file", "usage.json", |log, usage| log.text() == "hello\n" && usage.text() == "{}"),
];

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("text/html")
}

fn has_link(list: &Answer, rel: &str) -> bool {
    list.json()["links"].as_array().unwrap().iter().any(|link| link["rel"] == rel)
}

fn member(answer: &Answer, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_default().to_owned()
}

fn id(process: &Answer) -> String {
    member(process, "id")
}

fn title(process: &Answer) -> String {
    member(process, "title")
}

fn job(status: &Answer) -> String {
    member(status, "jobID")
}

fn members(list: &Answer, list_name: &str, name: &str) -> Vec<String> {
    let list = list.json()[list_name].as_array().unwrap().clone();
    list.iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

fn ids(processes: &Answer) -> Vec<String> {
    members(processes, "processes", "id")
}

fn processes(jobs: &Answer) -> Vec<String> {
    members(jobs, "jobs", "processID")
}

fn jobs(list: &Answer) -> Vec<String> {
    members(list, "jobs", "jobID")
}

fn has_job(list: &Answer, id: &str) -> bool {
    jobs(list).iter().any(|job| job == id)
}

/// A package of two workflows.
fn flows(first: &str, second: &str) -> String {
    let flow = |id: &str| {
        json!({"class": "Workflow", "id": id, "label": format!("Flow of {id}"), "inputs": {"message": "string"},
            "outputs": {"message": {"type": "string", "outputSource": "message"}}, "steps": []})
    };
    json!({"cwlVersion": "v1.2", "$graph": [flow(first), flow(second)]}).to_string()
}

/// A request as the definition describes it, with nothing but this parameter.
async fn asked(site: &Site, operation: &Operation, parameter: &str, value: Option<&str>) -> Answer {
    let (media_type, body) = match operation.id {
        "deploy" => ("application/cwl+json", flows("first", "second")),
        "replace" => ("application/cwl+json", flows("greet", "other")),
        _ => body(operation),
    };
    let mut headers = vec![("accept", "application/json")];
    if !media_type.is_empty() {
        headers.push(("content-type", media_type));
    }
    let mut path = path(operation, &[]);
    if let Some(value) = value {
        let parameter = &definition()["components"]["parameters"][parameter];
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str() {
            Some("path") => path = super::site::path(operation, &[(name, value)]),
            Some("query") => path = format!("{path}?{name}={}", byte_serialize(value.as_bytes()).collect::<String>()),
            Some("header") => headers.push((name, value)),
            place => panic!("{name} is in {place:?}"),
        }
    }
    site.ask(operation, &path, &headers, body).await
}

/// With the answer, or with what is seen afterwards elsewhere.
async fn seen(effect: &Effect, value: Option<&str>) -> Answer {
    let site = Site::new().await;
    let worker = site.work(|memory, job| memory.succeed("acme", job, json!({"message": "hello"})));
    let answer = asked(&site, operation(effect.operation), effect.parameter, value).await;
    let answer = if effect.look.is_empty() {
        answer
    } else {
        assert!(answer.status < 300, "{}: {}", effect.operation, answer.text());
        sleep(2 * WORK_TIME).await;
        site.client.get(&format!("/acme/ogc-api{}", effect.look)).await
    };
    worker.abort();
    answer
}

#[tokio::test(start_paused = true)]
async fn every_parameter_of_the_definition_does_what_it_says() {
    let name = |reference: &Json| reference["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let documented = OPERATIONS.iter().flat_map(|operation| {
        let parameters = described(operation)["parameters"].as_array().into_iter().flatten();
        parameters.map(move |parameter| (operation.id, name(parameter)))
    });
    let known = EFFECTS.iter().map(|effect| (effect.operation, effect.parameter.to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), known.collect::<BTreeSet<_>>(), "documented, and tried here");
    for effect in EFFECTS {
        let Effect { operation, parameter, without, with, promise, .. } = effect;
        let (before, after) = (seen(effect, *without).await, seen(effect, Some(with)).await);
        let whole = |answer: &Answer| (answer.status, answer.header("content-type").to_owned(), answer.text());
        assert_ne!(whole(&before), whole(&after), "{operation}: {parameter}={with} changes nothing");
        assert!(promise(&before, &after), "{operation}: {parameter}={with}: {}, {}", before.text(), after.text());
    }
}

/// What is a moment or an interval, and what is none. Some of what is taken is not promised: an end that is left out.
const MOMENTS: [&str; 12] = [
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.123+01:00",
    "2026-01-01/2026-01-02T00:00:00Z",
    "2026-01-01/..",
    "../2026-01-01",
    "../..",
    "2026",
    "26-01-01",
    "2026-13-01",
    "2026-01-01T25:00:00Z",
    "now",
];

/// Of one that has several values, the schema of each.
fn schema_of_value(parameter: &Json) -> &Json {
    let schema = resolved(parameter)["schema"].as_object().unwrap();
    schema.get("items").unwrap_or(&resolved(parameter)["schema"])
}

#[tokio::test]
async fn the_values_that_the_definition_allows_are_taken_and_others_are_not() {
    for operation in OPERATIONS {
        for parameter in described(operation)["parameters"].as_array().into_iter().flatten() {
            let key = parameter["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let schema = schema_of_value(parameter);
            let status = async |value: &str| asked(&Site::new().await, operation, key, Some(value)).await.status;
            if let Some(words) = schema["enum"].as_array() {
                for word in words {
                    let word = word.as_str().unwrap();
                    assert_eq!(status(word).await, 200, "{}: {key}={word}", operation.id);
                }
                assert_eq!(status("anything").await, 400, "{}: {key}", operation.id);
            }
            for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                let Some(bound) = schema[bound].as_i64() else { continue };
                assert_eq!(status(&bound.to_string()).await, 200, "{}: {key}={bound}", operation.id);
                let beyond = bound + step;
                assert_eq!(status(&beyond.to_string()).await, 400, "{}: {key}={beyond}", operation.id);
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                let pattern = regex::Regex::new(pattern).unwrap();
                for moment in MOMENTS {
                    let is_taken = status(moment).await == 200;
                    assert_eq!(pattern.is_match(moment), is_taken, "{}: {key}={moment}", operation.id);
                }
            }
            if let Some(default) = schema["default"].as_i64() {
                let site = Site::new().await;
                let stated = asked(&site, operation, key, Some(&default.to_string())).await;
                assert_eq!(stated.text(), asked(&site, operation, key, None).await.text(), "{}: {key}", operation.id);
            }
        }
    }
}
