//! The backend over an API server in memory: two replicas, and a test that plays the leader.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_api::Phase;
use weir_api::kubernetes::ProcessSpec;
use weir_api::kubernetes::conditions::{PACKAGE_INVALID, PACKAGE_UNAVAILABLE};
use weir_api::kubernetes::process::Package;
use weir_http::backend::{Asked, Deployed, Subscriber};
use weir_plan::Recorded;
use weir_store::Journal;

use super::*;
use crate::data::Results;
use crate::data::tests::world::Store;
use crate::intake::fixture;
use crate::metrics::Metrics;
use crate::process::verdict::{self, Verdict};
use crate::settings::{FetchSettings, Settings};
use crate::testing::{FakeApi, Fault};

const TOOL: &str = "cwlVersion: v1.2
class: CommandLineTool
id: tool
label: Finds water
baseCommand: echo
inputs: {text: string}
outputs: {}
";

/// An API server with the tenants `acme` (namespace `eo`) and `other`, and a store.
struct World {
    api: FakeApi,
    services: Arc<Services>,
    leads: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    /// Ended with the world.
    tasks: Mutex<JoinSet<()>>,
}

impl World {
    fn new() -> Self {
        Self::over(Arc::new(InMemory::new()), fixture::settings())
    }

    fn over(store: Arc<dyn ObjectStore>, settings: Settings) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let api = FakeApi::new();
        for (name, labels) in [("eo", json!({"weir.dev/tenant": "acme"})), ("other", json!({}))] {
            let metadata = json!({"name": name, "labels": labels});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
            api.insert(&serde_json::from_value::<Namespace>(namespace).unwrap());
        }
        let services = Services {
            store,
            signer: settings.store.signer().unwrap(),
            results: Results::new(&settings.store).unwrap(),
            remote: Arc::new(Guarded::new(&settings.fetch).unwrap()),
            scripts: weir_script::Pool::new(&weir_script::WorkerCommand::this_program().unwrap()),
            metrics: Metrics::new(),
            settings: Arc::new(settings),
        };
        let (leads, stop) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { api, services: Arc::new(services), leads, stop, tasks: Mutex::default() }
    }

    /// A replica that has seen everything.
    async fn replica(&self) -> Cluster {
        let guarded = Guarded::new(&FetchSettings::default()).unwrap();
        let (leads, stop) = (self.leads.subscribe(), self.stop.subscribe());
        let cluster = Cluster::new(Arc::clone(&self.services), self.api.client(), guarded, leads, stop);
        let (synced, seen) = tokio::sync::oneshot::channel();
        let watching = cluster.clone().watch(move || synced.send(()).unwrap());
        self.tasks.lock().unwrap().spawn(async move { match watching.await {} });
        seen.await.unwrap();
        cluster
    }

    /// The leader looks after Processes.
    fn lead_processes(&self) {
        let guarded = Guarded::new(&FetchSettings::default()).unwrap();
        let run = crate::process::run(Arc::clone(&self.services), self.api.client(), guarded);
        self.tasks.lock().unwrap().spawn(async move { drop(run.await) });
    }

    /// Somebody applies a Process of a text.
    fn apply(&self, id: &str, cwl: &str, workflow: Option<&str>) {
        let spec = ProcessSpec {
            package: Package { inline: Some(cwl.to_owned()), ..Package::default() },
            workflow: workflow.map(str::to_owned),
            ..ProcessSpec::default()
        };
        if self.api.get::<Process>("eo", id).is_some() {
            self.api.edit("eo", id, |process: &mut Process| process.spec = spec);
        } else {
            let mut process = Process::new(id, spec);
            process.metadata.namespace = Some("eo".to_owned());
            self.api.insert(&process);
        }
    }

    /// The leader finds it sound as it is now.
    async fn judge(&self, id: &str) {
        let process: Process = self.api.get("eo", id).unwrap();
        let source = verdict::source(&process).unwrap();
        let guarded = Guarded::new(&FetchSettings::default()).unwrap();
        let (store, tenant) = (&*self.services.store, "acme".parse().unwrap());
        let workflow = process.spec.workflow.as_deref();
        let resolved = crate::process::resolve::resolve(&guarded, store, &tenant, &source, workflow).await.unwrap();
        resolved.stored.put(store, &tenant).await.unwrap();
        self.tell(id, &Verdict::ready(&resolved));
    }

    /// The leader says what it found of a Process as it is now.
    fn tell(&self, id: &str, verdict: &Verdict) {
        self.api.edit("eo", id, |process: &mut Process| {
            process.status = Some(verdict::status(process, verdict, Time(jiff::Timestamp::UNIX_EPOCH)));
        });
    }

    /// The leader writes a status.
    fn status(&self, id: &JobId, status: Json) {
        self.api.edit("eo", id.as_str(), |job: &mut ProcessJob| {
            job.status = Some(serde_json::from_value(status).unwrap());
        });
    }
}

