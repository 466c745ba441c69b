//! The actor of a job. Its loop, in order:
//!
//! 1. **observe**: what agents say, what the controller sees of pods and of the ProcessJob, and what background work found
//!    out become events ([`claims`], [`pods`], [`ends`]);
//! 2. **plan**: the core says what to do next; events that it wants recorded are folded and it is asked again;
//! 3. **journal**: all events of the round become durable in one append;
//! 4. **show**: agents are answered, the status is written ([`show`]);
//! 5. **perform**: only now anything happens in the world ([`perform`]);
//! 6. wait for the next thing to happen.
//!
//! State changes by folding only, and nothing is performed or told before what allows it is durable (invariants I1, I2,
//! I4). Whatever fails outside is tried again: the actor ends when the job is over, when its object is deleted, or when
//! another leader has taken over.

mod backoff;
mod claims;
mod clock;
mod create;
mod ends;
mod ledger;
mod object;
mod open;
mod perform;
mod pods;
mod publish;
mod report;
mod show;
mod tenants;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::conditions::STORE_UNAVAILABLE;
use weir_plan::event::Slot;
use weir_plan::{Action, Event, FoldError, Incarnation, InstancePath, Observed, Recorded, State, Timestamp, plan};
use weir_store::{Journal, JournalError};

use crate::context::{JobContext, Services};
use crate::limits::{ACTOR_WAIT, API_REQUEST_TIME};
use crate::registry::{Inbox, Message};
use crate::status::Waiting;
use weir_fetch::Guarded;

pub use backoff::Backoff;
pub use clock::Clock;
pub use create::delete;
pub use object::{Object, accepted_tenant, run_id, spec_digest};
pub use open::{OpenError, Opened, belongs, open};
pub use show::{Announcer, Writer};
pub use tenants::{Share, Tenants};

use claims::Reply;
use ledger::Ledger;
use perform::News;
use publish::Publishing;
use show::Shown;
use work::Work;

/// Rounds of planning without anything performed. The core asks for a bounded number of records; more is a defect.
const ROUNDS_MAX: u32 = 1_000_000;

/// What all actors share.
#[derive(Clone)]
pub struct Shared {
    /// Store, settings, scripts.
    pub services: Arc<Services>,
    /// The API server.
    pub client: kube::Client,
    /// Fetches packages.
    pub guarded: Arc<Guarded>,
    /// The certificate authority of the agents' server (PEM), for pods.
    pub agents_ca: Arc<str>,
    /// What each tenant uses.
    pub tenants: Tenants,
    /// Tells people.
    pub announcer: Announcer,
    /// Bounds requests about pods.
    pub pod_requests: Arc<Semaphore>,
}

/// Why an actor ended without its job's end.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The journal cannot be written any more. `Superseded`: another leader has taken over, and this process must end.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is not of this job.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A defect of weir.
    #[error("planning does not come to rest")]
    Restless,
}

impl JobError {
    /// Whether another leader has taken over.
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Superseded { .. }))
    }
}

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The job is over and its terminal status is written.
    Finished,
    /// The ProcessJob was deleted.
    Gone,
}

/// A job that is being run.
pub struct Actor {
    shared: Shared,
    context: Arc<JobContext>,
    object: Object,
    journal: Journal,
    state: State,
    ledger: Ledger,
    observed: Observed,
    /// Incarnations that there is something to know about.
    works: BTreeMap<Incarnation, Work>,
    /// Scripts and loads under way.
    asked: BTreeSet<(InstancePath, Slot)>,
    publishing: Publishing,
    /// Events of this round, folded and not yet durable.
    batch: Vec<Recorded>,
    /// Answers that are given once the batch is durable.
    replies: Vec<Reply>,
    /// What holds up the whole job.
    held_up: Option<Waiting>,
    share: Share,
    shown: Shown,
    clock: Clock,
    inbox: Inbox,
    mailbox: mpsc::Receiver<Message>,
    sender: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
}

impl Actor {
    /// Takes up a job where its journal ends.
    pub fn new(
        shared: Shared,
        object: Object,
        opened: Opened,
        inbox: Inbox,
        mailbox: mpsc::Receiver<Message>,
        writer: Writer,
    ) -> Self {
        let Opened { context, journal, state, ledger, clock } = opened;
        let (sender, news) = mpsc::unbounded_channel();
        let keys = &context.keys;
        let share = shared.tenants.share(keys.tenant().as_str(), context.services.settings.tenant_parallelism);
        Self {
            shared,
            context,
            object,
            journal,
            state,
            ledger,
            observed: Observed::default(),
            works: BTreeMap::new(),
            asked: BTreeSet::new(),
            publishing: Publishing::default(),
            batch: Vec::new(),
            replies: Vec::new(),
            held_up: None,
            share,
            shown: Shown::new(writer),
            clock,
            inbox,
            mailbox,
            sender,
            news,
        }
    }

    /// Runs the job to its end.
    pub async fn run(mut self) -> Result<End, JobError> {
        if self.state.finished().is_none() {
            if self.adopt().await? == Some(End::Gone) {
                return Ok(End::Gone);
            }
            if let End::Gone = self.work().await? {
                return Ok(End::Gone);
            }
        }
        self.finish().await
    }

