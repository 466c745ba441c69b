//! The façade's backend on Kubernetes: processes are Processes, jobs are ProcessJobs, tenants are namespaces. Every replica
//! serves it, whether it leads or not.
//!
//! What the watches say -> [`mod@record`], [`entry`], [`tenants`] (small records) -> [`index`] -> answers. What the index does not
//! know, or has not seen over, the API server is asked for, so that whatever one replica has answered every other one goes by
//! (invariant I4).
//! Writes go to the API server alone; the leader's controllers do the rest, and the index tells when it is done.

mod cache;
mod change;
mod entry;
mod failure;
mod index;
mod jobs;
mod lookup;
mod notices;
mod packages;
mod processes;
mod record;
mod results;
mod tenants;
#[cfg(test)]
mod tests;
mod texts;
mod turns;

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
use object_store::path::Path;
use serde_json::{Map, Value as Json};
use tokio::sync::watch;
use weir_api::kubernetes::{Process, ProcessJob};
use weir_fetch::Guarded;
use weir_http::backend::{
    Backend, BackendError, ByteStream, JobId, JobRecord, NewJob, NewProcess, Notice, ProcessId, ProcessRecord, Storage,
    Tenant, TextRecord,
};
use weir_store::{JobKeys, RunId};

use crate::context::Services;
use crate::job::belongs;
use crate::limits::{FACADE_LOGS_KNOWN, FACADE_LOOKUPS_A_TENANT, FACADE_OWNERS_KNOWN};
use crate::watches::{Change, List, namespace_watches, watches};
use cache::Cache;
use entry::Entry;
use index::Index;
use notices::Telling;
use packages::Packages;
use record::Job;
use texts::Known;
use turns::Turns;

/// The cluster, as the façade asks it. Clones are the same one.
#[derive(Clone)]
pub struct Cluster {
    services: Arc<Services>,
    client: Client,
    guarded: Guarded,
    index: Arc<Index>,
    packages: Arc<Packages>,
    /// By namespace.
    lookups: Arc<Turns<String>>,
    /// By the place of the run in the store.
    logs: Arc<Cache<Path, Known>>,
    /// Places of runs and the results that are known to be theirs.
    owned: Arc<Cache<(Path, String), ()>>,
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
            lookups: Turns::new(FACADE_LOOKUPS_A_TENANT).into(),
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

    /// Where a job's objects are in the store: below the tenant's prefix, or below that of the tenant with which the job was
    /// accepted. That it was is taken from its journal only (invariant I9).
    async fn job_keys(&self, tenant: &Tenant, namespace: &str, job: &Job) -> Result<JobKeys, BackendError> {
        let run: RunId = job.run_id.parse().map_err(|error| BackendError::Internal(format!("{error}")))?;
        let own = JobKeys::new(store_tenant(tenant)?, run.clone());
        let before = job.tenant.as_ref().filter(|before| before.as_str() != tenant.as_str());
        let Some(Ok(before)) = before.map(|before| before.parse()) else { return Ok(own) };
        let keys = JobKeys::new(before, run);
        match belongs(&*self.services.store, &keys, namespace, job.record.id.as_str()).await {
            Ok(true) => Ok(keys),
            Ok(false) => Ok(own),
            Err(error) => Err(BackendError::Unavailable(format!("the job's journal cannot be read now: {error}"))),
        }
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

/// Does what would leave a mess halfway, also when nobody waits for it any more: a request whose client goes away is dropped.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, BackendError>> + Send + 'static,
) -> Result<T, BackendError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(BackendError::Internal(error.to_string())))
}

/// A tenant, as the store names it: both are DNS labels.
fn store_tenant(tenant: &Tenant) -> Result<weir_store::Tenant, BackendError> {
    tenant.as_str().parse().map_err(|error| BackendError::Internal(format!("{error}")))
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

    async fn process_ids(&self, tenant: &Tenant) -> Result<Vec<ProcessId>, BackendError> {
        Ok(self.index.process_ids(&self.namespace(tenant)?))
    }

    async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        self.shown_process(tenant, id).await
    }

    async fn process_to_run(
        &self,
        tenant: &Tenant,
        id: &ProcessId,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        self.process_as_it_is(tenant, id).await
    }

    async fn is_mutable(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<bool>, BackendError> {
        let namespace = self.namespace(tenant)?;
        Ok(self.standing(&namespace, id).await?.map(|entry| entry.mutable))
    }

    async fn deploy(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        let (own, tenant) = (self.clone(), tenant.clone());
        to_its_end(async move { own.deploy_process(&tenant, process).await }).await
    }

    async fn replace(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        let (own, tenant) = (self.clone(), tenant.clone());
        to_its_end(async move { own.replace_process(&tenant, process).await }).await
    }

    async fn undeploy(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError> {
        self.undeploy_process(tenant, id).await
    }

    async fn create(&self, tenant: &Tenant, job: NewJob) -> Result<Arc<JobRecord>, BackendError> {
        let (own, tenant) = (self.clone(), tenant.clone());
        to_its_end(async move { own.create_job(&tenant, job).await }).await
    }

    async fn job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        Ok(self.find_job(&namespace, id).await?.map(|job| Arc::clone(&job.record)))
    }

    async fn job_now(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        Ok(self.job_as_it_is(&namespace, id).await?.map(|job| Arc::clone(&job.record)))
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
        let (own, tenant, id) = (self.clone(), tenant.clone(), id.clone());
        to_its_end(async move { own.remove_job(&tenant, &id).await }).await
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
