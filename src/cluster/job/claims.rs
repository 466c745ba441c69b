//! What agents ask: claims and reports. The claim is the fence (invariant I2): an order leaves only after `Claimed` with
//! the pod's uid is durable, and any other uid is superseded.

use std::sync::Arc;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::oneshot;
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_api::agent::{ClaimAnswer, Claimant, Complete, CompleteAnswer, Ending, Exited, ExitedAnswer};
use weir_plan::action::words_of_kill;
use weir_plan::{Event, Incarnation, Outcome};

use super::perform::{News, in_background};
use super::work::{Agent, Answer, OrderState, Report};
use super::{Actor, JobError};
use crate::data::{self, Collected, Order, Refusal, Unavailable};
use crate::limits::KUBELET_WAIT;
use crate::observe::{Want, sight};
use crate::registry::AgentCall;

/// An answer that is given once what it says is durable.
#[derive(Debug)]
pub(super) enum Reply {
    /// The claim holds: here is what to run.
    Order(Incarnation, Arc<Order>, oneshot::Sender<ClaimAnswer>),
    /// The end is recorded.
    Ended(Answer),
    /// The results may become visible, unless the job was asked to stop before.
    Staged(oneshot::Sender<bool>),
}

/// Who speaks, as far as the journal knows.
enum Speaker {
    /// It has the claim.
    Holder,
    /// It had the claim until its end was recorded.
    Former,
    /// Nobody has the claim of this awaited incarnation.
    Candidate,
    /// Another has it, or nobody waits for it.
    Superseded,
    /// Of an incarnation that a newer leader has started.
    Unknown,
}

impl Actor {
    pub(super) fn called(&mut self, call: AgentCall) -> Result<(), JobError> {
        match call {
            AgentCall::Claim(claim, reply) => self.claim(&claim.claimant, reply),
            AgentCall::Exited(exited, reply) => self.exited(exited, reply),
            AgentCall::Complete(complete, reply) => {
                self.complete(complete, reply);
                Ok(())
            }
        }
    }

    fn speaker(&self, claimant: &Claimant) -> Speaker {
        let incarnation = Incarnation(claimant.incarnation);
        if incarnation > self.state.last_incarnation() && !self.ledger.is_awaited(incarnation) {
            return Speaker::Unknown;
        }
        let uid = claimant.pod_uid.as_str();
        match self.state.claim(incarnation) {
            Some(known) if known == uid => return Speaker::Holder,
            Some(_) => return Speaker::Superseded,
            None => {}
        }
        let work = self.works.get(&incarnation);
        if !self.ledger.is_awaited(incarnation) {
            let is_former = work.is_some_and(|work| work.ended.as_deref() == Some(uid));
            return if is_former { Speaker::Former } else { Speaker::Superseded };
        }
        let other_pod = work.and_then(super::Work::pod_uid).is_some_and(|known| known != uid);
        let is_stopped = work.is_some_and(|work| work.stop.is_some() || work.is_dismissed);
        if other_pod || is_stopped { Speaker::Superseded } else { Speaker::Candidate }
    }

    fn claim(&mut self, claimant: &Claimant, reply: oneshot::Sender<ClaimAnswer>) -> Result<(), JobError> {
        let incarnation = Incarnation(claimant.incarnation);
        match self.speaker(claimant) {
            Speaker::Unknown => {}
            Speaker::Superseded | Speaker::Former => {
                // Nobody is left to read it: then it needs no answer.
                let _ = reply.send(ClaimAnswer::Superseded {});
            }
            Speaker::Holder | Speaker::Candidate => {
                // A pod that asks again has given up its last question.
                let work = self.works.entry(incarnation).or_default();
                work.claim = Some((claimant.pod_uid.clone(), reply));
                work.agent = Agent::Heard;
                if work.waiting.take_if(|waiting| waiting.want == Want::Agent).is_some() {
                    self.shown.is_stale = true;
                }
                self.serve_claim(incarnation)?;
            }
        }
        Ok(())
    }

