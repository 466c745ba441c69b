//! Removes the store's objects of runs that no ProcessJob names any more.
//!
//! Usually nothing is left to do: who deletes a ProcessJob while an operator runs has its objects removed at once. The
//! sweep finds what was deleted while no operator ran. It is slow on purpose: a run goes only after it was seen without
//! an object twice, [`SWEEP_AGE`] apart by the *store's* clock, so that a backup of the cluster may be restored
//! meanwhile. The first sight stands in the store, in an object `_sweep/<tenant>/<run id>` (no tenant's name begins with
//! `_`); so a restart forgets nothing. Inputs that wait for a job to be accepted go when they are that old and there is no
//! such job.
//!
//! Nothing is removed while the list of ProcessJobs is not known completely, of a tenant that may belong to namespaces that
//! this operator does not watch, or in a bucket that another cluster has swept before.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::time::sleep;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::{RUN_ID, TENANT};
use weir_store::{JobKeys, RunId, Tenant};

use crate::context::Services;
use crate::intake::OWN_INPUTS;
use crate::limits::{SWEEP_AGE, SWEEP_INTERVAL, SWEEP_LISTED_MAX};

/// Where the sweep keeps what it knows.
const NOTES: &str = "_sweep";
/// Namespace whose uid names the cluster.
const CLUSTER: &str = "kube-system";
/// Objects of a page of the API server.
const PAGE: u32 = 500;

/// Why nothing was removed this time.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The API server does not say which jobs there are.
    #[error("cannot list {what}: {source}")]
    List {
        /// What.
        what: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The store fails.
    #[error("cannot {doing} `{key}` in the store: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// Two clusters have one bucket.
    #[error(
        "the bucket belongs to the cluster {owner}, this is {own}; give each cluster a bucket of its own, or delete \
         `{NOTES}/owner` in it if that cluster is gone"
    )]
    Foreign {
        /// Uid of the other cluster.
        owner: String,
        /// Uid of this one.
        own: String,
    },
}

/// Which runs have an object.
#[derive(Debug, Default)]
struct Named {
    /// Run ids and uids of all ProcessJobs that this operator may see.
    runs: HashSet<String>,
    /// Their names.
    jobs: HashSet<String>,
    /// Tenants that may be swept; `None`: all.
    tenants: Option<BTreeSet<String>>,
}

impl Named {
    fn may_sweep(&self, tenant: &Tenant) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant.as_str()))
    }
}

/// Looks every hour, for ever. Only the leader calls it.
pub async fn run(services: Arc<Services>, client: Client) -> Infallible {
    loop {
        sleep(SWEEP_INTERVAL).await;
        match sweep(&*services.store, &client, &services.settings.namespaces, SWEEP_AGE).await {
            Ok(removed) => (0..removed).for_each(|_| services.metrics.swept()),
            Err(error) => tracing::warn!(%error, "nothing is swept this time"),
        }
    }
}

/// One look. Returns how many runs were removed.
async fn sweep(
    store: &dyn ObjectStore,
    client: &Client,
    namespaces: &[String],
    age: Duration,
) -> Result<usize, SweepError> {
    own_bucket(store, client).await?;
    let now = store_time(store).await?;
    // Runs first: whoever is named only after that was not there yet.
    let tenants = tenants(store).await?;
    let mut runs = runs(store, &tenants).await?;
    let inputs = inputs(store, &tenants).await?;
    let named = named(client, namespaces).await?;
    let mut notes = notes(store).await?;
    runs.retain(|(tenant, run)| named.may_sweep(tenant) && !named.runs.contains(run.as_str()));
    // The rest belongs to other operators of this cluster.
    notes.retain(|(tenant, _), _| named.may_sweep(tenant));
    let mut removed = 0;
    for (tenant, run) in &runs {
        match notes.remove(&(tenant.clone(), run.clone())) {
            Some(since) if is_older(since, now, age) => {
                let keys = JobKeys::new(tenant.clone(), run.clone());
                if is_older(last_written(store, &keys).await?.unwrap_or(since), now, age) {
                    remove(store, &keys).await?;
                    delete(store, &note(tenant, run)).await?;
                    tracing::info!(%tenant, %run, "removed the objects of a run that no ProcessJob names");
                    removed += 1;
                }
            }
            Some(_) => {}
            None => match put(store, &note(tenant, run), PutMode::Create, String::new()).await {
                Err(SweepError::Store { source: object_store::Error::AlreadyExists { .. }, .. }) => {}
                noted => noted?,
            },
        }
    }
    remove_inputs(store, &inputs, &named, now, age).await?;
    // What is left was named again, or is gone.
    for (tenant, run) in notes.keys() {
        delete(store, &note(tenant, run)).await?;
    }
    Ok(removed)
}

