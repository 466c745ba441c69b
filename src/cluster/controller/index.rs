//! Which jobs there are, whose pods, and what each of them needs now.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use weir_api::Phase;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::{RUN, TENANT};
use weir_store::JobKeys;

use super::life::{self, Birth};
use super::tidy;
use crate::intake::malformed;
use crate::job::{Backoff, End, JobError, Object, Shared, accepted_tenant, run_id};
use crate::limits::{CLEANUPS_AT_ONCE, FAILED_PODS_KEPT_FOR, POD_END_WAIT, STARTS_AT_ONCE};
use crate::registry::{Inbox, PodSeen, Registry};
use crate::tenants::Owners;
use crate::watches::List;

/// Namespace and name of a ProcessJob.
pub(super) type Key = (String, String);

/// Namespace and id of a run.
type Place = (String, String);

/// Longest sleep: what is due later is looked at again then.
const NAP: Duration = Duration::from_hours(24);

/// How long the watch may take to show a terminal status that was written.
const SETTLE: Duration = Duration::from_mins(1);

/// Everything that was seen, and everything that runs.
pub(super) struct Controller {
    pub shared: Shared,
    registry: Registry,
    jobs: HashMap<Key, Job>,
    /// Whose run it is. A run has a place in one namespace: nothing that stands in another one belongs to it (invariant I9).
    runs: HashMap<Place, Key>,
    /// Pods by run and uid.
    pods: HashMap<Place, BTreeMap<String, Arc<Pod>>>,
    /// Pods whose deletion is under way, by uid.
    deleting: HashSet<String>,
    /// Namespaces and the tenants that they claim to be.
    tenants: Owners<String>,
    /// Actors.
    actors: JoinSet<Result<End, JobError>>,
    acting: HashMap<Id, Key>,
    /// Actors of deleted jobs that have not ended yet, and what is to be cleaned then.
    leaving: HashMap<Id, Leaving>,
    timers: BTreeSet<(Instant, Timer)>,
    lists: Lists,
    starts: Arc<Semaphore>,
    cleanups: Arc<Semaphore>,
    /// Another leader has taken over.
    pub superseded: Option<JobError>,
}

/// What is to be done later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Start its actor again.
    Restart(Key),
    /// Delete the finished ProcessJob.
    Expire(Key),
    /// Delete the failed pods of a run that is over.
    Pods(Place),
}

/// A ProcessJob, as far as it must be remembered.
#[derive(Debug)]
struct Job {
    uid: String,
    run_id: String,
    /// With which it was accepted, if it says so.
    tenant: Option<String>,
    stage: Stage,
    /// As its status says, for the metrics.
    phase: Option<Phase>,
    /// Its status says that it is over since then, and when it is to be deleted.
    over: Option<Over>,
    /// How its actor failed, and what that means for the next.
    failures: Backoff,
    trouble: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// It waits for the lists to be complete or for its namespace to be seen.
    Waiting(Option<Arc<ProcessJob>>),
    /// Its actor runs.
    Acting(Inbox),
    /// Its actor failed and is started again.
    Resting,
    /// Its actor has written the terminal status, which was not seen yet.
    Settling,
    /// Nothing runs.
    Over,
    /// It cannot be read; told for this generation.
    Malformed(Option<i64>),
}

/// The run of a deleted job.
#[derive(Debug)]
struct Leaving {
    tenant: Option<String>,
    run_id: String,
    /// The deleted job, if the run must be shown to be its own before it is removed.
    doubted: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Over {
    expires: Instant,
    pods_until: Instant,
}

/// Which lists are complete, and what a list that runs has shown so far.
#[derive(Debug)]
struct Lists {
    jobs: Vec<List<Key>>,
    pods: Vec<List<(Place, String)>>,
    namespaces: Vec<List<String>>,
}

impl Controller {
    pub fn new(shared: Shared, registry: Registry, lists: [usize; 3]) -> Self {
        fn empty<K>(count: usize) -> Vec<List<K>> {
            (0..count).map(|_| List::default()).collect()
        }
        let [jobs, pods, namespaces] = lists;
        Self {
            shared,
            registry,
            jobs: HashMap::new(),
            runs: HashMap::new(),
            pods: HashMap::new(),
            deleting: HashSet::new(),
            tenants: Owners::default(),
            actors: JoinSet::new(),
            acting: HashMap::new(),
            leaving: HashMap::new(),
            timers: BTreeSet::new(),
            lists: Lists { jobs: empty(jobs), pods: empty(pods), namespaces: empty(namespaces) },
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            cleanups: Arc::new(Semaphore::new(CLEANUPS_AT_ONCE)),
            superseded: None,
        }
    }

