//! Creates and deletes pods, trying again what may pass. Each is a task of its own.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_api::kubernetes::names::FIELD_MANAGER;
use weir_plan::Incarnation;

use super::perform::News;
use super::{Backoff, in_time};
use crate::limits::CREATE_WAIT;
use crate::observe::{Adoption, Expected, Refusal, adopt, refused, sight};

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
            let (class, message, wait) = match refused(&error) {
                Refusal::Rejected(message) => return Err((FailureClass::Rejected, message)),
                Refusal::Quota(message) => (FailureClass::QuotaExceeded, message, self.quota_wait),
                Refusal::Again(message) => (FailureClass::Platform, message, CREATE_WAIT),
                Refusal::Conflict => {
                    // Our own, whose answer was lost, or a stranger.
                    if let Some(pod) = self.taken().await? {
                        return Ok(pod);
                    }
                    let message = format!("the name `{}` is taken", self.pod.name_any());
                    (FailureClass::Platform, message, CREATE_WAIT)
                }
            };
            if began.elapsed() >= wait {
                return Err((class, message));
            }
            // Nobody listens any more when the actor has ended.
            let _ = self.sender.send(News::Delayed(self.incarnation, class, message));
            backoff.wait().await;
        }
    }

    /// The pod under our name, if it is ours. One that is not is deleted, and the incarnation has failed.
    async fn taken(&self) -> Result<Option<Pod>, (FailureClass, String)> {
        let name = self.pod.name_any();
        // Gone again, or not to be seen for now: the next try tells.
        let Ok(Some(found)) = in_time(self.api.get_opt(&name)).await else { return Ok(None) };
        match ours(&found, &self.pod, None) {
            Adoption::Ours => Ok(Some(found)),
            Adoption::Foreign(why) => {
                tokio::spawn(delete(self.api.clone(), found, Some(0), Arc::clone(&self.requests)));
                Err((FailureClass::Platform, format!("{why}; it is being deleted")))
            }
        }
    }
}

/// Whether a pod that was found is the one that we would create.
pub(super) fn ours(found: &Pod, wanted: &Pod, uid: Option<&str>) -> Adoption {
    let (owner_uid, spec_hash) = (sight::owner_uid(wanted), sight::spec_hash(wanted));
    let (owner_uid, spec_hash) = (owner_uid.unwrap_or_default(), spec_hash.unwrap_or_default());
    adopt(found, &Expected { owner_uid, spec_hash, uid })
}

/// Deletes exactly this pod, however often that takes: nobody else would. `grace` in seconds; `None`: its own.
pub async fn delete(api: Api<Pod>, pod: Pod, grace: Option<u32>, requests: Arc<Semaphore>) {
    let name = pod.name_any();
    let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
    let parameters = DeleteParams { grace_period_seconds: grace, preconditions, ..DeleteParams::default() };
    let mut backoff = Backoff::default();
    loop {
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
