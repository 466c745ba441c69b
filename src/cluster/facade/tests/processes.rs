//! Processes: found and described as they were deployed, and what a job takes of them.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::json;
use tokio::time::timeout;
use weir_api::kubernetes::{Process, ProcessJob};
use weir_http::backend::{Backend, BackendError, Deployed, NewJob, ProcessId, ProcessRecord};

use super::world::{TOOL, World, acme, new_job, new_process, other};
use crate::facade::{Cluster, entry};
use crate::intake::fixture;
use crate::process::verdict::Verdict;

#[tokio::test]
async fn a_deployed_process_is_found_by_every_replica_and_described_as_it_was_deployed_i4() {
    let world = World::new();
    world.lead_processes();
    let (one, two) = (world.replica().await, world.replica().await);
    let mut new = new_process("Water_Bodies", TOOL);
    new.description.insert("title".to_owned(), json!("Water"));
    new.deployed.application_package = Some("{\"a\": 1}".to_owned());
    one.deploy(&acme(), new.clone()).await.unwrap();
    let id: ProcessId = "Water_Bodies".parse().unwrap();
    for replica in [&one, &two] {
        let record = replica.process(&acme(), &id).await.unwrap().unwrap();
        assert_eq!((record.id.as_str(), record.mutable), ("Water_Bodies", true));
        assert_eq!(
            (&record.description["id"], &record.description["title"]),
            (&json!("Water_Bodies"), &json!("Water"))
        );
        assert_eq!(*record.deployed, new.deployed);
        assert!(replica.process(&other(), &id).await.unwrap().is_none(), "not theirs (I9)");
    }
    assert_eq!(one.process_ids(&acme()).await.unwrap(), std::slice::from_ref(&id));
    assert!(matches!(one.deploy(&acme(), new).await, Err(BackendError::Exists(_))));
    let mut job = new_job();
    (job.process, job.package) = (id.clone(), None);
    job.version = two.process(&acme(), &id).await.unwrap().unwrap().version.clone();
    let made = two.create(&acme(), job.clone()).await.unwrap();
    assert_eq!(made.process, id);
    let object: ProcessJob = world.api.get("eo", made.id.as_str()).unwrap();
    assert!(object.spec.process_ref.unwrap().starts_with("water-bodies-"));
    assert!(matches!(two.create(&other(), job).await, Err(BackendError::NotFound(_))));
}

#[tokio::test]
async fn what_a_process_gives_by_itself_a_request_may_leave_out() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    let package = TOOL.replace("{text: string}", "{text: string, count: int?, scene: File?}");
    let defaults = json!({"text": "water", "count": 3, "scene": "https://example.org/a.tif"});
    let process = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Process", "metadata": {"name": "water", "namespace": "eo"},
        "spec": {"package": {"inline": package}, "defaults": defaults}
    });
    world.api.insert(&serde_json::from_value::<Process>(process).unwrap());
    let id = "water".parse().unwrap();
    let found = async {
        loop {
            match cluster.process(&acme(), &id).await {
                Ok(Some(record)) => return record,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let record = timeout(Duration::from_secs(20), found).await.unwrap();
    let entry = &record.package.processes[record.package.entry.0];
    let checked = weir_cwl::job::check_inputs(entry, weir_cwl::Record::new()).unwrap();
    assert_eq!(checked, weir_cwl::Record::new(), "none is missing, and none is given as null");
    let text = &record.description["inputs"]["text"];
    assert_eq!((&text["minOccurs"], &text["schema"]["default"]), (&json!(0), &json!("water")));
    assert_eq!(record.deployed.cwl, package, "the package itself is as it was");
}

/// Waits until a replica has seen a Process of acme.
async fn process_seen(cluster: &Cluster, name: &str) {
    let seen = async {
        while cluster.index.process_named("eo", name).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.expect("the replica sees the process");
}

fn job_of(process: &ProcessRecord) -> NewJob {
    NewJob { process: process.id.clone(), version: process.version.clone(), package: None, ..new_job() }
}

#[tokio::test]
async fn what_one_replica_has_answered_about_a_process_every_other_one_goes_by_i4() {
    let world = World::new();
    let behind = world.replica().await;
    let id: ProcessId = "water".parse().unwrap();
    let runs = async || behind.process_to_run(&acme(), &id).await;
    world.apply("water", TOOL, None);
    process_seen(&behind, "water").await;
    let told = behind.process(&acme(), &id).await.unwrap_err();
    insta::assert_snapshot!(told, @"there is no process `water` that jobs can be started of: its package has not been looked at yet");
    world.api.hold_watches("processes");

    // Deployed: 201.
    world.judge("water").await;
    assert!(behind.process(&acme(), &id).await.unwrap().is_some());
    let first = runs().await.unwrap().unwrap();
    let job = behind.create(&acme(), job_of(&first)).await.unwrap();
    assert_eq!(job.process, id);

    // Replaced: 204.
    let newer = TOOL.replace("Finds water", "Finds more water");
    world.apply("water", &newer, None);
    world.judge("water").await;
    let second = runs().await.unwrap().unwrap();
    assert_eq!(second.deployed.cwl, newer);
    behind.create(&acme(), job_of(&second)).await.unwrap();
    let refusal = behind.create(&acme(), job_of(&first)).await.unwrap_err();
    insta::assert_snapshot!(refusal, @"the process `water` was changed while the request was looked at: send it again");

    // Undeployed: 204.
    world.api.remove::<Process>("eo", "water");
    assert!(runs().await.unwrap().is_none());
    assert!(matches!(behind.create(&acme(), job_of(&second)).await, Err(BackendError::NotFound(_))));
    assert_eq!(world.api.list::<ProcessJob>("eo").len(), 2);
}

#[tokio::test]
async fn a_job_asks_once_for_its_process() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    cluster.deploy(&acme(), new_process("water", TOOL)).await.unwrap();
    let asked = world.api.count("get", "processes");
    let record = cluster.process_to_run(&acme(), &"water".parse().unwrap()).await.unwrap().unwrap();
    cluster.create(&acme(), job_of(&record)).await.unwrap();
    assert_eq!(world.api.count("get", "processes") - asked, 1);
}

#[tokio::test]
async fn while_a_replacement_with_another_entry_is_looked_at_the_old_one_is_served() {
    let world = World::new();
    let cluster = world.replica().await;
    let id: ProcessId = "water".parse().unwrap();
    let graph = |entry: &str| {
        format!(
            "cwlVersion: v1.2\n$graph:\n- {}",
            TOOL.replace("cwlVersion: v1.2\n", "").replace("id: tool", &format!("id: {entry}")).replace('\n', "\n  ")
        )
    };
    world.apply("water", &graph("old"), Some("old"));
    world.judge("water").await;
    world.apply("water", &graph("new"), Some("new"));
    let entry = async |wanted: &str| {
        let record = cluster.process_to_run(&acme(), &id).await.unwrap().unwrap();
        assert_eq!(record.deployed.workflow.as_deref(), Some(wanted));
        assert_eq!(record.package.processes[record.package.entry.0].header().id, wanted);
    };
    entry("old").await;
    world.judge("water").await;
    entry("new").await;
}

#[tokio::test]
async fn a_created_job_keeps_what_its_process_was_then() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    let package = TOOL.replace("{text: string}", "{text: string, count: int}");
    let process = new_process("Water", &package);
    let id = process.id.clone();
    cluster.deploy(&acme(), process).await.unwrap();
    let name = entry::name(&id);
    world.api.edit("eo", &name, |process: &mut Process| process.spec.defaults = Some(json!({"text": "t", "count": 1})));
    let is_seen = async {
        while cluster
            .process(&acme(), &id)
            .await
            .unwrap()
            .is_none_or(|record| record.description["inputs"]["count"]["minOccurs"] == json!(1))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), is_seen).await.unwrap();
    let digest = world.api.get::<Process>("eo", &name).unwrap().status.unwrap().digest;
    assert!(digest.is_some());
    let job = cluster.create(&acme(), NewJob { process: id.clone(), package: None, ..new_job() }).await.unwrap();
    cluster.undeploy(&acme(), &id).await.unwrap();
    let spec = world.api.get::<ProcessJob>("eo", job.id.as_str()).unwrap().spec;
    assert_eq!((spec.process_ref, spec.package_digest), (Some(name), digest));
    assert_eq!(spec.inputs, Some(json!({"text": "water", "count": 1})));
}