    /// Whether everything that exists has been seen.
    pub fn is_synced(&self) -> bool {
        let lists = &self.lists;
        lists.jobs.iter().all(|list| list.is_complete)
            && lists.pods.iter().all(|list| list.is_complete)
            && lists.namespaces.iter().all(|list| list.is_complete)
    }

    pub fn job_event(&mut self, list: usize, event: Event<DeserializeGuard<ProcessJob>>) {
        match event {
            Event::Init => self.lists.jobs[list].begins(),
            Event::InitApply(job) => {
                self.lists.jobs[list].shown(key_of(&job));
                self.job_is(job);
            }
            Event::InitDone => {
                for key in self.lists.jobs[list].complete() {
                    self.job_gone(&key);
                }
                self.start_waiting();
            }
            Event::Apply(job) => {
                self.lists.jobs[list].came(key_of(&job));
                self.job_is(job);
            }
            Event::Delete(job) => {
                let key = key_of(&job);
                self.lists.jobs[list].gone(&key);
                self.job_gone(&key);
            }
        }
    }

    pub fn namespace_event(&mut self, list: usize, event: Event<PartialObjectMeta<Namespace>>) {
        let lists = &mut self.lists.namespaces[list];
        match event {
            Event::Init => lists.begins(),
            Event::InitApply(namespace) => {
                lists.shown(namespace.name_any());
                self.namespace_is(&namespace);
            }
            Event::Apply(namespace) => {
                lists.came(namespace.name_any());
                self.namespace_is(&namespace);
                self.start_waiting();
            }
            Event::InitDone => {
                for name in lists.complete() {
                    self.tenants.gone(&name);
                }
                self.start_waiting();
            }
            Event::Delete(namespace) => {
                lists.gone(&namespace.name_any());
                self.tenants.gone(&namespace.name_any());
            }
        }
    }

    fn namespace_is(&mut self, namespace: &PartialObjectMeta<Namespace>) {
        let name = namespace.name_any();
        let tenant = namespace.labels().get(TENANT).cloned().unwrap_or_else(|| name.clone());
        let created = namespace.creation_timestamp().map(|time| time.0);
        if let Some(taken) = self.tenants.is(&name, created, Some(tenant)) {
            tracing::warn!(
                namespace = taken.namespace,
                "its jobs are refused: the older namespace `{}` is the tenant `{}`",
                taken.owner,
                taken.tenant
            );
        }
    }

    pub fn pod_event(&mut self, list: usize, event: Event<Pod>) {
        match event {
            Event::Init => self.lists.pods[list].begins(),
            Event::InitApply(pod) => {
                if let Some(key) = self.pod_is(pod) {
                    self.lists.pods[list].shown(key);
                }
            }
            Event::Apply(pod) => {
                if let Some(key) = self.pod_is(pod) {
                    self.lists.pods[list].came(key);
                }
            }
            Event::InitDone => {
                for (run, uid) in self.lists.pods[list].complete() {
                    let pod = self.pods.get(&run).and_then(|pods| pods.get(&uid)).cloned();
                    if let Some(pod) = pod {
                        self.pod_gone(&run, &uid, pod);
                    }
                }
                self.start_waiting();
            }
            Event::Delete(pod) => {
                let (run, uid) = (run_of(&pod), pod.uid().unwrap_or_default());
                self.lists.pods[list].gone(&(run.clone(), uid.clone()));
                self.pod_gone(&run, &uid, Arc::new(tidy::slim(pod)));
            }
        }
    }

