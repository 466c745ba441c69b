//! A backend in memory: deterministic, and jobs are moved from outside. For tests,
//! which panic when they ask for what is not there.

#![allow(clippy::missing_panics_doc, reason = "said above")]

mod client;
mod provider;
mod world;

pub use client::{Answer, Client};
pub use provider::{Provider, Secret, now};
pub use world::World;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};
use tokio::sync::watch;
use weir_api::Phase;
use weir_cwl::Package;

use crate::backend::{
    Backend, BackendError, ByteStream, Deployed, JobRecord, NewJob, NewProcess, Notice, ProcessRecord, Storage,
    TextRecord,
};
use crate::names::{JobId, ProcessId, Tenant};

/// The moment at which the first job of a [`Memory`] is created; each later one a second after.
pub const EPOCH: &str = "2026-01-01T00:00:00Z";

/// A package with one tool: `message` (string) in, `message` (string) out.
pub const PACKAGE: &str = r"
cwlVersion: v1.2
class: ExpressionTool
id: greet
label: Greets
doc: Says what it is told.
requirements: {InlineJavascriptRequirement: {}}
inputs:
  message: {type: string, label: What to say}
  times: {type: int?, default: 1}
outputs:
  message: string
expression: '${return {message: inputs.message};}'
";

/// Parses a package that needs nothing from elsewhere.
pub fn package(text: &str) -> Package {
    match weir_cwl::load_text("package.cwl", text, None, &weir_cwl::load::NoFetch) {
        Ok(package) => package,
        Err(diagnostics) => panic!("the package of a test is wrong: {diagnostics}"),
    }
}

/// A process to be deployed of a package's text, under an id of its own.
pub fn new_process(id: &str, text: &str) -> NewProcess {
    let package = package(text);
    let Json::Object(mut description) = weir_cwl::description::process_description(&package) else {
        panic!("a process description is an object")
    };
    description.insert("id".into(), id.into());
    let id = id.parse().unwrap_or_else(|error| panic!("{error}"));
    let deployed = Deployed { cwl: text.to_owned(), ..Deployed::default() };
    NewProcess { id, deployed, description, package: Arc::new(package) }
}

/// Processes and jobs of the tenants that it is made with.
pub struct Memory {
    tenants: Mutex<BTreeMap<Tenant, Holdings>>,
    /// Any change of any job.
    changed: watch::Sender<u64>,
    /// Said by every method as long as it is set.
    trouble: Mutex<Option<BackendError>>,
    /// Said of whatever is to be deployed, replaced or created as long as it is set.
    refusal: Mutex<Option<BackendError>>,
    /// Said of results as long as it is set.
    lost: Mutex<Option<BackendError>>,
    /// With which the next job that is dismissed is successful just before.
    just_before: Mutex<Option<Json>>,
    live_looks: AtomicU32,
    looked_at: AtomicUsize,
}

#[derive(Default)]
struct Holdings {
    processes: BTreeMap<ProcessId, Arc<ProcessRecord>>,
    /// In the order of their creation.
    jobs: Vec<Job>,
    created: u32,
}

struct Job {
    record: Arc<JobRecord>,
    new: NewJob,
    results: Option<Map<String, Json>>,
    files: BTreeMap<String, Bytes>,
    texts: Vec<(TextRecord, Bytes)>,
    noticed: Option<Phase>,
}

impl Memory {
    /// With these tenants, which have nothing yet.
    pub fn new(tenants: &[&str]) -> Arc<Self> {
        let tenants = tenants.iter().map(|name| (tenant(name), Holdings::default())).collect();
        Arc::new(Self {
            tenants: Mutex::new(tenants),
            changed: watch::Sender::new(0),
            trouble: Mutex::default(),
            refusal: Mutex::default(),
            lost: Mutex::default(),
            just_before: Mutex::default(),
            live_looks: AtomicU32::new(0),
            looked_at: AtomicUsize::new(0),
        })
    }

    /// With one tenant, `acme`, and its process `greet` of [`PACKAGE`].
    pub fn acme() -> Arc<Self> {
        let memory = Self::new(&["acme"]);
        memory.put("acme", new_process("greet", PACKAGE), true);
        memory
    }

    /// A process that is there.
    pub fn put(&self, tenant_name: &str, process: NewProcess, mutable: bool) {
        let record = record_of(process, mutable);
        self.with(&tenant(tenant_name), |holdings| {
            holdings.processes.insert(record.id.clone(), record);
        });
    }

