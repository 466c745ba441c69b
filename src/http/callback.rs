//! Callbacks (18-062r2, `/req/callback/job-callback`): subscribers are told that their job runs, has failed, or what its
//! results are.
//!
//! A subscriber that does not listen harms nobody: a place is taken while a request is under way, not between the tries;
//! tenants share the places; tries have an end; and the job knows nothing of it. Changes of one job are told in their
//! order. That it runs is not told any more once it is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_api::Phase;

use crate::Facade;
use crate::backend::{JobRecord, Notice, ResponseForm};
use crate::jobs::status::status_info;
use crate::limits::{NOTICE_PAUSE, NOTICE_TRIES};
use crate::links::{Base, PublicUrl};
use crate::names::{JobId, Tenant};
use crate::problem::Problem;
use crate::results::reading::Reading;
use crate::results::{Selection, document};

/// Delivers notices until the backend shuts down. Every replica runs one.
pub async fn run(facade: Arc<Facade>) {
    let lines = Arc::new(Lines::default());
    while let Some(notice) = facade.backend.next_notice().await {
        let job = (notice.tenant.clone(), notice.job.id.clone());
        if let Some(later) = lines.put(&job, notice) {
            tokio::spawn(tell(Arc::clone(&facade), Arc::clone(&lines), job, later));
        }
    }
}

type JobOf = (Tenant, JobId);

/// Notices of jobs of which somebody is being told. A job has two at most, so that the number of jobs bounds them.
#[derive(Default)]
struct Lines(Mutex<HashMap<JobOf, UnboundedSender<Notice>>>);

impl Lines {
    fn all(&self) -> MutexGuard<'_, HashMap<JobOf, UnboundedSender<Notice>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a notice behind those of its job; gives the line, if it is new and nobody works on it.
    fn put(&self, job: &JobOf, notice: Notice) -> Option<UnboundedReceiver<Notice>> {
        let mut all = self.all();
        if let Some(line) = all.get(job) {
            // Whoever works on a line has its other end for as long as it is here.
            let _is_taken = line.send(notice);
            return None;
        }
        let (line, later) = unbounded_channel();
        let _is_taken = line.send(notice);
        all.insert(job.clone(), line);
        Some(later)
    }

    /// The next notice; without one the line is given up.
    fn next(&self, job: &JobOf, later: &mut UnboundedReceiver<Notice>) -> Option<Notice> {
        let mut all = self.all();
        let next = later.try_recv().ok();
        if next.is_none() {
            all.remove(job);
        }
        next
    }
}

/// Tells the changes of one job, one after the other.
async fn tell(facade: Arc<Facade>, lines: Arc<Lines>, job: JobOf, mut later: UnboundedReceiver<Notice>) {
    let mut next = lines.next(&job, &mut later);
    while let Some(notice) = next {
        let newer = deliver(&facade, &notice, &mut later).await;
        facade.backend.noticed(&notice).await;
        next = newer.or_else(|| lines.next(&job, &mut later));
    }
}

/// Whom a change is told.
fn subscriber(job: &JobRecord) -> Option<&str> {
    let subscriber = job.subscriber.as_ref()?;
    match job.phase {
        Phase::Running => subscriber.in_progress_uri.as_deref(),
        Phase::Successful => subscriber.success_uri.as_deref(),
        Phase::Failed => subscriber.failed_uri.as_deref(),
        Phase::Accepted | Phase::Dismissed => None,
    }
}

/// Tells one change, or gives it up. Gives the newer one for which it was given up: that a job runs is old by then.
async fn deliver(facade: &Facade, notice: &Notice, later: &mut UnboundedReceiver<Notice>) -> Option<Notice> {
    let url = subscriber(&notice.job)?;
    let passes = notice.job.phase == Phase::Running;
    let mut pause = NOTICE_PAUSE;
    for tries_left in (0..NOTICE_TRIES).rev() {
        let place = tokio::select! {
            biased;
            Some(newer) = later.recv(), if passes => return Some(newer),
            place = facade.rooms.notices.wait(&notice.tenant) => place,
        };
        // Thousands may wait: what a request needs they do not have.
        let sent = Box::pin(send(facade, url, notice)).await;
        drop(place);
        let Err(error) = sent else { return None };
        if tries_left == 0 {
            tracing::warn!(job = %notice.job.id, %error, "a subscriber is not told: all tries failed");
            return None;
        }
        tracing::debug!(job = %notice.job.id, %error, tries_left, "a subscriber is told later");
        tokio::select! {
            biased;
            Some(newer) = later.recv(), if passes => return Some(newer),
            () = tokio::time::sleep(pause) => pause *= 2,
        }
    }
    None
}

async fn send(facade: &Facade, url: &str, notice: &Notice) -> Result<(), String> {
    let reading = Reading::new(facade, &notice.tenant);
    let body = body(&reading, notice).await.map_err(|problem| problem.detail)?;
    facade.fetcher.post_json(url, &body).await.map_err(|error| error.to_string())
}

/// The results as a document, or the state of the job.
async fn body(reading: &Reading<'_>, notice: &Notice) -> Result<Json, Problem> {
    let facade = reading.facade;
    let Notice { tenant, job } = notice;
    let base = base(facade, notice)?;
    if job.phase == Phase::Successful {
        let selection = Selection { form: ResponseForm::Document, ..Selection::of(&job.asked) };
        return document::document(reading, &base, job, &selection).await;
    }
    let texts = facade.backend.texts(tenant, &job.id).await.unwrap_or_default();
    Ok(status_info(&base, job, &texts))
}

/// No request is at hand that would say how clients reach us: the setting does, or else the one that made the job. A job
/// that was not made over HTTP is at this machine, for want of anything better.
fn base(facade: &Facade, notice: &Notice) -> Result<Base, Problem> {
    let here = || "http://localhost".parse::<PublicUrl>().map_err(Problem::internal);
    let asked = || notice.job.subscriber.as_ref().and_then(|subscriber| subscriber.origin.clone());
    let origin = facade.settings.public_url.clone().or_else(asked).map_or_else(here, Ok)?;
    Ok(Base::new(&origin, &notice.tenant))
}

#[cfg(test)]
mod tests;
