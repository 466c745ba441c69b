//! The façade's backend on Kubernetes: processes are Processes, jobs are ProcessJobs, tenants are namespaces. Every replica
//! serves it, whether it leads or not.
//!
//! What the watches say -> [`mod@record`], [`entry`], [`tenants`] (small records) -> [`index`] -> answers. What the index does not
//! know the API server is asked for once, so that whatever one replica has answered every other one finds (invariant I4).
//! Writes go to the API server alone; the leader's controllers do the rest, and the index tells when it is done.

mod cache;
mod entry;
mod failure;
mod index;
mod jobs;
mod notices;
mod packages;
mod processes;
mod record;
mod results;
mod tenants;
#[cfg(test)]
mod tests;
mod texts;

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Config};
use kube::{Client, ResourceExt as _};
use serde_json::{Map, Value as Json};
use tokio::sync::watch;
use weir_api::kubernetes::{Process, ProcessJob};
use weir_fetch::Guarded;
use weir_http::backend::{
    Backend, BackendError, ByteStream, JobId, JobRecord, NewJob, NewProcess, Notice, ProcessId, ProcessRecord, Storage,
    Tenant, TextRecord,
};
use weir_store::JobKeys;

use crate::context::Services;
use crate::limits::{FACADE_LOGS_KNOWN, FACADE_OWNERS_KNOWN};
use crate::watches::{Change, List, namespace_watches, watches};
use cache::Cache;
use entry::Entry;
use index::Index;
use notices::Telling;
use packages::Packages;
use record::Job;
use texts::Known;

/// The cluster, as the façade asks it. Clones are the same one.
#[derive(Clone)]
pub struct Cluster {
    services: Arc<Services>,
    client: Client,
    guarded: Guarded,
    index: Arc<Index>,
    packages: Arc<Packages>,
    /// By run id.
    logs: Arc<Cache<String, Known>>,
    /// Run ids of jobs whose results are known to be their own.
    owned: Arc<Cache<String, ()>>,
    telling: Arc<Telling>,
    leads: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Of a replica; `leads` becomes true when it leads, `stop` when it is asked to stop. It answers once [`Self::watch`]
    /// has seen everything.
    pub fn new(
        services: Arc<Services>,
        client: Client,
        guarded: Guarded,
        leads: watch::Receiver<bool>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let index = Index::new(&services.settings.namespace);
        Self {
            services,
            client,
            guarded,
            index: index.into(),
            packages: Packages::new().into(),
            logs: Cache::new(FACADE_LOGS_KNOWN).into(),
            owned: Cache::new(FACADE_OWNERS_KNOWN).into(),
            telling: Arc::default(),
            leads,
            stop,
        }
    }

    /// Follows namespaces, Processes and ProcessJobs for ever. `synced` is called once everything that exists was seen.
    pub async fn watch(self, synced: impl FnOnce()) -> Infallible {
        let names = &self.services.settings.namespaces;
        let mut namespaces = namespace_watches(&self.client, names);
        let mut processes = watches::<DeserializeGuard<Process>>(&self.client, names, &Config::default());
        let mut jobs = watches::<DeserializeGuard<ProcessJob>>(&self.client, names, &Config::default());
        let mut lists = Lists::new([namespaces.len(), processes.len(), jobs.len()]);
        let mut synced = Some(synced);
        loop {
            tokio::select! {
                Some(seen) = namespaces.next() => {
                    let Some((list, event)) = heard(seen, "namespaces") else { continue };
                    for change in lists.namespaces[list].hear(event, kube::ResourceExt::name_any) {
                        self.namespace_changed(change);
                    }
                }
                Some(seen) = processes.next() => {
                    let Some((list, event)) = heard(seen, "Processes") else { continue };
                    let is_list_over = matches!(event, watcher::Event::InitDone);
                    for change in lists.processes[list].hear(event, key) {
                        self.process_changed(change);
                    }
                    if is_list_over {
                        self.index.listed();
                    }
                }
                Some(seen) = jobs.next() => {
                    let Some((list, event)) = heard(seen, "ProcessJobs") else { continue };
                    let is_list_over = matches!(event, watcher::Event::InitDone);
                    for change in lists.jobs[list].hear(event, key) {
                        self.job_changed(change);
                    }
                    if is_list_over {
                        self.index.listed();
                    }
                }
            }
            if synced.is_some() && lists.are_complete() {
                self.index.synced();
                if let Some(synced) = synced.take() {
                    synced();
                }
            }
        }
    }

    fn namespace_changed(&self, change: Change<PartialObjectMeta<Namespace>, String>) {
        match change {
            Change::Is(namespace) => {
                if let Some(taken) = self.index.namespace_is(&namespace) {
                    tracing::warn!(
                        namespace = taken.namespace,
                        "has no façade: the older namespace `{}` is the tenant `{}`; label one of them with another weir.dev/tenant",
                        taken.owner,
                        taken.tenant
                    );
                }
            }
            Change::Gone(name) => self.index.namespace_gone(&name),
        }
    }

    fn process_changed(&self, change: Change<DeserializeGuard<Process>, (String, String)>) {
        match change {
            Change::Is(object) => {
                let (namespace, name) = key(&object);
                match object.0.ok().as_ref().and_then(Entry::of) {
                    Some(entry) => self.index.process_is(&namespace, entry),
                    // It cannot be read (invariant I11).
                    None => self.index.process_gone(&namespace, &name),
                }
            }
            Change::Gone((namespace, name)) => self.index.process_gone(&namespace, &name),
        }
    }

