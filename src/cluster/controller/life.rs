//! The life of one job: accepted, its journal opened, run by its actor.
//!
//! Acceptance is two facts in this order: event 0 in the journal of the run whose id is the object's uid, then the
//! annotation that names the run. A crash between them finds the same journal again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use weir_api::Phase;
use weir_api::kubernetes::conditions::{JOURNAL_LOST, SPEC_INVALID, STORE_UNAVAILABLE, TENANT_TAKEN};
use weir_api::kubernetes::names::{FIELD_MANAGER, RUN_ID, SPEC_DIGEST, TENANT};
use weir_api::kubernetes::{Process, ProcessJob};
use weir_plan::{Event, Recorded};
use weir_store::{JobKeys, Journal, JournalError, Tenant};

use crate::intake;
use crate::job::{
    Actor, Backoff, Clock, End, JobError, Object, OpenError, Opened, Shared, Writer, accepted_tenant, in_time, open,
    run_id, spec_digest,
};
use crate::limits::{MAILBOX_CALLS, PROCESS_WAIT};
use crate::registry::{Inbox, Registry};
use crate::status::{self, Waiting};

/// What a life begins with.
pub(super) struct Birth {
    pub shared: Shared,
    pub registry: Registry,
    /// Bounds how many begin at the same time.
    pub starts: Arc<Semaphore>,
    pub name: Object,
    /// That its namespace claims to be.
    pub tenant: String,
    /// The older namespace that is this tenant.
    pub owner: Option<String>,
    /// As it was seen; asked for if it was not.
    pub job: Option<Arc<ProcessJob>>,
    /// How the life before it failed.
    pub trouble: Option<String>,
    pub inbox: Inbox,
}

/// Reason of the condition Waiting after the operator itself failed.
const INTERNAL_ERROR: &str = "InternalError";

/// Reason of the condition Waiting while the API server does not answer.
const API_UNAVAILABLE: &str = "ApiUnavailable";

/// How acceptance went.
enum Accepted {
    Opened(Box<Opened>),
    /// It can never run, for this reason.
    Refused(&'static str, String),
    /// Not now, for this reason.
    Later(Waiting),
    Gone,
}

/// Lives a job to its end.
pub(super) async fn live(mut birth: Birth) -> Result<End, JobError> {
    let permit = Arc::clone(&birth.starts).acquire_owned().await;
    let Some(mut job) = birth.look().await else { return Ok(End::Gone) };
    let writer = birth.writer(&job);
    if let Some(trouble) = birth.trouble.take() {
        writer.write(status::waits(
            &waiting(INTERNAL_ERROR, trouble),
            job.metadata.generation,
            &writer.latest(),
            now(),
        ));
    }
    drop(permit);
    let mut backoff = Backoff::default();
    let began = Instant::now();
    let opened = loop {
        if birth.inbox.is_gone() {
            return Ok(End::Gone);
        }
        let permit = Arc::clone(&birth.starts).acquire_owned().await;
        let accepted = birth.accept(&job, began).await?;
        drop(permit);
        let later = match accepted {
            Accepted::Opened(opened) => break *opened,
            Accepted::Gone => return Ok(End::Gone),
            Accepted::Refused(reason, message) => {
                tracing::info!(job = %birth.name, reason, message, "refused");
                let type_ = kube::runtime::events::EventType::Warning;
                birth.shared.announcer.tell(&birth.name, type_, reason.to_owned(), message.clone());
                return Ok(birth
                    .refuse(
                        writer,
                        status::refused(
                            reason,
                            &message,
                            job.metadata.generation,
                            job.status.as_ref().unwrap_or(&weir_api::kubernetes::ProcessJobStatus::default()),
                            now(),
                        ),
                    )
                    .await);
            }
            Accepted::Later(waiting) => waiting,
        };
        if job.spec.dismiss && !job.annotations().contains_key(RUN_ID) {
            let mut dismissed =
                status::refused("Dismissed", "dismissed before it began", None, &writer.latest(), now());
            dismissed.phase = Some(Phase::Dismissed);
            return Ok(birth.refuse(writer, dismissed).await);
        }
        writer.write(status::waits(&later, job.metadata.generation, &writer.latest(), now()));
        tokio::select! {
            () = backoff.wait() => {}
            () = birth.inbox.gone() => return Ok(End::Gone),
        }
        if let Some(newer) = birth.newer() {
            job = newer;
        }
    };
    let (sender, mailbox) = mpsc::channel(MAILBOX_CALLS);
    birth.inbox.put(|seen| {
        seen.job.get_or_insert(Arc::clone(&job));
    });
    drop(job);
    let run = opened.context.keys.run().to_string();
    let namespace = birth.name.namespace.clone();
    let actor = Actor::new(birth.shared, birth.name.clone(), opened, birth.inbox, mailbox, writer);
    birth.registry.insert(&namespace, &run, sender);
    actor.run().await
}

impl Birth {
    /// The object as it is now; `None` if it is gone.
    async fn look(&mut self) -> Option<Arc<ProcessJob>> {
        if let Some(job) = self.job.take() {
            return Some(job);
        }
        let api = self.name.jobs(&self.shared.client);
        let mut backoff = Backoff::default();
        loop {
            match in_time(api.get_opt(&self.name.name)).await {
                Ok(found) => return found.filter(|job| job.uid().as_ref() == Some(&self.name.uid)).map(Arc::new),
                Err(error) => tracing::warn!(job = %self.name, %error, "cannot be looked up for now"),
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = self.inbox.gone() => return None,
            }
        }
    }

