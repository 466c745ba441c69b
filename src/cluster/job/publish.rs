//! Publishing the outputs: one try at a time, which a stop ends, as it does between two tries. Only when everything but the
//! catalogs is in place does `Committed` become durable, then they are written: from there on the job is published, whoever
//! leads it and whoever asks it to stop (invariant I5). It fails only if that cannot be done, and then says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use weir_api::kubernetes::conditions::STORE_UNAVAILABLE;
use weir_api::{FailureClass, Phase};
use weir_cwl::Record;
use weir_plan::Event;
use weir_plan::event::Failure;

use super::claims::Reply;
use super::perform::{News, in_background};
use super::{Actor, Backoff, JobError};
use crate::data::{self, PublishError};
use crate::limits::{COMMITTED_WAIT, PUBLISH_WAIT};
use crate::status::Waiting;

/// How the tries go.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// Ends the try that is under way, if it is not too late. A try does not outlive its actor either.
    stop: watch::Sender<bool>,
    backoff: Backoff,
    /// Since when this actor has tried.
    began: Option<Instant>,
    /// When the next try may begin.
    next: Option<Instant>,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unpublished {
    #[error(transparent)]
    Failed(#[from] PublishError),
    /// A defect of weir.
    #[error("{0}")]
    Defect(String),
}

impl Publishing {
    /// When the planner is to be asked again.
    pub fn due(&self) -> Option<Instant> {
        self.next
    }
}

impl Actor {
    /// Tries once, unless the last try was just now.
    pub(super) fn publish(&mut self, outputs: Record) {
        if self.publishing.next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        self.publishing.next = None;
        self.publishing.began.get_or_insert_with(Instant::now);
        self.observed.is_publishing = true;
        let (context, stop) = (Arc::clone(&self.context), self.publishing.stop.subscribe());
        let (is_committed, sender) = (self.state.is_committed(), self.sender.clone());
        let commit = async move {
            let (reply, answer) = oneshot::channel();
            is_committed || (sender.send(News::Staged(reply)).is_ok() && answer.await.unwrap_or(false))
        };
        let task = move || Ok(Handle::current().block_on(data::publish(&context, outputs, stop, commit))?);
        in_background(&self.sender, task, |message| Err(Unpublished::Defect(message)), News::Published);
    }

    /// Everything but the catalogs is in place. Who waits is told whether they may be written once that is durable.
    pub(super) fn staged(&mut self, reply: oneshot::Sender<bool>) -> Result<(), JobError> {
        if self.state.stop().is_none() {
            self.happened(Event::Committed)?;
        }
        self.replies.push(Reply::Staged(reply));
        Ok(())
    }

    /// Lets a try know that the job is to stop.
    pub(super) fn stop_publishing(&mut self) {
        if self.observed.is_publishing && self.state.stop().is_some() {
            self.publishing.stop.send_replace(true);
        }
    }

    /// A try is over.
    pub(super) fn published(&mut self, result: Result<Record, Unpublished>) -> Result<(), JobError> {
        self.observed.is_publishing = false;
        self.held_up = None;
        self.shown.is_stale = true;
        let error = match result {
            Ok(outputs) => {
                return self.happened(Event::Finished { phase: Phase::Successful, outputs, failure: None });
            }
            Err(error) => error,
        };
        let is_stopping = self.state.stop().is_some();
        let is_committed = self.state.is_committed();
        let since_steps = Duration::from_millis(self.clock.now().0.saturating_sub(self.ledger.last_end.0));
        let tried = self.publishing.began.map_or(Duration::ZERO, |began| began.elapsed());
        let is_late = !is_stopping && is_late(since_steps, tried, is_committed);
        let Some((class, reason)) = failure_of(&error, is_late) else {
            // A job that is to stop does so now, as the planner says.
            if !is_stopping {
                let message = format!("the outputs cannot be published for now: {error}");
                self.held_up = Some(Waiting { reason: STORE_UNAVAILABLE.to_owned(), message, incarnation: None });
            }
            self.publishing.next = Some(Instant::now() + self.publishing.backoff.advance());
            return Ok(());
        };
        let visible = if is_committed { "; some of them may be visible" } else { "" };
        let message = format!("the outputs cannot be published: {reason}{visible}");
        let failure = Failure { class, message, instance: None, exit_code: None, stderr_tail: None };
        let (phase, outputs) = (Phase::Failed, Record::new());
        self.happened(Event::Finished { phase, outputs, failure: Some(failure) })
    }
}

/// Whether no further try is made, so long after the last step, of which this actor has `tried` for so long. From the end of
/// the last step, so that a restart gives no more time; but what may be half visible is not given up because nobody was there
/// for a day.
fn is_late(since_steps: Duration, tried: Duration, is_committed: bool) -> bool {
    since_steps >= PUBLISH_WAIT && (!is_committed || tried >= PUBLISH_WAIT || since_steps >= COMMITTED_WAIT)
}

/// What ends the job; `None` if another try may succeed and it is not too late for one.
fn failure_of(error: &Unpublished, is_late: bool) -> Option<(FailureClass, String)> {
    match error {
        Unpublished::Failed(error) if error.is_retryable() && !is_late => None,
        Unpublished::Failed(error) if error.is_retryable() => {
            let hours = PUBLISH_WAIT.as_secs() / 3600;
            Some((FailureClass::Platform, format!("not within {hours} h: {error}")))
        }
        Unpublished::Failed(error) => Some((FailureClass::OutputInvalid, error.to_string())),
        Unpublished::Defect(message) => Some((FailureClass::Platform, message.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_visible_is_tried_for_a_day_by_one_leader_or_for_a_week_by_several_i6() {
        let hours = Duration::from_hours;
        let rows = [(23, 23, false), (24, 0, false), (23, 23, true), (48, 1, true), (48, 24, true), (168, 1, true)];
        let late = rows.map(|(since, tried, is_committed)| is_late(hours(since), hours(tried), is_committed));
        assert_eq!(late, [false, true, false, false, true, true]);
    }

    #[test]
    fn publishing_is_tried_until_its_deadline_and_then_the_job_fails_i6() {
        let away = || {
            let source = object_store::Error::Generic { store: "test", source: "away".into() };
            Unpublished::Failed(PublishError::Store { key: "k".into(), source })
        };
        assert_eq!(failure_of(&away(), false), None);
        let (class, message) = failure_of(&away(), true).unwrap();
        assert_eq!(class, FailureClass::Platform);
        assert!(message.starts_with("not within 24 h: cannot write `k`"), "{message}");
        let wrong = || Unpublished::Failed(PublishError::NoCatalog { output: "o".to_owned() });
        assert_eq!(failure_of(&wrong(), false).unwrap().0, FailureClass::OutputInvalid);
        assert_eq!(failure_of(&Unpublished::Defect("a defect".to_owned()), false).unwrap().0, FailureClass::Platform);
    }
}
