//! Watches ProcessJobs, step pods and namespaces, and keeps one actor for each job that is not over.
//!
//! What is seen -> [`index`] (which jobs there are, whose pods) -> [`life`] (one task a job: accepted, opened, run by its
//! actor) -> [`tidy`] (what is over: pods, the ProcessJob after its time, the store's objects of a deleted job).
//!
//! Nothing is polled: what must happen later stands in one sorted set of timers. A watch that breaks is started again by
//! the client library, slower each time; a list that follows tells what was missed.

mod index;
mod life;
#[cfg(test)]
mod tests;
mod tidy;

use std::sync::Arc;

use futures_util::stream::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Config};
use tokio::sync::{Semaphore, watch};
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::RUN;

use crate::context::Services;
use crate::job::{Announcer, JobError, Shared, Tenants};
use crate::limits::POD_REQUESTS_AT_ONCE;
use crate::registry::Registry;
use crate::watches::{namespace_watches, watches};
use index::Controller;
use weir_fetch::{GuardError, Guarded};

/// Why the controller ended. The process must end as well.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Another leader writes the journals.
    #[error("another leader has taken over: {0}")]
    Superseded(JobError),
    /// The settings for fetching are wrong.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Cannot happen: watches go on for ever.
    #[error("the watch of {0} has ended")]
    WatchEnded(&'static str),
}

/// Runs all jobs. Only the leader calls it; dropping it ends every actor. `synced` becomes true once everything that exists
/// has been seen.
pub async fn run(
    services: Arc<Services>,
    client: Client,
    registry: Registry,
    agents_ca: String,
    synced: watch::Sender<bool>,
) -> Result<(), ControllerError> {
    let namespaces = services.settings.namespaces.clone();
    let mut jobs = watches::<DeserializeGuard<ProcessJob>>(&client, &namespaces, &Config::default());
    let mut pods = watches::<Pod>(&client, &namespaces, &Config::default().labels(RUN));
    let mut tenants = namespace_watches(&client, &namespaces);
    let guarded = Arc::new(Guarded::new(&services.settings.fetch)?);
    let announcer = Announcer::new(client.clone(), services.settings.pod_name.clone());
    let shared = Shared {
        services,
        client,
        guarded,
        agents_ca: agents_ca.into(),
        tenants: Tenants::default(),
        announcer,
        pod_requests: Arc::new(Semaphore::new(POD_REQUESTS_AT_ONCE)),
    };
    let lists = [jobs.len(), pods.len(), tenants.len()];
    let mut controller = Controller::new(shared, registry, lists);
    loop {
        tokio::select! {
            seen = jobs.next() => {
                if let Some((list, event)) = heard(seen, "ProcessJobs")? {
                    controller.job_event(list, event);
                }
            }
            seen = pods.next() => {
                if let Some((list, event)) = heard(seen, "pods")? {
                    controller.pod_event(list, event);
                }
            }
            seen = tenants.next() => {
                if let Some((list, event)) = heard(seen, "namespaces")? {
                    controller.namespace_event(list, event);
                }
            }
            () = controller.step() => {}
        }
        if let Some(error) = controller.superseded.take() {
            return Err(ControllerError::Superseded(error));
        }
        if controller.is_synced() {
            synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        }
    }
}

/// What a watch said. Its failures are told and waited for within the stream.
fn heard<T>(seen: Option<watcher::Result<T>>, what: &'static str) -> Result<Option<T>, ControllerError> {
    match seen {
        None => Err(ControllerError::WatchEnded(what)),
        Some(Ok(event)) => Ok(Some(event)),
        Some(Err(error)) => {
            tracing::warn!(%error, "the watch of {what} failed; it is started again");
            Ok(None)
        }
    }
}
