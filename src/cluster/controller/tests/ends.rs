//! How a job waits, ends and is deleted, and what its status says of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;
use weir_api::Phase;
use weir_api::kubernetes::ProcessJob;

use super::world::{NAME, NAMESPACE, PACKAGE, Script, World};
use crate::testing::{FakeApi, Fault};

#[tokio::test]
async fn a_quota_is_waited_for_and_shown() {
    let world = World::new();
    let message = "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";
    world.api.fail(Fault::on("create", "pods").with(403, "Forbidden", message).forever());
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.status(|status| World::condition(status, "Waiting").is_some()).await;
    assert_eq!(World::condition(&status, "Waiting"), Some(("True".into(), "QuotaExceeded".into())));
    world.api.heal();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    assert_eq!(World::condition(&status, "Waiting"), None);
}

#[tokio::test]
async fn a_pod_that_is_refused_for_good_fails_the_job_with_the_words_of_admission() {
    let world = World::new();
    let message = "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    world.api.fail(Fault::on("create", "pods").with(403, "Forbidden", message).forever());
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "Rejected".into())));
    let failure = status.failure.unwrap();
    assert!(failure.message.contains("PodSecurity"), "{failure:?}");
    assert_eq!(failure.step.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_tool_that_fails_fails_the_job_and_its_pod_is_kept_and_can_be_read() {
    let world = World::new();
    world.script.send_replace(Script::Ends(3));
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "ToolFailed".into())));
    let failure = status.failure.unwrap();
    assert_eq!((failure.exit_code, failure.log.as_deref()), (Some(3), Some("one.1.log")));
    assert_eq!(failure.stderr.as_deref(), Some("tail"));
    // The kubelet tells the end of a pod later than its agent; `kubectl logs` is refused before.
    let kept = world.api.list::<Pod>("").pop().expect("the pod is kept");
    assert!(crate::observe::sight::is_tool_over(&kept), "{:?}", kept.status);
    assert_eq!(failure.pod, Some(kept.name_any()));
    assert!(kept.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_dismissed_job_ends_its_pods() {
    let (world, _leader) = World::with_a_tool_that_runs().await;
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.dismiss = true);
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Dismissed));
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "Dismissed".into())));
    world.api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_suspended_job_starts_nothing_until_it_is_resumed_and_other_changes_are_told_as_ignored() {
    let world = World::new();
    world.submit(&json!({"suspend": true}));
    let _leader = world.lead();
    let status = world.status(|status| status.message.as_deref() == Some("suspended")).await;
    assert_eq!(status.phase, Some(Phase::Accepted));
    assert_eq!(world.api.count("create", "pods"), 0);
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| {
        job.spec.suspend = false;
        job.spec.inputs = Some(json!({"a": "fire"}));
    });
    let status = world.over().await;
    assert_eq!(status.results, Some(json!({"o": "water"})));
    assert!(World::condition(&status, "SpecChangeIgnored").is_some());
}

#[tokio::test]
async fn a_job_whose_journal_is_lost_and_one_with_wrong_inputs_say_so() {
    let world = World::new();
    let copy: ProcessJob = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
        "metadata": {"name": "restored", "namespace": NAMESPACE, "annotations": {"weir.dev/run-id": "gone"}},
        "spec": {"process": {"inline": PACKAGE}, "inputs": {"a": "water"}}
    }))
    .unwrap();
    world.api.insert(&copy);
    world.submit(&json!({"inputs": {"a": 7}}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Accepted").unwrap().0, "False");
    let lost = world
        .api
        .until(|api| api.get::<ProcessJob>(NAMESPACE, "restored")?.status.filter(|status| status.phase.is_some()))
        .await;
    assert_eq!(World::condition(&lost, "Failed"), Some(("True".into(), "JournalLost".into())));
}

#[tokio::test]
async fn what_is_doubtful_about_a_job_is_told_once_it_is_accepted() {
    let world = World::new();
    world.submit(&json!({"inputs": {"a": "water", "b": "nobody asks for it"}}));
    let _leader = world.lead();
    let note = |api: &FakeApi| {
        let all = api.list::<k8s_openapi::api::events::v1::Event>("");
        all.into_iter().find(|event| event.reason.as_deref() == Some("AcceptedWithWarnings"))?.note
    };
    let note = tokio::time::timeout(Duration::from_secs(20), world.api.until(note)).await.expect("an event");
    assert!(note.contains("'b'") || note.contains("`b`"), "{note}");
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
}

#[tokio::test]
async fn a_deleted_job_leaves_neither_pods_nor_objects_in_the_store() {
    let (world, leader) = World::with_a_tool_that_runs().await;
    world.api.remove::<ProcessJob>(NAMESPACE, NAME);
    world.api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!leader.is_finished());
}

#[tokio::test]
async fn a_finished_job_is_deleted_after_its_time() {
    let world = World::new();
    world.submit(&json!({"ttlSecondsAfterFinished": 0}));
    let _leader = world.lead();
    world.api.until(|api| api.get::<ProcessJob>(NAMESPACE, NAME).is_none().then_some(())).await;
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
