//! Notices over the in-memory backend and a world that listens, or does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value as Json, json};

use crate::fetcher::{FetchError, Fetched, Fetcher};
use crate::testing::{Client, Memory, World};
use crate::{Facade, Settings};

fn settings() -> Settings {
    Settings { public_url: Some("https://eo.example".parse().unwrap()), ..Settings::default() }
}

async fn order(facade: &Arc<Facade>, memory: &Arc<Memory>) -> String {
    let client = Client::of(Facade::new(Arc::clone(memory) as _, Arc::clone(&facade.fetcher), settings()));
    let body = json!({"inputs": {"message": "a"}, "subscriber": {
        "successUri": "http://h/done", "inProgressUri": "http://h/runs", "failedUri": "http://h/failed",
    }});
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    let path = "/acme/ogc-api/processes/greet/execution";
    assert_eq!(client.send("POST", path, &headers, body.to_string()).await.status, 201);
    memory.job_ids("acme").pop().unwrap()
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("it does not happen");
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_told_of_the_run_and_get_the_results() {
    let (memory, world) = (Memory::acme(), World::new());
    let facade = Arc::new(Facade::new(Arc::clone(&memory) as _, Arc::clone(&world) as _, settings()));
    let driver = tokio::spawn(super::run(Arc::clone(&facade)));
    let id = order(&facade, &memory).await;
    memory.start("acme", &id);
    until(|| world.sent().len() == 1).await;
    memory.succeed("acme", &id, json!({"message": "hello"}));
    until(|| world.sent().len() == 2).await;
    let sent = world.sent();
    assert_eq!((sent[0].0.as_str(), &sent[0].1["status"]), ("http://h/runs", &json!("running")));
    assert_eq!(sent[0].1["links"][0]["href"], format!("https://eo.example/acme/ogc-api/jobs/{id}"));
    assert_eq!(sent[1], ("http://h/done".to_owned(), json!({"message": "hello"})));
    driver.abort();
}

/// Listens only the third time.
struct Deaf(AtomicU32);

#[async_trait::async_trait]
impl Fetcher for Deaf {
    async fn get(&self, url: &str, _: usize) -> Result<Fetched, FetchError> {
        Err(FetchError::Url(url.to_owned()))
    }

    async fn post_json(&self, url: &str, _: &Json) -> Result<(), FetchError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            2.. => Ok(()),
            _ => Err(FetchError::Status { url: url.to_owned(), status: 500 }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_is_told_again() {
    let (memory, deaf) = (Memory::acme(), Arc::new(Deaf(AtomicU32::new(0))));
    let facade = Arc::new(Facade::new(Arc::clone(&memory) as _, Arc::clone(&deaf) as _, settings()));
    let driver = tokio::spawn(super::run(Arc::clone(&facade)));
    let id = order(&facade, &memory).await;
    memory.end("acme", &id, weir_api::Phase::Failed);
    until(|| deaf.0.load(Ordering::Relaxed) == 3).await;
    driver.abort();
}
