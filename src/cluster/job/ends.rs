//! How incarnations end, and what background work found out.

use tokio::time::Instant;
use weir_api::kubernetes::conditions::STORE_UNAVAILABLE;
use weir_api::{FailureClass, Phase};
use weir_cwl::Record;
use weir_plan::event::{Failure, Usage};
use weir_plan::{Event, Incarnation, Outcome};

use super::perform::News;
use super::work::{OrderState, PodState, Timeout, Waits};
use super::{Actor, JobError};
use crate::data::PublishError;
use crate::limits::ACTOR_WAIT;
use crate::status::Waiting;

impl Actor {
    /// Takes what background work found out.
    pub(super) fn take(&mut self, news: News) -> Result<(), JobError> {
        match news {
            News::Created(incarnation, pod) => self.created(incarnation, pod),
            News::NotCreated(incarnation, class, message) => {
                if let Some(work) = self.works.get_mut(&incarnation) {
                    work.pod = PodState::None;
                }
                self.failed(incarnation, class, &message, None, Usage::default())
            }
            News::Delayed(incarnation, class, message) => {
                if let Some(work) = self.works.get_mut(&incarnation) {
                    // The task that creates it has the deadline.
                    let until = Instant::now() + ACTOR_WAIT * 60 * 24;
                    work.waiting = Some(Waits { class, message, until });
                    self.shown.is_stale = true;
                }
                Ok(())
            }
            News::Prepared(incarnation, Ok(order)) => {
                if let Some(work) = self.works.get_mut(&incarnation) {
                    work.order = OrderState::Ready(std::sync::Arc::new(order));
                }
                self.serve_claim(incarnation)?;
                self.serve_report(incarnation);
                Ok(())
            }
            News::Prepared(incarnation, Err(refusal)) => {
                self.failed(incarnation, refusal.class, &refusal.message, None, Usage::default())
            }
            News::Collected(incarnation, collected) => self.collected(incarnation, *collected),
            News::Completed(incarnation, outcome) => self.completed(incarnation, outcome.map(|outcome| *outcome)),
            News::Evaluated(instance, slot, result) => {
                self.asked.remove(&(instance.clone(), slot.clone()));
                self.happened(Event::Evaluated { instance, slot, result })
            }
            News::PublishDelayed(message) => {
                let message = format!("the outputs cannot be published for now: {message}");
                self.held_up =
                    Some(Waiting { reason: STORE_UNAVAILABLE.to_owned(), message, incarnation: None });
                self.shown.is_stale = true;
                Ok(())
            }
            News::Published(result) => self.published(result),
        }
    }

    fn published(&mut self, result: Result<Record, PublishError>) -> Result<(), JobError> {
        self.held_up = None;
        let error = match result {
            Ok(outputs) => {
                return self.happened(Event::Finished { phase: Phase::Successful, outputs, failure: None });
            }
            Err(error) => error,
        };
        let (class, message) = (error.class(), format!("the outputs cannot be published: {error}"));
        let failure = Failure { class, message, instance: None, exit_code: None, stderr_tail: None };
        let (phase, outputs) = (Phase::Failed, Record::new());
        self.happened(Event::Finished { phase, outputs, failure: Some(failure) })
    }

    /// An incarnation has ended.
    pub(super) fn ended(&mut self, incarnation: Incarnation, outcome: Outcome) -> Result<(), JobError> {
        if !self.state.is_live(incarnation) {
            return Ok(());
        }
        let work = self.works.entry(incarnation).or_default();
        work.ended = self.state.claim(incarnation).map(str::to_owned);
        (work.claim, work.waiting, work.over, work.stop) = (None, None, None, None);
        self.shared.services.metrics.step_ended(outcome.failure.as_ref().map(|failure| failure.class));
        self.happened(Event::Ended { incarnation, outcome })
    }

    /// An incarnation has failed. One that was created ahead is given up.
    pub(super) fn failed(
        &mut self,
        incarnation: Incarnation,
        class: FailureClass,
        message: &str,
        exit_code: Option<i32>,
        usage: Usage,
    ) -> Result<(), JobError> {
        if self.ledger.spare.contains(&incarnation) {
            tracing::debug!(job = %self.object, ?incarnation, %class, message, "a pod created ahead is given up");
            return self.happened(Event::Released { incarnation });
        }
        let Some(live) = self.ledger.live.get(&incarnation) else { return Ok(()) };
        let instance = live.instance.clone();
        let usage = if usage == Usage::default() {
            Usage { started: live.started, finished: self.clock.now(), ..usage }
        } else {
            usage
        };
        let message = format!("step `{instance}`: {message}");
        let failure = Failure { class, message, instance: Some(instance), exit_code, stderr_tail: None };
        self.ended(incarnation, Outcome { outputs: None, failure: Some(failure), exit_code, usage })
    }

    /// An incarnation was lost without a word of its own.
    pub(super) fn lost(&mut self, incarnation: Incarnation, message: &str) -> Result<(), JobError> {
        self.failed(incarnation, FailureClass::Disrupted, message, None, Usage::default())
    }

    /// Ends what was waited for long enough.
    pub(super) fn due(&mut self) -> Result<(), JobError> {
        let now = Instant::now();
        let due = self.works.iter().filter(|(_, work)| work.due().is_some_and(|at| at <= now));
        let due: Vec<Incarnation> = due.map(|(incarnation, _)| *incarnation).collect();
        for incarnation in due {
            let Some(work) = self.works.get_mut(&incarnation) else { continue };
            let passed = |timeout: &mut Timeout| timeout.at <= now;
            if let Some(timeout) = work.stop.take_if(passed).or_else(|| work.over.take_if(passed)) {
                let Timeout { class, message, exit_code, .. } = timeout;
                self.failed(incarnation, class, &message, exit_code, Usage::default())?;
            } else if let Some(waits) = work.waiting.take_if(|waits| waits.until <= now) {
                self.failed(incarnation, waits.class, &waits.message, None, Usage::default())?;
            }
        }
        Ok(())
    }

    /// When the next wait ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.works.values().filter_map(super::Work::due).min()
    }
}
