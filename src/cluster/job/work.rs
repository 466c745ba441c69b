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
use weir_plan::{Incarnation, Outcome, Timestamp};

use crate::data::Order;
use crate::observe;
use crate::registry::PodSeen;
use crate::status::Waiting;

/// One incarnation.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What it runs; `None` while it waits for a step instance, or while nobody has asked since a restart.
    pub launch: Option<Arc<Launch>>,
    pub pod: PodState,
    /// What was seen of a pod of its name before its creation was answered.
    pub early: Option<PodSeen>,
    pub order: OrderState,
    /// A claim that cannot be answered yet, and by which pod.
    pub claim: Option<(String, oneshot::Sender<ClaimAnswer>)>,
    /// A report that cannot be looked at yet.
    pub report: Option<Report>,
    /// A report that is being looked at.
    pub answering: Option<Answer>,
    /// It is to end, for this reason; at that time its silence is taken for its end.
    pub stop: Option<(FailureClass, Instant)>,
    /// The API server does not take its pod for now, for this reason.
    pub delayed: Option<(FailureClass, String)>,
    /// What its pod waits for.
    pub waiting: Option<observe::Waiting>,
    /// Whether its agent has been heard of, or since when its pod runs without.
    pub agent: Agent,
    /// When its pod is to be judged again though nothing of it changed.
    pub look_at: Option<Instant>,
    /// Its pod is over; what its agent has sent before may still be on its way until then.
    pub over: Option<(Box<Outcome>, Instant)>,
    /// When its agent first said that it lost the tool's container.
    pub lost: Option<Instant>,
    /// The pod that ran it to its recorded end: its agent may ask once more.
    pub ended: Option<String>,
    /// Its pod was deleted by us, or is kept for people to look at.
    pub is_dismissed: bool,
}

/// Its agent.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Agent {
    /// Its pod does not run yet.
    #[default]
    NotThere,
    /// Its pod runs since, as far as this operator knows, and nothing was heard of it.
    Silent(Timestamp),
    /// It has asked for its order.
    Heard,
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
    Exited(Box<Exited>, oneshot::Sender<ExitedAnswer>),
    Complete(Box<Complete>, oneshot::Sender<CompleteAnswer>),
}

/// Where the answer to a report goes.
#[derive(Debug)]
pub(super) enum Answer {
    Exited(oneshot::Sender<ExitedAnswer>),
    Complete(oneshot::Sender<CompleteAnswer>),
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

    /// When something is due besides what its pod waits for.
    pub fn due(&self) -> Option<Instant> {
        let over = self.over.as_ref().filter(|_| !self.is_reporting()).map(|(_, at)| *at);
        [over, self.stop.map(|(_, at)| at), self.look_at].into_iter().flatten().min()
    }

    /// Whether a report is being looked at.
    pub fn is_reporting(&self) -> bool {
        self.report.is_some() || self.answering.is_some()
    }

    /// Nothing is waited for any more.
    pub fn settle(&mut self) {
        (self.claim, self.report) = (None, None);
        (self.stop, self.delayed, self.waiting, self.look_at, self.over) = (None, None, None, None, None);
    }

    /// What it waits for, as a status shows it.
    pub fn shown(&self, incarnation: Incarnation) -> Option<Waiting> {
        let waiting = self.waiting.as_ref().map(|waiting| (waiting.class, waiting.message.clone()));
        let (class, message) = waiting.or_else(|| self.delayed.clone())?;
        Some(Waiting { reason: class.to_string(), message, incarnation: Some(incarnation) })
    }
}
