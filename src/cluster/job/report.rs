//! What is left to do when the journal says that a job is over. Doing it again changes nothing.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use weir_api::Phase;
use weir_api::kubernetes::conditions::STORE_UNAVAILABLE;
use weir_cwl::Value;
use weir_plan::{Action, Incarnation};

use super::{Actor, Backoff, End, JobError};
use crate::status::Waiting;

impl Actor {
    /// Writes the reports and the terminal status, and removes what nobody looks at.
    pub(super) async fn finish(mut self) -> Result<End, JobError> {
        let Some(finished) = self.state.finished().cloned() else { return Err(JobError::Restless) };
        let usage = self.ledger.usage.to_json(0.0, 0);
        let mut reports = vec![(self.context.keys.usage(), format!("{usage:#}\n"))];
        if finished.phase == Phase::Successful {
            let results = weir_cwl::json::pretty(&Value::Record(finished.outputs));
            reports.push((self.context.keys.results(), format!("{results}\n")));
        }
        for (key, text) in reports {
            if self.put(&key, &text).await == End::Gone {
                return Ok(End::Gone);
            }
        }
        self.observe()?;
        self.shown.is_stale = true;
        self.show();
        let leftovers: Vec<Incarnation> = self.works.keys().copied().collect();
        for incarnation in leftovers {
            self.perform(Action::Remove { incarnation });
        }
        let (phase, writer) = (finished.phase, self.shown.writer);
        tokio::select! {
            () = writer.finish() => {}
            () = self.inbox.gone() => return Ok(End::Gone),
        }
        tracing::info!(job = %self.object, %phase, "the job is over");
        Ok(End::Finished)
    }

    /// Puts a report, however long the store is away.
    async fn put(&mut self, key: &Path, text: &str) -> End {
        let mut backoff = Backoff::default();
        let store = Arc::clone(&self.context.services.store);
        loop {
            let error = match store.put(key, PutPayload::from(text.to_owned())).await {
                Ok(_) => return End::Finished,
                Err(error) => error,
            };
            tracing::warn!(job = %self.object, %error, "a report cannot be written for now");
            let message = format!("the store cannot be reached: {error}");
            self.show_held_up(&Waiting { reason: STORE_UNAVAILABLE.to_owned(), message, incarnation: None });
            tokio::select! {
                () = backoff.wait() => {}
                () = self.inbox.gone() => return End::Gone,
            }
        }
    }
}
