//! Processes: deployed packages. Each is resolved once for every change of its object, frozen in the store, and its status
//! says what was found.
//!
//! Process -> [`verdict::source`] -> [`mod@resolve`] (fetched, checked) -> [`stored`] (frozen) -> [`verdict`] -> status.
//!
//! Jobs read the frozen package only: changing or deleting a Process never touches a job that runs.

pub mod resolve;
pub mod stored;
pub mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use object_store::ObjectStore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_api::kubernetes::Process;
use weir_api::kubernetes::conditions::READY;
use weir_api::kubernetes::names::{FIELD_MANAGER, TENANT};
use weir_store::Tenant;

use crate::context::Services;
use crate::intake::inputs::{defaults, with_defaults};
use crate::intake::malformed;
use crate::limits::{
    PACKAGE_RETRY_SECONDS, PACKAGE_RETRY_SECONDS_MAX, PROCESS_SECONDS_MAX, RESOLVING_MAX, TAKEN_ID_SECONDS,
};
use resolve::{ResolveError, resolve};
use verdict::Verdict;
use weir_fetch::Guarded;

/// Why a Process could not be looked after this time.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The API server.
    #[error("cannot {doing} of Process `{name}`: {source}")]
    Api {
        /// What was being done.
        doing: &'static str,
        /// To which Process.
        name: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// It took too long.
    #[error("Process `{0}` could not be looked after within {PROCESS_SECONDS_MAX} s")]
    Time(String),
    /// The namespace's label is no tenant.
    #[error("the namespace of Process `{name}` belongs to no tenant: {source}")]
    Tenant {
        /// Which.
        name: String,
        /// Why not.
        source: weir_store::layout::NameError,
    },
}

/// Looks after the Processes of the namespaces that the settings name. Runs for ever: watches that end are begun again.
pub async fn run(services: Arc<Services>, client: Client, guarded: Guarded) -> Result<(), ProcessError> {
    let namespaces = &services.settings.namespaces;
    let mut watches = JoinSet::new();
    let keeper = |api| keep(api, Keeper::new(Arc::clone(&services.store), client.clone(), guarded.clone()));
    if namespaces.is_empty() {
        watches.spawn(keeper(Api::all(client.clone())));
    }
    for namespace in namespaces {
        watches.spawn(keeper(Api::namespaced(client.clone(), namespace)));
    }
    // They go on for ever: one that ended has failed, and the process starts anew rather than leave a namespace alone.
    let _ended = watches.join_next().await;
    Ok(())
}

async fn keep(api: Api<DeserializeGuard<Process>>, keeper: Keeper) {
    let controller =
        Controller::new(api, watcher::Config::default()).with_config(Config::default().concurrency(RESOLVING_MAX));
    let _first = keeper.all.set(controller.store());
    let looked_after = controller.run(reconcile, failed, Arc::new(keeper));
    looked_after
        .for_each(|done| async {
            if let Err(error) = done {
                tracing::warn!(%error, "Processes");
            }
        })
        .await;
}

/// What is needed to look after Processes.
struct Keeper {
    store: Arc<dyn ObjectStore>,
    client: Client,
    guarded: Guarded,
    all: OnceLock<Store<DeserializeGuard<Process>>>,
    tries: Mutex<HashMap<ObjectRef<DeserializeGuard<Process>>, Tried>>,
}

/// What came of the last try of an object that could not be resolved.
#[derive(Debug, Clone)]
struct Tried {
    /// Of the object: another one may have come under its name.
    uid: Option<String>,
    generation: Option<i64>,
    /// Failures in a row.
    failures: u32,
    verdict: Verdict,
    /// When it is tried again; never without a change of the object if nothing else can help.
    again: Option<Instant>,
}

impl Keeper {
    fn new(store: Arc<dyn ObjectStore>, client: Client, guarded: Guarded) -> Self {
        Self { store, client, guarded, all: OnceLock::new(), tries: Mutex::default() }
    }

    fn tried(&self, object: &DeserializeGuard<Process>) -> Option<Tried> {
        let tried =
            self.tries.lock().unwrap_or_else(PoisonError::into_inner).get(&ObjectRef::from_obj(object)).cloned();
        tried.filter(|tried| tried.uid == object.uid())
    }

