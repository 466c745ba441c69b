//! Opens the journal of an accepted job.

use std::sync::Arc;

use weir_plan::{Event, Intent, Recorded, Timestamp};
use weir_store::{JobKeys, Journal, JournalError};

use super::{Clock, Object};
use crate::context::{JobContext, Services};
use crate::intake;
use crate::spec::ClusterJob;

/// A job as its journal has it.
pub struct Opened {
    /// What its parts share.
    pub context: Arc<JobContext>,
    /// Open for appending.
    pub journal: Journal,
    /// Everything so far.
    pub events: Vec<Recorded>,
    /// Not before the last of them.
    pub clock: Clock,
}

/// A journal that cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store, or the journal's bytes.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It is empty.
    #[error("there is no journal of run `{run}` of tenant `{tenant}` in the store; was the store replaced?")]
    Lost {
        /// The run.
        run: String,
        /// The tenant.
        tenant: String,
    },
    /// Event 0 is not readable.
    #[error("event 0 of the journal is not a job of this version of weir: {0}")]
    Unreadable(String),
    /// The annotation names the journal of another object.
    #[error(
        "run `{run}` belongs to ProcessJob `{owner}`; remove the annotation `weir.dev/run-id` to run this one on its own"
    )]
    Foreign {
        /// The run.
        run: String,
        /// Whose it is.
        owner: String,
    },
}

/// Opens the journal of `object`, which must hold event 0.
pub async fn open(services: &Arc<Services>, keys: JobKeys, object: &Object) -> Result<Opened, OpenError> {
    let (journal, events) = Journal::open(Arc::clone(&services.store), keys.clone()).await?;
    let Some(Recorded { event: Event::Accepted { spec }, .. }) = events.first() else {
        let (run, tenant) = (keys.run().to_string(), keys.tenant().to_string());
        return Err(OpenError::Lost { run, tenant });
    };
    let spec: ClusterJob =
        serde_json::from_value(spec.clone()).map_err(|error| OpenError::Unreadable(error.to_string()))?;
    if (&spec.namespace, &spec.name) != (&object.namespace, &object.name) {
        let owner = format!("{}/{}", spec.namespace, spec.name);
        return Err(OpenError::Foreign { run: keys.run().to_string(), owner });
    }
    let services_ = Arc::clone(services);
    let made = tokio::task::spawn_blocking(move || {
        let intent = intake::intent(&services_.settings, &spec)?;
        Ok::<(ClusterJob, Intent), intake::IntakeError>((spec, intent))
    });
    let (spec, intent) = match made.await {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => return Err(OpenError::Unreadable(error.to_string())),
        Err(error) => return Err(OpenError::Unreadable(format!("weir failed over it: {error}"))),
    };
    let last = events.last().map_or(Timestamp::default(), |last| last.at);
    let context = JobContext::new(Arc::clone(services), keys, spec, Arc::new(intent));
    Ok(Opened { context: Arc::new(context), journal, events, clock: Clock::new(last) })
}
