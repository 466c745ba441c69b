//! An API server in memory with two tenants, replicas over it, and a leader that is played.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_api::kubernetes::process::Package;
use weir_api::kubernetes::{Process, ProcessJob, ProcessSpec};
use weir_fetch::Guarded;
use weir_http::backend::{Asked, Backend, ByteStream, Deployed, JobId, JobRecord, NewJob, NewProcess, Tenant};

use crate::context::Services;
use crate::data::Results;
use crate::facade::{Cluster, packages};
use crate::intake::fixture;
use crate::metrics::Metrics;
use crate::process::verdict::{self, Verdict};
use crate::settings::{FetchSettings, Settings};
use crate::testing::FakeApi;

pub const TOOL: &str = "cwlVersion: v1.2
class: CommandLineTool
id: tool
label: Finds water
baseCommand: echo
inputs: {text: string}
outputs: {}
";

/// An API server with the tenants `acme` (namespace `eo`) and `other`, and a store.
pub struct World {
    pub api: FakeApi,
    pub services: Arc<Services>,
    pub leads: watch::Sender<bool>,
    pub stop: watch::Sender<bool>,
    /// Ended with the world.
    tasks: Mutex<JoinSet<()>>,
}

impl World {
    pub fn new() -> Self {
        Self::over(Arc::new(InMemory::new()), fixture::settings())
    }

    pub fn over(store: Arc<dyn ObjectStore>, settings: Settings) -> Self {
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
    pub async fn replica(&self) -> Cluster {
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
    pub fn lead_processes(&self) {
        let guarded = Guarded::new(&FetchSettings::default()).unwrap();
        let run = crate::process::run(Arc::clone(&self.services), self.api.client(), guarded);
        self.tasks.lock().unwrap().spawn(async move { drop(run.await) });
    }

    /// Somebody applies a Process of a text.
    pub fn apply(&self, id: &str, cwl: &str, workflow: Option<&str>) {
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
    pub async fn judge(&self, id: &str) {
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
    pub fn tell(&self, id: &str, verdict: &Verdict) {
        self.api.edit("eo", id, |process: &mut Process| {
            process.status = Some(verdict::status(process, verdict, Time(jiff::Timestamp::UNIX_EPOCH)));
        });
    }

    /// The leader writes a status.
    pub fn status(&self, id: &JobId, status: Json) {
        self.api.edit("eo", id.as_str(), |job: &mut ProcessJob| {
            job.status = Some(serde_json::from_value(status).unwrap());
        });
    }
}

pub fn acme() -> Tenant {
    "acme".parse().unwrap()
}

pub fn other() -> Tenant {
    "other".parse().unwrap()
}

pub fn new_job() -> NewJob {
    let inputs = json!({"text": "water"}).as_object().cloned().unwrap();
    let (process, package) = ("echo".parse().unwrap(), Some(TOOL.to_owned()));
    NewJob { process, version: None, package, inputs, asked: Asked::default(), subscriber: None }
}

pub fn new_process(id: &str, cwl: &str) -> NewProcess {
    let package = weir_cwl::load_text("weir:p.cwl", cwl, None, &weir_cwl::load::NoFetch).unwrap();
    let description = packages::described(&package);
    let deployed = Deployed { cwl: cwl.to_owned(), ..Deployed::default() };
    NewProcess { id: id.parse().unwrap(), deployed, description, package: package.into() }
}

pub async fn listed(cluster: &Cluster, tenant: &Tenant) -> Vec<JobId> {
    let mut ids = Vec::new();
    let visit = &mut |job: &Arc<JobRecord>| {
        ids.push(job.id.clone());
        ControlFlow::Continue(())
    };
    cluster.jobs(tenant, visit).await.unwrap();
    ids
}

/// Waits until a replica lists so many jobs of acme.
pub async fn seen(cluster: &Cluster, count: usize) {
    let seen = async {
        while listed(cluster, &acme()).await.len() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.expect("the replica sees the jobs");
}

pub async fn text_of(stream: ByteStream) -> String {
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}
