//! What subscribers are to be told, one change at a time, by the leader alone.
//!
//! What was told stands in an annotation of the job, so that it is told once: also after a restart, unless it happened
//! between the delivery and the annotation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;
use weir_api::Phase;
use weir_api::kubernetes::names::{FIELD_MANAGER, TOLD};
use weir_http::backend::Notice;

use super::Cluster;
use super::record::Job;
use crate::job::{Backoff, in_time};
use crate::limits::FACADE_TOLD_TRIES;

/// Jobs by namespace and name: uid, and the phase that the subscriber is being told, or was told while the annotation does
/// not show it.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<HashMap<(String, String), (String, Phase)>>);

impl Telling {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, String), (String, Phase)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets jobs of which nothing is due any more, when there may be many. Never holds its lock while it asks.
    fn forget(&self, is_due: impl Fn(&(String, String)) -> bool) {
        let known: Vec<(String, String)> = {
            let told = self.all();
            // As often as the number doubles: a job costs as little as if there were few.
            if told.len() < told.capacity() {
                return;
            }
            told.keys().cloned().collect()
        };
        for key in known.into_iter().filter(|key| !is_due(key)) {
            self.all().remove(&key);
        }
    }

    fn has(&self, key: &(String, String), job: &Job) -> bool {
        self.all().get(key).is_some_and(|(uid, phase)| *uid == job.uid && *phase == job.record.phase)
    }
}

impl Cluster {
    pub(super) async fn notice(&self) -> Option<Notice> {
        let (mut leads, mut stop) = (self.leads.clone(), self.stop.clone());
        tokio::select! {
            biased;
            () = is_true(&mut stop) => None,
            notice = async {
                is_true(&mut leads).await;
                self.next_due().await
            } => Some(notice),
        }
    }

    async fn next_due(&self) -> Notice {
        loop {
            let (key, job) = self.index.due().await;
            if self.telling.has(&key, &job) {
                continue;
            }
            let namespace = key.0.clone();
            self.telling.forget(|key| self.index.is_due(key));
            self.telling.all().insert(key, (job.uid.clone(), job.record.phase));
            // A namespace whose tenant is another's has no façade, and no callbacks.
            if let Some(tenant) = self.index.tenant(&namespace) {
                return Notice { tenant, job: job.record.clone() };
            }
        }
    }

    /// Writes down that a change was told.
    pub(super) async fn told(&self, notice: &Notice) {
        let Some(namespace) = self.index.namespace(&notice.tenant) else { return };
        let (id, phase) = (&notice.job.id, notice.job.phase);
        let key = (namespace.clone(), id.to_string());
        if self.telling.all().get(&key).is_some_and(|(_, later)| *later != phase) {
            // A later change is being told by now: it is what must be remembered.
            return;
        }
        let patch = json!({"metadata": {"annotations": {TOLD: phase_word(phase)}}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.job_api(&namespace);
        let mut backoff = Backoff::default();
        for _ in 0..FACADE_TOLD_TRIES {
            match in_time(api.patch_metadata(id.as_str(), &parameters, &Patch::Merge(&patch))).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => return,
                Err(error) => tracing::warn!(%namespace, %id, %error, "cannot note that the subscriber was told"),
            }
            backoff.wait().await;
        }
    }
}

/// As the status of a ProcessJob has it: `Running`.
fn phase_word(phase: Phase) -> String {
    format!("{phase:?}")
}

async fn is_true(word: &mut watch::Receiver<bool>) {
    if word.wait_for(|word| *word).await.is_err() {
        std::future::pending::<()>().await;
    }
}