    /// From now on every method fails with this; `None`: no more.
    pub fn trouble(&self, trouble: Option<BackendError>) {
        *lock(&self.trouble) = trouble;
    }

    /// From now on nothing can be deployed, replaced or created, for this reason.
    pub fn refuse(&self, refusal: BackendError) {
        *lock(&self.refusal) = Some(refusal);
    }

    /// The next job that is dismissed has just become successful with this output object.
    pub fn succeed_just_before(&self, results: Json) {
        *lock(&self.just_before) = Some(results);
    }

    /// How often a job was looked for that a cluster would have asked its API server about.
    pub fn live_looks(&self) -> u32 {
        self.live_looks.load(Ordering::Relaxed)
    }

    /// From now on results cannot be read; `None`: they can.
    pub fn lose_results(&self, trouble: Option<BackendError>) {
        *lock(&self.lost) = trouble;
    }

    /// Changes a job; whoever waits for it sees it.
    pub fn change(&self, tenant_name: &str, id: &str, change: impl FnOnce(&mut JobRecord)) {
        self.with_job(tenant_name, id, |job| change(Arc::make_mut(&mut job.record)));
        self.changed.send_modify(|count| *count += 1);
    }

    /// The job runs since a second after its creation.
    pub fn start(&self, tenant_name: &str, id: &str) {
        self.change(tenant_name, id, |job| {
            let now = job.created + SignedDuration::from_secs(1);
            (job.phase, job.started, job.updated) = (Phase::Running, Some(now), now);
        });
    }

    /// The job is successful, five seconds after its creation, with this output object.
    pub fn succeed(&self, tenant_name: &str, id: &str, results: Json) {
        let Json::Object(results) = results else { panic!("an output object is an object") };
        self.with_job(tenant_name, id, |job| job.results = Some(results));
        self.end(tenant_name, id, Phase::Successful);
    }

    /// The job is over in a final phase, five seconds after its creation.
    pub fn end(&self, tenant_name: &str, id: &str, phase: Phase) {
        self.change(tenant_name, id, |job| {
            let now = job.created + SignedDuration::from_secs(5);
            job.started = job.started.or(Some(job.created));
            (job.phase, job.finished, job.updated) = (phase, Some(now), now);
            if phase == Phase::Successful {
                job.progress = 100;
            }
        });
    }

    /// A published file of a job, by its location.
    pub fn publish(&self, tenant_name: &str, id: &str, location: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.with_job(tenant_name, id, |job| job.files.insert(location.to_owned(), bytes));
    }

    /// A text of a job: a log or `usage.json`.
    pub fn write(&self, tenant_name: &str, id: &str, name: &str, bytes: impl Into<Bytes>) {
        let is_json = std::path::Path::new(name).extension().is_some_and(|extension| extension == "json");
        let media_type = if is_json { "application/json" } else { "text/plain" };
        let text = TextRecord { name: name.to_owned(), media_type };
        let bytes = bytes.into();
        self.with_job(tenant_name, id, |job| job.texts.push((text, bytes)));
    }

    /// What a job was created with.
    pub fn created(&self, tenant_name: &str, id: &str) -> NewJob {
        self.with_job(tenant_name, id, |job| job.new.clone())
    }

