//! What a job wrote: its logs, live and complete, and its results.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use weir_api::kubernetes::ProcessJob;
use weir_http::backend::{Backend, BackendError, Tenant, TextRecord};
use weir_plan::Recorded;
use weir_store::{JobKeys, Journal};

use super::world::{World, acme, new_job, other, seen, text_of};
use crate::data::tests::world::Store;
use crate::intake::fixture;
use crate::settings::Settings;

fn event(event: Json) -> Recorded {
    serde_json::from_value(event).unwrap()
}

fn started(log: &str, attempt: u32, incarnation: u64) -> Recorded {
    let resources = json!({"cores": 1.0, "ramMib": 1, "tmpdirMib": 1, "outdirMib": 1});
    event(json!({"at": 1, "event": "StartAttempt", "instance": log, "attempt": attempt, "incarnation": incarnation,
                 "resources": resources, "log": log}))
}

fn failed(incarnation: u64) -> Recorded {
    let usage = json!({"started": 0, "finished": 0, "cpuSeconds": 0.0, "memoryPeakBytes": 0, "outputBytes": 0});
    let failure = json!({"class": "OutOfMemory", "message": "no memory"});
    event(
        json!({"at": 2, "event": "Ended", "incarnation": incarnation, "outcome": {"failure": failure, "usage": usage}}),
    )
}

#[tokio::test]
async fn a_log_is_live_while_its_step_runs_and_complete_when_the_pod_is_gone() {
    let world = World::new();
    let cluster = world.replica().await;
    let id = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    seen(&cluster, 1).await;
    let uid = world.api.get::<ProcessJob>("eo", id.as_str()).unwrap().metadata.uid.unwrap();
    let keys = JobKeys::new("acme".parse().unwrap(), uid.parse().unwrap());
    let store = Arc::clone(&world.services.store);
    let (mut journal, _) = Journal::open(Arc::clone(&store), keys.clone()).await.unwrap();
    journal.append(&[started("one", 1, 1), started("two", 1, 2), failed(1), started("one", 2, 3)]).await.unwrap();
    store.put(&keys.incarnation_log("one", 1), "first\n".into()).await.unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "job-one-3", "namespace": "eo", "labels": {"weir.dev/run": uid, "weir.dev/incarnation": "3"}}
    });
    world.api.insert(&serde_json::from_value::<Pod>(pod).unwrap());
    let text = async |name: &str| text_of(cluster.text(&acme(), &id, name).await.unwrap().unwrap()).await;
    let again = "first\n\n[weir] the step did not end well (OutOfMemory: no memory); it is tried again: attempt 2\n";
    assert_eq!(text("one.log").await, again, "its container has not started");
    world.api.write_log("eo", "job-one-3", "tool", "half of it\n");
    assert_eq!(text("one.log").await, format!("{again}half of it\n"));
    assert_eq!(text("two.log").await, "", "its pod is not there yet");
    assert!(cluster.text(&acme(), &id, "three.log").await.unwrap().is_none());
    assert!(cluster.text(&acme(), &id, "../journal").await.unwrap().is_none());
    let names = |texts: Vec<TextRecord>| texts.into_iter().map(|text| text.name).collect::<Vec<_>>();
    assert_eq!(names(cluster.texts(&acme(), &id).await.unwrap()), ["one.log", "two.log"]);

    journal.append(&[failed(2), failed(3)]).await.unwrap();
    store.put(&keys.incarnation_log("one", 3), "all of it\n".into()).await.unwrap();
    store.put(&keys.usage(), "{}\n".into()).await.unwrap();
    world.api.remove::<Pod>("eo", "job-one-3");
    world.status(&id, json!({"phase": "Failed"}));
    cluster.finished(&acme(), &id).await.unwrap();
    assert_eq!(text("one.log").await, format!("{again}all of it\n"));
    assert_eq!(text("two.log").await, "[weir] what the tool wrote was lost with its pod\n");
    assert_eq!(text("usage.json").await, "{}\n");
    assert_eq!(names(cluster.texts(&acme(), &id).await.unwrap()), ["one.log", "two.log", "usage.json"]);
    let lists = world.api.count("list", "pods");
    text("one.log").await;
    assert_eq!(world.api.count("list", "pods"), lists, "the store has it all");
}

