//! Every answer of the definition is given: each of its statuses, media types and headers, by a request that is sent here.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::{Value as Json, json};

use super::operations::{EXECUTE, OPERATIONS, Operation};
use super::site::{DONE, Site, body, definition, described, essence, fail_unsupported, path, resolved};
use crate::auth::{Bearer, OidcSettings};
use crate::backend::{Asked, BackendError, ResponseForm};
use crate::limits::{BODY_BYTES, DEPLOYMENTS_OF_TENANT, RESULT_DOCUMENT_BYTES};
use crate::testing::{Answer, Client, PACKAGE, Secret, now};
use crate::{Facade, Settings};

/// Answers: as the definition has them, or as they were given.
#[derive(Debug, Default)]
struct Answers {
    /// Operation, status and media type, which is empty where there is no body.
    kinds: BTreeSet<(&'static str, String, String)>,
    /// The operation, or nothing of a problem, which all share; status and name.
    headers: BTreeSet<(&'static str, String, String)>,
}

impl Answers {
    fn documented() -> Self {
        let mut all = Self::default();
        for operation in OPERATIONS {
            for (status, response) in described(operation)["responses"].as_object().unwrap() {
                for media_type in media_types(response) {
                    all.kinds.insert((operation.id, status.clone(), media_type.to_owned()));
                }
                for name in resolved(response)["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
                    all.headers.insert((owner(operation, response), status.clone(), name.clone()));
                }
            }
        }
        all
    }

    fn note(&mut self, operation: &Operation, answer: &Answer) {
        let status = answer.status.to_string();
        let response = &described(operation)["responses"][&status];
        let sent = essence(answer.header("content-type"));
        let known = media_types(response);
        let known = known.iter().find(|known| essence(known) == sent).or(known.iter().find(|known| **known == "*/*"));
        self.kinds.insert((operation.id, status.clone(), known.map_or(sent, |known| known).to_owned()));
        for name in resolved(response)["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            if answer.headers.contains_key(name) {
                self.headers.insert((owner(operation, response), status.clone(), name.clone()));
            }
        }
    }
}

/// What a response is documented in; nothing in one form, where it has no body.
fn media_types(response: &Json) -> Vec<&str> {
    let content = resolved(response)["content"].as_object();
    content.map_or(vec![""], |content| content.keys().map(String::as_str).collect())
}

fn owner(operation: &Operation, response: &Json) -> &'static str {
    if response["$ref"].is_null() { operation.id } else { "" }
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_definition_is_given_by_some_request() {
    let documented = Answers::documented();
    let mut given = Answers::default();
    for operation in OPERATIONS {
        for answer in good(operation).await {
            assert!((200..300).contains(&answer.status), "{}: {} {}", operation.id, answer.status, answer.text());
            given.note(operation, &answer);
        }
        for (status, response) in described(operation)["responses"].as_object().unwrap() {
            let status = status.parse().unwrap();
            if status >= 400 {
                // One that nobody provokes is missing in the end.
                for accept in media_types(response) {
                    given.note(operation, &provoked(operation, status, accept).await);
                }
            }
        }
    }
    let never = |documented: BTreeSet<_>, given| documented.difference(given).cloned().collect::<Vec<_>>();
    assert_eq!(never(documented.kinds, &given.kinds), [], "nothing is answered so");
    assert_eq!(never(documented.headers, &given.headers), [], "no answer has these headers");
}

/// Whatever an operation can answer when nothing is wrong.
async fn good(operation: &Operation) -> Vec<Answer> {
    let site = Site::new().await;
    let accepting = async |values: &[(&str, &str)], accept: &str| {
        let (media_type, body) = body(operation);
        let headers = [("accept", accept), ("content-type", media_type)];
        let headers = &headers[..if media_type.is_empty() { 1 } else { 2 }];
        site.ask(operation, &path(operation, values), headers, body).await
    };
    match operation.id {
        EXECUTE => executed(operation).await,
        "dismiss" => {
            let json = accepting(&[], "application/json").await;
            let page = accepting(&[("jobID", super::site::RUNNING)], "text/html").await;
            vec![json, page]
        }
        "getText" => vec![
            accepting(&[], "*/*").await,
            accepting(&[("file", "usage.json")], "*/*").await,
            accepting(&[], "text/html").await,
        ],
        "getResult" => vec![
            accepting(&[], "application/json").await,
            accepting(&[], "text/html").await,
            accepting(&[], "*/*").await,
            accepting(&[("outputID", "rest")], "*/*").await,
        ],
        "getResults" => {
            let mut answers = vec![accepting(&[], "application/json").await, accepting(&[], "text/html").await];
            // As executions have asked for them.
            for outputs in [
                json!({"message": {}}),
                json!({"message": {}, "times": {}}),
                json!({"message": {"transmissionMode": "reference"}}),
            ] {
                let outputs = outputs.as_object().cloned();
                let asked = Asked { outputs, response: Some(ResponseForm::Raw) };
                site.memory.change("acme", DONE, |job| job.asked = asked);
                answers.push(accepting(&[], "application/json").await);
            }
            answers
        }
        _ => {
            let mut answers = Vec::new();
            let (status, response) = described(operation)["responses"].as_object().unwrap().iter().next().unwrap();
            assert!(status.starts_with('2'), "{}", operation.id);
            for media_type in media_types(response) {
                answers.push(accepting(&[], media_type).await);
            }
            answers
        }
    }
}

/// Executions in both modes and all forms.
async fn executed(operation: &Operation) -> Vec<Answer> {
    let site = Site::new().await;
    let worker = site.work(|memory, job| memory.succeed("acme", job, json!({"echoInput": "text", "arrayInput": [1]})));
    let one = json!({"echoInput": {}});
    let link = json!({"echoInput": {"transmissionMode": "reference"}});
    let both = json!({"echoInput": {}, "arrayInput": {}});
    let mut answers = Vec::new();
    for (prefer, outputs) in [
        ("respond-async", &one),
        ("return=representation", &both),
        ("return=minimal", &both),
        ("return=minimal", &one),
        ("return=minimal", &link),
    ] {
        let body = json!({"inputs": {"echoInput": "text"}, "outputs": outputs}).to_string();
        let headers = [("content-type", "application/json"), ("prefer", prefer)];
        answers.push(site.ask(operation, &path(operation, &[("processID", "echo")]), &headers, body).await);
    }
    worker.abort();
    answers
}

/// The answer to a request that should be refused with this status, in this form.
async fn provoked(operation: &Operation, status: u16, accept: &str) -> Answer {
    let mut site = Site::new().await;
    let (media_type, body) = body(operation);
    let (mut path, mut body) = (path(operation, &[]), Body::from(body));
    let mut headers = vec![("accept", accept), ("content-type", media_type)];
    headers.truncate(if media_type.is_empty() { 1 } else { 2 });
    let facade = Facade::new(Arc::clone(&site.memory) as _, Arc::clone(&site.world) as _, Settings::default());
    // Held until the answer is there.
    let mut places = None;
    let token = token();
    match status {
        400 => headers.push(("host", "not a host")),
        401 => site.client = Client::of(facade.with_bearer(bearer(&site))),
        403 => {
            site.client = Client::of(facade.with_bearer(bearer(&site)));
            headers.push(("authorization", &token));
        }
        404 => path = path.replacen("/acme/", "/nobody/", 1),
        406 => headers[0] = ("accept", "image/png"),
        408 => body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()),
        409 if operation.id == "deploy" => body = Body::from(PACKAGE),
        // A cluster says so, where another object has taken the id meanwhile.
        409 => site.memory.refuse(BackendError::Exists("a process `greet`".to_owned())),
        413 if operation.method == "get" => {
            let catalog = format!("s3://results/{DONE}/catalog.json");
            site.memory.publish("acme", DONE, &catalog, vec![b' '; RESULT_DOCUMENT_BYTES + 1]);
            site.memory.succeed("acme", DONE, json!({"message": catalog}));
        }
        413 => body = Body::from(vec![b' '; BODY_BYTES + 1]),
        415 => headers[1] = ("content-type", "text/plain"),
        429 if operation.id == EXECUTE => {
            let message = "there are 100 unfinished jobs".to_owned();
            site.memory.refuse(BackendError::TooMany { message, retry_after: 10 });
        }
        429 => {
            places = facade.rooms.deployments.take(&"acme".parse().unwrap(), DEPLOYMENTS_OF_TENANT).ok();
            site.client = Client::of(facade);
        }
        500 => site.memory.trouble(Some(BackendError::Internal("a defect".to_owned()))),
        501 => fail_unsupported(&site.memory, DONE),
        503 => site.memory.trouble(Some(BackendError::Unavailable("the store is away".to_owned()))),
        _ => {}
    }
    let worker = site.work(fail_unsupported);
    let answer = site.ask(operation, &path, &headers, body).await;
    worker.abort();
    drop(places);
    answer
}