    /// Answers a claim that was held back, if everything for it is there.
    pub(super) fn serve_claim(&mut self, incarnation: Incarnation) -> Result<(), JobError> {
        let is_claimed = self.state.claim(incarnation).is_some();
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        let (OrderState::Ready(order), true) = (&work.order, self.state.is_live(incarnation)) else { return Ok(()) };
        let order = Arc::clone(order);
        // Whose pod it is must be known before it gets the claim.
        if !is_claimed && work.pod_uid().is_none_or(|known| work.claim.as_ref().is_some_and(|(uid, _)| *uid != known)) {
            return Ok(());
        }
        let Some((uid, reply)) = work.claim.take_if(|(_, reply)| !reply.is_closed()) else { return Ok(()) };
        if !is_claimed {
            let waited = self.ledger.live.get(&incarnation).map(|live| live.started);
            if let Some(started) = waited {
                let waited = self.clock.now().0.saturating_sub(started.0);
                self.shared.services.metrics.claimed(std::time::Duration::from_millis(waited));
            }
            self.happened(Event::Claimed { incarnation, uid })?;
        }
        self.replies.push(Reply::Order(incarnation, order, reply));
        Ok(())
    }

    fn exited(&mut self, exited: Box<Exited>, reply: oneshot::Sender<ExitedAnswer>) -> Result<(), JobError> {
        let incarnation = Incarnation(exited.claimant.incarnation);
        match self.speaker(&exited.claimant) {
            Speaker::Unknown => return Ok(()),
            Speaker::Former => drop(reply.send(ExitedAnswer::Done {})),
            Speaker::Superseded | Speaker::Candidate => drop(reply.send(ExitedAnswer::Superseded {})),
            Speaker::Holder => {
                let work = self.works.entry(incarnation).or_default();
                if let Some((class, _)) = work.stop.take() {
                    // Nobody wants its outputs any more.
                    self.replies.push(Reply::Ended(Answer::Exited(reply)));
                    return self.failed(incarnation, class, words_of_kill(class));
                }
                if matches!(exited.ending, Ending::Failed { class: FailureClass::Disrupted, .. }) {
                    return self.as_the_kubelet_says(incarnation, exited, reply, sight::is_tool_over, |_| false);
                }
                if self.is_told_to_end(incarnation, &exited) {
                    let (is_told, is_asked_to_go) = (sight::is_finished, sight::is_terminating);
                    return self.as_the_kubelet_says(incarnation, exited, reply, is_told, is_asked_to_go);
                }
                self.report(incarnation, Report::Exited(exited, reply));
            }
        }
        Ok(())
    }

    fn report(&mut self, incarnation: Incarnation, report: Report) {
        self.works.entry(incarnation).or_default().report = Some(report);
        self.serve_report(incarnation);
    }

    /// Whether the tool ended because its pod was told to, and not for a reason of its own.
    fn is_told_to_end(&self, incarnation: Incarnation, exited: &Exited) -> bool {
        let hints = &exited.hints;
        let succeeded = matches!(exited.ending, Ending::Code(code) if self.codes(incarnation).0.contains(&code));
        hints.terminated && !hints.time_limit && hints.oom_kills == 0 && !succeeded
    }

    /// An agent that lost the tool's container, or whose pod was told to end, does not know why the tool ended. The kubelet
    /// does (invariant I3): how a container ended, a moment later; why it ended a pod by itself, for its use of disk say,
    /// once all containers have ended. Until then the agent is to ask again. `is_told` says from when on the pod's status
    /// tells, `is_asked_to_go` that it tells no more than the agent.
    fn as_the_kubelet_says(
        &mut self,
        incarnation: Incarnation,
        exited: Box<Exited>,
        reply: oneshot::Sender<ExitedAnswer>,
        is_told: fn(&Pod) -> bool,
        is_asked_to_go: fn(&Pod) -> bool,
    ) -> Result<(), JobError> {
        let work = self.works.entry(incarnation).or_default();
        let since = *work.lost.get_or_insert_with(Instant::now);
        let pod = work.seen().cloned();
        if let Some(outcome) =
            pod.as_deref().filter(|pod| is_told(pod)).and_then(|pod| self.outcome_by(incarnation, pod))
        {
            self.replies.push(Reply::Ended(Answer::Exited(reply)));
            return self.ended(incarnation, outcome);
        }
        if pod.as_deref().is_some_and(is_asked_to_go) || since.elapsed() >= KUBELET_WAIT {
            self.report(incarnation, Report::Exited(exited, reply));
        }
        Ok(())
    }

    fn complete(&mut self, complete: Box<Complete>, reply: oneshot::Sender<CompleteAnswer>) {
        let incarnation = Incarnation(complete.claimant.incarnation);
        match self.speaker(&complete.claimant) {
            Speaker::Unknown => {}
            Speaker::Former => drop(reply.send(CompleteAnswer::Done {})),
            Speaker::Superseded | Speaker::Candidate => drop(reply.send(CompleteAnswer::Superseded {})),
            Speaker::Holder => {
                self.report(incarnation, Report::Complete(complete, reply));
            }
        }
    }

