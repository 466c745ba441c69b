//! Every member that the definition gives to an execute request does what it says, and every callback is made.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tokio::time::sleep;
use weir_api::Phase;

use super::operations::EXECUTE;
use super::site::{Site, WORK_TIME, definition, described, operation, path};
use crate::testing::Answer;
use crate::{Facade, Settings, callback};

/// Its name, a value, and what becomes of the answer to a request without it.
type Member = (&'static str, fn() -> Json, fn(&Answer, &Answer) -> bool);

const MEMBERS: &[Member] = &[
    ("inputs", || json!({"echoInput": "text"}), |without, with| without.status == 400 && with.status == 200),
    ("outputs", || json!({"arrayInput": {}}), |all, one| is_multipart(all) && one.text() == "[1]"),
    (
        "response",
        || json!("document"),
        |raw, document| is_multipart(raw) && document.json() == json!({"echoInput": "text", "arrayInput": [1]}),
    ),
    ("response", || json!("raw"), |raw, stated| is_multipart(raw) && is_multipart(stated)),
    // It is read; what comes of it is told to others.
    ("subscriber", || json!({"successUri": 5}), |without, wrong| without.status == 200 && wrong.status == 400),
];

/// Of an output.
const OUTPUT: &[Member] = &[
    (
        "format",
        || json!({"mediaType": "application/json"}),
        |own, asked| own.text() == "text" && asked.text() == "\"text\"",
    ),
    (
        "transmissionMode",
        || json!("reference"),
        |value, link| {
            value.text() == "text" && link.status == 204 && link.header("link").contains("/results/echoInput>")
        },
    ),
    ("transmissionMode", || json!("value"), |value, stated| value.text() == stated.text()),
];

fn is_multipart(answer: &Answer) -> bool {
    answer.status == 200 && answer.header("content-type").starts_with("multipart/related")
}

fn documented(schema: &str) -> BTreeSet<&'static str> {
    let properties = definition()["components"]["schemas"][schema]["properties"].as_object().unwrap();
    properties.keys().map(String::as_str).collect()
}

fn known(members: &[Member]) -> BTreeSet<&'static str> {
    members.iter().map(|(name, ..)| *name).collect()
}

async fn executed(site: &Site, request: &Json) -> Answer {
    let worker = site.work(|memory, job| memory.succeed("acme", job, json!({"echoInput": "text", "arrayInput": [1]})));
    let execute = operation(EXECUTE);
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let answer = site.ask(execute, &path(execute, &[("processID", "echo")]), &headers, request.to_string()).await;
    worker.abort();
    answer
}

#[tokio::test(start_paused = true)]
async fn every_member_of_an_execute_request_does_what_it_says() {
    assert_eq!(documented("execute"), known(MEMBERS));
    assert_eq!(documented("output"), known(OUTPUT));
    let format = &definition()["components"]["schemas"]["output"]["properties"]["format"]["properties"];
    assert_eq!(format.as_object().unwrap().keys().collect::<Vec<_>>(), ["mediaType"]);
    let site = Site::new().await;
    for (name, value, promise) in MEMBERS {
        let mut request = json!({"inputs": {"echoInput": "text"}});
        request.as_object_mut().unwrap().remove(*name);
        let without = executed(&site, &request).await;
        request[name] = value();
        let with = executed(&site, &request).await;
        assert!(promise(&without, &with), "{request}: {}, {}", without.text(), with.text());
    }
    for (name, value, promise) in OUTPUT {
        let mut request = json!({"inputs": {"echoInput": "text"}, "outputs": {"echoInput": {}}});
        let without = executed(&site, &request).await;
        request["outputs"]["echoInput"][name] = value();
        let with = executed(&site, &request).await;
        assert!(promise(&without, &with), "{request}: {}, {}", without.text(), with.text());
    }
}

#[tokio::test(start_paused = true)]
async fn every_callback_of_the_definition_is_made() {
    let mut told = BTreeSet::new();
    for end in [Phase::Successful, Phase::Failed] {
        let site = Site::new().await;
        let facade = Facade::new(Arc::clone(&site.memory) as _, Arc::clone(&site.world) as _, Settings::default());
        let telling = tokio::spawn(callback::run(Arc::new(facade)));
        let subscriber: Json =
            documented("subscriber").into_iter().map(|name| (name, format!("https://a.example/{name}"))).collect();
        let request = json!({"inputs": {"echoInput": "text"}, "subscriber": subscriber});
        let execute = operation(EXECUTE);
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        let path = path(execute, &[("processID", "echo")]);
        assert_eq!(site.ask(execute, &path, &headers, request.to_string()).await.status, 201);
        let job = site.memory.job_ids("acme").pop().unwrap();
        site.memory.start("acme", &job);
        sleep(WORK_TIME).await;
        match end {
            Phase::Successful => site.memory.succeed("acme", &job, json!({"echoInput": "text"})),
            end => site.memory.end("acme", &job, end),
        }
        sleep(WORK_TIME).await;
        telling.abort();
        told.extend(site.world.sent().into_iter().map(|(url, _)| url.replace("https://a.example/", "")));
    }
    let callbacks = described(operation(EXECUTE))["callbacks"].as_object().unwrap();
    let named: BTreeSet<String> = callbacks
        .values()
        .flat_map(|callback| callback.as_object().unwrap().keys())
        .map(|expression| expression.replace("{$request.body#/subscriber/", "").replace('}', ""))
        .collect();
    assert_eq!(named, told);
    assert_eq!(documented("subscriber"), told.iter().map(String::as_str).collect());
}