const KEYS: &str = "https://id.example/keys";

fn secret() -> &'static Secret {
    static SECRET: std::sync::LazyLock<Secret> = std::sync::LazyLock::new(Secret::ec);
    &SECRET
}

/// Looks at tokens of a provider whose keys are in the world of the site.
fn bearer(site: &Site) -> Bearer {
    site.world.put(KEYS, "application/json", json!({"keys": [secret().jwk("c")]}).to_string());
    let settings = OidcSettings {
        issuer: "https://id.example".to_owned(),
        audience: "weir".to_owned(),
        tenants_claim: "tenants".to_owned(),
        jwks_url: Some(KEYS.to_owned()),
    };
    Bearer::new(settings, Arc::clone(&site.world) as _).unwrap()
}

/// Good for another tenant.
fn token() -> String {
    let claims = json!({"iss": "https://id.example", "aud": "weir", "exp": now() + 300, "tenants": ["other"]});
    format!("Bearer {}", secret().token("c", &claims))
}

#[tokio::test]
async fn every_body_of_the_definition_is_taken_in_all_its_media_types() {
    let bodies =
        definition()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    assert_eq!(bodies.filter(|described| described["requestBody"].is_object()).count(), 3, "deploy, replace, execute");
    for (id, status, name) in [("deploy", 201, "another"), ("replace", 204, "greet")] {
        let operation = super::site::operation(id);
        for media_type in described(operation)["requestBody"]["content"].as_object().unwrap().keys() {
            let text = PACKAGE.replace("id: greet", &format!("id: {name}"));
            let document = json!({"cwlVersion": "v1.2", "class": "ExpressionTool", "id": name, "inputs": {}, "outputs": {},
                "requirements": {"InlineJavascriptRequirement": {}}, "expression": "${return {};}"});
            let body = match media_type.as_str() {
                "application/cwl" | "application/cwl+yaml" => text,
                "application/ogcapppkg+json" => {
                    json!({"executionUnit": {"value": document, "mediaType": "application/cwl+json"}}).to_string()
                }
                _ => document.to_string(),
            };
            let site = Site::new().await;
            let answer = site.ask(operation, &path(operation, &[]), &[("content-type", media_type)], body).await;
            assert_eq!(answer.status, status, "{id} of {media_type}: {}", answer.text());
        }
    }
    let execute = super::site::operation(EXECUTE);
    let media_types = described(execute)["requestBody"]["content"].as_object().unwrap();
    assert_eq!(media_types.keys().collect::<Vec<_>>(), ["application/json"]);
}
