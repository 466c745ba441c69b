//! Opens the journal of an accepted job and keeps earlier leaders out of it.

use std::sync::Arc;

use object_store::ObjectStore;
use weir_plan::{Event, FoldError, PinnedError, Recorded, State, Timestamp};
use weir_store::{JobKeys, Journal, JournalError, journal};

use super::ledger::Ledger;
use super::{Clock, Object};
use crate::context::{JobContext, Services};
use crate::data::JobData;
use crate::spec::{ClusterJob, SpecError};

/// A job as its journal has it.
pub struct Opened {
    /// What its parts share.
    pub context: Arc<JobContext>,
    /// Open for appending.
    pub(super) journal: Journal,
    /// Its events, digested.
    pub(super) state: State,
    pub(super) ledger: Ledger,
    /// Not before the last of them.
    pub(super) clock: Clock,
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
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// What it pins is no job.
    #[error("the pinned package cannot be understood any more: {0}")]
    Pinned(#[from] PinnedError),
    /// Its events are not of such a job.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// weir itself failed.
    #[error("weir failed over the pinned package: {0}")]
    Defect(String),
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

/// Whether a run is that of the ProcessJob of this name, as its journal says.
pub async fn belongs(
    store: &dyn ObjectStore,
    keys: &JobKeys,
    namespace: &str,
    name: &str,
) -> Result<bool, JournalError> {
    let events = journal::read(store, keys).await?;
    let Some(Recorded { event: Event::Accepted { spec }, .. }) = events.first() else { return Ok(false) };
    Ok(ClusterJob::from_json(spec).is_ok_and(|spec| (spec.namespace.as_str(), spec.name.as_str()) == (namespace, name)))
}

/// Opens the journal of `object`, which must hold event 0. Unless the job is over, its last event is then a new epoch:
/// it keeps others out before anything is done (invariant I2).
pub async fn open(services: &Arc<Services>, keys: JobKeys, object: &Object) -> Result<Opened, OpenError> {
    // Each turn but the last has read something more of what an earlier leader wrote.
    loop {
        let mut opened = read(services, keys.clone(), object).await?;
        if opened.state.finished().is_some() {
            return Ok(opened);
        }
        if let Some(announced) = opened.journal.announce(opened.clock.now()).await? {
            opened.ledger.fold(&opened.context.intent, &mut opened.state, &announced)?;
            return Ok(opened);
        }
        tracing::info!(job = %object, "an earlier leader has written to the journal meanwhile: it is read again");
    }
}

async fn read(services: &Arc<Services>, keys: JobKeys, object: &Object) -> Result<Opened, OpenError> {
    let (journal, events) = Journal::open(Arc::clone(&services.store), keys.clone()).await?;
    let Some(Recorded { event: Event::Accepted { spec }, .. }) = events.first() else {
        let (run, tenant) = (keys.run().to_string(), keys.tenant().to_string());
        return Err(OpenError::Lost { run, tenant });
    };
    let mut spec = ClusterJob::from_json(spec)?;
    if (&spec.namespace, &spec.name) != (&object.namespace, &object.name) {
        let owner = format!("{}/{}", spec.namespace, spec.name);
        return Err(OpenError::Foreign { run: keys.run().to_string(), owner });
    }
    let settings = Arc::clone(&services.settings);
    // A large package takes its time.
    let made = tokio::task::spawn_blocking(move || {
        let intent = spec.intent(&settings)?;
        let documents = std::mem::take(&mut spec.job.documents);
        Ok::<_, PinnedError>((spec, intent, documents))
    });
    let (spec, intent, documents) = made.await.map_err(|error| OpenError::Defect(error.to_string()))??;
    let (mut state, mut ledger) = (State::default(), Ledger::default());
    for recorded in &events {
        ledger.fold(&intent, &mut state, recorded)?;
    }
    let last = events.last().map_or(Timestamp::default(), |last| last.at);
    let services = Arc::clone(services);
    let context = JobContext { services, keys, spec, intent: Arc::new(intent), documents, data: JobData::default() };
    Ok(Opened { context: Arc::new(context), journal, state, ledger, clock: Clock::new(last) })
}