    fn try_is(&self, object: &DeserializeGuard<Process>, tried: Option<Tried>) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ObjectRef::from_obj(object);
        match tried {
            Some(tried) => drop(tries.insert(key, tried)),
            None => drop(tries.remove(&key)),
        }
        // Objects that are gone are forgotten.
        if let Some(all) = self.all.get() {
            tries.retain(|key, _| all.get(key).is_some());
        }
    }

    async fn look_after(&self, object: &DeserializeGuard<Process>) -> Result<Action, ProcessError> {
        let process = match &object.0 {
            Ok(process) => process,
            Err(invalid) => return self.malformed(object, invalid).await,
        };
        if process.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let others = self.all.get().map(Store::state).unwrap_or_default();
        let others = others.iter().filter_map(|other| other.0.as_ref().ok());
        if let Some(owner) = verdict::older_namesake(process, others) {
            self.tell(process, &Verdict::taken(&verdict::id(process), &owner.name_any())).await?;
            return Ok(Action::requeue(Duration::from_secs(TAKEN_ID_SECONDS)));
        }
        if let Some(frozen) = verdict::frozen(process) {
            self.try_is(object, None);
            self.tell(process, &frozen).await?;
            return Ok(Action::await_change());
        }
        let before = self.tried(object).filter(|tried| tried.generation == process.metadata.generation);
        if let Some(tried) = &before
            && tried.again.is_none_or(|again| again > Instant::now())
        {
            self.tell(process, &tried.verdict).await?;
            return Ok(tried.again.map_or_else(Action::await_change, |again| Action::requeue(again - Instant::now())));
        }
        self.resolve(object, process, before.map_or(0, |tried| tried.failures)).await
    }

    /// Fetches, checks, freezes and tells.
    async fn resolve(
        &self,
        object: &DeserializeGuard<Process>,
        process: &Process,
        failures: u32,
    ) -> Result<Action, ProcessError> {
        let (verdict, wait) = match self.frozen(process).await? {
            Ok(verdict) => (verdict, None),
            // The store is one of our own: it is asked as soon as it may be back.
            Err(Unresolved { verdict: verdict @ Verdict::Unknown { .. }, .. }) => (verdict, Some(backoff(0))),
            Err(Unresolved { verdict, is_transient }) => (verdict, is_transient.then(|| backoff(failures))),
        };
        let tried = (!matches!(verdict, Verdict::Ready { .. })).then(|| Tried {
            uid: process.uid(),
            generation: process.metadata.generation,
            failures: failures.saturating_add(1),
            verdict: verdict.clone(),
            again: wait.map(|wait| Instant::now() + wait),
        });
        self.try_is(object, tried);
        self.tell(process, &verdict).await?;
        Ok(wait.map_or_else(Action::await_change, Action::requeue))
    }

    async fn frozen(&self, process: &Process) -> Result<Result<Verdict, Unresolved>, ProcessError> {
        let source = match verdict::source(process) {
            Ok(source) => source,
            Err(verdict) => return Ok(Err(Unresolved { verdict, is_transient: false })),
        };
        let tenant = match self.tenant(process).await {
            // Another label mends it.
            Err(error @ ProcessError::Tenant { .. }) => {
                let verdict = Verdict::contradiction(&error.to_string());
                return Ok(Err(Unresolved { verdict, is_transient: true }));
            }
            tenant => tenant?,
        };
        let workflow = process.spec.workflow.as_deref();
        match resolve(&self.guarded, self.store.as_ref(), &tenant, &source, workflow).await {
            Ok(resolved) => {
                if let Some(Err(message)) =
                    defaults(process).map(|defaults| with_defaults(resolved.package.clone(), &defaults))
                {
                    return Ok(Err(Unresolved { verdict: Verdict::contradiction(&message), is_transient: false }));
                }
                match resolved.stored.put(self.store.as_ref(), &tenant).await {
                    Ok(_) => Ok(Ok(Verdict::ready(&resolved))),
                    Err(error) => Ok(Err(Unresolved { verdict: Verdict::without_store(&error), is_transient: true })),
                }
            }
            Err(ResolveError::Stored(error)) if error.is_transient() => {
                Ok(Err(Unresolved { verdict: Verdict::without_store(&error), is_transient: true }))
            }
            Err(error) => {
                Ok(Err(Unresolved { verdict: Verdict::unresolved(&error), is_transient: error.is_transient() }))
            }
        }
    }

    /// Whose store prefix the package goes to.
    async fn tenant(&self, process: &Process) -> Result<Tenant, ProcessError> {
        let (name, namespace) = (process.name_any(), process.namespace().unwrap_or_default());
        let found = Api::<Namespace>::all(self.client.clone()).get_metadata(&namespace).await;
        let found = found.map_err(|source| ProcessError::Api {
            doing: "read the namespace",
            name: name.clone(),
            source: source.into(),
        })?;
        let tenant = found.labels().get(TENANT).cloned().unwrap_or(namespace);
        tenant.parse().map_err(|source| ProcessError::Tenant { name, source })
    }

    /// Writes the status if it differs.
    async fn tell(&self, process: &Process, verdict: &Verdict) -> Result<(), ProcessError> {
        let status = verdict::status(process, verdict, Time(jiff::Timestamp::now()));
        if process.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.write(&process.name_any(), process.namespace().as_deref(), &verdict::patch(&status)).await
    }

    /// An object that cannot be read gets a condition, and is left alone until it changes.
    async fn malformed(
        &self,
        object: &DeserializeGuard<Process>,
        invalid: &InvalidObject,
    ) -> Result<Action, ProcessError> {
        let generation = invalid.metadata.generation;
        if self.tried(object).is_none_or(|tried| tried.generation != generation) {
            // Always the same time: writing it twice changes nothing.
            let now = invalid.metadata.creation_timestamp.clone().unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH));
            let condition = malformed::condition(READY, invalid, now);
            let patch = serde_json::json!({"status": {"observedGeneration": generation, "conditions": [condition]}});
            self.write(&object.name_any(), object.namespace().as_deref(), &patch).await?;
            let verdict =
                Verdict::Refused { reason: weir_api::kubernetes::conditions::MALFORMED, message: String::new() };
            let uid = object.uid();
            self.try_is(object, Some(Tried { uid, generation, failures: 1, verdict, again: None }));
        }
        Ok(Action::await_change())
    }

    async fn write(&self, name: &str, namespace: Option<&str>, patch: &serde_json::Value) -> Result<(), ProcessError> {
        // The guard, because the answer may be as malformed as the object.
        let api: Api<DeserializeGuard<Process>> = Api::namespaced(self.client.clone(), namespace.unwrap_or_default());
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(name, &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // It went away meanwhile.
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
            Err(source) => {
                Err(ProcessError::Api { doing: "write the status", name: name.to_owned(), source: source.into() })
            }
        }
    }
}

/// A package that is not frozen.
struct Unresolved {
    verdict: Verdict,
    is_transient: bool,
}

async fn reconcile(object: Arc<DeserializeGuard<Process>>, keeper: Arc<Keeper>) -> Result<Action, ProcessError> {
    let limit = Duration::from_secs(PROCESS_SECONDS_MAX);
    let looked_after = tokio::time::timeout(limit, keeper.look_after(&object)).await;
    looked_after.unwrap_or_else(|_| Err(ProcessError::Time(object.name_any())))
}

/// The API server cannot be reached: nothing is known about the object, and its status stays.
fn failed(_: Arc<DeserializeGuard<Process>>, _: &ProcessError, _: Arc<Keeper>) -> Action {
    Action::requeue(Duration::from_secs(PACKAGE_RETRY_SECONDS))
}

/// The wait before the next try, after this many failures before this one.
fn backoff(failures: u32) -> Duration {
    let seconds = PACKAGE_RETRY_SECONDS.saturating_mul(1 << failures.min(16));
    Duration::from_secs(seconds.min(PACKAGE_RETRY_SECONDS_MAX))
}

#[cfg(test)]
mod tests;