    fn pod_is(&mut self, pod: Pod) -> Option<(Place, String)> {
        let (run, uid) = (run_of(&pod), pod.uid()?);
        let pod = Arc::new(tidy::slim(pod));
        self.pods.entry(run.clone()).or_default().insert(uid.clone(), Arc::clone(&pod));
        if let Some(inbox) = self.inbox(&run) {
            inbox.put(|seen| drop(seen.pods.insert(uid.clone(), PodSeen::There(pod))));
        } else {
            self.tidy_pods(&run);
        }
        Some((run, uid))
    }

    fn pod_gone(&mut self, run: &Place, uid: &str, pod: Arc<Pod>) {
        self.deleting.remove(uid);
        if let Some(pods) = self.pods.get_mut(run) {
            pods.remove(uid);
            if pods.is_empty() {
                self.pods.remove(run);
            }
        }
        if let Some(inbox) = self.inbox(run) {
            inbox.put(|seen| drop(seen.pods.insert(uid.to_owned(), PodSeen::Gone(pod))));
        }
    }

    fn inbox(&self, run: &Place) -> Option<&Inbox> {
        match &self.jobs.get(self.runs.get(run)?)?.stage {
            Stage::Acting(inbox) => Some(inbox),
            _ => None,
        }
    }

    fn job_is(&mut self, DeserializeGuard(job): DeserializeGuard<ProcessJob>) {
        let job = match job {
            Ok(job) => job,
            Err(invalid) => return self.job_is_malformed(&invalid),
        };
        let object = Object::of(&job);
        let key = (object.namespace.clone(), object.name.clone());
        if self.jobs.get(&key).is_some_and(|known| known.uid != object.uid) {
            // Deleted and made again, faster than we looked.
            self.job_gone(&key);
        }
        let run_id = run_id(&job);
        let over = tidy::over(&job, self.shared.services.settings.ttl_seconds)
            .map(|(expires, pods_until)| Over { expires, pods_until });
        let fresh = || Job {
            uid: object.uid.clone(),
            run_id: run_id.clone(),
            tenant: None,
            stage: Stage::Waiting(None),
            phase: None,
            over: None,
            failures: Backoff::default(),
            trouble: None,
        };
        let known = self.jobs.entry(key.clone()).or_insert_with(fresh);
        if let Stage::Malformed(_) = known.stage {
            known.stage = Stage::Waiting(None);
        }
        known.tenant = accepted_tenant(&job);
        if known.run_id != run_id && !matches!(known.stage, Stage::Acting(_)) {
            let place = known.place(&key);
            if self.runs.get(&place) == Some(&key) {
                self.runs.remove(&place);
            }
            known.run_id.clone_from(&run_id);
        }
        // A run that another object has already is not this one's: its life will say so. Whoever began it comes first, in
        // whatever order they are seen: a copy of an object brings the annotation along.
        let owner = self.runs.entry(known.place(&key)).or_insert_with(|| key.clone());
        if known.run_id == object.uid {
            owner.clone_from(&key);
        }
        let is_owner = *owner == key;
        let phase = job.status.as_ref().and_then(|status| status.phase);
        let had_phase = std::mem::replace(&mut known.phase, phase);
        if had_phase != phase {
            self.shared.services.metrics.job_changed(had_phase, phase);
        }
        let had = std::mem::replace(&mut known.over, over);
        match &mut known.stage {
            Stage::Acting(inbox) => inbox.put(|seen| seen.job = Some(Arc::new(job))),
            Stage::Waiting(_) | Stage::Over | Stage::Settling if over.is_some() => known.stage = Stage::Over,
            Stage::Waiting(waiting) => *waiting = Some(Arc::new(job)),
            // The status was taken away: the journal knows better.
            Stage::Over => known.stage = Stage::Waiting(Some(Arc::new(job))),
            Stage::Resting | Stage::Settling | Stage::Malformed(_) => {}
        }
        if is_owner && !matches!(known.stage, Stage::Over | Stage::Settling) {
            self.registry.expect(&key.0, &known.run_id);
        }
        if had != over {
            self.set_timers(&key, had);
        }
        if matches!(self.jobs.get(&key).map(|job| &job.stage), Some(Stage::Waiting(_))) {
            self.start(&key);
        }
    }

