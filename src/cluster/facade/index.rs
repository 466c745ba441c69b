//! What this replica has seen: namespaces, Processes, ProcessJobs. Small records, not objects.
//!
//! Reads take a shared lock for as long as they look; nothing waits while it holds one. Whoever waits for a change of one
//! object is woken by its events alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use tokio::sync::{Notify, watch};
use weir_http::backend::{JobRecord, ProcessId, Tenant};

use super::entry::Entry;
use super::record::Job;
use super::tenants::Tenants;
use crate::tenants::Taken;

/// How long a job that was created here and never seen by the watch counts: it was deleted at once.
const UNSEEN_TIME: Duration = Duration::from_mins(1);

/// Names an object of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Process(String, String),
    Job(String, String),
}

/// Everything that was seen. Shared by whoever watches and whoever answers.
#[derive(Debug)]
pub(super) struct Index {
    state: RwLock<State>,
    waits: Mutex<HashMap<Key, watch::Sender<()>>>,
    /// Something became due that a subscriber is to be told.
    due: Notify,
}

#[derive(Debug)]
struct State {
    tenants: Tenants,
    homes: HashMap<String, Home>,
    /// Namespace and name of jobs whose subscribers are to be told something.
    due: BTreeSet<(String, String)>,
    is_synced: bool,
}

/// What stands in one namespace.
#[derive(Debug, Default)]
struct Home {
    processes: HashMap<String, Arc<Entry>>,
    jobs: HashMap<String, Arc<Job>>,
    /// Oldest first. Names of version 7 UUIDs order those of one second.
    by_age: BTreeMap<(Timestamp, String), Arc<Job>>,
    unfinished: usize,
    /// Created by this replica and not yet seen, since when.
    unseen: HashMap<String, Instant>,
}

impl Home {
    fn job_gone(&mut self, name: &str) {
        if let Some(job) = self.jobs.remove(name) {
            self.by_age.remove(&(job.record.created, name.to_owned()));
            self.unfinished -= usize::from(!job.record.phase.is_final());
        }
    }

    fn job_is(&mut self, name: &str, job: Arc<Job>) {
        self.job_gone(name);
        self.unseen.remove(name);
        self.unfinished += usize::from(!job.record.phase.is_final());
        self.by_age.insert((job.record.created, name.to_owned()), Arc::clone(&job));
        self.jobs.insert(name.to_owned(), job);
    }

    fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.jobs.is_empty() && self.unseen.is_empty()
    }
}

