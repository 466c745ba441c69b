//! How incarnations end, and what background work found out.

use tokio::time::Instant;
use weir_api::FailureClass;
use weir_plan::action::words_of_kill;
use weir_plan::event::{Failure, Usage};
use weir_plan::{Event, Incarnation, Outcome};

use super::perform::News;
use super::work::{OrderState, PodState};
use super::{Actor, JobError};
use crate::data;

impl Actor {
    /// Takes what background work found out.
    pub(super) fn take(&mut self, news: News) -> Result<(), JobError> {
        match news {
            News::Created(incarnation, pod) => self.created(incarnation, &pod),
            News::NotCreated(incarnation, class, message) => {
                if let Some(work) = self.works.get_mut(&incarnation) {
                    work.pod = PodState::None;
                }
                self.failed(incarnation, class, &message)
            }
            News::Delayed(incarnation, class, message) => {
                let is_known = self.ledger.is_awaited(incarnation);
                let Some(work) = self.works.get_mut(&incarnation).filter(|_| is_known) else { return Ok(()) };
                let is_news = work.delayed.as_ref().is_none_or(|(known, _)| *known != class);
                work.delayed = Some((class, message.clone()));
                self.shown.is_stale = true;
                if is_news {
                    self.announce_waiting(incarnation, class, &message);
                }
                Ok(())
            }
            News::Prepared(incarnation, Ok(order)) => {
                if let Some(work) = self.works.get_mut(&incarnation) {
                    work.order = OrderState::Ready(std::sync::Arc::from(order));
                }
                self.serve_claim(incarnation)?;
                self.serve_report(incarnation);
                Ok(())
            }
            News::Prepared(incarnation, Err(refusal)) => {
                let launch = self.works.get(&incarnation).and_then(|work| work.launch.clone());
                let Some(launch) = launch else { return Ok(()) };
                self.ended(incarnation, data::refused(&launch, &refusal, self.clock.now()))
            }
            News::Collected(incarnation, collected) => self.collected(incarnation, collected),
            News::Completed(incarnation, completed) => self.completed(incarnation, completed),
            News::Evaluated(instance, slot, result) => {
                self.asked.remove(&(instance.clone(), slot.clone()));
                self.happened(Event::Evaluated { instance, slot, result })
            }
            News::Staged(reply) => self.staged(reply),
            News::Published(result) => self.published(result),
        }
    }

    /// An incarnation has ended.
    pub(super) fn ended(&mut self, incarnation: Incarnation, outcome: Outcome) -> Result<(), JobError> {
        if !self.state.is_live(incarnation) {
            return Ok(());
        }
        let work = self.works.entry(incarnation).or_default();
        work.ended = self.state.claim(incarnation).map(str::to_owned);
        work.settle();
        self.shared.services.metrics.step_ended(outcome.failure.as_ref().map(|failure| failure.class));
        self.happened(Event::Ended { incarnation, outcome })
    }

    /// An incarnation has failed, and nothing is known of it but why. One that was created ahead is given up.
    pub(super) fn failed(
        &mut self,
        incarnation: Incarnation,
        class: FailureClass,
        message: &str,
    ) -> Result<(), JobError> {
        if self.ledger.spare.contains_key(&incarnation) {
            tracing::debug!(job = %self.object, ?incarnation, %class, message, "a pod created ahead is given up");
            return self.happened(Event::Released { incarnation });
        }
        let Some(live) = self.ledger.live.get(&incarnation) else { return Ok(()) };
        let usage = Usage { started: live.started, finished: self.clock.now(), ..Usage::default() };
        let (instance, exit_code) = (live.instance.clone(), None);
        let message = format!("step `{instance}`: {message}");
        let failure = Failure { class, message, instance: Some(instance), exit_code, stderr_tail: None };
        self.ended(incarnation, Outcome { outputs: None, failure: Some(failure), exit_code, usage })
    }

    /// Ends what was waited for long enough, and looks again at pods that say nothing by themselves.
    pub(super) fn due(&mut self) -> Result<(), JobError> {
        let (now, at) = (Instant::now(), self.clock.now());
        let is_due = |work: &super::Work| {
            work.due().is_some_and(|at| at <= now)
                || work.waiting.as_ref().is_some_and(|waiting| waiting.deadline <= at)
        };
        let due = self.works.iter().filter(|(_, work)| is_due(work));
        let due: Vec<Incarnation> = due.map(|(incarnation, _)| *incarnation).collect();
        for incarnation in due {
            let Some(work) = self.works.get_mut(&incarnation) else { continue };
            if let Some((class, _)) = work.stop.take_if(|(_, at)| *at <= now) {
                self.failed(incarnation, class, words_of_kill(class))?;
            } else if !work.is_reporting()
                && let Some((outcome, _)) = work.over.take_if(|(_, at)| *at <= now)
            {
                self.ended(incarnation, *outcome)?;
            } else {
                work.look_at = None;
                if let Some(pod) = work.seen().cloned() {
                    self.judged(incarnation, &pod)?;
                }
            }
        }
        Ok(())
    }

    /// When the next wait ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let deadlines = self.works.values().filter_map(|work| work.waiting.as_ref());
        let deadlines = deadlines.map(|waiting| self.clock.instant(waiting.deadline));
        let works = self.works.values().filter_map(super::Work::due);
        works.chain(deadlines).chain(self.publishing.due()).min()
    }
}