    fn job_is_malformed(&mut self, invalid: &kube::core::error_boundary::InvalidObject) {
        let metadata = &invalid.metadata;
        let key = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
        let generation = metadata.generation;
        match self.jobs.get_mut(&key).map(|job| &mut job.stage) {
            // It was accepted before somebody broke it, and stays as it was pinned.
            Some(Stage::Acting(_) | Stage::Resting | Stage::Settling | Stage::Over) => return,
            Some(Stage::Malformed(told)) if *told == generation => return,
            _ => {}
        }
        let uid = metadata.uid.clone().unwrap_or_default();
        let job = Job {
            uid: uid.clone(),
            run_id: uid,
            tenant: None,
            stage: Stage::Malformed(generation),
            phase: None,
            over: None,
            failures: Backoff::default(),
            trouble: None,
        };
        tracing::warn!(namespace = key.0, name = key.1, error = invalid.error, "a ProcessJob cannot be read");
        self.jobs.insert(key.clone(), job);
        let message = malformed::message(invalid);
        tokio::spawn(tidy::tell_malformed(self.shared.client.clone(), key, generation, message));
    }

    fn job_gone(&mut self, key: &Key) {
        let Some(job) = self.jobs.remove(key) else { return };
        self.shared.services.metrics.job_changed(job.phase, None);
        let place = job.place(key);
        if let Some(over) = job.over {
            self.timers.remove(&(over.expires, Timer::Expire(key.clone())));
        }
        if self.runs.get(&place) != Some(key) {
            if let Stage::Acting(inbox) = job.stage {
                inbox.put(|seen| seen.is_gone = true);
            }
            return;
        }
        self.runs.remove(&place);
        if let Some(over) = job.over {
            self.timers.remove(&(over.pods_until, Timer::Pods(place.clone())));
        }
        self.registry.remove(&key.0, &job.run_id);
        self.tidy_pods(&place);
        // As long as another object names the run, its journal stays.
        let heir = self.jobs.iter().find(|(other, job)| other.0 == key.0 && job.run_id == place.1);
        let heir = heir.map(|(other, _)| other.clone());
        let tenant = job.tenant.or_else(|| self.tenants.claimed(&key.0).cloned()).filter(|_| heir.is_none());
        self.runs.extend(heir.map(|heir| (place, heir)));
        // An annotation proves nothing, and neither does the label of a younger namespace.
        let is_certain = tenant.is_some() && tenant.as_ref() == self.tenants.tenant(&key.0);
        let doubted = (!is_certain).then(|| key.clone());
        let leaving = Leaving { tenant, run_id: job.run_id, doubted };
        if let Stage::Acting(inbox) = job.stage
            && let Some(id) = self.acting.iter().find(|(_, acting)| *acting == key).map(|(id, _)| *id)
        {
            // It ends before the store is cleaned: it writes there.
            inbox.put(|seen| seen.is_gone = true);
            self.acting.remove(&id);
            self.leaving.insert(id, leaving);
        } else {
            self.clean(leaving);
        }
    }

    /// Removes the run of a deleted job from the store. What cannot be removed, the sweep finds.
    fn clean(&self, Leaving { tenant, run_id, doubted }: Leaving) {
        let Some((Ok(tenant), Ok(run))) = tenant.map(|tenant| (tenant.parse(), run_id.parse())) else { return };
        let (services, cleanups) = (Arc::clone(&self.shared.services), Arc::clone(&self.cleanups));
        tokio::spawn(tidy::clean(services, JobKeys::new(tenant, run), doubted, cleanups));
    }

    /// Starts what waits, once everything has been seen.
    fn start_waiting(&mut self) {
        if !self.is_synced() {
            return;
        }
        let waiting = self.jobs.iter().filter(|(_, job)| matches!(job.stage, Stage::Waiting(Some(_))));
        let waiting: Vec<Key> = waiting.map(|(key, _)| key.clone()).collect();
        for key in waiting {
            self.start(&key);
        }
        let runs: Vec<Place> = self.pods.keys().filter(|run| self.inbox(run).is_none()).cloned().collect();
        for run in runs {
            self.tidy_pods(&run);
        }
    }