impl Index {
    /// Of nothing; `own` is the operator's own namespace.
    pub fn new(own: &str) -> Self {
        let tenants = Tenants::new(own);
        let state = State { tenants, homes: HashMap::new(), due: BTreeSet::new(), is_synced: false };
        Self { state: RwLock::new(state), waits: Mutex::default(), due: Notify::new() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<()>>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the watches say.

    pub fn namespace_is(&self, namespace: &PartialObjectMeta<Namespace>) -> Option<Taken<Tenant>> {
        self.write().tenants.is(namespace)
    }

    pub fn namespace_gone(&self, namespace: &str) {
        self.write().tenants.gone(namespace);
    }

    pub fn process_is(&self, namespace: &str, entry: Entry) {
        let name = entry.name.clone();
        self.write().homes.entry(namespace.to_owned()).or_default().processes.insert(name.clone(), entry.into());
        self.wake(&Key::Process(namespace.to_owned(), name));
    }

    pub fn process_gone(&self, namespace: &str, name: &str) {
        {
            let mut state = self.write();
            if let Some(home) = state.homes.get_mut(namespace) {
                home.processes.remove(name);
                if home.is_empty() {
                    state.homes.remove(namespace);
                }
            }
        }
        self.wake(&Key::Process(namespace.to_owned(), name.to_owned()));
    }

    pub fn job_is(&self, namespace: &str, job: Job) {
        let name = job.record.id.to_string();
        let key = (namespace.to_owned(), name.clone());
        let is_due = job.is_due();
        {
            let mut state = self.write();
            state.homes.entry(namespace.to_owned()).or_default().job_is(&name, job.into());
            if is_due {
                state.due.insert(key);
            } else {
                state.due.remove(&key);
            }
        }
        if is_due {
            self.due.notify_one();
        }
        self.wake(&Key::Job(namespace.to_owned(), name));
    }

    pub fn job_gone(&self, namespace: &str, name: &str) {
        {
            let mut state = self.write();
            state.due.remove(&(namespace.to_owned(), name.to_owned()));
            if let Some(home) = state.homes.get_mut(namespace) {
                home.job_gone(name);
                if home.is_empty() {
                    state.homes.remove(namespace);
                }
            }
        }
        self.wake(&Key::Job(namespace.to_owned(), name.to_owned()));
    }

    /// A list is complete: whoever waits for something that came and went meanwhile looks again.
    pub fn listed(&self) {
        self.waits().values().for_each(|wait| wait.send_replace(()));
    }

    /// Everything that exists has been seen.
    pub fn synced(&self) {
        self.write().is_synced = true;
    }

    // What requests ask.

    pub fn is_synced(&self) -> bool {
        self.read().is_synced
    }

    /// The namespace of a tenant.
    pub fn namespace(&self, tenant: &Tenant) -> Option<String> {
        self.read().tenants.namespace(tenant).map(str::to_owned)
    }

    /// The tenant of a namespace.
    pub fn tenant(&self, namespace: &str) -> Option<Tenant> {
        self.read().tenants.tenant(namespace).cloned()
    }

    /// The Process that has this id: the oldest, as the controller of Processes sees it.
    pub fn process(&self, namespace: &str, id: &ProcessId) -> Option<Arc<Entry>> {
        let state = self.read();
        let entries = state.homes.get(namespace)?.processes.values();
        entries.filter(|entry| entry.id == *id).min_by_key(|entry| entry.age()).cloned()
    }

    /// A Process by its name.
    pub fn process_named(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.read().homes.get(namespace)?.processes.get(name).cloned()
    }

    /// Processes that jobs can be started of, in order.
    pub fn process_ids(&self, namespace: &str) -> Vec<ProcessId> {
        let state = self.read();
        let entries = state.homes.get(namespace).into_iter().flat_map(|home| home.processes.values());
        let ready: BTreeSet<&ProcessId> =
            entries.filter(|entry| entry.digest.is_some()).map(|entry| &entry.id).collect();
        ready.into_iter().cloned().collect()
    }

    pub fn job(&self, namespace: &str, name: &str) -> Option<Arc<Job>> {
        self.read().homes.get(namespace)?.jobs.get(name).cloned()
    }

    /// Newest first.
    pub fn visit(&self, namespace: &str, visit: &mut (dyn FnMut(&Arc<JobRecord>) -> ControlFlow<()> + Send)) {
        let state = self.read();
        let Some(home) = state.homes.get(namespace) else { return };
        let _stopped = home.by_age.values().rev().try_for_each(|job| visit(&job.record));
    }

    /// Takes one of the `most` places of unfinished jobs of a namespace; otherwise how many there are.
    pub fn reserve(&self, namespace: &str, name: &str, most: usize) -> Result<(), usize> {
        let mut state = self.write();
        let home = state.homes.entry(namespace.to_owned()).or_default();
        home.unseen.retain(|_, since| since.elapsed() < UNSEEN_TIME);
        let taken = home.unfinished + home.unseen.len();
        if taken >= most {
            return Err(taken);
        }
        home.unseen.insert(name.to_owned(), Instant::now());
        Ok(())
    }

    /// Gives the place back: there is no such job.
    pub fn release(&self, namespace: &str, name: &str) {
        if let Some(home) = self.write().homes.get_mut(namespace) {
            home.unseen.remove(name);
        }
    }

    /// Waits for events of one object.
    pub fn wait(&self, key: Key) -> Wait<'_> {
        let changed = self.waits().entry(key.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Wait { index: self, key, changed }
    }

    /// A job whose subscriber is to be told something, if it is none of those that `is_taken` names. Waits for one.
    pub async fn due(&self, is_taken: impl Fn(&(String, String), &Job) -> bool) -> ((String, String), Arc<Job>) {
        loop {
            let notified = self.due.notified();
            {
                let state = self.read();
                let jobs = state.due.iter().filter_map(|key| Some((key, state.homes.get(&key.0)?.jobs.get(&key.1)?)));
                if let Some((key, job)) = jobs.into_iter().find(|(key, job)| !is_taken(key, job)) {
                    return (key.clone(), Arc::clone(job));
                }
            }
            notified.await;
        }
    }

    /// Whether the subscriber of this job is to be told something.
    pub fn is_due(&self, key: &(String, String)) -> bool {
        self.read().due.contains(key)
    }

    /// Whether nobody waits for anything.
    #[cfg(test)]
    pub fn is_unwaited(&self) -> bool {
        self.waits().is_empty()
    }

    fn wake(&self, key: &Key) {
        if let Some(wait) = self.waits().get(key) {
            wait.send_replace(());
        }
    }
}

/// Whoever waits for events of one object. What happened since it was made is not missed.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    index: &'a Index,
    key: Key,
    changed: watch::Receiver<()>,
}

impl Wait<'_> {
    /// Returns after the next event.
    pub async fn changed(&mut self) {
        // The sender stays as long as somebody waits.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = self.index.waits();
        if waits.get(&self.key).is_some_and(|wait| wait.receiver_count() <= 1) {
            waits.remove(&self.key);
        }
    }
}
