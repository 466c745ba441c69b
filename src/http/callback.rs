//! Callbacks (18-062r2, `/req/callback/job-callback`): subscribers are told that their job runs, has failed, or what its
//! results are.
//!
//! A subscriber that does not listen harms nobody: notices are delivered beside each other, a bounded number of times,
//! and the job knows nothing of it.

use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::Semaphore;
use weir_api::Phase;

use crate::Facade;
use crate::backend::{JobRecord, Notice, ResponseForm};
use crate::jobs::status::status_info;
use crate::limits::{NOTICE_PAUSE, NOTICE_TRIES, NOTICES_AT_ONCE};
use crate::links::{Base, PublicUrl};
use crate::problem::Problem;
use crate::results::{Selection, document};

/// Delivers notices until the backend shuts down. Every replica runs one.
pub async fn run(facade: Arc<Facade>) {
    let places = Arc::new(Semaphore::new(NOTICES_AT_ONCE));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(notice) = facade.backend.next_notice().await else { return };
        let facade = Arc::clone(&facade);
        tokio::spawn(async move {
            deliver(&facade, &notice).await;
            facade.backend.noticed(&notice).await;
            drop(place);
        });
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

async fn deliver(facade: &Facade, notice: &Notice) {
    let Some(url) = subscriber(&notice.job) else { return };
    let mut pause = NOTICE_PAUSE;
    for tries_left in (0..NOTICE_TRIES).rev() {
        let sent = match body(facade, notice).await {
            Ok(body) => facade.fetcher.post_json(url, &body).await.map_err(|error| error.to_string()),
            Err(problem) => Err(problem.detail),
        };
        match sent {
            Ok(()) => return,
            Err(error) if tries_left == 0 => {
                tracing::warn!(job = %notice.job.id, %error, "a subscriber is not told: all tries failed");
            }
            Err(error) => {
                tracing::debug!(job = %notice.job.id, %error, tries_left, "a subscriber is told later");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// The results as a document, or the state of the job.
async fn body(facade: &Facade, notice: &Notice) -> Result<Json, Problem> {
    let Notice { tenant, job } = notice;
    let base = base(facade, notice)?;
    if job.phase == Phase::Successful {
        let selection = Selection { form: ResponseForm::Document, ..Selection::of(&job.asked) };
        return document::document(facade, tenant, &base, job, &selection).await;
    }
    let texts = facade.backend.texts(tenant, &job.id).await.unwrap_or_default();
    Ok(status_info(&base, job, &texts))
}

/// No request is at hand that would say how clients reach us: the setting does.
fn base(facade: &Facade, notice: &Notice) -> Result<Base, Problem> {
    let here = || "http://localhost".parse::<PublicUrl>().map_err(Problem::internal);
    let origin = facade.settings.public_url.clone().map_or_else(here, Ok)?;
    Ok(Base::new(&origin, &notice.tenant))
}

#[cfg(test)]
mod tests;