    fn writer(&self, job: &ProcessJob) -> Writer {
        let services = Arc::clone(&self.shared.services);
        let known = job.status.clone().unwrap_or_default();
        Writer::new(&self.shared.client, &self.name, known, move || services.metrics.status_written())
    }

    /// The object as the controller saw it since; what it saw of pods stays for the actor.
    fn newer(&self) -> Option<Arc<ProcessJob>> {
        let mut newer = None;
        self.inbox.put(|seen| newer = seen.job.take());
        newer
    }

    /// Writes a terminal status of a job that never ran.
    async fn refuse(&self, writer: Writer, status: weir_api::kubernetes::ProcessJobStatus) -> End {
        writer.write(status);
        tokio::select! {
            () = writer.finish() => End::Finished,
            () = self.inbox.gone() => End::Gone,
        }
    }

    async fn accept(&self, job: &ProcessJob, began: Instant) -> Result<Accepted, JobError> {
        let run = run_id(job);
        let is_accepted = job.annotations().contains_key(RUN_ID);
        if let Some(owner) = self.owner.as_ref().filter(|_| !is_accepted) {
            let message = format!(
                "the older namespace `{owner}` is the tenant `{}`: what belongs to two namespaces must not stand in one place; \
                 label one of them with another {TENANT}",
                self.tenant
            );
            return Ok(Accepted::Refused(TENANT_TAKEN, message));
        }
        let tenant = accepted_tenant(job).unwrap_or_else(|| self.tenant.clone());
        let keys = match (tenant.parse(), run.parse()) {
            (Ok(tenant), Ok(run)) => JobKeys::new(tenant, run),
            (Err(error), _) | (_, Err(error)) => return Ok(Accepted::Refused(SPEC_INVALID, error.to_string())),
        };
        if !is_accepted {
            if let Some(other) = self.pin(job, &keys, began).await? {
                return Ok(other);
            }
            if let Some(other) = self.annotate(job, &keys).await {
                return Ok(other);
            }
            self.drop_inputs(job, keys.tenant());
            let type_ = kube::runtime::events::EventType::Normal;
            self.shared.announcer.tell(&self.name, type_, "Accepted".to_owned(), "the job is durable".to_owned());
        }
        match open(&self.shared.services, keys, &self.name).await {
            Ok(opened) => Ok(Accepted::Opened(Box::new(opened))),
            Err(OpenError::Journal(error)) => journal_failed(error),
            Err(OpenError::Fold(error)) => Err(error.into()),
            Err(error @ OpenError::Foreign { .. }) => Ok(Accepted::Refused(SPEC_INVALID, error.to_string())),
            Err(error) => Ok(Accepted::Refused(JOURNAL_LOST, error.to_string())),
        }
    }

