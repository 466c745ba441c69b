//! What is left to do when the journal says that a job is over. Doing it again changes nothing.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;
use weir_api::Phase;
use weir_api::kubernetes::conditions::STORE_UNAVAILABLE;
use weir_plan::state::Finished;
use weir_plan::{Action, Incarnation};

use super::{Actor, Backoff, End, JobError};
use crate::data;
use crate::limits::FAILED_POD_WAIT;
use crate::observe::sight;
use crate::registry::Message;
use crate::status::Waiting;

impl Actor {
    /// Writes the reports and the terminal status, and removes what nobody looks at.
    pub(super) async fn finish(mut self) -> Result<End, JobError> {
        let Some(finished) = self.state.finished().cloned() else { return Err(JobError::Restless) };
        if self.record(&finished).await == End::Gone {
            return Ok(End::Gone);
        }
        self.observe()?;
        // The pod that the status names goes last, if it goes.
        let fatal = self.ledger.fatal.as_ref().map(|(incarnation, _)| *incarnation);
        self.remove_all_but(fatal);
        self.until_the_log_is_readable().await?;
        self.shown.is_stale = true;
        self.show();
        self.remove_all_but(None);
        let (phase, writer) = (finished.phase, self.shown.writer);
        tokio::select! {
            () = writer.finish() => {}
            () = self.inbox.gone() => return Ok(End::Gone),
        }
        tracing::info!(job = %self.object, %phase, "the job is over");
        Ok(End::Finished)
    }

    fn remove_all_but(&mut self, kept: Option<Incarnation>) {
        let leftovers = self.works.keys().copied().filter(|incarnation| Some(*incarnation) != kept);
        for incarnation in leftovers.collect::<Vec<_>>() {
            self.perform(Action::Remove { incarnation });
        }
    }

    /// The agent's word of an end is quicker than the kubelet's, and until that one has told of it too `kubectl logs` of the
    /// pod that the status names is refused. Who sees the failure reads its log.
    async fn until_the_log_is_readable(&mut self) -> Result<(), JobError> {
        let deadline = Instant::now() + FAILED_POD_WAIT;
        while self.is_log_unreadable() {
            tokio::select! {
                () = self.inbox.changed() => self.observe()?,
                // An agent that asks again is sent away, or its tool's container would never end.
                Some(Message::Agent(call)) = self.mailbox.recv() => {
                    self.called(call)?;
                    self.answer();
                }
                () = tokio::time::sleep_until(deadline) => return Ok(()),
            }
            if self.inbox.is_gone() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_log_unreadable(&self) -> bool {
        let fatal = self.ledger.fatal.as_ref().and_then(|(incarnation, _)| self.works.get(incarnation));
        let pod = fatal.filter(|work| work.ended.is_some()).and_then(|work| work.seen());
        pod.is_some_and(|pod| !sight::is_terminating(pod) && !sight::is_finished(pod) && !sight::is_tool_over(pod))
    }

    /// Writes the reports, however long the store is away.
    async fn record(&mut self, finished: &Finished) -> End {
        let mut backoff = Backoff::default();
        let outputs = (finished.phase == Phase::Successful).then(|| Arc::new(finished.outputs.clone()));
        let usage = Arc::new(self.ledger.usage.clone());
        loop {
            let (context, outputs, usage) = (Arc::clone(&self.context), outputs.clone(), Arc::clone(&usage));
            let record = move || Handle::current().block_on(data::record(&context, outputs.as_deref(), &usage));
            let error = match tokio::task::spawn_blocking(record).await {
                Ok(Ok(())) => return End::Finished,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(job = %self.object, %error, "the reports cannot be written for now");
            let message = format!("the reports cannot be written for now: {error}");
            self.show_held_up(&Waiting { reason: STORE_UNAVAILABLE.to_owned(), message, incarnation: None });
            tokio::select! {
                () = backoff.wait() => {}
                () = self.inbox.gone() => return End::Gone,
            }
        }
    }
}
