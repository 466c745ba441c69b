//! Processes are deployed, replaced and undeployed: whole or not at all, whoever else does the same.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use serde_json::json;
use weir_api::kubernetes::conditions::{PACKAGE_INVALID, PACKAGE_UNAVAILABLE};
use weir_api::kubernetes::{Process, ProcessJob};
use weir_http::backend::{Backend, BackendError, NewProcess, ProcessId};

use super::world::{TOOL, World, acme, new_job, new_process};
use crate::facade::Cluster;
use crate::process::verdict::Verdict;
use crate::testing::{FakeApi, Fault};

#[tokio::test]
async fn a_refused_process_leaves_nothing_behind_and_a_refused_replacement_the_old_one() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    let mut broken = new_process("water", TOOL);
    broken.deployed.cwl = TOOL.replace("string", "strin");
    let refusal = cluster.deploy(&acme(), broken.clone()).await.unwrap_err();
    assert!(matches!(&refusal, BackendError::Refused(text) if text.contains("package.cwl:6:16")), "{refusal:?}");
    assert_eq!(world.api.list::<Process>("eo").len(), 0);
    cluster.deploy(&acme(), new_process("water", TOOL)).await.unwrap();
    assert!(matches!(cluster.replace(&acme(), broken).await, Err(BackendError::Refused(_))));
    let text = || world.api.get::<Process>("eo", "water").unwrap().spec.package.inline.unwrap();
    assert_eq!(text(), TOOL);
    let newer = TOOL.replace("Finds water", "Finds more water");
    cluster.replace(&acme(), new_process("water", &newer)).await.unwrap();
    let record = cluster.process(&acme(), &"water".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.deployed.cwl.as_str(), text()), (newer.as_str(), newer.clone()));
    assert_eq!(record.description["title"], "Finds more water");
}

#[tokio::test]
async fn only_a_mutable_process_is_replaced_or_undeployed() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    let id: ProcessId = "water".parse().unwrap();
    assert!(matches!(cluster.undeploy(&acme(), &id).await, Err(BackendError::NotFound(_))));
    cluster.deploy(&acme(), new_process("water", TOOL)).await.unwrap();
    cluster.undeploy(&acme(), &id).await.unwrap();
    assert!(cluster.process(&acme(), &id).await.unwrap().is_none());
    let fixed = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Process", "metadata": {"name": "water", "namespace": "eo"},
        "spec": {"package": {"inline": TOOL}, "mutable": false}
    });
    world.api.insert(&serde_json::from_value::<Process>(fixed).unwrap());
    let refusal = cluster.replace(&acme(), new_process("water", TOOL)).await.unwrap_err();
    insta::assert_snapshot!(refusal, @"the process `water` may not be changed: spec.mutable of Process water is false");
    assert!(matches!(cluster.undeploy(&acme(), &id).await, Err(BackendError::Immutable(_))));
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_nothing_is_deployed() {
    let world = World::new();
    let cluster = world.replica().await;
    let refusal = cluster.deploy(&acme(), new_process("water", TOOL)).await.unwrap_err();
    assert!(matches!(refusal, BackendError::Unavailable(_)), "{refusal:?}");
    assert_eq!(world.api.list::<Process>("eo").len(), 0);
}

fn water(text: &str) -> NewProcess {
    new_process("water", &TOOL.replace("Finds water", text))
}

fn invalid() -> Verdict {
    Verdict::Refused { reason: PACKAGE_INVALID, message: "water.cwl:1:1: error: no".to_owned() }
}

/// Waits until the Process `water` has this label in its package.
async fn says(api: &FakeApi, text: &str) -> Process {
    let says = |api: &FakeApi| {
        let process: Process = api.get("eo", "water")?;
        process.spec.package.inline.as_ref()?.contains(&format!("label: {text}\n")).then_some(process)
    };
    api.until(says).await
}

fn replacing(cluster: &Cluster, text: &str) -> tokio::task::JoinHandle<Result<(), BackendError>> {
    let (cluster, new) = (cluster.clone(), water(text));
    tokio::spawn(async move { cluster.replace(&acme(), new).await })
}

fn deploying(cluster: &Cluster, text: &str) -> tokio::task::JoinHandle<Result<(), BackendError>> {
    let (cluster, new) = (cluster.clone(), water(text));
    tokio::spawn(async move { cluster.deploy(&acme(), new).await })
}