    /// Makes event 0 durable, unless it is. What comes back ends or delays acceptance.
    async fn pin(&self, job: &ProcessJob, keys: &JobKeys, began: Instant) -> Result<Option<Accepted>, JobError> {
        let services = &self.shared.services;
        let (mut journal, events) = match Journal::open(Arc::clone(&services.store), keys.clone()).await {
            Ok(opened) => opened,
            Err(error) => return journal_failed(error).map(Some),
        };
        if !events.is_empty() {
            return Ok(None);
        }
        let process = match job.spec.process_ref.as_ref().filter(|_| job.spec.package_digest.is_none()) {
            None => None,
            Some(name) => {
                let api = Api::<Process>::namespaced(self.shared.client.clone(), &self.name.namespace);
                match in_time(api.get_opt(name)).await {
                    Ok(process) => process,
                    Err(error) => {
                        let message = format!("Process `{name}` cannot be looked up: {error}");
                        return Ok(Some(Accepted::Later(waiting(API_UNAVAILABLE, message))));
                    }
                }
            }
        };
        let request = intake::Request { tenant: keys.tenant(), job, process: process.as_ref() };
        let intake::Accepted { job: pinned, warnings } =
            match intake::accept(services, &self.shared.guarded, request).await {
                Ok(accepted) => accepted,
                Err(error) => {
                    let (reason, message) = (error.reason(), error.message());
                    let is_late = began.elapsed() >= PROCESS_WAIT && reason != STORE_UNAVAILABLE;
                    return Ok(Some(if error.is_transient() && !is_late {
                        Accepted::Later(waiting(reason, message))
                    } else {
                        Accepted::Refused(reason, message)
                    }));
                }
            };
        let spec = match serde_json::to_value(&pinned) {
            Ok(spec) => spec,
            Err(error) => return Ok(Some(Accepted::Refused(SPEC_INVALID, error.to_string()))),
        };
        let event = Recorded { at: now(), event: Event::Accepted { spec } };
        match journal.append(&[event]).await {
            Ok(()) => {}
            // An earlier leader was as quick. Its event 0 is as good, and who may go on is decided after it.
            Err(JournalError::Superseded { .. }) => return Ok(None),
            Err(error) => return journal_failed(error).map(Some),
        }
        if !warnings.is_empty() {
            let type_ = kube::runtime::events::EventType::Warning;
            self.shared.announcer.tell(&self.name, type_, "AcceptedWithWarnings".to_owned(), warnings.join("\n"));
        }
        Ok(None)
    }

    /// Removes inputs that the façade has put into the store for this job: event 0 holds them now.
    fn drop_inputs(&self, job: &ProcessJob, tenant: &Tenant) {
        let Some(key) = job.spec.inputs_ref.as_ref().filter(|key| key.starts_with(intake::OWN_INPUTS)) else { return };
        let (services, key) = (Arc::clone(&self.shared.services), Path::from(format!("{tenant}/{key}")));
        tokio::spawn(async move {
            if let Err(error) = services.store.delete(&key).await {
                tracing::debug!(%key, %error, "inputs that nobody needs any more stay in the store");
            }
        });
    }

    /// Names the run in the object, and whose it is.
    async fn annotate(&self, job: &ProcessJob, keys: &JobKeys) -> Option<Accepted> {
        let (run, tenant) = (keys.run().to_string(), keys.tenant().to_string());
        let annotations = BTreeMap::from([(RUN_ID, run), (TENANT, tenant), (SPEC_DIGEST, spec_digest(job))]);
        // The uid keeps it away from another object of the same name. Nothing else of the object is touched, so that a
        // change that came in between does no harm.
        let patch = json!({ "metadata": { "uid": self.name.uid, "annotations": annotations } });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.name.jobs(&self.shared.client);
        match in_time(api.patch(&self.name.name, &parameters, &Patch::Merge(&patch))).await {
            Ok(_) => None,
            Err(kube::Error::Api(answer)) if answer.code == 404 => Some(Accepted::Gone),
            Err(kube::Error::Api(answer)) if answer.code == 422 => {
                Some(Accepted::Refused(SPEC_INVALID, answer.message.clone()))
            }
            Err(error) => {
                let message = format!("the job cannot be marked as accepted: {error}");
                Some(Accepted::Later(waiting(API_UNAVAILABLE, message)))
            }
        }
    }
}

/// A journal that is away comes back; one that is damaged does not; one of another leader ends this process.
fn journal_failed(error: JournalError) -> Result<Accepted, JobError> {
    match error {
        JournalError::Store { .. } => {
            Ok(Accepted::Later(waiting(STORE_UNAVAILABLE, format!("the store cannot be reached: {error}"))))
        }
        JournalError::Superseded { .. } => Err(error.into()),
        error => Ok(Accepted::Refused(JOURNAL_LOST, error.to_string())),
    }
}

fn waiting(reason: &str, message: String) -> Waiting {
    Waiting { reason: reason.to_owned(), message, incarnation: None }
}

fn now() -> weir_plan::Timestamp {
    Clock::new(weir_plan::Timestamp::default()).now()
}
