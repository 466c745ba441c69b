//! The definition and the router, against each other.

use serde_json::Value as Json;

use super::operations::OPERATIONS;
use super::site::{DONE, RUNNING, Site, body, definition, operation, path};
use super::{definition_text, operations};
use crate::testing::{Client, Memory};

/// Methods that a path may have.
const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

#[test]
fn the_checked_in_definition_is_that_of_this_program() {
    let checked_in = std::fs::read_to_string("openapi/openapi.json").unwrap_or_default();
    assert!(checked_in == definition_text(), "mend it with `cargo run -- generate openapi`");
}

#[test]
fn the_definition_is_complete_in_itself() {
    fn references<'a>(json: &'a Json, found: &mut Vec<&'a str>) {
        match json {
            Json::Object(members) => members.iter().for_each(|(key, member)| match member.as_str() {
                Some(reference) if key == "$ref" => found.push(reference),
                _ => references(member, found),
            }),
            Json::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let definition = definition();
    let mut found = Vec::new();
    references(definition, &mut found);
    for reference in found {
        let target = reference.strip_prefix('#').and_then(|pointer| definition.pointer(pointer));
        assert!(target.is_some(), "{reference}");
    }
}

#[test]
fn nothing_in_the_definition_is_referred_to_by_nobody() {
    let text = definition_text();
    for kind in ["schemas", "parameters", "headers", "responses"] {
        for name in definition()["components"][kind].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{kind}/{name}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own_and_say_what_is_in_their_paths() {
    let definition = definition();
    let mut ids: Vec<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), OPERATIONS.len());
    for operation in OPERATIONS {
        let declared = |name: &str| {
            operation.parameters.iter().any(|parameter| {
                let parameter = &definition["components"]["parameters"][parameter];
                parameter["in"] == "path" && parameter["name"] == name
            })
        };
        for part in operation.path.split('{').skip(1) {
            let name = part.split('}').next().unwrap();
            assert!(declared(name), "{} {}: {name}", operation.method, operation.path);
        }
    }
}

#[tokio::test]
async fn every_operation_of_the_definition_answers() {
    for operation in OPERATIONS {
        let site = Site::new().await;
        let path = path(operation, &[]);
        let (media_type, body) = body(operation);
        let async_ = operation.id == operations::EXECUTE;
        let mut headers = vec![("accept", "application/json")];
        if operation.id == "getPackage" || operation.id == "getText" {
            headers.clear();
        }
        if !media_type.is_empty() {
            headers.push(("content-type", media_type));
        }
        if async_ {
            headers.push(("prefer", "respond-async"));
        }
        let answer = site.ask(operation, &path, &headers, body).await;
        assert!((200..300).contains(&answer.status), "{} {path}: {}", operation.method, answer.text());
    }
}

#[tokio::test]
async fn every_document_is_there_in_all_forms_that_the_definition_names() {
    let site = Site::new().await;
    for operation in OPERATIONS.iter().filter(|operation| operation.method == "get") {
        let path = path(operation, &[]);
        let answer = operation.answers.iter().find(|answer| answer.status == 200).unwrap();
        // What a value or a text is, it is.
        let is_document = |schema: &str| !matches!(schema, "anything" | "bytes");
        for (media_type, _) in answer.content.iter().filter(|(_, schema)| is_document(schema)) {
            let answer = site.ask(operation, &path, &[("accept", media_type)], String::new()).await;
            let sent = answer.header("content-type");
            assert_eq!(answer.status, 200, "{path} as {media_type}: {}", answer.text());
            assert!(sent.starts_with(media_type), "{path} as {media_type} is {sent}");
        }
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_answered_as_the_definition_says() {
    let site = Site::new().await;
    for operation in OPERATIONS {
        let (media_type, body) = body(operation);
        let jobs = [DONE, RUNNING, "none", "50d10714-8ca6-4ed1-91e1-8e37d5888ec7", "%00", "..%2f"];
        let processes = ["greet", "fixed", "none", "%2e%2e", "%F0%9F%98%80", "a%2Fb", "echo"];
        let headers: [&[(&str, &str)]; 6] = [
            &[("accept", "application/json"), ("content-type", media_type)],
            &[("accept", "text/html")],
            &[("accept", "image/png"), ("content-type", media_type)],
            &[("content-type", "text/plain")],
            &[("accept", "*/*"), ("content-type", "application/json"), ("prefer", "wait=0")],
            &[("content-type", media_type), ("host", "not a host")],
        ];
        let bodies = [
            body.clone(),
            String::new(),
            "{".to_owned(),
            "null".to_owned(),
            "[".repeat(100),
            "{\"inputs\": 5}".to_owned(),
        ];
        for (round, headers) in headers.iter().enumerate() {
            for (index, body) in bodies.iter().enumerate() {
                let process = processes[(round + index) % processes.len()];
                let job = jobs[(round * 5 + index) % jobs.len()];
                // Nobody would answer a wait without a deadline.
                let is_run = operation.id == operations::EXECUTE && *body == bodies[0];
                let headers: Vec<(&str, &str)> =
                    headers.iter().copied().chain(is_run.then_some(("prefer", "respond-async"))).collect();
                let work = format!("{process}-{job}");
                let path = path(operation, &[("processID", process), ("jobID", job), ("work", &work)]);
                site.ask(operation, &path, &headers, body.clone()).await;
                if operation.method == "get" {
                    for query in
                        ["f=pdf", "limit=0", "limit=x&skip=-1", "status=x", "datetime=x", "minDuration=x", "%ff=%ff"]
                    {
                        let path = format!("{path}?{query}");
                        site.ask(operation, &path, &headers, String::new()).await;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn methods_that_the_definition_does_not_have_are_not_there() {
    let site = Site::new().await;
    for operation in OPERATIONS {
        for method in METHODS {
            let is_documented = OPERATIONS.iter().any(|other| other.path == operation.path && other.method == method);
            if !is_documented {
                let url = path(operation, &[]);
                let answer = site.client.send(&method.to_uppercase(), &url, &[], "").await;
                assert_eq!(answer.status, 405, "{method} {url}: {}", answer.text());
                assert!(answer.header("allow").contains(&operation.method.to_uppercase()), "{method} {url}");
            }
        }
    }
}

#[tokio::test]
async fn the_served_definition_names_the_tenant_it_is_of() {
    let client = Client::new(&Memory::new(&["acme", "other"]));
    let definition = client.get("/other/ogc-api/api").await.json();
    assert_eq!(definition["servers"][0]["url"], "http://weir.test/other/ogc-api");
    let text = &definition["paths"]["/temp/{work}/{file}"];
    assert_eq!(text["servers"][0]["url"], "http://weir.test/other");
    let page = client.send("GET", "/other/ogc-api/api", &[("accept", "text/html")], "").await.text();
    assert!(page.contains("/processes/{processID}/execution"), "{page}");
}

#[tokio::test]
async fn durations_are_whole_seconds_as_the_definition_says() {
    let site = Site::new().await;
    for (value, status) in [("60", 200), ("0.5", 400)] {
        let path = format!("/acme/ogc-api/jobs?minDuration={value}&maxDuration={value}");
        assert_eq!(site.ask(operation("getJobs"), &path, &[], String::new()).await.status, status);
    }
    for name in ["minDuration", "maxDuration"] {
        assert_eq!(definition()["components"]["parameters"][name]["schema"]["type"], "integer");
    }
}
