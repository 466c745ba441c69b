//! The life of one job: it waits for its places, runs, is tried again when this machine stands in the way, and becomes a
//! small record.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use weir_api::Phase;
use weir_http::backend::{JobFailure, JobRecord};
use weir_plan::{Intent, Recorded, State};
use weir_store::{JournalError, RunId};

use super::finished::Past;
use super::jobs::{Job, Live};
use super::limits::{BACKOFF, BACKOFF_MAX};
use super::tenant::TenantJobs;
use crate::backend::BackendError;
use crate::folder::remove_tree;
use crate::run::{Control, Observer};

/// Runs an accepted job until it is over. Ends early only when it is dropped: the next start goes on with it.
pub async fn live(tenant: Arc<TenantJobs>, run: RunId, live: Arc<Live>) {
    let _places = places(&tenant, live.control.subscribe()).await;
    let mut wait = BACKOFF;
    let defect = loop {
        let mut watcher = Watcher { tenant: &tenant, live: &live };
        match tenant.backend.run(&run, live.control.subscribe(), &mut watcher).await {
            Ok(_) => break None,
            Err(error) if is_permanent(&error) => break Some(error.to_string()),
            Err(error) => {
                tracing::error!(tenant = %tenant.name, job = %run, %error, "a job cannot go on; it is tried again");
                show(&live, |record| record.message = Some(format!("waits: {error}")));
                // An order to stop is no reason to wait.
                let mut control = live.control.subscribe();
                let _ = tokio::time::timeout(wait, control.changed()).await;
                wait = (wait * 2).min(BACKOFF_MAX);
            }
        }
    };
    over(&tenant, &run, &live, defect).await;
}

/// Waits for a place among the tenant's jobs, then for one among all. A job that is to stop needs none: it starts nothing.
async fn places(
    tenant: &TenantJobs,
    mut control: watch::Receiver<Control>,
) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
    // Neither is ever closed.
    let place = |places: &Arc<Semaphore>| Arc::clone(places).acquire_owned();
    let both = async { Some((place(&tenant.places).await.ok()?, place(&tenant.places_in_all).await.ok()?)) };
    tokio::select! {
        biased;
        _ = control.wait_for(|order| *order != Control::Run) => None,
        both = both => both,
    }
}

/// Whether trying again cannot help.
fn is_permanent(error: &BackendError) -> bool {
    match error {
        BackendError::Journal(error) => !matches!(error, JournalError::Store { .. }),
        BackendError::Spec(_) | BackendError::Fold(_) | BackendError::Unknown(..) | BackendError::Exists(_) => true,
        BackendError::Io { .. }
        | BackendError::Store { .. }
        | BackendError::Publish(_)
        | BackendError::Interrupted
        | BackendError::Lock(_)
        | BackendError::Task(_) => false,
    }
}

/// The job is over, or its journal cannot be understood (`defect`): then it has failed as long as nobody mends that.
async fn over(tenant: &Arc<TenantJobs>, run: &RunId, live: &Live, defect: Option<String>) {
    let mut record = live.chronicle().record.clone();
    let mut texts = live.texts();
    let is_sound = defect.is_none();
    if let Some(defect) = defect {
        tracing::error!(tenant = %tenant.name, job = %run, %defect, "a job cannot be read");
        broken(&mut record, &defect);
        texts.clear();
    } else if record.started.is_none() {
        texts.push(super::jobs::USAGE.to_owned());
    }
    let record = Arc::new(record);
    let texts: Vec<Box<str>> = texts.into_iter().map(String::into_boxed_str).collect();
    let past = Past { record: Arc::clone(&record), texts: texts.into() };
    // Whoever sees that it is over may start the next one.
    tenant.one_less();
    tenant.jobs.put(Job::Over(past.clone()));
    live.shown.send_replace(Arc::clone(&record));
    if is_sound {
        tenant.remind(&record);
        let (folder, tenant) = (tenant.backend.folder(run), Arc::clone(tenant));
        let tidied = tokio::task::spawn_blocking(move || {
            for path in [folder.attempts(), folder.fetched()] {
                if let Err(error) = remove_tree(&path) {
                    tracing::warn!(path = %path.display(), %error, "could not be removed");
                }
            }
            tenant.index.add(&past);
        });
        // A panic there is told by the runtime; the journal still has everything.
        let _ = tidied.await;
    }
}

/// What a job shows whose journal cannot be understood.
pub fn broken(record: &mut JobRecord, defect: &str) {
    let message = format!("the job's journal cannot be used: {defect}");
    record.phase = Phase::Failed;
    record.message = Some(message.clone());
    record.finished = Some(record.updated);
    let class = "Platform".to_owned();
    record.failure = Some(JobFailure { class, message, step: None, exit_code: None, stderr: None });
}

fn show(live: &Live, change: impl FnOnce(&mut JobRecord)) {
    live.shown.send_modify(|shown| change(Arc::make_mut(shown)));
}

/// Sees a job's events and shows what they amount to. Its end is shown when its reports are written, not before.
struct Watcher<'a> {
    tenant: &'a TenantJobs,
    live: &'a Live,
}

impl Observer for Watcher<'_> {
    fn durable(&mut self, intent: &Intent, state: &State, events: &[Recorded]) {
        let record = {
            let mut chronicle = self.live.chronicle();
            chronicle.observe(intent, state, events);
            chronicle.record.clone()
        };
        if record.phase.is_final() {
            return;
        }
        let starts = record.phase == Phase::Running && self.live.shown.borrow().phase == Phase::Accepted;
        let record = Arc::new(record);
        self.live.shown.send_replace(Arc::clone(&record));
        if starts {
            self.tenant.remind(&record);
        }
    }
}