    /// Starts the actor of a job that has none and needs one.
    fn start(&mut self, key: &Key) {
        if !self.is_synced() {
            return;
        }
        let (Some(tenant), Some(job)) = (self.tenants.claimed(&key.0), self.jobs.get_mut(key)) else { return };
        let owner = self.tenants.namespace(tenant).filter(|owner| *owner != key.0);
        let object = match &mut job.stage {
            Stage::Waiting(Some(object)) => Some(Arc::clone(object)),
            Stage::Resting | Stage::Settling => None,
            _ => return,
        };
        if self.leaving.values().any(|leaving| leaving.run_id == job.run_id) {
            // Two actors of one run would fight for its journal.
            self.timers.insert((Instant::now() + job.failures.advance(), Timer::Restart(key.clone())));
            return;
        }
        let inbox = Inbox::default();
        let place = job.place(key);
        if self.runs.get(&place) == Some(key) {
            let pods = self.pods.get(&place).into_iter().flatten();
            inbox.put(|seen| {
                seen.pods = pods.map(|(uid, pod)| (uid.clone(), PodSeen::There(Arc::clone(pod)))).collect();
            });
        }
        job.stage = Stage::Acting(inbox.clone());
        let birth = Birth {
            shared: self.shared.clone(),
            registry: self.registry.clone(),
            starts: Arc::clone(&self.starts),
            name: Object { namespace: key.0.clone(), name: key.1.clone(), uid: job.uid.clone() },
            tenant: tenant.clone(),
            owner: owner.map(str::to_owned),
            job: object,
            trouble: job.trouble.take(),
            inbox,
        };
        let handle = self.actors.spawn(life::live(birth));
        self.acting.insert(handle.id(), key.clone());
    }

    /// Waits for an actor to end or a timer to be due, and does what that means.
    pub async fn step(&mut self) {
        let now = Instant::now();
        let due = self.timers.first().map_or(now + NAP, |(at, _)| *at);
        tokio::select! {
            Some(ended) = self.actors.join_next_with_id() => {
                match ended {
                    Ok((id, result)) => self.ended(id, result),
                    Err(error) => self.died(&error),
                }
            }
            () = tokio::time::sleep_until(due) => {
                if self.timers.first().is_some_and(|(at, _)| *at <= Instant::now())
                    && let Some((_, timer)) = self.timers.pop_first()
                {
                    self.fire(timer);
                }
            }
        }
    }

    fn ended(&mut self, id: Id, result: Result<End, JobError>) {
        let failure = match result {
            Err(error) if error.is_superseded() => {
                self.superseded = Some(error);
                return;
            }
            other => other.err(),
        };
        if let Some(leaving) = self.leaving.remove(&id) {
            return self.clean(leaving);
        }
        let Some(key) = self.acting.remove(&id) else { return };
        if let Some(error) = failure {
            return self.rest(&key, &error.to_string());
        }
        self.forget_mailbox(&key);
        let Some(job) = self.jobs.get_mut(&key) else { return };
        job.failures = Backoff::default();
        job.stage = if job.over.is_some() {
            Stage::Over
        } else {
            self.timers.insert((Instant::now() + SETTLE, Timer::Restart(key.clone())));
            Stage::Settling
        };
        let run = job.place(&key);
        self.tidy_pods(&run);
    }

    fn forget_mailbox(&self, key: &Key) {
        let Some(job) = self.jobs.get(key) else { return };
        if self.runs.get(&job.place(key)) == Some(key) {
            self.registry.remove(&key.0, &job.run_id);
        }
    }

    fn died(&mut self, error: &JoinError) {
        if let Some(leaving) = self.leaving.remove(&error.id()) {
            self.clean(leaving);
        } else if let Some(key) = self.acting.remove(&error.id()) {
            self.rest(&key, &format!("the operator failed over this job: {error}"));
        }
    }