#[tokio::test]
async fn what_cannot_be_run_is_replaced_and_undeployed_all_the_same() {
    let world = World::new();
    let cluster = world.replica().await;
    let id: ProcessId = "water".parse().unwrap();
    world.apply("water", TOOL, None);
    world.tell("water", &invalid());
    let told = cluster.process(&acme(), &id).await.unwrap_err();
    insta::assert_snapshot!(told, @"there is no process `water` that jobs can be started of: water.cwl:1:1: error: no");
    assert_eq!(cluster.is_mutable(&acme(), &id).await.unwrap(), Some(true));
    assert!(matches!(cluster.deploy(&acme(), water("A")).await, Err(BackendError::Exists(_))));
    let replaced = replacing(&cluster, "A");
    says(&world.api, "A").await;
    world.judge("water").await;
    replaced.await.unwrap().unwrap();
    // Its package is lost.
    let stored: Vec<_> = world.services.store.list(None).map_ok(|found| found.location).try_collect().await.unwrap();
    for path in stored {
        world.services.store.delete(&path).await.unwrap();
    }
    assert!(matches!(cluster.process(&acme(), &id).await, Err(BackendError::Internal(_))));
    assert_eq!(cluster.is_mutable(&acme(), &id).await.unwrap(), Some(true));
    cluster.undeploy(&acme(), &id).await.unwrap();
    assert_eq!(cluster.is_mutable(&acme(), &id).await.unwrap(), None);
}

#[tokio::test]
async fn a_replacement_waits_for_the_one_before_it_to_be_undone() {
    let world = World::new();
    let (one, two) = (world.replica().await, world.replica().await);
    world.apply("water", &TOOL.replace("Finds water", "old"), None);
    world.judge("water").await;
    let broken = replacing(&one, "broken");
    says(&world.api, "broken").await;
    let sound = replacing(&two, "sound");
    world.tell("water", &invalid());
    says(&world.api, "old").await;
    world.judge("water").await;
    assert!(matches!(broken.await.unwrap(), Err(BackendError::Refused(_))));
    says(&world.api, "sound").await;
    // A refusal of this one leads back to what works.
    world.tell("water", &invalid());
    says(&world.api, "old").await;
    world.judge("water").await;
    assert!(matches!(sound.await.unwrap(), Err(BackendError::Refused(_))));
}

#[tokio::test]
async fn a_verdict_on_somebody_elses_change_is_not_ones_own() {
    let world = World::new();
    let cluster = world.replica().await;
    world.apply("water", TOOL, None);
    world.judge("water").await;
    let mine = replacing(&cluster, "mine");
    says(&world.api, "mine").await;
    world.apply("water", &TOOL.replace("Finds water", "theirs"), None);
    world.judge("water").await;
    let told = mine.await.unwrap().unwrap_err();
    assert!(matches!(&told, BackendError::Unavailable(text) if text.contains("changed by somebody else")), "{told:?}");
    says(&world.api, "theirs").await;
}

#[tokio::test]
async fn what_somebody_else_was_promised_is_never_undone() {
    let world = World::new();
    let cluster = world.replica().await;
    let theirs = async || {
        world.tell("water", &invalid());
        world.apply("water", &TOOL.replace("Finds water", "theirs"), None);
        world.judge("water").await;
        world.api.release_watches("processes");
    };
    let deployed = deploying(&cluster, "mine");
    says(&world.api, "mine").await;
    world.api.hold_watches("processes");
    theirs().await;
    assert!(deployed.await.unwrap().is_err());
    says(&world.api, "theirs").await;
    let replaced = replacing(&cluster, "mine");
    says(&world.api, "mine").await;
    world.api.hold_watches("processes");
    theirs().await;
    assert!(replaced.await.unwrap().is_err());
    says(&world.api, "theirs").await;
}

#[tokio::test]
async fn a_status_written_in_between_does_not_fail_a_replacement() {
    let world = World::new();
    let cluster = world.replica().await;
    world.apply("water", TOOL, None);
    world.judge("water").await;
    let conflict = "Operation cannot be fulfilled: the object has been modified";
    world.api.fail(Fault::on("patch", "processes").with(409, "Conflict", conflict).times(2));
    let replaced = replacing(&cluster, "new");
    says(&world.api, "new").await;
    world.judge("water").await;
    replaced.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_package_that_cannot_be_had_for_now_is_waited_for() {
    let world = World::new();
    let cluster = world.replica().await;
    let unavailable = Verdict::Refused { reason: PACKAGE_UNAVAILABLE, message: "the server answers 502".to_owned() };
    let deployed = deploying(&cluster, "A");
    says(&world.api, "A").await;
    world.tell("water", &unavailable);
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.judge("water").await;
    deployed.await.unwrap().unwrap();
    let replaced = replacing(&cluster, "B");
    says(&world.api, "B").await;
    world.tell("water", &unavailable);
    assert_eq!(replaced.await.unwrap(), Err(BackendError::Unavailable("the server answers 502".to_owned())));
    says(&world.api, "A").await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_half_done() {
    let world = World::new();
    let cluster = world.replica().await;
    let deployed = deploying(&cluster, "A");
    says(&world.api, "A").await;
    deployed.abort();
    assert!(deployed.await.unwrap_err().is_cancelled());
    world.tell("water", &invalid());
    world.api.until(|api| api.list::<Process>("eo").is_empty().then_some(())).await;
    world.api.fail(Fault::on("create", "processjobs").with(503, "ServiceUnavailable", "etcd is away").times(1));
    let created = {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.create(&acme(), new_job()).await.map(drop) })
    };
    world.api.until(|api| (api.count("create", "processjobs") == 1).then_some(())).await;
    created.abort();
    world.api.until(|api| api.list::<ProcessJob>("eo").pop()).await;
}