    /// Jobs that lists have looked at so far.
    pub fn looked_at(&self) -> usize {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// Ids of all jobs of a tenant, in the order of their creation.
    pub fn job_ids(&self, tenant_name: &str) -> Vec<String> {
        self.with(&tenant(tenant_name), |holdings| holdings.jobs.iter().map(|job| job.record.id.to_string()).collect())
    }

    fn with<T>(&self, tenant: &Tenant, then: impl FnOnce(&mut Holdings) -> T) -> T {
        let mut tenants = lock(&self.tenants);
        match tenants.get_mut(tenant) {
            Some(holdings) => then(holdings),
            None => panic!("there is no tenant {tenant}"),
        }
    }

    fn with_job<T>(&self, tenant_name: &str, id: &str, then: impl FnOnce(&mut Job) -> T) -> T {
        self.with(&tenant(tenant_name), |holdings| {
            match holdings.jobs.iter_mut().find(|job| job.record.id.as_str() == id) {
                Some(job) => then(job),
                None => panic!("there is no job {id}"),
            }
        })
    }

    /// For requests, which may name what there is not.
    fn ask<T>(
        &self,
        tenant: &Tenant,
        then: impl FnOnce(&mut Holdings) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        if let Some(trouble) = lock(&self.trouble).clone() {
            return Err(trouble);
        }
        let mut tenants = lock(&self.tenants);
        let holdings = tenants.get_mut(tenant).ok_or_else(|| BackendError::NotFound(format!("tenant {tenant}")))?;
        then(holdings)
    }

    /// For requests that change something.
    fn ask_to_change<T>(
        &self,
        tenant: &Tenant,
        then: impl FnOnce(&mut Holdings) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let refusal = lock(&self.refusal).clone();
        self.ask(tenant, |holdings| refusal.map_or_else(|| then(holdings), Err))
    }

    fn ask_job<T>(
        &self,
        tenant: &Tenant,
        id: &JobId,
        then: impl FnOnce(&mut Job) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        self.ask(tenant, |holdings| {
            let job = holdings.jobs.iter_mut().find(|job| job.record.id == *id);
            then(job.ok_or_else(|| BackendError::NotFound(format!("job {id}")))?)
        })
    }
}

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record_of(process: NewProcess, mutable: bool) -> Arc<ProcessRecord> {
    let NewProcess { id, deployed, mut description, package } = process;
    description.insert("mutable".into(), mutable.into());
    Arc::new(ProcessRecord {
        id,
        description: Arc::new(description),
        mutable,
        package,
        deployed: Arc::new(deployed),
        version: None,
    })
}

fn stream_of(bytes: Bytes) -> ByteStream {
    Box::pin(stream::iter([Ok(bytes)]))
}

#[async_trait::async_trait]
impl Backend for Memory {
    async fn has_tenant(&self, tenant: &Tenant) -> Result<bool, BackendError> {
        match lock(&self.trouble).clone() {
            Some(trouble) => Err(trouble),
            None => Ok(lock(&self.tenants).contains_key(tenant)),
        }
    }

    fn ready(&self) -> Result<(), String> {
        lock(&self.trouble).as_ref().map_or(Ok(()), |trouble| Err(trouble.to_string()))
    }

    async fn process_ids(&self, tenant: &Tenant) -> Result<Vec<ProcessId>, BackendError> {
        self.ask(tenant, |holdings| Ok(holdings.processes.keys().cloned().collect()))
    }

    async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        self.ask(tenant, |holdings| Ok(holdings.processes.get(id).cloned()))
    }

    async fn deploy(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        self.ask_to_change(tenant, |holdings| {
            if holdings.processes.contains_key(&process.id) {
                return Err(BackendError::Exists(format!("process {}", process.id)));
            }
            holdings.processes.insert(process.id.clone(), record_of(process, true));
            Ok(())
        })
    }

    async fn replace(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        self.ask_to_change(tenant, |holdings| {
            may_change(holdings, &process.id)?;
            holdings.processes.insert(process.id.clone(), record_of(process, true));
            Ok(())
        })
    }

    async fn undeploy(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError> {
        self.ask(tenant, |holdings| {
            may_change(holdings, id)?;
            holdings.processes.remove(id);
            Ok(())
        })
    }

    async fn create(&self, tenant: &Tenant, new: NewJob) -> Result<Arc<JobRecord>, BackendError> {
        let record = self.ask_to_change(tenant, |holdings| {
            holdings.created += 1;
            let number = holdings.created;
            let id = format!("00000000-0000-4000-8000-{number:012}");
            let created = EPOCH.parse::<Timestamp>().map_err(|error| BackendError::Internal(error.to_string()))?;
            let created = created + SignedDuration::from_secs(i64::from(number) - 1);
            let id = id.parse().map_err(|error| BackendError::Internal(format!("{error}")))?;
            let (process, asked, subscriber) = (new.process.clone(), new.asked.clone(), new.subscriber.clone());
            let record = Arc::new(JobRecord::accepted(id, process, created, asked, subscriber));
            holdings.jobs.push(Job {
                record: Arc::clone(&record),
                new,
                results: None,
                files: BTreeMap::new(),
                texts: Vec::new(),
                noticed: None,
            });
            Ok(record)
        })?;
        self.changed.send_modify(|count| *count += 1);
        Ok(record)
    }

    async fn job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let known = self.known_job(tenant, id)?;
        if known.is_none() {
            self.live_looks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(known)
    }

    fn known_job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        self.ask(tenant, |holdings| {
            Ok(holdings.jobs.iter().find(|job| job.record.id == *id).map(|job| Arc::clone(&job.record)))
        })
    }