    fn job_changed(&self, change: Change<DeserializeGuard<ProcessJob>, (String, String)>) {
        match change {
            Change::Is(object) => {
                let (namespace, name) = key(&object);
                let job = object.0.ok();
                match job.and_then(|job| Job::of(&job, |process| self.process_id(&namespace, process))) {
                    Some(job) => self.index.job_is(&namespace, job),
                    // It cannot be read (invariant I11).
                    None => self.index.job_gone(&namespace, &name),
                }
            }
            Change::Gone((namespace, name)) => self.index.job_gone(&namespace, &name),
        }
    }

    /// The id of a Process by its name.
    fn process_id(&self, namespace: &str, name: &str) -> Option<ProcessId> {
        self.index.process_named(namespace, name).map(|entry| entry.id.clone())
    }

    /// The namespace of a tenant.
    fn namespace(&self, tenant: &Tenant) -> Result<String, BackendError> {
        self.ready().map_err(BackendError::Unavailable)?;
        self.index.namespace(tenant).ok_or_else(|| BackendError::NotFound(format!("tenant `{tenant}`")))
    }
}

/// Which lists are complete.
struct Lists {
    namespaces: Vec<List<String>>,
    processes: Vec<List<(String, String)>>,
    jobs: Vec<List<(String, String)>>,
}

impl Lists {
    fn new(lists: [usize; 3]) -> Self {
        fn empty<K>(count: usize) -> Vec<List<K>> {
            (0..count).map(|_| List::default()).collect()
        }
        let [namespaces, processes, jobs] = lists;
        Self { namespaces: empty(namespaces), processes: empty(processes), jobs: empty(jobs) }
    }

    fn are_complete(&self) -> bool {
        self.namespaces.iter().all(|list| list.is_complete)
            && self.processes.iter().chain(&self.jobs).all(|list| list.is_complete)
    }
}

fn heard<T>(seen: watcher::Result<T>, what: &'static str) -> Option<T> {
    match seen {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::warn!(%error, "the façade's watch of {what} failed; it is started again");
            None
        }
    }
}

/// Namespace and name.
fn key(object: &impl kube::Resource) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A tenant, as the store names it: both are DNS labels.
fn store_tenant(tenant: &Tenant) -> Result<weir_store::Tenant, BackendError> {
    tenant.as_str().parse().map_err(|error| BackendError::Internal(format!("{error}")))
}

/// Where a job's objects are in the store.
fn job_keys(tenant: &Tenant, job: &Job) -> Result<JobKeys, BackendError> {
    let run = job.run_id.parse().map_err(|error| BackendError::Internal(format!("{error}")))?;
    Ok(JobKeys::new(store_tenant(tenant)?, run))
}

#[async_trait::async_trait]
impl Backend for Cluster {
    async fn has_tenant(&self, tenant: &Tenant) -> Result<bool, BackendError> {
        match self.namespace(tenant) {
            Ok(_) => Ok(true),
            Err(BackendError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.index.is_synced() {
            return Ok(());
        }
        Err("this replica has not seen all processes and jobs yet".to_owned())
    }

    async fn processes(&self, tenant: &Tenant) -> Result<Vec<Arc<ProcessRecord>>, BackendError> {
        self.all_processes(tenant).await
    }

    async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        match self.entry(&namespace, id).await? {
            Some(entry) => self.record(tenant, &namespace, &entry).await,
            None => Ok(None),
        }
    }

    async fn deploy(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        self.deploy_process(tenant, process).await
    }

    async fn replace(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        self.replace_process(tenant, process).await
    }

    async fn undeploy(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError> {
        self.undeploy_process(tenant, id).await
    }

    async fn create(&self, tenant: &Tenant, job: NewJob) -> Result<Arc<JobRecord>, BackendError> {
        self.create_job(tenant, job).await
    }

    async fn job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        Ok(self.find_job(&namespace, id).await?.map(|job| Arc::clone(&job.record)))
    }

    fn known_job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        Ok(self.index.job(&namespace, id.as_str()).map(|job| Arc::clone(&job.record)))
    }

    async fn jobs(
        &self,
        tenant: &Tenant,
        visit: &mut (dyn for<'a> FnMut(&'a Arc<JobRecord>) -> ControlFlow<()> + Send),
    ) -> Result<(), BackendError> {
        self.visit_jobs(tenant, visit)
    }

    async fn finished(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        self.finished_job(&namespace, id).await
    }

    async fn dismiss(&self, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, BackendError> {
        self.dismiss_job(tenant, id).await
    }

    async fn remove(&self, tenant: &Tenant, id: &JobId) -> Result<(), BackendError> {
        self.remove_job(tenant, id).await
    }

    async fn results(&self, tenant: &Tenant, id: &JobId) -> Result<Map<String, Json>, BackendError> {
        self.job_results(tenant, id).await
    }

    async fn read_result(&self, tenant: &Tenant, id: &JobId, location: &str) -> Result<ByteStream, BackendError> {
        self.read_published(tenant, id, location).await
    }

    fn storage(&self, _: &Tenant) -> Storage {
        self.storage_of()
    }

    async fn texts(&self, tenant: &Tenant, id: &JobId) -> Result<Vec<TextRecord>, BackendError> {
        self.job_texts(tenant, id).await
    }

    async fn text(&self, tenant: &Tenant, id: &JobId, name: &str) -> Result<Option<ByteStream>, BackendError> {
        self.job_text(tenant, id, name).await
    }

    async fn next_notice(&self) -> Option<Notice> {
        self.notice().await
    }

    async fn noticed(&self, notice: &Notice) {
        self.told(notice).await;
    }
}
