//! Where each job's actor can be reached: by agents through its mailbox, by the controller through its inbox.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, mpsc, oneshot};
use weir_api::agent::{Claim, ClaimAnswer, Complete, CompleteAnswer, Exited, ExitedAnswer};
use weir_api::kubernetes::ProcessJob;

/// Something that a job's actor is asked.
#[derive(Debug)]
pub enum Message {
    /// An agent asks. Its identity is proven: the claimant's pod uid is that of the pod that speaks.
    Agent(AgentCall),
}

/// A question of an agent and where its answer goes. An actor that drops the sender says: not now, ask again.
#[derive(Debug)]
pub enum AgentCall {
    /// May I run, and what? May be held back.
    Claim(Claim, oneshot::Sender<ClaimAnswer>),
    /// The tool has ended.
    Exited(Box<Exited>, oneshot::Sender<ExitedAnswer>),
    /// Everything is uploaded.
    Complete(Box<Complete>, oneshot::Sender<CompleteAnswer>),
}

/// Sends to one actor. Bounded: see [`crate::limits`].
pub type Mailbox = mpsc::Sender<Message>;

/// The mailboxes of all actors; none where a job that is not over has no actor for now. A run is found in its own
/// namespace only (invariant I9).
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<HashMap<Run, Option<Mailbox>>>>);

/// Namespace and run id.
type Run = (String, String);

impl Registry {
    /// The actor of a run, if it has one.
    pub fn find(&self, namespace: &str, run_id: &str) -> Option<Mailbox> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&run(namespace, run_id)).cloned().flatten()
    }

    /// Whether the job of a run is not over, so far as is known: its actor is there or will be.
    pub fn is_expected(&self, namespace: &str, run_id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&run(namespace, run_id))
    }

    /// A run whose job is not over: its agents are to ask again until its actor is there.
    pub fn expect(&self, namespace: &str, run_id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(run(namespace, run_id)).or_default();
    }

    /// Makes an actor known.
    pub fn insert(&self, namespace: &str, run_id: &str, mailbox: Mailbox) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(run(namespace, run_id), Some(mailbox));
    }

    /// Forgets a run: its job is over, or gone.
    pub fn remove(&self, namespace: &str, run_id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&run(namespace, run_id));
    }
}

fn run(namespace: &str, run_id: &str) -> Run {
    (namespace.to_owned(), run_id.to_owned())
}

/// What the controller sees of one job and its actor has not yet looked at. It holds the latest only, one entry a pod:
/// an actor that is busy keeps nobody waiting and misses nothing.
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
}

/// News of one job.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its pods that changed, by uid.
    pub pods: BTreeMap<String, PodSeen>,
    /// The ProcessJob as it is now, if it changed.
    pub job: Option<Arc<ProcessJob>>,
    /// The ProcessJob is deleted. Stays true.
    pub is_gone: bool,
}

/// A pod as it is now.
#[derive(Debug, Clone)]
pub enum PodSeen {
    /// It exists.
    There(Arc<Pod>),
    /// It is gone; its last state.
    Gone(Arc<Pod>),
}

impl Inbox {
    /// Takes everything out. Only the word that the job is gone stays.
    pub fn take(&self) -> Seen {
        let mut seen = self.lock();
        let is_gone = seen.is_gone;
        std::mem::replace(&mut *seen, Seen { is_gone, ..Seen::default() })
    }

    /// Puts something in.
    pub fn put(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.0.changed.notify_one();
    }

    /// Waits until there is something in it.
    pub async fn changed(&self) {
        self.until(|seen| seen.is_gone || seen.job.is_some() || !seen.pods.is_empty()).await;
    }

    /// Waits until the job is deleted.
    pub async fn gone(&self) {
        self.until(|seen| seen.is_gone).await;
    }

    /// Whether the job is deleted.
    pub fn is_gone(&self) -> bool {
        self.lock().is_gone
    }

    async fn until(&self, is_true: impl Fn(&Seen) -> bool) {
        // Only one task waits at a time, and a word that came before it waits is kept for it.
        while !is_true(&self.lock()) {
            self.0.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_inbox_keeps_the_latest_and_the_word_that_the_job_is_gone() {
        let inbox = Inbox::default();
        inbox.put(|seen| seen.job = Some(Arc::new(ProcessJob::default())));
        inbox.put(|seen| seen.is_gone = true);
        inbox.gone().await;
        inbox.changed().await;
        let seen = inbox.take();
        assert!(seen.is_gone && seen.job.is_some());
        let seen = inbox.take();
        assert!(seen.is_gone && seen.job.is_none());
    }
}
