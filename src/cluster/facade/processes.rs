//! Deploying, replacing and undeploying.
//!
//! A process is deployed when its object exists and the controller of Processes has found its package sound: only then
//! jobs can be started of it, on every replica. One that is refused is taken back ([`super::change`]).

use std::sync::Arc;

use kube::api::PostParams;
use weir_api::kubernetes::Process;
use weir_api::kubernetes::names::FIELD_MANAGER;
use weir_api::kubernetes::process::Package;
use weir_api::kubernetes::schema::INLINE_LENGTH_MAX;
use weir_http::backend::{BackendError, Deployed, NewProcess, ProcessId, ProcessRecord, Tenant};

use super::change::Change;
use super::entry::{self, Besides, Entry};
use super::failure::{is_code, refused};
use super::packages::described;
use super::{Cluster, store_tenant};
use crate::job::in_time;
use crate::limits::FACADE_BESIDES_BYTES_MAX;
use crate::process::stored::StoredPackage;

impl Cluster {
    /// A process as the watch saw it; one that was not seen ready is asked for: it may have become so.
    pub(super) async fn shown_process(
        &self,
        tenant: &Tenant,
        id: &ProcessId,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        let seen = self.index.process(&namespace, id).filter(|entry| entry.digest.is_some());
        let entry = if seen.is_some() { seen } else { self.standing(&namespace, id).await? };
        self.ready_record(tenant, &namespace, entry).await
    }

    /// A process as the API server has it now: whatever a replica has answered about a change is in it.
    pub(super) async fn process_as_it_is(
        &self,
        tenant: &Tenant,
        id: &ProcessId,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        let namespace = self.namespace(tenant)?;
        let entry = self.standing(&namespace, id).await?;
        self.ready_record(tenant, &namespace, entry).await
    }

    async fn ready_record(
        &self,
        tenant: &Tenant,
        namespace: &str,
        entry: Option<Arc<Entry>>,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        let Some(entry) = entry else { return Ok(None) };
        let record = self.record(tenant, namespace, &entry).await?;
        record.map(Some).ok_or_else(|| not_ready(&entry))
    }

    /// What a job runs: the version of its process that its request was checked against.
    pub(super) async fn entry_to_run(
        &self,
        namespace: &str,
        id: &ProcessId,
        version: Option<&str>,
    ) -> Result<Arc<Entry>, BackendError> {
        let is_meant = |entry: &Arc<Entry>| entry.version().as_deref() == version;
        if version.is_some()
            && let Some(entry) = self.index.process(namespace, id).filter(is_meant)
        {
            return Ok(entry);
        }
        let entry = self.standing(namespace, id).await?.ok_or_else(|| no_process(id))?;
        if entry.digest.is_none() {
            return Err(not_ready(&entry));
        }
        if version.is_some() && !is_meant(&entry) {
            return Err(BackendError::changed(id));
        }
        Ok(entry)
    }

    /// What there is of this id, ready or not, as the API server has it now.
    pub(super) async fn standing(&self, namespace: &str, id: &ProcessId) -> Result<Option<Arc<Entry>>, BackendError> {
        let own = entry::name(id);
        // Whoever applied it may have called it otherwise.
        let seen = self.index.process(namespace, id).map(|entry| entry.name.clone()).filter(|seen| *seen != own);
        for name in seen.into_iter().chain([own]) {
            let found: Option<Process> = self.look_up(namespace, &name).await?;
            let entry = found.and_then(|process| Entry::of(&process)).filter(|entry| entry.id == *id);
            if entry.is_some() {
                return Ok(entry.map(Arc::new));
            }
        }
        Ok(None)
    }