fn is_older(time: Timestamp, now: Timestamp, age: Duration) -> bool {
    now.duration_since(time).unsigned_abs() >= age && time < now
}

/// Claims the bucket for this cluster, or finds it claimed.
async fn own_bucket(store: &dyn ObjectStore, client: &Client) -> Result<(), SweepError> {
    let list = |source| SweepError::List { what: "the namespace kube-system", source: Box::new(source) };
    let cluster = Api::<Namespace>::all(client.clone()).get_metadata(CLUSTER).await.map_err(list)?;
    let own = cluster.uid().unwrap_or_default();
    let key = Path::from(format!("{NOTES}/owner"));
    match put(store, &key, PutMode::Create, own.clone()).await {
        Ok(()) => return Ok(()),
        Err(SweepError::Store { source: object_store::Error::AlreadyExists { .. }, .. }) => {}
        Err(error) => return Err(error),
    }
    let failed = |source| SweepError::Store { doing: "read", key: key.clone(), source };
    let owner = store.get(&key).await.map_err(failed)?.bytes().await.map_err(failed)?;
    if owner == own.as_bytes() {
        Ok(())
    } else {
        Err(SweepError::Foreign { owner: String::from_utf8_lossy(&owner).into_owned(), own })
    }
}

/// The store's clock.
async fn store_time(store: &dyn ObjectStore) -> Result<Timestamp, SweepError> {
    let key = Path::from(format!("{NOTES}/now"));
    put(store, &key, PutMode::Overwrite, String::new()).await?;
    let head = store.head(&key).await.map_err(|source| SweepError::Store { doing: "look at", key, source })?;
    Ok(time(&head))
}