    /// An actor failed: it is started again, later each time.
    fn rest(&mut self, key: &Key, trouble: &str) {
        tracing::error!(namespace = key.0, name = key.1, trouble, "the actor of a job has failed; it is started again");
        self.forget_mailbox(key);
        let Some(job) = self.jobs.get_mut(key) else { return };
        job.stage = Stage::Resting;
        if self.runs.get(&job.place(key)) == Some(key) {
            self.registry.expect(&key.0, &job.run_id);
        }
        job.trouble = Some(trouble.to_owned());
        self.timers.insert((Instant::now() + job.failures.advance(), Timer::Restart(key.clone())));
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Restart(key) => self.start(&key),
            Timer::Pods(run) => self.tidy_pods(&run),
            Timer::Expire(key) => {
                let Some(job) = self.jobs.get_mut(&key) else { return };
                let Some(over) = &mut job.over else { return };
                // Should it fail, it is tried again.
                over.expires = Instant::now() + tidy::EXPIRE_AGAIN;
                self.timers.insert((over.expires, Timer::Expire(key.clone())));
                let object = Object { namespace: key.0, name: key.1, uid: job.uid.clone() };
                tokio::spawn(tidy::expire(self.shared.client.clone(), object));
            }
        }
    }

    fn set_timers(&mut self, key: &Key, had: Option<Over>) {
        let Some(job) = self.jobs.get(key) else { return };
        if let Some(had) = had {
            self.timers.remove(&(had.expires, Timer::Expire(key.clone())));
            self.timers.remove(&(had.pods_until, Timer::Pods(job.place(key))));
        }
        if let Some(over) = job.over {
            self.timers.insert((over.expires, Timer::Expire(key.clone())));
            self.timers.insert((over.pods_until, Timer::Pods(job.place(key))));
        }
    }

    /// Deletes the pods of a run that nobody looks after: those of no living job, and those of a finished one that are not
    /// kept for people to look at. The last pods of a job end by themselves, and how is seen a while after the job is over.
    fn tidy_pods(&mut self, run: &Place) {
        if !self.is_synced() {
            return;
        }
        let Some(pods) = self.pods.get(run) else { return };
        let job = self.runs.get(run).and_then(|key| self.jobs.get(key));
        let now = Instant::now();
        let kept_until = match job.map(|job| (&job.stage, job.over)) {
            None => None,
            Some((Stage::Over | Stage::Settling, over)) => {
                Some(over.map_or_else(|| now + FAILED_PODS_KEPT_FOR, |over| over.pods_until))
            }
            Some(_) => return,
        };
        let is_kept = |pod: &Pod| kept_until.is_some_and(|until| now < until) && tidy::has_failed(pod);
        let ends_by = kept_until.and_then(|until| until.checked_sub(FAILED_PODS_KEPT_FOR.saturating_sub(POD_END_WAIT)));
        let may_end = |pod: &Pod| ends_by.is_some_and(|by| now < by) && tidy::is_running(pod);
        let leave = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() || is_kept(pod) || may_end(pod);
        let doomed: Vec<Arc<Pod>> = pods.values().filter(|pod| !leave(pod)).cloned().collect();
        if let Some(by) = ends_by.filter(|_| pods.values().any(|pod| may_end(pod))) {
            self.timers.insert((by, Timer::Pods(run.clone())));
        }
        for pod in doomed {
            if self.deleting.insert(pod.uid().unwrap_or_default()) {
                tidy::delete_pod(&self.shared, &pod);
            }
        }
    }
}

fn key_of(DeserializeGuard(job): &DeserializeGuard<ProcessJob>) -> Key {
    let metadata = match job {
        Ok(job) => &job.metadata,
        Err(invalid) => &invalid.metadata,
    };
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn run_of(pod: &Pod) -> Place {
    (pod.namespace().unwrap_or_default(), pod.labels().get(RUN).cloned().unwrap_or_default())
}

impl Job {
    /// Where its run is.
    fn place(&self, key: &Key) -> Place {
        (key.0.clone(), self.run_id.clone())
    }
}