#[tokio::test]
async fn what_a_job_wrote_is_found_after_its_tenant_was_renamed_and_by_nobody_else_i9() {
    let world = World::new();
    let cluster = world.replica().await;
    let id = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    let uid = world.api.get::<ProcessJob>("eo", id.as_str()).unwrap().metadata.uid.unwrap();
    let keys = JobKeys::new("acme".parse().unwrap(), uid.parse().unwrap());
    let (mut journal, _) = Journal::open(Arc::clone(&world.services.store), keys.clone()).await.unwrap();
    let job =
        json!({"entry": "weir:a.cwl", "documents": {}, "inputs": {}, "attemptsMax": 1, "continueOnFailure": false});
    let spec = json!({"format": 1, "namespace": "eo", "name": id, "uid": uid, "resultId": id, "resultsBucket": "results",
                      "digest": "00", "job": job});
    journal.append(&[event(json!({"at": 0, "event": "Accepted", "spec": spec})), started("one", 1, 1)]).await.unwrap();
    let accepted = json!({"weir.dev/run-id": uid, "weir.dev/tenant": "acme"});
    world.api.edit("eo", id.as_str(), |job: &mut ProcessJob| {
        job.metadata.annotations = serde_json::from_value(accepted.clone()).unwrap();
    });
    let mut copy: ProcessJob = world.api.get("eo", id.as_str()).unwrap();
    (copy.metadata.namespace, copy.metadata.uid) = (Some("other".to_owned()), None);
    world.api.insert(&copy);
    let renamed: Tenant = "renamed".parse().unwrap();
    world.api.edit("", "eo", |namespace: &mut Namespace| {
        namespace.metadata.labels = Some([("weir.dev/tenant".to_owned(), "renamed".to_owned())].into());
    });
    let seen = async {
        while !cluster.has_tenant(&renamed).await.unwrap() || cluster.job(&other(), &id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.unwrap();
    let logs = async |tenant: &Tenant| cluster.texts(tenant, &id).await.unwrap().len();
    assert_eq!((logs(&renamed).await, logs(&other()).await), (1, 0));
}

#[tokio::test]
async fn results_are_the_jobs_own_and_nobody_elses_i9() {
    let store = Store::served().await;
    let settings =
        Settings { store: store.settings.clone(), results_bucket: "results".to_owned(), ..fixture::settings() };
    let world = World::over(Arc::clone(&store.objects), settings);
    let cluster = world.replica().await;
    let id = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    assert!(matches!(cluster.results(&acme(), &id).await, Err(BackendError::NotFound(_))), "not yet");
    let uid = world.api.get::<ProcessJob>("eo", id.as_str()).unwrap().metadata.uid.unwrap();
    let location = format!("s3://results/{id}/o/a%20b.txt");
    let outputs = json!({"o": {"class": "File", "location": location}});
    let keys = JobKeys::new("acme".parse().unwrap(), uid.parse().unwrap());
    store.objects.put(&keys.results(), PutPayload::from(outputs.to_string())).await.unwrap();
    let results = store.results();
    results.put(&Path::from(format!("{id}/o/a b.txt")), "water".into()).await.unwrap();
    results.put(&Path::from("foreign/a.txt"), "not yours".into()).await.unwrap();
    world.status(&id, json!({"phase": "Successful"}));
    cluster.finished(&acme(), &id).await.unwrap();
    assert_eq!(Json::Object(cluster.results(&acme(), &id).await.unwrap()), outputs);
    let read = async |location: &str| cluster.read_result(&acme(), &id, location).await;
    assert!(matches!(read(&location).await, Err(BackendError::NotFound(_))), "whose it is, nobody has said");
    let marker = Path::from(format!("{id}/.weir-owner"));
    results.put(&marker, "other/run".into()).await.unwrap();
    assert!(matches!(read(&location).await, Err(BackendError::NotFound(_))), "another tenant's job of the same name");
    results.put(&marker, PutPayload::from(format!("acme/{uid}"))).await.unwrap();
    assert_eq!(text_of(read(&location).await.unwrap()).await, "water");
    for location in [
        "s3://results/foreign/a.txt",
        &format!("s3://results/{id}/../foreign/a.txt"),
        &format!("s3://results/{id}/.weir-owner"),
        &format!("s3://results/{id}/none.txt"),
    ] {
        assert!(matches!(read(location).await, Err(BackendError::NotFound(_))), "{location}");
    }
    assert!(matches!(cluster.read_result(&other(), &id, &location).await, Err(BackendError::NotFound(_))));
    // Only the object knows any more.
    store.objects.delete(&keys.results()).await.unwrap();
    world.status(&id, json!({"phase": "Successful", "results": {"o": 1}}));
    assert_eq!(Json::Object(cluster.results(&acme(), &id).await.unwrap()), json!({"o": 1}));
}