    pub(super) async fn deploy_process(&self, tenant: &Tenant, new: NewProcess) -> Result<(), BackendError> {
        let namespace = self.namespace(tenant)?;
        let api = self.process_api(&namespace);
        if self.standing(&namespace, &new.id).await?.is_some() {
            return Err(exists(&new.id));
        }
        let (package, besides) = self.parts(tenant, &new).await?;
        let object = entry::object(&namespace, &new, package, besides.as_ref());
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let created = in_time(api.create(&parameters, &object)).await.map_err(|error| {
            if is_code(&error, 409) { exists(&new.id) } else { refused("deploy the process", &error) }
        })?;
        let settled = self.settled(&namespace, &created).await;
        if settled.is_err() {
            self.undo(&namespace, &created, None).await;
        }
        settled
    }

    pub(super) async fn replace_process(&self, tenant: &Tenant, new: NewProcess) -> Result<(), BackendError> {
        let namespace = self.namespace(tenant)?;
        let entry = self.changeable(&namespace, &new.id).await?;
        let (package, besides) = self.parts(tenant, &new).await?;
        let besides = besides.as_ref().map(Besides::text);
        let change = Change { package, workflow: new.deployed.workflow, besides };
        let (before, changed) = self.change(&namespace, &entry, &change).await?;
        let settled = self.settled(&namespace, &changed).await;
        if settled.is_err() {
            // A process that works is not lost to one that does not.
            self.undo(&namespace, &changed, Some(&before)).await;
        }
        settled
    }

    pub(super) async fn undeploy_process(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError> {
        let namespace = self.namespace(tenant)?;
        let entry = self.changeable(&namespace, id).await?;
        self.delete(&namespace, &entry.name, &entry.uid, None).await.map_err(|error| {
            if is_code(&error, 404) || is_code(&error, 409) {
                no_process(id)
            } else {
                refused("undeploy the process", &error)
            }
        })
    }

    async fn changeable(&self, namespace: &str, id: &ProcessId) -> Result<Arc<Entry>, BackendError> {
        let entry = self.standing(namespace, id).await?.ok_or_else(|| no_process(id))?;
        if !entry.mutable {
            return Err(BackendError::Immutable(format!(
                "the process `{id}` may not be changed: spec.mutable of Process {} is false",
                entry.name
            )));
        }
        Ok(entry)
    }

    /// Where the package goes, and what else is kept.
    async fn parts(&self, tenant: &Tenant, new: &NewProcess) -> Result<(Package, Option<Besides>), BackendError> {
        let besides = Besides::of(new, &described(&new.package));
        if let Some(bytes) = besides.as_ref().map(|besides| besides.text().len())
            && bytes > FACADE_BESIDES_BYTES_MAX
        {
            return Err(BackendError::TooLarge(format!(
                "the application package and its process description have {bytes} bytes; at most \
                 {FACADE_BESIDES_BYTES_MAX} are kept. Deploy the CWL document by itself, or name it by href"
            )));
        }
        let Deployed { cwl, url, imports, .. } = &new.deployed;
        if url.is_none() && imports.is_empty() && cwl.chars().count() <= INLINE_LENGTH_MAX as usize {
            return Ok((Package { inline: Some(cwl.clone()), ..Package::default() }, besides));
        }
        // Larger than an object of the API server should be, or fetched with its imports: frozen in the store right away.
        let (entry, documents) = new.deployed.frozen(&format!("weir:processes/{}/package.cwl", entry::name(&new.id)));
        let stored = StoredPackage { entry, documents }.put(&*self.services.store, &store_tenant(tenant)?).await;
        let digest = stored.map_err(|error| BackendError::Unavailable(error.to_string()))?;
        Ok((Package { digest: Some(digest), ..Package::default() }, besides))
    }
}

pub(super) fn exists(id: &ProcessId) -> BackendError {
    BackendError::Exists(format!("a process `{id}`"))
}

pub(super) fn not_ready(entry: &Entry) -> BackendError {
    BackendError::NotFound(format!("process `{}` that jobs can be started of: {}", entry.id, entry.trouble()))
}

pub(super) fn no_process(id: &ProcessId) -> BackendError {
    BackendError::NotFound(format!("process `{id}`"))
}