fn acme() -> Tenant {
    "acme".parse().unwrap()
}

fn other() -> Tenant {
    "other".parse().unwrap()
}

fn new_job() -> NewJob {
    let inputs = json!({"text": "water"}).as_object().cloned().unwrap();
    let (process, package) = ("echo".parse().unwrap(), Some(TOOL.to_owned()));
    NewJob { process, version: None, package, inputs, asked: Asked::default(), subscriber: None }
}

fn new_process(id: &str, cwl: &str) -> NewProcess {
    let package = weir_cwl::load_text("weir:p.cwl", cwl, None, &weir_cwl::load::NoFetch).unwrap();
    let description = packages::described(&package);
    let deployed = Deployed { cwl: cwl.to_owned(), ..Deployed::default() };
    NewProcess { id: id.parse().unwrap(), deployed, description, package: package.into() }
}

async fn listed(cluster: &Cluster, tenant: &Tenant) -> Vec<JobId> {
    let mut ids = Vec::new();
    let visit = &mut |job: &Arc<JobRecord>| {
        ids.push(job.id.clone());
        ControlFlow::Continue(())
    };
    cluster.jobs(tenant, visit).await.unwrap();
    ids
}

/// Waits until a replica lists so many jobs of acme.
async fn seen(cluster: &Cluster, count: usize) {
    let seen = async {
        while listed(cluster, &acme()).await.len() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.expect("the replica sees the jobs");
}

async fn text_of(stream: ByteStream) -> String {
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn a_job_is_found_by_every_replica_right_after_its_creation_i4() {
    let world = World::new();
    let (one, two) = (world.replica().await, world.replica().await);
    world.api.hold_watches("processjobs");
    let job = one.create(&acme(), new_job()).await.unwrap();
    assert_eq!((job.phase, job.process.as_str()), (Phase::Accepted, "echo"));
    for replica in [&one, &two] {
        assert_eq!(replica.job(&acme(), &job.id).await.unwrap().as_deref(), Some(&*job));
        assert_eq!(replica.job(&other(), &job.id).await.unwrap(), None, "it is another tenant's (I9)");
    }
    world.api.release_watches("processjobs");
    seen(&two, 1).await;
    let asked = world.api.count("get", "processjobs");
    assert!(two.job(&acme(), &job.id).await.unwrap().is_some());
    assert_eq!(world.api.count("get", "processjobs"), asked, "answered from the index");
    assert_eq!(listed(&two, &other()).await, []);
}

#[tokio::test]
async fn jobs_are_shown_newest_first_and_a_list_tells_what_was_missed() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(cluster.create(&acme(), new_job()).await.unwrap().id.clone());
    }
    made.reverse();
    seen(&cluster, 3).await;
    assert_eq!(listed(&cluster, &acme()).await, made);
    world.api.hold_watches("processjobs");
    world.api.remove::<ProcessJob>("eo", made[1].as_str());
    world.api.compact();
    world.api.release_watches("processjobs");
    seen(&cluster, 2).await;
    assert_eq!(listed(&cluster, &acme()).await, [made[0].clone(), made[2].clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_job() {
    let world = World::new();
    let cluster = world.replica().await;
    world.api.fail(Fault::on("create", "processjobs").losing_the_answer());
    let job = cluster.create(&acme(), new_job()).await.unwrap();
    assert_eq!(world.api.list::<ProcessJob>("eo").len(), 1);
    assert_eq!(world.api.list::<ProcessJob>("eo")[0].metadata.name.as_deref(), Some(job.id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_refuses_takes_no_place() {
    let world = World::new();
    let cluster = world.replica().await;
    let quota = "processjobs.weir.dev \"a\" is forbidden: exceeded quota: weir, used: 5, limited: 5";
    world.api.fail(Fault::on("create", "processjobs").with(403, "Forbidden", quota).times(5));
    for _ in 0..5 {
        let refusal = cluster.create(&acme(), new_job()).await.unwrap_err();
        assert!(matches!(&refusal, BackendError::Refused(text) if text.contains("limited: 5")), "{refusal:?}");
    }
    world.api.fail(Fault::on("create", "processjobs").with(503, "ServiceUnavailable", "etcd is away").times(9));
    assert!(matches!(cluster.create(&acme(), new_job()).await, Err(BackendError::Unavailable(_))));
    world.api.heal();
    cluster.create(&acme(), new_job()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_so_many_unfinished_jobs_at_most_i9() {
    let world = World::new();
    let cluster = world.replica().await;
    // Not even those count for nothing that the watch has not shown yet.
    world.api.hold_watches("processjobs");
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(cluster.create(&acme(), new_job()).await.unwrap().id.clone());
    }
    let refusal = cluster.create(&acme(), new_job()).await.unwrap_err();
    insta::assert_snapshot!(refusal, @"the tenant has 3 jobs that are not over, of 3 that it may have: wait for one to end, or dismiss one");
    assert!(matches!(refusal, BackendError::TooMany { retry_after: 10, .. }));
    cluster.create(&other(), new_job()).await.unwrap();
    world.api.release_watches("processjobs");
    world.status(&made[0], json!({"phase": "Failed"}));
    let over = timeout(Duration::from_secs(20), cluster.finished(&acme(), &made[0])).await.unwrap();
    assert_eq!(over.unwrap().unwrap().phase, Phase::Failed);
    cluster.create(&acme(), new_job()).await.unwrap();
}

#[tokio::test]
async fn large_inputs_wait_in_the_store() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut new = new_job();
    new.inputs.insert("text".to_owned(), "w".repeat(100_000).into());
    let job = cluster.create(&acme(), new.clone()).await.unwrap();
    let object: ProcessJob = world.api.get("eo", job.id.as_str()).unwrap();
    let key = object.spec.inputs_ref.unwrap();
    assert_eq!((object.spec.inputs, key.as_str()), (None, format!("inputs/http/{}.json", job.id).as_str()));
    let stored = world.services.store.get(&Path::from(format!("acme/{key}"))).await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&stored).unwrap(), Json::Object(new.inputs.clone()));
    new.inputs.insert("text".to_owned(), "w".repeat(20 << 20).into());
    assert!(matches!(cluster.create(&acme(), new).await, Err(BackendError::TooLarge(_))));
}

#[tokio::test]
async fn who_waits_for_a_job_is_woken_by_its_end_or_its_disappearance() {
    let world = World::new();
    let cluster = world.replica().await;
    let [one, two] = [
        cluster.create(&acme(), new_job()).await.unwrap().id.clone(),
        cluster.create(&acme(), new_job()).await.unwrap().id.clone(),
    ];
    let wait = |id: &JobId| {
        let (cluster, id) = (cluster.clone(), id.clone());
        tokio::spawn(async move { cluster.finished(&acme(), &id).await.unwrap() })
    };
    let (ends, vanishes) = (wait(&one), wait(&two));
    seen(&cluster, 2).await;
    world.status(&one, json!({"phase": "Running", "progress": 50}));
    world.status(&one, json!({"phase": "Successful", "progress": 100}));
    world.api.remove::<ProcessJob>("eo", two.as_str());
    let ended = timeout(Duration::from_secs(20), ends).await.unwrap().unwrap().unwrap();
    assert_eq!((ended.phase, ended.progress), (Phase::Successful, 100));
    assert_eq!(timeout(Duration::from_secs(20), vanishes).await.unwrap().unwrap(), None);
    assert!(cluster.index.is_unwaited(), "nobody waits any more");
}

#[tokio::test]
async fn a_dismissed_job_stays_and_one_that_is_over_is_removed() {
    let world = World::new();
    let cluster = world.replica().await;
    let id = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    let refusal = cluster.remove(&acme(), &id).await.unwrap_err();
    assert!(matches!(refusal, BackendError::Refused(_)), "{refusal:?}");
    let leader = async {
        world.api.until(|api| api.get::<ProcessJob>("eo", id.as_str()).filter(|job| job.spec.dismiss)).await;
        world.status(&id, json!({"phase": "Dismissed", "message": "dismissed"}));
    };
    let tenant = acme();
    let (dismissed, ()) = tokio::join!(cluster.dismiss(&tenant, &id), leader);
    assert_eq!(dismissed.unwrap().phase, Phase::Dismissed);
    assert!(matches!(cluster.dismiss(&other(), &id).await, Err(BackendError::NotFound(_))), "not theirs (I9)");
    assert_eq!(cluster.dismiss(&acme(), &id).await.unwrap().phase, Phase::Dismissed, "again changes nothing");
    assert!(matches!(cluster.remove(&other(), &id).await, Err(BackendError::NotFound(_))), "not theirs (I9)");
    cluster.remove(&acme(), &id).await.unwrap();
    assert_eq!(cluster.job(&acme(), &id).await.unwrap(), None);
    assert_eq!(listed(&cluster, &acme()).await, []);
}

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

#[tokio::test]
async fn a_subscriber_is_told_of_each_change_once_by_the_leader_alone() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut new = new_job();
    new.subscriber = Some(Subscriber {
        success_uri: Some("https://example.org/done".to_owned()),
        in_progress_uri: Some("https://example.org/runs".to_owned()),
        ..Subscriber::default()
    });
    let id = cluster.create(&acme(), new).await.unwrap().id.clone();
    world.status(&id, json!({"phase": "Running"}));
    seen(&cluster, 1).await;
    assert!(timeout(Duration::from_millis(50), cluster.next_notice()).await.is_err(), "it does not lead");
    world.leads.send_replace(true);
    let running = cluster.next_notice().await.unwrap();
    assert_eq!((running.job.phase, &running.tenant), (Phase::Running, &acme()));
    assert!(timeout(Duration::from_millis(50), cluster.next_notice()).await.is_err(), "somebody is at it");
    cluster.noticed(&running).await;
    let told = |word: &'static str| {
        let id = id.clone();
        move |api: &FakeApi| {
            let job: ProcessJob = api.get("eo", id.as_str())?;
            (job.metadata.annotations?.get("weir.dev/told")? == word).then_some(())
        }
    };
    world.api.until(told("Running")).await;
    world.status(&id, json!({"phase": "Successful"}));
    assert_eq!(cluster.next_notice().await.unwrap().job.phase, Phase::Successful);
    // The leader dies before it has noted that; the next one tells again, and nothing of what was noted.
    let next = world.replica().await;
    let notice = next.next_notice().await.unwrap();
    assert_eq!(notice.job.phase, Phase::Successful);
    next.noticed(&notice).await;
    world.api.until(told("Successful")).await;
    let third = world.replica().await;
    assert!(timeout(Duration::from_millis(50), third.next_notice()).await.is_err());
    world.stop.send_replace(true);
    assert!(third.next_notice().await.is_none());
}

#[tokio::test]
async fn a_malformed_object_harms_only_itself_i11() {
    let world = World::new();
    let cluster = world.replica().await;
    let resource = kube::core::ApiResource::erase::<ProcessJob>(&());
    let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(world.api.client(), "eo", &resource);
    let bad = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": "bad", "namespace": "eo"},
        "spec": {"parallelism": "many"}
    }));
    api.create(&kube::api::PostParams::default(), &bad.unwrap()).await.unwrap();
    assert_eq!(cluster.job(&acme(), &"bad".parse().unwrap()).await.unwrap(), None);
    let good = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    seen(&cluster, 1).await;
    assert_eq!(listed(&cluster, &acme()).await, [good]);
}

