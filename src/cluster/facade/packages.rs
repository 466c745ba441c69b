//! Processes with their packages: read from the store once for each change of the object, and kept as far as there is room.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;
use weir_api::kubernetes::Process;
use weir_cwl::description::process_description;
use weir_cwl::uri::split_fragment;
use weir_http::backend::{BackendError, Deployed, ProcessRecord, Tenant};

use super::cache::Cache;
use super::entry::{Besides, Entry, Found};
use super::failure::refused;
use super::turns::Turns;
use super::{Cluster, store_tenant};
use crate::intake::inputs::{defaults, with_defaults};
use crate::job::in_time;
use crate::limits::{FACADE_PACKAGE_BYTES_MIN, FACADE_PACKAGES_BYTES, FACADE_READERS, FACADE_READERS_A_TENANT};
use crate::process::resolve::{ResolveError, Source, resolve};

/// A process that jobs can be started of.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub record: Arc<ProcessRecord>,
    /// What its Process gives where a job gives nothing.
    pub defaults: Arc<Map<String, Json>>,
}

/// Processes with their packages.
#[derive(Debug)]
pub(super) struct Packages {
    /// By version.
    kept: Cache<String, Ready>,
    /// By version: of many who want the same one, the first reads it.
    reading: Turns<String>,
    /// By tenant.
    readers: Turns<Tenant>,
    /// Of all tenants.
    places: Semaphore,
}

impl Packages {
    pub fn new() -> Self {
        Self {
            kept: Cache::new(FACADE_PACKAGES_BYTES),
            reading: Turns::new(1),
            readers: Turns::new(FACADE_READERS_A_TENANT),
            places: Semaphore::new(FACADE_READERS),
        }
    }
}

impl Cluster {
    /// The record of a Process that jobs can be started of; `None` if it cannot, or is gone.
    pub(super) async fn record(
        &self,
        tenant: &Tenant,
        namespace: &str,
        entry: &Entry,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        Ok(self.ready_process(tenant, namespace, entry).await?.map(|ready| ready.record))
    }

    /// The same, with what jobs of it take over.
    pub(super) async fn ready_process(
        &self,
        tenant: &Tenant,
        namespace: &str,
        entry: &Entry,
    ) -> Result<Option<Ready>, BackendError> {
        let (Some(digest), Some(version)) = (entry.digest.clone(), entry.version()) else { return Ok(None) };
        if let Some(ready) = self.packages.kept.get(&version) {
            return Ok(Some(ready));
        }
        let _reading = self.packages.reading.take(&version).await;
        if let Some(ready) = self.packages.kept.get(&version) {
            return Ok(Some(ready));
        }
        let _reader = self.packages.readers.take(tenant).await;
        let _place = self.packages.places.acquire().await;
        let source = Source::Digest(digest);
        // The frozen package names the process to run: while a change of the object is looked at, that is not the one that
        // the object names.
        let owner = store_tenant(tenant)?;
        let resolved = resolve(&self.guarded, &*self.services.store, &owner, &source, None);
        let resolved = resolved.await.map_err(|error| unreadable(entry, &error))?;
        let mut imports = resolved.stored.documents;
        let (url, workflow) = split_fragment(&resolved.stored.entry);
        let (url, workflow) = (url.to_owned(), workflow.map(str::to_owned));
        let cwl = imports.remove(&url).unwrap_or_default();
        let object = if entry.has_more { self.object(namespace, entry).await? } else { None };
        let besides = object.as_ref().and_then(|object| Besides::read(object, &cwl));
        let (application_package, stated) =
            besides.map_or((None, None), |besides| (besides.application_package, besides.description));
        let mut given = object.as_ref().and_then(|object| object.spec.defaults.as_ref()?.as_object().cloned());
        let package = match object.as_ref().and_then(defaults) {
            None => resolved.package,
            Some(defaults) if entry.found == Some(Found::Ready) => {
                with_defaults(resolved.package, &defaults).map_err(BackendError::Internal)?
            }
            // While a change is looked at they may be those of the next package.
            Some(defaults) => with_defaults(resolved.package.clone(), &defaults).unwrap_or_else(|_| {
                given = None;
                resolved.package
            }),
        };
        let mut description = stated.unwrap_or_else(|| described(&package));
        description.insert("id".to_owned(), entry.id.as_str().into());
        description.insert("mutable".to_owned(), entry.mutable.into());
        let texts = cwl.len() + imports.values().map(String::len).sum::<usize>();
        let weight = texts + application_package.as_ref().map_or(0, String::len);
        // What was not fetched has a name of weir's own.
        let url = Some(url).filter(|url| !url.starts_with("weir:"));
        let deployed = Deployed { cwl, url, imports, workflow, application_package };
        let record = Arc::new(ProcessRecord {
            id: entry.id.clone(),
            description: description.into(),
            mutable: entry.mutable,
            package: package.into(),
            deployed: deployed.into(),
            version: Some(version.clone()),
        });
        let ready = Ready { record, defaults: given.unwrap_or_default().into() };
        // Of an object that was changed meanwhile the entry names another version.
        let is_of_version = |object: Process| object.metadata.generation == Some(entry.generation);
        if !entry.has_more || object.is_some_and(is_of_version) {
            let weight = weight.max(FACADE_PACKAGE_BYTES_MIN);
            self.packages.kept.put_of(tenant.as_str(), version, ready.clone(), weight);
        }
        Ok(Some(ready))
    }

    /// The object as it is now, for what is not remembered of it; `None` if there is none any more.
    pub(super) async fn object(&self, namespace: &str, entry: &Entry) -> Result<Option<Process>, BackendError> {
        let found = in_time(self.process_api(namespace).get_opt(&entry.name)).await;
        let found = found.map_err(|error| refused("read the process", &error))?;
        Ok(found.filter(|process| process.metadata.uid.as_ref() == Some(&entry.uid)))
    }
}

/// The description that a package makes by itself.
pub(super) fn described(package: &weir_cwl::Package) -> Map<String, Json> {
    match process_description(package) {
        Json::Object(description) => description,
        _ => Map::new(),
    }
}

fn unreadable(entry: &Entry, error: &ResolveError) -> BackendError {
    let message = format!("the package of process `{}` cannot be read: {error}", entry.id);
    if error.is_transient() { BackendError::Unavailable(message) } else { BackendError::Internal(message) }
}
