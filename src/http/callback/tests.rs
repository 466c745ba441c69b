//! Notices over the in-memory backend and a world that listens, or does not.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::fetcher::{FetchError, Fetched, Fetcher};
use crate::testing::{Client, Memory, PACKAGE, World, new_process};
use crate::{Facade, Settings};

fn settings() -> Settings {
    Settings { public_url: Some("https://eo.example".parse().unwrap()), ..Settings::default() }
}

async fn order(facade: &Arc<Facade>, memory: &Arc<Memory>) -> String {
    order_of("acme", "h", facade, memory).await
}

/// Of a tenant whose subscriber is at this host.
async fn order_of(tenant: &str, host: &str, facade: &Arc<Facade>, memory: &Arc<Memory>) -> String {
    let client = Client::of(Facade::new(Arc::clone(memory) as _, Arc::clone(&facade.fetcher), facade.settings.clone()));
    let body = json!({"inputs": {"message": "a"}, "subscriber": {
        "successUri": format!("http://{host}/done"), "inProgressUri": format!("http://{host}/runs"),
        "failedUri": format!("http://{host}/failed"),
    }});
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    let path = format!("/{tenant}/ogc-api/processes/greet/execution");
    assert_eq!(client.send("POST", &path, &headers, body.to_string()).await.status, 201);
    memory.job_ids(tenant).pop().unwrap()
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
async fn links_begin_with_what_the_jobs_request_was_sent_to_if_no_setting_says_it() {
    let (memory, world) = (Memory::acme(), World::new());
    let facade = Arc::new(Facade::new(Arc::clone(&memory) as _, Arc::clone(&world) as _, Settings::default()));
    let driver = tokio::spawn(super::run(Arc::clone(&facade)));
    let id = order(&facade, &memory).await;
    memory.start("acme", &id);
    until(|| world.sent().len() == 1).await;
    assert_eq!(world.sent()[0].1["links"][0]["href"], format!("http://weir.test/acme/ogc-api/jobs/{id}"));
    driver.abort();
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

/// Some hosts take a request and never answer it; of others it keeps the paths, and it refuses `runs` as long as it is told
/// to.
#[derive(Default)]
struct Silent {
    heard: Mutex<Vec<String>>,
    is_busy: AtomicBool,
    under_way: AtomicU32,
}

#[async_trait::async_trait]
impl Fetcher for Silent {
    async fn get(&self, url: &str, _: usize) -> Result<Fetched, FetchError> {
        Err(FetchError::Url(url.to_owned()))
    }

    async fn post_json(&self, url: &str, _: &Json) -> Result<(), FetchError> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        if url.starts_with("http://silent/") {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            return Err(FetchError::Time(url.to_owned()));
        }
        self.heard.lock().unwrap().push(url.to_owned());
        if self.is_busy.load(Ordering::Relaxed) && url.ends_with("/runs") {
            return Err(FetchError::Status { url: url.to_owned(), status: 503 });
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_of_one_tenant_that_are_silent_do_not_delay_those_of_another_i9() {
    let (memory, silent) = (Memory::new(&["acme", "other"]), Arc::new(Silent::default()));
    for tenant in ["acme", "other"] {
        memory.put(tenant, new_process("greet", PACKAGE), true);
    }
    let facade = Arc::new(Facade::new(Arc::clone(&memory) as _, Arc::clone(&silent) as _, settings()));
    for _ in 0..50 {
        let id = order_of("acme", "silent", &facade, &memory).await;
        memory.end("acme", &id, weir_api::Phase::Failed);
    }
    let driver = tokio::spawn(super::run(Arc::clone(&facade)));
    until(|| silent.under_way.load(Ordering::Relaxed) >= 4).await;
    let before = tokio::time::Instant::now();
    let id = order_of("other", "h", &facade, &memory).await;
    memory.end("other", &id, weir_api::Phase::Failed);
    until(|| silent.heard.lock().unwrap().len() == 1).await;
    assert!(before.elapsed() < std::time::Duration::from_secs(1), "{:?}", before.elapsed());
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn that_a_job_runs_is_not_told_once_it_is_over() {
    let (memory, silent) = (Memory::acme(), Arc::new(Silent::default()));
    silent.is_busy.store(true, Ordering::Relaxed);
    let facade = Arc::new(Facade::new(Arc::clone(&memory) as _, Arc::clone(&silent) as _, settings()));
    let driver = tokio::spawn(super::run(Arc::clone(&facade)));
    let id = order(&facade, &memory).await;
    memory.start("acme", &id);
    until(|| silent.heard.lock().unwrap().len() == 1).await;
    memory.end("acme", &id, weir_api::Phase::Failed);
    silent.is_busy.store(false, Ordering::Relaxed);
    // All further tries would be over by then.
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    assert_eq!(*silent.heard.lock().unwrap(), ["http://h/runs", "http://h/failed"]);
    driver.abort();
}
