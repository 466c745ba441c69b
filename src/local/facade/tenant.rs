//! One tenant: its processes, its jobs, its places among the jobs that run.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use weir_api::Phase;
use weir_http::backend::{Asked, BackendError, JobId, JobRecord, NewJob, ProcessRecord, Tenant};
use weir_plan::{Event, Recorded, State, fold};
use weir_store::RunId;

use super::finished::{Index, Past};
use super::jobs::{Job, Jobs, Live};
use super::layout::{Layout, sync_parent};
use super::life::{self, broken};
use super::limits::{RETRY_AFTER_SECONDS, UNFINISHED_IN_ALL_MAX};
use super::notices::{self, Notices, is_wanted};
use super::processes::Processes;
use super::record::Chronicle;
use super::request::{self, Request};
use crate::backend::{BackendError as EngineError, LocalBackend};
use crate::folder::remove_tree;
use crate::spec::JobSpec;

/// A tenant's part of the backend.
#[derive(Debug)]
pub struct TenantJobs {
    /// Who.
    pub name: Tenant,
    /// Deployed processes.
    pub processes: Arc<Processes>,
    /// All jobs.
    pub jobs: Jobs,
    /// Runs them.
    pub backend: LocalBackend,
    /// Index of those that are over.
    pub index: Index,
    /// Jobs of this tenant that may run at once.
    pub places: Arc<Semaphore>,
    /// Jobs of all tenants that may run at once.
    pub places_in_all: Arc<Semaphore>,
    /// Whom to tell.
    pub notices: Arc<Notices>,
    layout: Layout,
    unfinished: Mutex<usize>,
    unfinished_max: usize,
    unfinished_in_all: Arc<AtomicUsize>,
    time_limit: Option<Duration>,
}

/// What tenants share, and their limits.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where everything stands.
    pub layout: Layout,
    /// The engine; each tenant has its own view of it.
    pub backend: LocalBackend,
    /// Jobs that may run at once.
    pub places: Arc<Semaphore>,
    /// Jobs of one tenant that may run at once.
    pub places_of_one: usize,
    /// Unfinished jobs of one tenant at most.
    pub unfinished_max: usize,
    /// Unfinished jobs of all tenants.
    pub unfinished: Arc<AtomicUsize>,
    /// How long a job may take.
    pub time_limit: Option<Duration>,
    /// Whom to tell.
    pub notices: Arc<Notices>,
}

/// A job that an earlier weir left unfinished.
#[derive(Debug)]
pub struct Unfinished {
    /// Its run.
    pub run: RunId,
    /// As its journal has it.
    pub live: Arc<Live>,
}

impl TenantJobs {
    /// Reads what stands in the tenant's folder, which need not exist; gives the jobs that are not over, oldest first.
    pub async fn open(name: Tenant, shared: &Shared) -> Result<(Arc<Self>, Vec<Unfinished>), BackendError> {
        let store_tenant = name.as_str().parse().map_err(|error| BackendError::Internal(format!("{error}")))?;
        let backend = shared.backend.of_tenant(store_tenant);
        let (layout, fsync) = (shared.layout.clone(), backend.settings().fsync);
        let read = {
            let name = name.clone();
            tokio::task::spawn_blocking(move || {
                let removed = layout.removed(&name);
                if let Err(error) = remove_tree(&removed) {
                    tracing::warn!(path = %removed.display(), %error, "could not be removed");
                }
                let runs = fs::read_dir(layout.jobs(&name)).into_iter().flatten().flatten();
                let runs: HashSet<String> = runs.filter_map(|run| run.file_name().into_string().ok()).collect();
                let (index, past) = Index::open(layout.finished(&name), |id| runs.contains(id.as_str()));
                let processes = Processes::open(layout.processes(&name), fsync);
                (runs, index, past, processes)
            })
        };
        let (runs, index, past, processes) = read.await.map_err(|error| BackendError::Internal(error.to_string()))?;
        let tenant = Arc::new(Self {
            processes: Arc::new(processes),
            jobs: Jobs::default(),
            backend,
            index,
            places: Arc::new(Semaphore::new(shared.places_of_one)),
            places_in_all: Arc::clone(&shared.places),
            notices: Arc::clone(&shared.notices),
            layout: shared.layout.clone(),
            unfinished: Mutex::new(0),
            unfinished_max: shared.unfinished_max,
            unfinished_in_all: Arc::clone(&shared.unfinished),
            time_limit: shared.time_limit,
            name,
        });
        let mut unfinished = Vec::new();
        for id in runs.iter().filter_map(|run| run.parse::<JobId>().ok()).filter(|id| !past.contains_key(id)) {
            unfinished.extend(tenant.recover(id).await);
        }
        for past in past.into_values() {
            tenant.remind(&past.record);
            tenant.jobs.put(Job::Over(past));
        }
        unfinished.sort_by_key(|one| (one.live.record().created, one.live.record().id.clone()));
        Ok((tenant, unfinished))
    }