    async fn jobs(
        &self,
        tenant: &Tenant,
        visit: &mut (dyn for<'a> FnMut(&'a Arc<JobRecord>) -> ControlFlow<()> + Send),
    ) -> Result<(), BackendError> {
        self.ask(tenant, |holdings| {
            for job in holdings.jobs.iter().rev() {
                self.looked_at.fetch_add(1, Ordering::Relaxed);
                if visit(&job.record).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn finished(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let mut changed = self.changed.subscribe();
        loop {
            match self.job(tenant, id).await? {
                Some(job) if !job.phase.is_final() => {}
                over => return Ok(over),
            }
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    async fn dismiss(&self, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, BackendError> {
        if let Some(results) = lock(&self.just_before).take() {
            self.succeed(tenant.as_str(), id.as_str(), results);
        }
        let record = self.ask_job(tenant, id, |job| {
            let record = Arc::make_mut(&mut job.record);
            if !record.phase.is_final() && !record.is_committed {
                let now = record.created + SignedDuration::from_secs(2);
                (record.phase, record.finished, record.updated) = (Phase::Dismissed, Some(now), now);
            }
            Ok(Arc::clone(&job.record))
        })?;
        self.changed.send_modify(|count| *count += 1);
        Ok(record)
    }

    async fn remove(&self, tenant: &Tenant, id: &JobId) -> Result<(), BackendError> {
        self.ask(tenant, |holdings| {
            let before = holdings.jobs.len();
            holdings.jobs.retain(|job| job.record.id != *id);
            if holdings.jobs.len() == before { Err(BackendError::NotFound(format!("job {id}"))) } else { Ok(()) }
        })
    }

    async fn results(&self, tenant: &Tenant, id: &JobId) -> Result<Map<String, Json>, BackendError> {
        if let Some(trouble) = lock(&self.lost).clone() {
            return Err(trouble);
        }
        self.ask_job(tenant, id, |job| {
            job.results.clone().ok_or_else(|| BackendError::NotFound(format!("result of job {id}")))
        })
    }

    async fn read_result(&self, tenant: &Tenant, id: &JobId, location: &str) -> Result<ByteStream, BackendError> {
        self.ask_job(tenant, id, |job| {
            let bytes = job.files.get(location).cloned();
            bytes.map(stream_of).ok_or_else(|| BackendError::NotFound(format!("file {location}")))
        })
    }

    fn storage(&self, _: &Tenant) -> Storage {
        Storage { platform: "eoap".into(), region: "us-east-1".into(), tier: "Standard".into(), endpoint: None }
    }

    async fn texts(&self, tenant: &Tenant, id: &JobId) -> Result<Vec<TextRecord>, BackendError> {
        self.ask_job(tenant, id, |job| Ok(job.texts.iter().map(|(text, _)| text.clone()).collect()))
    }

    async fn text(&self, tenant: &Tenant, id: &JobId, name: &str) -> Result<Option<ByteStream>, BackendError> {
        self.ask_job(tenant, id, |job| {
            Ok(job.texts.iter().find(|(text, _)| text.name == name).map(|(_, bytes)| stream_of(bytes.clone())))
        })
    }

    async fn next_notice(&self) -> Option<Notice> {
        let mut changed = self.changed.subscribe();
        loop {
            let next = lock(&self.tenants).iter_mut().find_map(|(tenant, holdings)| {
                let is_news = |job: &&mut Job| {
                    job.record.subscriber.is_some()
                        && job.record.phase != Phase::Accepted
                        && job.noticed != Some(job.record.phase)
                };
                let job = holdings.jobs.iter_mut().find(is_news)?;
                job.noticed = Some(job.record.phase);
                Some(Notice { tenant: tenant.clone(), job: Arc::clone(&job.record) })
            });
            if next.is_some() {
                return next;
            }
            changed.changed().await.ok()?;
        }
    }

    async fn noticed(&self, _: &Notice) {}
}

fn may_change(holdings: &Holdings, id: &ProcessId) -> Result<(), BackendError> {
    match holdings.processes.get(id) {
        None => Err(BackendError::NotFound(format!("process {id}"))),
        Some(record) if !record.mutable => Err(BackendError::Immutable(format!("process {id} is immutable"))),
        Some(_) => Ok(()),
    }
}
