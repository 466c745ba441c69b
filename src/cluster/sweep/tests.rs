use object_store::memory::InMemory;
use serde_json::json;
use weir_api::kubernetes::ProcessJobSpec;

use super::*;
use crate::testing::{FakeApi, Fault};

/// Of a sweep that waits for nothing, and of one that waits for a day.
const NO_TIME: Duration = Duration::ZERO;

fn cluster() -> FakeApi {
    let api = FakeApi::new();
    for (name, labels) in [("kube-system", json!({})), ("ns", json!({"weir.dev/tenant": "acme"}))] {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        api.insert::<Namespace>(&serde_json::from_value(namespace).unwrap());
    }
    api
}

fn job(api: &FakeApi, name: &str, run: &str) {
    let mut job = ProcessJob::new(name, ProcessJobSpec::default());
    job.metadata.namespace = Some("ns".to_owned());
    job.metadata.annotations = Some([(RUN_ID.to_owned(), run.to_owned())].into());
    api.insert(&job);
}

async fn objects(store: &InMemory, keys: &[&str]) {
    for key in keys {
        store.put(&Path::from(*key), PutPayload::from_static(b"x")).await.unwrap();
    }
    // The store's clock goes on between two looks.
    while store_time(store).await.unwrap() <= last(store, keys[0]).await {
        tokio::task::yield_now().await;
    }
}

async fn last(store: &InMemory, key: &str) -> Timestamp {
    time(&store.head(&Path::from(key)).await.unwrap())
}

async fn left(store: &InMemory) -> Vec<String> {
    let all: Vec<_> = store.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
    let mut left: Vec<String> = all.into_iter().filter(|key| !key.starts_with(NOTES)).collect();
    left.sort();
    left
}

#[tokio::test]
async fn a_run_that_nobody_names_goes_at_the_second_sight_and_nothing_else_does() {
    let (api, store) = (cluster(), InMemory::new());
    job(&api, "kept", "named");
    objects(&store, &["acme/jobs/lost/journal/0", "acme/jobs/lost/att/1/0", "acme/jobs/named/journal/0"]).await;
    objects(&store, &["acme/packages/d", "Results/jobs/x/y", "weir-probe/p"]).await;
    assert_eq!(sweep(&store, &api.client(), &[], NO_TIME).await.unwrap(), 0, "seen for the first time");
    objects(&store, &["acme/packages/e"]).await;
    assert_eq!(sweep(&store, &api.client(), &[], NO_TIME).await.unwrap(), 1);
    assert_eq!(
        left(&store).await,
        ["Results/jobs/x/y", "acme/jobs/named/journal/0", "acme/packages/d", "acme/packages/e", "weir-probe/p"]
    );
    assert!(notes(&store).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_day_must_pass_between_the_two_sights() {
    let (api, store) = (cluster(), InMemory::new());
    objects(&store, &["acme/jobs/lost/journal/0"]).await;
    for _ in 0..3 {
        assert_eq!(sweep(&store, &api.client(), &[], SWEEP_AGE).await.unwrap(), 0);
    }
    assert_eq!(left(&store).await, ["acme/jobs/lost/journal/0"]);
}

#[tokio::test]
async fn inputs_of_a_job_that_was_never_created_go_after_a_day() {
    let (api, store) = (cluster(), InMemory::new());
    job(&api, "waits", "run");
    let keys = ["acme/inputs/http/lost.json", "acme/inputs/http/waits.json", "acme/inputs/mine.json"];
    objects(&store, &keys).await;
    sweep(&store, &api.client(), &[], SWEEP_AGE).await.unwrap();
    assert_eq!(left(&store).await, keys, "their job may be on its way");
    sweep(&store, &api.client(), &["other".to_owned()], NO_TIME).await.unwrap();
    assert_eq!(left(&store).await, keys, "another operator's");
    sweep(&store, &api.client(), &[], NO_TIME).await.unwrap();
    assert_eq!(left(&store).await, keys[1..]);
}

#[tokio::test]
async fn a_run_that_is_named_again_begins_anew() {
    let (api, store) = (cluster(), InMemory::new());
    objects(&store, &["acme/jobs/r/journal/0"]).await;
    sweep(&store, &api.client(), &[], NO_TIME).await.unwrap();
    job(&api, "restored", "r");
    assert_eq!(sweep(&store, &api.client(), &[], NO_TIME).await.unwrap(), 0);
    assert!(notes(&store).await.unwrap().is_empty(), "its first sight is forgotten");
    api.remove::<ProcessJob>("ns", "restored");
    assert_eq!(sweep(&store, &api.client(), &[], NO_TIME).await.unwrap(), 0);
    assert_eq!(left(&store).await, ["acme/jobs/r/journal/0"]);
}

#[tokio::test]
async fn nothing_goes_while_the_list_of_jobs_is_not_complete() {
    let (api, store) = (cluster(), InMemory::new());
    objects(&store, &["acme/jobs/lost/journal/0"]).await;
    sweep(&store, &api.client(), &[], NO_TIME).await.unwrap();
    api.fail(Fault::on("list", "processjobs").with(403, "Forbidden", "no"));
    let refused = sweep(&store, &api.client(), &[], NO_TIME).await.unwrap_err();
    assert!(matches!(refused, SweepError::List { what: "ProcessJobs", .. }), "{refused}");
    assert_eq!(left(&store).await, ["acme/jobs/lost/journal/0"]);
}

#[tokio::test]
async fn tenants_of_other_operators_are_left_alone() {
    let (api, store) = (cluster(), InMemory::new());
    objects(&store, &["acme/jobs/lost/journal/0", "other/jobs/theirs/journal/0"]).await;
    for _ in 0..2 {
        sweep(&store, &api.client(), &["ns".to_owned()], NO_TIME).await.unwrap();
        objects(&store, &["acme/packages/d"]).await;
    }
    assert_eq!(left(&store).await, ["acme/packages/d", "other/jobs/theirs/journal/0"]);
}

#[tokio::test]
async fn the_bucket_of_another_cluster_is_left_alone() {
    let (api, other, store) = (cluster(), cluster(), InMemory::new());
    sweep(&store, &api.client(), &[], NO_TIME).await.unwrap();
    let refused = sweep(&store, &other.client(), &[], NO_TIME).await.unwrap_err();
    assert!(matches!(refused, SweepError::Foreign { .. }), "{refused}");
    assert!(sweep(&store, &api.client(), &[], NO_TIME).await.is_ok());
}