    /// Takes up a job from its journal. One that cannot be understood is shown as failed and harms no other (invariant
    /// I11).
    async fn recover(&self, id: JobId) -> Option<Unfinished> {
        let run: RunId = id.as_str().parse().ok()?;
        let events = match self.backend.journal(&run).await {
            Ok(events) => events,
            Err(error) => return self.unreadable(id, &error.to_string()),
        };
        let Some(first) = events.first() else {
            // Accepted means that event 0 is there: a request that was cut off before it was never answered.
            let _ = remove_tree(self.backend.folder(&run).root());
            return None;
        };
        let Event::Accepted { spec } = &first.event else { return self.unreadable(id, "event 0 is not a job") };
        match chronicle(&id, spec, &events) {
            Ok(chronicle) => {
                let live = Arc::new(Live::new(chronicle));
                if live.record().phase.is_final() {
                    // Its reports may be missing: shown once they are written.
                    live.shown.send_modify(|shown| Arc::make_mut(shown).phase = Phase::Running);
                } else {
                    self.remind(&live.record());
                }
                self.jobs.put(Job::Live(Arc::clone(&live)));
                self.one_more_at_start();
                Some(Unfinished { run, live })
            }
            Err(error) => self.unreadable(id, &error.to_string()),
        }
    }

    fn unreadable(&self, id: JobId, defect: &str) -> Option<Unfinished> {
        tracing::error!(tenant = %self.name, job = %id, defect, "the journal of a job cannot be used");
        let process = "unknown".parse().ok()?;
        let request = Request { process, asked: Asked::default(), subscriber: None };
        let metadata = fs::metadata(self.layout.jobs(&self.name).join(id.as_str())).and_then(|found| found.modified());
        let changed = metadata.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        let at = weir_plan::Timestamp(u64::try_from(changed.as_millis()).unwrap_or(0));
        let mut record = Chronicle::new(id, request, at).record;
        broken(&mut record, defect);
        self.jobs.put(Job::Over(Past { record: Arc::new(record), texts: Arc::default() }));
        None
    }

    /// Somebody may want to be told of the job as it is now, and was not yet.
    pub fn remind(&self, record: &Arc<JobRecord>) {
        let folder = self.layout.jobs(&self.name).join(record.id.as_str());
        if is_wanted(record) && !notices::told(&folder).contains(&record.phase) {
            self.notices.give(&self.name, record);
        }
    }

    /// Accepts a job: durable when this returns (invariant I4).
    pub async fn accept(&self, job: NewJob, process: Option<Arc<ProcessRecord>>) -> Result<Unfinished, BackendError> {
        self.one_more()?;
        let accepted = self.submit(job, process).await;
        if accepted.is_err() {
            self.one_less();
        }
        accepted
    }

    async fn submit(&self, job: NewJob, process: Option<Arc<ProcessRecord>>) -> Result<Unfinished, BackendError> {
        let run = RunId::generate();
        let id: JobId = run.as_str().parse().map_err(|error| BackendError::Internal(format!("{error}")))?;
        let store = self.layout.store();
        let spec = {
            let run = run.clone();
            // Loads the package.
            tokio::task::spawn_blocking(move || request::spec(job, process, &run, &store))
        };
        let mut spec = spec.await.map_err(|error| BackendError::Internal(error.to_string()))??;
        spec.job.time_limit_ms = self.time_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let request = Request::of(&spec).map_err(|error| BackendError::Internal(error.to_string()))?;
        let accepted = self.backend.submit(&run, &spec).await.map_err(refusal)?;
        let live = Arc::new(Live::new(Chronicle::new(id, request, accepted)));
        self.jobs.put(Job::Live(Arc::clone(&live)));
        Ok(Unfinished { run, live })
    }