#[tokio::test]
async fn a_tenant_that_is_none_is_told_so_and_one_that_comes_is_served() {
    let world = World::new();
    let cluster = world.replica().await;
    let new: Tenant = "new".parse().unwrap();
    assert!(!cluster.has_tenant(&new).await.unwrap());
    assert!(matches!(cluster.create(&new, new_job()).await, Err(BackendError::NotFound(_))));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}});
    world.api.insert(&serde_json::from_value::<Namespace>(namespace).unwrap());
    while !cluster.has_tenant(&new).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.create(&new, new_job()).await.unwrap();
}

#[test]
fn ten_thousand_finished_jobs_take_150_mib_at_most_i7() {
    let resident = || -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let index = Index::new("weir");
    let before = resident();
    for number in 0..10_000 {
        let step = |name: usize| {
            json!({"name": format!("node_water_bodies/node_{name}"), "total": 2, "running": 0, "succeeded": 2, "failed": 0,
                   "started": "2026-01-01T00:00:00Z"})
        };
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
            "metadata": {"name": format!("0190b6b2-0000-7000-8000-{number:012}"), "namespace": "eo", "uid": format!("0190b6b2-0000-7000-9000-{number:012}"),
                         "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"weir.dev/process-id": "water-bodies"}},
            "spec": {"processRef": "water-bodies", "inputs": {"a": "w".repeat(10_000)}},
            "status": {"phase": "Failed", "message": "m".repeat(500), "steps": (0..6).map(step).collect::<Vec<_>>(),
                       "failure": {"class": "ToolFailed", "message": "m".repeat(500), "stderr": "e".repeat(4096)}}
        });
        let job: ProcessJob = serde_json::from_value(object).unwrap();
        index.job_is("eo", Job::of(&job, |_| None).unwrap());
    }
    let taken = resident().saturating_sub(before);
    assert!(taken < 150 << 20, "{} MiB", taken >> 20);
}