/// Every tenant that has objects. Anything else in the bucket is not ours.
async fn tenants(store: &dyn ObjectStore) -> Result<Vec<Tenant>, SweepError> {
    Ok(folders(store, None).await?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Every run that has objects, as far as one look goes.
async fn runs(store: &dyn ObjectStore, tenants: &[Tenant]) -> Result<Vec<(Tenant, RunId)>, SweepError> {
    let mut runs = Vec::new();
    for tenant in tenants {
        for run in folders(store, Some(&Path::from(format!("{tenant}/jobs")))).await? {
            if let Ok(run) = run.parse::<RunId>() {
                runs.push((tenant.clone(), run));
            }
            if runs.len() >= SWEEP_LISTED_MAX {
                return Ok(runs);
            }
        }
    }
    Ok(runs)
}

/// Inputs that the façade has put, as far as one look goes.
async fn inputs(store: &dyn ObjectStore, tenants: &[Tenant]) -> Result<Vec<(Tenant, ObjectMeta)>, SweepError> {
    let mut inputs = Vec::new();
    for tenant in tenants {
        let prefix = Path::from(format!("{tenant}/{OWN_INPUTS}"));
        let failed = |source| SweepError::Store { doing: "list", key: prefix.clone(), source };
        let listed = store.list(Some(&prefix)).take(SWEEP_LISTED_MAX.saturating_sub(inputs.len()));
        let listed: Vec<_> = listed.try_collect().await.map_err(failed)?;
        inputs.extend(listed.into_iter().map(|object| (tenant.clone(), object)));
    }
    Ok(inputs)
}

/// Removes inputs of jobs that there are not: whoever put them crashed before it created the job, or the job went while no
/// operator ran. They are called like their job.
async fn remove_inputs(
    store: &dyn ObjectStore,
    inputs: &[(Tenant, ObjectMeta)],
    named: &Named,
    now: Timestamp,
    age: Duration,
) -> Result<(), SweepError> {
    for (tenant, object) in inputs {
        let job = object.location.filename().and_then(|name| name.strip_suffix(".json"));
        let is_named = job.is_none_or(|job| named.jobs.contains(job));
        if named.may_sweep(tenant) && !is_named && is_older(time(object), now, age) {
            delete(store, &object.location).await?;
            tracing::info!(key = %object.location, "removed the inputs of a job that there is not");
        }
    }
    Ok(())
}

/// Names of what lies right below a prefix and has something below it.
async fn folders(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<String>, SweepError> {
    let failed = |source| SweepError::Store { doing: "list", key: prefix.cloned().unwrap_or_default(), source };
    let found = store.list_with_delimiter(prefix).await.map_err(failed)?;
    Ok(found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
}

/// When runs were first seen without an object.
async fn notes(store: &dyn ObjectStore) -> Result<BTreeMap<(Tenant, RunId), Timestamp>, SweepError> {
    let prefix = Path::from(NOTES);
    let failed = |source| SweepError::Store { doing: "list", key: prefix.clone(), source };
    let found: Vec<_> = store.list(Some(&prefix)).take(SWEEP_LISTED_MAX).try_collect().await.map_err(failed)?;
    let notes = found.iter().filter_map(|object| {
        let parts: Vec<_> = object.location.parts().collect();
        let [_, tenant, run] = parts.as_slice() else { return None };
        Some(((tenant.as_ref().parse().ok()?, run.as_ref().parse().ok()?), time(object)))
    });
    Ok(notes.collect())
}

fn note(tenant: &Tenant, run: &RunId) -> Path {
    Path::from(format!("{NOTES}/{tenant}/{run}"))
}

/// Run ids of all ProcessJobs. Every page or nothing.
async fn named(client: &Client, namespaces: &[String]) -> Result<Named, SweepError> {
    let apis: Vec<Api<PartialObjectMeta<ProcessJob>>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    let mut named = Named::default();
    for api in apis {
        let failed = |source| SweepError::List { what: "ProcessJobs", source: Box::new(source) };
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(failed)?;
            for job in page.items {
                named.runs.extend(job.annotations().get(RUN_ID).cloned());
                named.runs.extend(job.uid());
                named.jobs.extend(job.metadata.name);
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                break;
            }
        }
    }
    if !namespaces.is_empty() {
        let mut tenants = BTreeSet::new();
        for name in namespaces {
            let failed = |source| SweepError::List { what: "namespaces", source: Box::new(source) };
            if let Some(namespace) =
                Api::<Namespace>::all(client.clone()).get_metadata_opt(name).await.map_err(failed)?
            {
                tenants.insert(namespace.labels().get(TENANT).unwrap_or(name).clone());
            }
        }
        named.tenants = Some(tenants);
    }
    Ok(named)
}

/// When the newest object of a run was written.
async fn last_written(store: &dyn ObjectStore, keys: &JobKeys) -> Result<Option<Timestamp>, SweepError> {
    let root = keys.root();
    let failed = |source| SweepError::Store { doing: "list", key: root.clone(), source };
    let objects = store.list(Some(&root)).take(SWEEP_LISTED_MAX);
    objects.try_fold(None, async |newest, object| Ok(newest.max(Some(time(&object))))).await.map_err(failed)
}

async fn remove(store: &dyn ObjectStore, keys: &JobKeys) -> Result<(), SweepError> {
    let root = keys.root();
    let failed = |source| SweepError::Store { doing: "remove", key: root.clone(), source };
    let objects = store.list(Some(&root)).map_ok(|object| object.location).boxed();
    store.delete_stream(objects).try_for_each(async |_| Ok(())).await.map_err(failed)
}

async fn delete(store: &dyn ObjectStore, key: &Path) -> Result<(), SweepError> {
    match store.delete(key).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(SweepError::Store { doing: "remove", key: key.clone(), source }),
    }
}

async fn put(store: &dyn ObjectStore, key: &Path, mode: PutMode, text: String) -> Result<(), SweepError> {
    let options = PutOptions { mode, ..PutOptions::default() };
    let stored = store.put_opts(key, PutPayload::from(text), options).await;
    stored.map(drop).map_err(|source| SweepError::Store { doing: "write", key: key.clone(), source })
}

fn time(object: &ObjectMeta) -> Timestamp {
    Timestamp::from_millisecond(object.last_modified.timestamp_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