#[tokio::test]
async fn a_package_with_imports_is_frozen_as_it_was_fetched() {
    let world = World::new();
    world.lead_processes();
    let cluster = world.replica().await;
    let main = "cwlVersion: v1.2\nclass: Workflow\nid: main\ninputs: {text: string}\noutputs: {}\nsteps:\n  one: {run: tool.cwl, in: {text: text}, out: []}\n";
    let mut new = new_process("chain", TOOL);
    new.deployed = Deployed {
        cwl: main.to_owned(),
        url: Some("https://example.org/a/main.cwl".to_owned()),
        imports: [("https://example.org/a/tool.cwl".to_owned(), TOOL.to_owned())].into(),
        workflow: Some("main".to_owned()),
        application_package: None,
    };
    cluster.deploy(&acme(), new.clone()).await.unwrap();
    let record = cluster.process(&acme(), &new.id).await.unwrap().unwrap();
    assert_eq!(*record.deployed, new.deployed);
    assert_eq!(record.package.processes[record.package.entry.0].header().id, "main");
}

#[tokio::test]
async fn a_list_of_processes_reads_no_package() {
    let world = World::new();
    for name in ["b", "a"] {
        world.apply(name, TOOL, None);
        world.tell(name, &Verdict::Ready { digest: "0".repeat(64), version: None, title: None });
    }
    world.apply("c", TOOL, None);
    let cluster = world.replica().await;
    let ids = cluster.process_ids(&acme()).await.unwrap();
    assert_eq!(ids.iter().map(ProcessId::as_str).collect::<Vec<_>>(), ["a", "b"], "c is not ready");
    assert!(cluster.process_ids(&other()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_many_who_want_one_package_the_first_reads_it_and_others_are_not_kept_waiting_i9() {
    let throttle = ThrottleConfig { wait_get_per_call: Duration::from_secs(1), ..ThrottleConfig::default() };
    let store = ThrottledStore::new(InMemory::new(), throttle);
    let world = World::over(Arc::new(store), fixture::settings());
    for name in ["a", "b"] {
        world.apply(name, &TOOL.replace("Finds water", name), None);
        world.judge(name).await;
    }
    let cluster = world.replica().await;
    let began = tokio::time::Instant::now();
    let tenant = acme();
    let ids: Vec<ProcessId> = ["a", "b", "a", "b", "a", "b"].map(|id| id.parse().unwrap()).into();
    let reads = ids.iter().map(|id| cluster.process(&tenant, id));
    for record in futures_util::future::join_all(reads).await {
        assert!(record.unwrap().is_some());
    }
    assert_eq!(began.elapsed().as_secs(), 1, "each once, and both at the same time");
}
