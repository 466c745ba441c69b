//! Where each job's actor can be reached.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};
use weir_api::agent::{Claim, ClaimAnswer, Complete, CompleteAnswer, Exited, ExitedAnswer};
use weir_api::kubernetes::ProcessJob;

/// Something that a job's actor is to know.
#[derive(Debug)]
pub enum Message {
    /// An agent asks. Its identity is proven: the claimant's pod uid is that of the pod that speaks.
    Agent(AgentCall),
    /// A pod of the job, as it is now.
    Pod(Arc<Pod>),
    /// A pod of the job is gone; its last state.
    PodGone(Arc<Pod>),
    /// The ProcessJob was changed.
    Changed(Arc<ProcessJob>),
    /// The ProcessJob is gone: pods and store prefix are to be removed.
    Gone,
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

/// The mailboxes of all actors, by run id.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<HashMap<String, Mailbox>>>);

impl Registry {
    /// The actor of a run, if it has one.
    pub fn find(&self, run_id: &str) -> Option<Mailbox> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(run_id).cloned()
    }

    /// Makes an actor known.
    pub fn insert(&self, run_id: &str, mailbox: Mailbox) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(run_id.to_owned(), mailbox);
    }

    /// Forgets an actor.
    pub fn remove(&self, run_id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(run_id);
    }
}
