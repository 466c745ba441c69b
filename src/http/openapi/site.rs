//! A tenant that has something of everything, for tests of the definition.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use weir_api::Phase;

use super::definition_text;
use super::operations::{EXECUTE, OPERATIONS, Operation};
use crate::backend::{Asked, Backend as _, JobFailure, NewJob};
use crate::testing::{Answer, Client, Memory, PACKAGE, World, new_process};
use crate::{Facade, Settings};

/// A job of `greet` that took five seconds.
pub(super) const DONE: &str = "00000000-0000-4000-8000-000000000001";
/// A job of `greet` that runs.
pub(super) const RUNNING: &str = "00000000-0000-4000-8000-000000000002";
/// A job of `other` that took a minute.
pub(super) const SLOW: &str = "00000000-0000-4000-8000-000000000003";
/// What synchronous executions wait for, unless they do not.
pub(super) const WORK_TIME: Duration = Duration::from_secs(5);

pub(super) fn definition() -> &'static Json {
    static DEFINITION: LazyLock<Json> = LazyLock::new(|| serde_json::from_str(&definition_text()).unwrap());
    &DEFINITION
}

/// What a reference leads to; anything else is itself.
pub(super) fn resolved(part: &Json) -> &Json {
    let reference = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.map_or(Some(part), |pointer| definition().pointer(pointer)).unwrap()
}

pub(super) fn operation(id: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.id == id).unwrap()
}

/// What the definition says of an operation.
pub(super) fn described(operation: &Operation) -> &'static Json {
    &definition()["paths"][operation.path][operation.method]
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// The tenant `acme` with processes and jobs.
pub(super) struct Site {
    pub memory: Arc<Memory>,
    pub world: Arc<World>,
    pub client: Client,
}

impl Site {
    pub async fn new() -> Self {
        let memory = Memory::acme();
        memory.put("acme", new_process("fixed", PACKAGE), false);
        memory.put("acme", new_process("other", &PACKAGE.replace("id: greet", "id: other")), true);
        for (id, process) in [(DONE, "greet"), (RUNNING, "greet"), (SLOW, "other")] {
            let job = NewJob {
                process: process.parse().unwrap(),
                version: None,
                package: None,
                inputs: json!({"message": "hello"}).as_object().unwrap().clone(),
                asked: Asked::default(),
                subscriber: None,
            };
            let created = memory.create(&"acme".parse().unwrap(), job).await.unwrap();
            assert_eq!(created.id.as_str(), id);
        }
        memory.write("acme", DONE, "greet.log", "hello\n");
        memory.write("acme", DONE, "usage.json", "{}");
        memory.succeed("acme", DONE, json!({"message": "hello", "times": 2, "rest": null}));
        memory.start("acme", RUNNING);
        memory.write("acme", SLOW, "greet.log", "good bye\n");
        memory.succeed("acme", SLOW, json!({"message": "good bye"}));
        memory.change("acme", SLOW, |job| {
            job.finished = Some(job.created + jiff::SignedDuration::from_mins(1));
        });
        let world = World::new();
        let client = Client::of(Facade::new(Arc::clone(&memory) as _, Arc::clone(&world) as _, Settings::default()));
        Self { memory, world, client }
    }

    /// Sends a request, and looks its answer up in the definition.
    pub async fn ask(
        &self,
        operation: &Operation,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<axum::body::Body>,
    ) -> Answer {
        let answer = self.client.send(&operation.method.to_uppercase(), path, headers, body).await;
        must_be_documented(operation, &answer, path);
        answer
    }

    /// Ends every job that is accepted from now on after [`WORK_TIME`], as long as it is not aborted.
    pub fn work(&self, end: impl Fn(&Memory, &str) + Send + 'static) -> JoinHandle<()> {
        let memory = Arc::clone(&self.memory);
        let mut over = memory.job_ids("acme").len();
        tokio::spawn(async move {
            loop {
                sleep(WORK_TIME).await;
                let ids = memory.job_ids("acme");
                ids[over.min(ids.len())..].iter().for_each(|id| end(&memory, id));
                over = ids.len();
            }
        })
    }
}

/// The job has failed by what the backend does not have.
pub(super) fn fail_unsupported(memory: &Memory, job: &str) {
    memory.change("acme", job, |job| {
        job.failure = Some(JobFailure {
            class: "Unsupported".to_owned(),
            message: "the embedded backend has no containers".to_owned(),
            step: None,
            exit_code: None,
            stderr: None,
        });
    });
    memory.end("acme", job, Phase::Failed);
}

/// The path of an operation with these values for its parameters, and usual ones for the others.
pub(super) fn path(operation: &Operation, given: &[(&str, &str)]) -> String {
    let work = format!("greet-{DONE}");
    let usual =
        [("processID", "greet"), ("jobID", DONE), ("outputID", "message"), ("work", &work), ("file", "greet.log")];
    let mut path = operation.path.to_owned();
    for (name, value) in given.iter().chain(&usual) {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    if operation.is_outside { format!("/acme{path}") } else { format!("/acme/ogc-api{path}") }
}

/// A body of an operation that is right, and its media type; empty if it takes none.
pub(super) fn body(operation: &Operation) -> (&'static str, String) {
    match operation.id {
        "deploy" => ("application/cwl", PACKAGE.replace("id: greet", "id: another")),
        "replace" => ("application/cwl", PACKAGE.to_owned()),
        EXECUTE => ("application/json", json!({"inputs": {"message": "hello"}}).to_string()),
        _ => ("", String::new()),
    }
}

/// What an answer is must be in the definition: its status, and the media type that it has.
pub(super) fn must_be_documented(operation: &Operation, answer: &Answer, path: &str) {
    let asked = format!("{} {path}", operation.method);
    assert!(!answer.text().contains("there is no such resource"), "{asked} has no route");
    let response = &described(operation)["responses"][answer.status.to_string()];
    assert!(!response.is_null(), "{asked}: {} is not documented: {}", answer.status, answer.text());
    let sent = answer.header("content-type");
    match resolved(response)["content"].as_object() {
        None => assert!(answer.body.is_empty(), "{asked}: {} has a body: {}", answer.status, answer.text()),
        Some(content) => {
            let is_known = content.keys().any(|known| known == "*/*" || essence(known) == essence(sent));
            assert!(is_known, "{asked}: {} as `{sent}` is not documented", answer.status);
        }
    }
}
