//! Creates and deletes pods, trying again what may pass. Each is a task of its own.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_api::kubernetes::names::{FIELD_MANAGER, SPEC_HASH};
use weir_plan::Incarnation;

use super::perform::News;
use super::{Backoff, in_time};
use crate::limits::CREATE_WAIT;
use crate::observe::{Refused, refused};

/// How often a deletion is tried before it is left to whoever comes next.
const DELETE_TRIES: u32 = 8;

/// A pod to be created.
pub(super) struct Creation {
    pub api: Api<Pod>,
    pub pod: Pod,
    pub incarnation: Incarnation,
    /// How long a quota may refuse it.
    pub quota_wait: std::time::Duration,
    pub requests: Arc<Semaphore>,
    pub sender: mpsc::UnboundedSender<News>,
}

impl Creation {
    /// Creates it, or finds out why it cannot be.
    pub async fn run(self) {
        let incarnation = self.incarnation;
        let sender = self.sender.clone();
        let news = match self.create().await {
            Ok(pod) => News::Created(incarnation, Arc::new(pod)),
            Err((class, message)) => News::NotCreated(incarnation, class, message),
        };
        // Nobody listens any more when the actor has ended.
        let _ = sender.send(news);
    }

    async fn create(&self) -> Result<Pod, (FailureClass, String)> {
        let mut backoff = Backoff::default();
        let began = Instant::now();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        loop {
            let answer = {
                let _permit = self.requests.acquire().await;
                in_time(self.api.create(&parameters, &self.pod)).await
            };
            let error = match answer {
                Ok(pod) => return Ok(pod),
                Err(error) => error,
            };
            match refused(&error) {
                Refused::Exists => {
                    // An answer that was lost, or a stranger.
                    if let Some(pod) = self.taken().await? {
                        return Ok(pod);
                    }
                }
                Refused::Rejected { message } => return Err((FailureClass::Rejected, message)),
                Refused::Wait { class, message } => {
                    let wait = if class == FailureClass::QuotaExceeded { self.quota_wait } else { CREATE_WAIT };
                    if began.elapsed() >= wait {
                        return Err((class, message));
                    }
                    let _ = self.sender.send(News::Delayed(self.incarnation, class, message));
                }
            }
            backoff.wait().await;
        }
    }

    /// The pod under our name, if it is ours. One that is not is deleted, and the incarnation has failed.
    async fn taken(&self) -> Result<Option<Pod>, (FailureClass, String)> {
        let name = self.pod.name_any();
        let found = match in_time(self.api.get_opt(&name)).await {
            Ok(Some(found)) => found,
            // Gone again, or not to be seen for now: the next try tells.
            Ok(None) | Err(_) => return Ok(None),
        };
        if is_ours(&found, &self.pod) {
            return Ok(Some(found));
        }
        delete(self.api.clone(), found, Some(0), Arc::clone(&self.requests)).await;
        let message = format!("the name `{name}` was taken by another pod, which was deleted");
        Err((FailureClass::Platform, message))
    }
}

/// Whether a pod that was found is the one that we would create: not terminating, of the same owner, made of the same
/// (invariant I2).
pub(super) fn is_ours(found: &Pod, wanted: &Pod) -> bool {
    let owner = |pod: &Pod| pod.owner_references().iter().find(|owner| owner.controller == Some(true)).cloned();
    let hash = |pod: &Pod| pod.annotations().get(SPEC_HASH).cloned();
    found.metadata.deletion_timestamp.is_none()
        && owner(found).map(|owner| owner.uid) == owner(wanted).map(|owner| owner.uid)
        && hash(found).is_some()
        && hash(found) == hash(wanted)
}

/// Deletes exactly this pod. `grace` in seconds; `None`: its own.
pub(crate) async fn delete(api: Api<Pod>, pod: Pod, grace: Option<u32>, requests: Arc<Semaphore>) {
    let name = pod.name_any();
    let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
    let parameters = DeleteParams { grace_period_seconds: grace, preconditions, ..DeleteParams::default() };
    let mut backoff = Backoff::default();
    for _ in 0..DELETE_TRIES {
        let answer = {
            let _permit = requests.acquire().await;
            in_time(api.delete(&name, &parameters)).await
        };
        match answer {
            Ok(_) => return,
            // It is gone, or another one has its name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
            Err(error) => tracing::warn!(pod = name, %error, "cannot be deleted for now"),
        }
        backoff.wait().await;
    }
}
