//! What a replica does at its start, while it leads, and when it stops.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::sleep;
use weir_api::kubernetes::names::LEADER;
use weir_store::probe::ProbeError;

use super::own_pod::OwnPod;
use super::start::{reach_api_server, usable};
use super::*;
use crate::lease::Timing;
use crate::testing::{FakeApi, Fault, Network};

fn pod(api: &FakeApi, name: &str, installation: &str, leads: bool) {
    let mut labels = json!({"app.kubernetes.io/instance": installation});
    if leads {
        labels[LEADER] = json!("true");
    }
    let pod = json!({"metadata": {"name": name, "namespace": "weir", "labels": labels}, "spec": {"containers": []}});
    api.insert::<Pod>(&serde_json::from_value(pod).unwrap());
}

fn leaders(api: &FakeApi) -> Vec<String> {
    let pods = api.list::<Pod>("weir");
    pods.iter().filter(|pod| pod.labels().contains_key(LEADER)).map(kube::ResourceExt::name_any).collect()
}

fn candidate(api: &FakeApi, identity: &str) -> Candidate {
    Candidate::new(api.client(), "weir", "weir-operator", identity, Timing::default())
}

fn holder(api: &FakeApi) -> Option<String> {
    api.get::<Lease>("weir", "weir-operator")?.spec?.holder_identity
}

fn busy() -> JoinSet<Task> {
    let mut tasks = JoinSet::new();
    tasks.spawn(pending());
    tasks
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_of_an_installation_is_labelled() {
    let api = FakeApi::new();
    pod(&api, "new", "a", false);
    pod(&api, "old", "a", true);
    pod(&api, "elsewhere", "b", true);
    api.fail(Fault::on("list", "pods").times(2));
    api.fail(Fault::on("patch", "pods"));
    OwnPod::new(api.client(), "weir", "new").leads().await;
    assert_eq!(leaders(&api), ["elsewhere", "new"]);
    OwnPod::new(api.client(), "weir", "new").stands_back().await;
    assert_eq!(leaders(&api), ["elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_tasks_and_then_gives_the_lease_back() {
    let api = FakeApi::new();
    let held = candidate(&api, "a").acquire().await;
    let (stop, stopping) = watch::channel(false);
    let leading = tokio::spawn(lead(held, busy(), stopping));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(holder(&api).as_deref(), Some("a"));
    stop.send_replace(true);
    leading.await.unwrap().unwrap();
    assert_eq!(holder(&api), None);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_ends_the_leader_and_the_lease_runs_out() {
    for why in [Ok(()), Err("another leader has taken over".to_owned())] {
        let api = FakeApi::new();
        let held = candidate(&api, "a").acquire().await;
        let mut tasks = busy();
        let ends = why.clone();
        tasks.spawn(async move { ("the controller of jobs", ends) });
        let (_stop, stopping) = watch::channel(false);
        let ended = lead(held, tasks, stopping).await.unwrap_err().to_string();
        let expected = why.err().unwrap_or_else(|| "nothing was left to do".to_owned());
        assert_eq!(ended, format!("the controller of jobs has ended: {expected}"));
        assert_eq!(holder(&api).as_deref(), Some("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_defect_in_a_task_ends_the_leader() {
    let api = FakeApi::new();
    let held = candidate(&api, "a").acquire().await;
    let mut tasks = busy();
    tasks.spawn(async { panic!("a defect") });
    let (_stop, stopping) = watch::channel(false);
    let ended = lead(held, tasks, stopping).await.unwrap_err().to_string();
    assert!(ended.contains("a defect"), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_lease_ends() {
    let api = FakeApi::new();
    let link = api.link();
    let candidate = Candidate::new(link.client(), "weir", "weir-operator", "a", Timing::default());
    let held = candidate.acquire().await;
    let (_stop, stopping) = watch::channel(false);
    link.cut(Network::Silent);
    let ended = lead(held, busy(), stopping).await.unwrap_err();
    assert!(matches!(ended, OperatorError::Lost(Lost::Expired { .. })), "{ended}");
}

#[test]
fn a_store_without_conditions_serves_one_replica_only() {
    let unconditional = || Err(ProbeError::Unconditional);
    assert!(matches!(usable(unconditional(), false), Err(OperatorError::Unconditional(_))));
    assert_eq!(usable(unconditional(), true).unwrap(), None);
    assert_eq!(usable(Ok(()), false).unwrap(), None);
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let source = object_store::Error::Generic { store: "S3", source: "connection refused".into() };
    let away = ProbeError::Store { doing: "create", key: "weir-probe/1".into(), source };
    assert!(usable(Err(away), true).unwrap().is_some_and(|trouble| trouble.contains("connection refused")));
}

#[tokio::test(start_paused = true)]
async fn the_api_server_is_asked_until_it_answers() {
    let api = FakeApi::new();
    api.fail(Fault::on("get", "secrets").with(503, "ServiceUnavailable", "etcd is away").times(3));
    let health = Health::new();
    let authority = reach_api_server(&api.client(), "weir", None, &health).await.unwrap();
    assert_eq!(api.count("get", "secrets"), 4);
    // Another replica finds the same authority.
    let again = reach_api_server(&api.client(), "weir", None, &health).await.unwrap();
    assert_eq!(authority, again);
    assert_eq!(api.list::<Secret>("weir").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_started_anew_does_not_lead() {
    let api = FakeApi::new();
    pod(&api, "own", "a", true);
    let own = OwnPod::new(api.client(), "weir", "own");
    reach_api_server(&api.client(), "weir", Some(&own), &Health::new()).await.unwrap();
    assert!(leaders(&api).is_empty());
}