    async fn work(&mut self) -> Result<End, JobError> {
        loop {
            self.observe()?;
            if self.inbox.is_gone() {
                return Ok(End::Gone);
            }
            self.due()?;
            let (actions, wake_at) = self.plan()?;
            self.stop_publishing();
            if self.durable().await? == Some(End::Gone) {
                return Ok(End::Gone);
            }
            self.answer();
            // An end is shown once its reports are written: whoever sees it reads them.
            if self.state.finished().is_some() {
                return Ok(End::Finished);
            }
            self.show();
            for action in actions {
                self.perform(action);
            }
            self.catch_up();
            self.wait(wake_at).await?;
        }
    }

    /// What the controller saw.
    fn observe(&mut self) -> Result<(), JobError> {
        let seen = self.inbox.take();
        if let Some(job) = seen.job {
            self.changed(&job)?;
        }
        for pod in seen.pods.into_values() {
            self.pod_seen(pod)?;
        }
        Ok(())
    }

    /// The ProcessJob as it is now: what a person may still ask for.
    fn changed(&mut self, job: &ProcessJob) -> Result<(), JobError> {
        self.shown.generation = job.metadata.generation;
        let is_spec_changed = object::is_spec_changed(job);
        if is_spec_changed != self.shown.is_spec_changed {
            self.shown.is_spec_changed = is_spec_changed;
            self.shown.is_stale = true;
        }
        // One that is deleted may stay for somebody's finalizer: its steps are not to run on.
        let is_deleted = job.metadata.deletion_timestamp.is_some();
        if (job.spec.dismiss || is_deleted) && !self.ledger.is_stopping {
            let message = if is_deleted { "the job was deleted" } else { "the job was dismissed" }.to_owned();
            self.happened(Event::StopRequested { class: weir_api::FailureClass::Dismissed, message })?;
        }
        match (job.spec.suspend, self.ledger.is_suspended) {
            (true, false) => self.happened(Event::Suspended),
            (false, true) => self.happened(Event::Resumed),
            _ => Ok(()),
        }
    }

    /// Folds an event that happens now; it becomes durable with this round's batch.
    fn happened(&mut self, event: Event) -> Result<(), JobError> {
        let recorded = Recorded { at: self.clock.now(), event };
        self.ledger.fold(&self.context.intent, &mut self.state, &recorded)?;
        self.batch.push(recorded);
        self.shown.is_stale = true;
        Ok(())
    }

    /// Plans until nothing is left to record.
    fn plan(&mut self) -> Result<(Vec<Action>, Option<Timestamp>), JobError> {
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            self.observed.lookahead = self.lookahead();
            let (context, state, observed, used) =
                (&self.context, &self.state, &mut self.observed, self.ledger.incarnations());
            let plan = self.share.with_room(used, |room| {
                observed.capacity.incarnations = Some(room);
                let plan = plan(&context.intent, state, observed, now);
                let takes = |action: &&Action| matches!(action, Action::Record(event) if ledger::takes_room(event));
                let more = plan.actions.iter().filter(takes).count();
                (plan, used + u32::try_from(more).unwrap_or(u32::MAX))
            });
            let mut actions = Vec::with_capacity(plan.actions.len());
            let mut has_recorded = false;
            for action in plan.actions {
                match action {
                    Action::Record(event) => {
                        has_recorded = true;
                        self.happened(event)?;
                    }
                    other => actions.push(other),
                }
            }
            if !has_recorded {
                return Ok((actions, plan.wake_at));
            }
        }
        Err(JobError::Restless)
    }

    /// Makes this round's events durable, however long the store is away. Only the job's deletion ends the wait.
    async fn durable(&mut self) -> Result<Option<End>, JobError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        // A put whose end is unknown may have arrived: what is tried again must be the same bytes.
        let batch = std::mem::take(&mut self.batch);
        let mut backoff = Backoff::default();
        let began = Instant::now();
        loop {
            match self.journal.append(&batch).await {
                Ok(()) => {
                    self.shared.services.metrics.journal_append(began.elapsed());
                    for recorded in &batch {
                        self.announce(&recorded.event);
                    }
                    return Ok(None);
                }
                Err(error @ JournalError::Store { .. }) => {
                    tracing::warn!(job = %self.object, %error, "the journal cannot be written for now");
                    let message = format!("the store cannot be reached: {error}");
                    self.show_held_up(&Waiting { reason: STORE_UNAVAILABLE.to_owned(), message, incarnation: None });
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = self.inbox.gone() => return Ok(Some(End::Gone)),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the next thing to happen and takes everything that has happened by then.
    async fn wait(&mut self, wake_at: Option<Timestamp>) -> Result<(), JobError> {
        let now = Instant::now();
        let planned = wake_at.map(|at| now + Duration::from_millis(at.0.saturating_sub(self.clock.now().0)));
        let wakes = [planned, self.next_due(), self.shown.due(), Some(now + ACTOR_WAIT)];
        let wake = wakes.into_iter().flatten().min().unwrap_or(now);
        tokio::select! {
            Some(news) = self.news.recv() => self.take(news)?,
            Some(Message::Agent(call)) = self.mailbox.recv() => self.called(call)?,
            () = self.inbox.changed() => {}
            () = self.share.freed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        while let Ok(news) = self.news.try_recv() {
            self.take(news)?;
        }
        while let Ok(Message::Agent(call)) = self.mailbox.try_recv() {
            self.called(call)?;
        }
        Ok(())
    }
}

/// A request to the API server that does not answer counts as failed.
pub(crate) async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(API_REQUEST_TIME, request).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service("the API server does not answer".into())),
    }
}