    /// Looks at a report in the background, once its order is there and the one before it is answered.
    pub(super) fn serve_report(&mut self, incarnation: Incarnation) {
        let Some(work) = self.works.get_mut(&incarnation) else { return };
        let (OrderState::Ready(order), Some(launch), None) = (&work.order, &work.launch, &work.answering) else {
            return;
        };
        let (context, launch, order) = (Arc::clone(&self.context), Arc::clone(launch), Arc::clone(order));
        let defect = {
            let (launch, now) = (Arc::clone(&launch), self.clock.now());
            move |message| data::refused(&launch, &Refusal { class: FailureClass::Platform, message }, now)
        };
        match work.report.take() {
            None => {}
            Some(Report::Exited(exited, reply)) => {
                work.answering = Some(Answer::Exited(reply));
                let task = move || data::exited(&context, &launch, &order, &exited);
                let defect = move |message| Ok(Collected::Over(defect(message)));
                in_background(&self.sender, task, defect, move |result| News::Collected(incarnation, result));
            }
            Some(Report::Complete(complete, reply)) => {
                work.answering = Some(Answer::Complete(reply));
                let task = move || data::completed(&context, &launch, &order, &complete);
                let defect = move |message| Ok(defect(message));
                in_background(&self.sender, task, defect, move |result| News::Completed(incarnation, result));
            }
        }
    }

    /// A report of an ended tool was looked at.
    pub(super) fn collected(
        &mut self,
        incarnation: Incarnation,
        collected: Result<Collected, Unavailable>,
    ) -> Result<(), JobError> {
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        let Some(Answer::Exited(mut reply)) = work.answering.take() else { return Ok(()) };
        // An agent that asked again meanwhile, with the same report, gets the answer instead.
        if reply.is_closed() {
            match work.report.take() {
                Some(Report::Exited(_, newer)) => reply = newer,
                other => work.report = other,
            }
        }
        match collected {
            Ok(Collected::Over(outcome)) => {
                self.replies.push(Reply::Ended(Answer::Exited(reply)));
                self.ended(incarnation, outcome)?;
            }
            // Who does not listen any more asks again.
            Ok(Collected::Read(files)) => drop(reply.send(ExitedAnswer::Read { files })),
            Ok(Collected::Upload(files)) => drop(reply.send(ExitedAnswer::Upload { files })),
            // Not now: dropping the reply says so.
            Err(error) => tracing::warn!(job = %self.object, %error, "a report cannot be looked at for now"),
        }
        self.serve_report(incarnation);
        Ok(())
    }

    /// A completion was looked at.
    pub(super) fn completed(
        &mut self,
        incarnation: Incarnation,
        completed: Result<Outcome, Unavailable>,
    ) -> Result<(), JobError> {
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        let Some(answer) = work.answering.take() else { return Ok(()) };
        match completed {
            Ok(outcome) => {
                self.replies.push(Reply::Ended(answer));
                // One that asked again meanwhile.
                if let Some(Report::Complete(_, reply)) = work.report.take() {
                    self.replies.push(Reply::Ended(Answer::Complete(reply)));
                }
                self.ended(incarnation, outcome)?;
            }
            // Not now: dropping the reply says so.
            Err(error) => tracing::warn!(job = %self.object, %error, "a completion cannot be recorded for now"),
        }
        self.serve_report(incarnation);
        Ok(())
    }

    /// What the batch made durable is told.
    pub(super) fn answer(&mut self) {
        for reply in std::mem::take(&mut self.replies) {
            // Who does not listen any more asks again.
            match reply {
                Reply::Order(incarnation, order, reply) => match order.to_agent(&self.context, SystemTime::now()) {
                    Ok(order) => drop(reply.send(ClaimAnswer::Order(Box::new(order)))),
                    // Asking again would change nothing: the incarnation ends (invariant I6).
                    Err(refusal) => drop(self.sender.send(News::Prepared(incarnation, Err(refusal)))),
                },
                Reply::Staged(reply) => drop(reply.send(self.state.is_committed())),
                Reply::Ended(Answer::Exited(reply)) => drop(reply.send(ExitedAnswer::Done {})),
                Reply::Ended(Answer::Complete(reply)) => drop(reply.send(CompleteAnswer::Done {})),
            }
        }
    }
}
