//! How results become visible, and what a stop meanwhile does (invariant I5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{FutureExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::json;
use weir_api::Phase;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::RUN_ID;
use weir_plan::{Event, Recorded, Timestamp};
use weir_store::{JobKeys, Journal, journal};

use super::moment::BeforeJournal;
use super::world::{NAME, NAMESPACE, PACKAGE, World};
use crate::data::tests::world::Store;
use crate::data::tests::{SCENES, WATER_BODIES, played};
use crate::job::{self, Object};
use crate::testing::FakeApi;

/// A job with a file to publish.
fn publishes_a_file() -> serde_json::Value {
    let package = PACKAGE.replacen("{a: string}", "{a: string, f: File}", 1);
    let package = package.replace("{type: string, outputSource: two/out}", "{type: File, outputSource: f}");
    let file = json!({"class": "File", "basename": "o", "contents": "water"});
    json!({"process": {"inline": package}, "inputs": {"a": "a", "f": file}})
}

#[tokio::test]
async fn a_job_whose_results_cannot_be_written_waits_and_can_be_dismissed_i5() {
    let world = World::new();
    // Nothing serves the bucket.
    world.submit(&publishes_a_file());
    let leader = world.lead();
    let status = world.status(|status| World::condition(status, "Waiting").is_some()).await;
    assert_eq!(World::condition(&status, "Waiting"), Some(("True".into(), "StoreUnavailable".into())));
    let words = status.conditions.iter().map(|condition| condition.message.as_str());
    assert!(words.into_iter().any(|words| words.contains("the outputs cannot be published for now")));
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.dismiss = true);
    assert_eq!(world.over().await.phase, Some(Phase::Dismissed));
    assert!(!leader.is_finished());
}

#[tokio::test]
async fn a_job_whose_results_may_be_visible_ends_with_them_whoever_leads_and_whoever_stops_it_i5() {
    let mut world = World::new();
    // Nothing serves the bucket yet.
    world.settings.results_bucket = "results".to_owned();
    world.submit(&publishes_a_file());
    let leader = world.lead();
    world.status(|status| World::condition(status, "Waiting").is_some()).await;
    // As if the leader had died over its catalogs.
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let (mut journal, _) = Journal::open(world.store.clone(), world.keys()).await.unwrap();
    journal.append(&[Recorded { at: Timestamp::default(), event: Event::Committed }]).await.unwrap();
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.dismiss = true);
    let served = Store::served().await;
    world.settings.store = served.settings.clone();
    let leader = world.lead();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    let file = status.results.unwrap()["o"]["location"].as_str().unwrap().to_owned();
    let key = file.strip_prefix("s3://results/").unwrap();
    assert_eq!(served.results().get(&Path::from(key)).await.unwrap().bytes().await.unwrap(), "water");
    let too_late = |api: &FakeApi| {
        let all = api.list::<k8s_openapi::api::events::v1::Event>("");
        all.into_iter().find(|event| event.note.as_deref().is_some_and(|note| note.contains("too late")))
    };
    tokio::time::timeout(Duration::from_secs(20), world.api.until(too_late)).await.expect("an event");
    assert!(!leader.is_finished());
}

#[tokio::test]
async fn a_job_is_dismissed_at_once_while_its_results_are_being_written_and_they_are_written_once_at_a_time_i5() {
    // It takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut world = World::new();
    world.settings.store.endpoint = format!("http://{}", silent.local_addr().unwrap());
    world.submit(&publishes_a_file());
    let leader = world.lead();
    let first = tokio::time::timeout(Duration::from_secs(30), silent.accept()).await.unwrap().unwrap();
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.suspend = true);
    world.status(|status| status.message.as_deref() == Some("suspended")).await;
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.dismiss = true);
    assert_eq!(world.over().await.phase, Some(Phase::Dismissed));
    let second = tokio::time::timeout(Duration::from_millis(50), silent.accept()).await;
    assert!(second.is_err(), "there was another try beside the first");
    drop(first);
    assert!(!leader.is_finished());
}

/// A job with a catalog to publish whose steps are all over: its journal stands in `served`, whose bucket the world has.
async fn all_steps_are_over(world: &World, served: &Store) -> JobKeys {
    let inputs: serde_json::Value = serde_json::from_str(SCENES).unwrap();
    world.submit(&json!({"process": {"inline": WATER_BODIES}, "inputs": inputs}));
    let leader = world.lead();
    world.status(|status| World::condition(status, "Accepted").is_some()).await;
    let accepted = world.journal().await.swap_remove(0);
    leader.abort();
    let _ = leader.await;
    // Another run of it, which somebody else has played.
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| {
        job.metadata.annotations.get_or_insert_default().insert(RUN_ID.to_owned(), "run".to_owned());
        job.status = None;
    });
    let keys = JobKeys::new("acme".parse().unwrap(), "run".parse().unwrap());
    let open = async || Journal::open(Arc::clone(&served.objects), keys.clone()).await.unwrap().0;
    open().await.append(&[accepted]).await.unwrap();
    let object = Object::of(&world.api.get::<ProcessJob>(NAMESPACE, NAME).unwrap());
    let services = world.services_over(Arc::clone(&served.objects));
    let opened = job::open(&services, keys.clone(), &object).await.unwrap();
    let (_, _, job) = played(&opened.context).await;
    let is_of_steps = |one: &&Recorded| !matches!(one.event, Event::Accepted { .. } | Event::Finished { .. });
    let events: Vec<Recorded> = job.journal.iter().filter(is_of_steps).cloned().collect();
    open().await.append(&events).await.unwrap();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_catalog_is_visible_before_the_journal_says_that_it_may_be_i5() {
    let served = Store::served().await;
    let mut world = World::new();
    // Of the job that is played only the journal is wanted.
    world.kubelets.abort();
    world.settings.results_bucket = "results".to_owned();
    world.settings.store = served.settings.clone();
    let keys = all_steps_are_over(&world, &served).await;
    // The new leader's epoch is written; then the journal is away.
    let (writes, is_away) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(true)));
    let (counted, away) = (Arc::clone(&writes), Arc::clone(&is_away));
    let store = BeforeJournal::new(Arc::clone(&served.objects), move || {
        let refuses = counted.fetch_add(1, Ordering::SeqCst) > 0 && away.load(Ordering::SeqCst);
        let away = || object_store::Error::Generic { store: "journal", source: "away".into() };
        std::future::ready(if refuses { Err(away()) } else { Ok(()) }).boxed()
    });
    let leader = world.lead_over(Arc::new(store));
    // It has tried to say so, twice.
    let tried = async {
        while writes.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), tried).await.expect("the journal is written to");
    let results = served.results();
    let published = async || {
        let keys = results.list(None).map_ok(|object| object.location.to_string());
        keys.try_collect::<Vec<String>>().await.unwrap()
    };
    let is_catalog = |key: &String| key.matches('/').count() == 1 && key.ends_with("/catalog.json");
    let before = published().await;
    assert!(before.iter().any(|key| key.ends_with("otsu.tif")) && !before.iter().any(is_catalog), "{before:?}");
    let committed = async || {
        let events = journal::read(served.objects.as_ref(), &keys).await.unwrap();
        events.iter().any(|one| matches!(one.event, Event::Committed))
    };
    assert!(!committed().await);
    is_away.store(false, Ordering::SeqCst);
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    assert!(committed().await && published().await.iter().any(is_catalog));
    assert!(!leader.is_finished());
}