    /// Runs a job to its end.
    pub async fn run(self: Arc<Self>, job: Unfinished) {
        life::live(self, job.run, job.live).await;
    }

    /// Removes a job that is over, with its journal and logs: gone for good when this returns.
    pub async fn remove(&self, id: &JobId) -> Result<(), BackendError> {
        let Some(past) = self.jobs.take(id) else {
            return Err(match self.jobs.get(id) {
                Some(_) => BackendError::Refused(format!("job `{id}` is not over; dismiss it first")),
                None => BackendError::NotFound(format!("job `{id}`")),
            });
        };
        let (from, removed) = (self.layout.jobs(&self.name).join(id.as_str()), self.layout.removed(&self.name));
        let (to, fsync) = (removed.join(id.as_str()), self.backend.settings().fsync);
        let moved = tokio::task::spawn_blocking({
            let to = to.clone();
            move || {
                fs::create_dir_all(&removed)?;
                match fs::rename(&from, &to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    other => other.and_then(|()| sync_parent(&from, fsync)),
                }
            }
        });
        let moved = moved.await.map_err(|error| BackendError::Internal(error.to_string()))?;
        if let Err(error) = moved {
            self.jobs.put(Job::Over(past));
            return Err(BackendError::Unavailable(format!("job `{id}` cannot be removed: {error}")));
        }
        // Nobody waits for the rest; the next start does it if need be.
        tokio::task::spawn_blocking(move || drop(remove_tree(&to)));
        Ok(())
    }

    /// One unfinished job more, if there may be.
    fn one_more(&self) -> Result<(), BackendError> {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let too_many = |message: String| BackendError::TooMany { message, retry_after: RETRY_AFTER_SECONDS };
        if *unfinished >= self.unfinished_max {
            let max = self.unfinished_max;
            return Err(too_many(format!("there are {max} unfinished jobs, as many as a tenant may have")));
        }
        if self.unfinished_in_all.fetch_add(1, Ordering::SeqCst) >= UNFINISHED_IN_ALL_MAX {
            self.unfinished_in_all.fetch_sub(1, Ordering::SeqCst);
            return Err(too_many(format!("this weir holds {UNFINISHED_IN_ALL_MAX} unfinished jobs and takes no more")));
        }
        *unfinished += 1;
        Ok(())
    }

    fn one_more_at_start(&self) {
        *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.unfinished_in_all.fetch_add(1, Ordering::SeqCst);
    }

    /// One unfinished job less.
    pub fn one_less(&self) {
        *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.unfinished_in_all.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the journal of a job tells.
fn chronicle(id: &JobId, spec: &serde_json::Value, events: &[Recorded]) -> Result<Chronicle, EngineError> {
    let spec = JobSpec::from_json(spec)?;
    let request = Request::of(&spec)?;
    let accepted = events.first().map_or_else(Default::default, |first| first.at);
    let mut chronicle = Chronicle::new(id.clone(), request, accepted);
    if events.len() > 1 {
        let intent = spec.intent()?;
        let mut state = State::default();
        for recorded in events {
            fold(&intent, &mut state, recorded)?;
        }
        chronicle.observe(&intent, &state, events);
    }
    Ok(chronicle)
}

/// Why the engine does not take a job, in the port's words.
fn refusal(error: EngineError) -> BackendError {
    match error {
        EngineError::Spec(error) => BackendError::Refused(error.to_string()),
        EngineError::Exists(run) => BackendError::Exists(format!("job `{run}`")),
        EngineError::Io { .. } | EngineError::Store { .. } | EngineError::Journal(_) => {
            BackendError::Unavailable(error.to_string())
        }
        other => BackendError::Internal(other.to_string()),
    }
}
