//! What an actor knows of one incarnation besides the journal: its pod, its order, who waits for an answer.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_api::agent::{ClaimAnswer, Complete, CompleteAnswer, Exited, ExitedAnswer};
use weir_plan::action::Launch;

use crate::data::Order;
use crate::status::Waiting;

/// One incarnation.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What it runs; `None` while it waits for a step instance, or while nobody has asked since a restart.
    pub launch: Option<Arc<Launch>>,
    pub pod: PodState,
    pub order: OrderState,
    /// A claim that cannot be answered yet, and by which pod.
    pub claim: Option<(String, oneshot::Sender<ClaimAnswer>)>,
    /// A report that cannot be looked at yet.
    pub report: Option<Report>,
    /// A report that is being looked at.
    pub answering: Option<Answer>,
    /// It is to end, for this reason, and from when on its silence is taken for its end.
    pub stop: Option<Timeout>,
    /// What it waits for.
    pub waiting: Option<Waits>,
    /// The kubelet says that it is over, its agent has not said how.
    pub over: Option<Timeout>,
    /// The pod that ran it to its recorded end: its agent may ask once more.
    pub ended: Option<String>,
    /// Its pod was deleted by us, or is kept for people to look at.
    pub is_dismissed: bool,
}

/// Its pod.
#[derive(Debug, Default)]
pub(super) enum PodState {
    /// There is none that is known of.
    #[default]
    None,
    /// A task creates it.
    Creating(AbortHandle),
    /// As it was last seen.
    There(Arc<Pod>),
}

/// Its work order.
#[derive(Debug, Default)]
pub(super) enum OrderState {
    /// Nobody has prepared it.
    #[default]
    None,
    /// A task prepares it.
    Preparing,
    /// It can be handed out.
    Ready(Arc<Order>),
}

/// A report of an agent, and where its answer goes.
#[derive(Debug)]
pub(super) enum Report {
    Exited(Box<Exited>, Option<oneshot::Sender<ExitedAnswer>>),
    Complete(Box<Complete>, oneshot::Sender<CompleteAnswer>),
}

/// Where the answer to a report goes.
#[derive(Debug)]
pub(super) enum Answer {
    /// To nobody if the report was made up from the pod's termination message.
    Exited(Option<oneshot::Sender<ExitedAnswer>>),
    Complete(oneshot::Sender<CompleteAnswer>),
}

/// The end that is recorded when nothing else is heard until a point in time.
#[derive(Debug, Clone)]
pub(super) struct Timeout {
    pub class: FailureClass,
    pub message: String,
    pub exit_code: Option<i32>,
    pub at: Instant,
}

/// Something that it waits for.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    pub class: FailureClass,
    pub message: String,
    /// When it fails for it.
    pub until: Instant,
}

impl Work {
    /// The uid of its pod, if it is known.
    pub fn pod_uid(&self) -> Option<String> {
        match &self.pod {
            PodState::There(pod) => pod.uid(),
            PodState::None | PodState::Creating(_) => None,
        }
    }

    /// Its pod as it was last seen.
    pub fn seen(&self) -> Option<&Arc<Pod>> {
        match &self.pod {
            PodState::There(pod) => Some(pod),
            PodState::None | PodState::Creating(_) => None,
        }
    }

    /// When something is due.
    pub fn due(&self) -> Option<Instant> {
        let timeouts = [&self.stop, &self.over].into_iter().flatten().map(|timeout| timeout.at);
        timeouts.chain(self.waiting.as_ref().map(|waits| waits.until)).min()
    }
}

impl Waits {
    /// As a status shows it.
    pub fn shown(&self, incarnation: weir_plan::Incarnation) -> Waiting {
        Waiting { reason: self.class.to_string(), message: self.message.clone(), incarnation: Some(incarnation) }
    }
}
