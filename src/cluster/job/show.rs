//! What people see: the status and Kubernetes events.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event as Note, EventType, Recorder, Reporter};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use weir_api::kubernetes::{ProcessJob, ProcessJobStatus};
use weir_api::{FailureClass, Phase};
use weir_plan::{Event, Incarnation};

use super::{Actor, Backoff, Object, in_time};
use crate::limits::{EVENT_NOTE_BYTES, EVENTS_A_SECOND, EVENTS_WAITING, STATUS_INTERVAL};
use crate::status::{self, Waiting};

/// Writes one ProcessJob's status: the latest, until it is written. Older ones that were not written are left out.
#[derive(Debug)]
pub struct Writer {
    latest: watch::Sender<Arc<ProcessJobStatus>>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Writes for `object`, whose status is `known`.
    pub fn new(
        client: &kube::Client,
        object: &Object,
        known: ProcessJobStatus,
        writes: impl Fn() + Send + 'static,
    ) -> Self {
        let (latest, receiver) = watch::channel(Arc::new(known));
        let task = tokio::spawn(write(object.jobs(client), object.clone(), receiver, writes));
        Self { latest, task }
    }

    /// What was last asked to be written.
    pub fn latest(&self) -> Arc<ProcessJobStatus> {
        Arc::clone(&self.latest.borrow())
    }

    /// Writes this, unless it says the same as the last one.
    pub fn write(&self, status: ProcessJobStatus) {
        self.latest.send_if_modified(|latest| {
            let is_news = !status::says_the_same(latest, &status);
            if is_news {
                *latest = Arc::new(status);
            }
            is_news
        });
    }

    /// Waits until the latest is written, or the object is gone.
    pub async fn finish(self) {
        drop(self.latest);
        // Its end is all that matters; a defect in it was logged by the runtime.
        let _ = self.task.await;
    }
}

async fn write(
    api: Api<ProcessJob>,
    object: Object,
    mut latest: watch::Receiver<Arc<ProcessJobStatus>>,
    writes: impl Fn(),
) {
    let parameters = PatchParams::default();
    // After the sender is gone, `changed` still tells of a value that was not seen.
    while latest.changed().await.is_ok() {
        let mut backoff = Backoff::default();
        loop {
            let status = Arc::clone(&latest.borrow_and_update());
            // The uid keeps a status out of another object of the same name.
            let patch = json!({ "metadata": { "uid": object.uid }, "status": &*status });
            match in_time(api.patch_status(&object.name, &parameters, &Patch::Merge(&patch))).await {
                Ok(_) => break writes(),
                Err(kube::Error::Api(answer)) if answer.code == 404 => return,
                Err(kube::Error::Api(answer)) if answer.code == 409 => {
                    let found = in_time(api.get_metadata_opt(&object.name)).await;
                    if found
                        .is_ok_and(|found| found.is_none_or(|found| found.metadata.uid.as_ref() != Some(&object.uid)))
                    {
                        return;
                    }
                }
                // It was written, but another's malformed part cannot be read back.
                Err(kube::Error::SerdeError(_)) => break,
                // A defect of weir; the next status may be sound.
                Err(kube::Error::Api(answer)) if answer.code == 422 => {
                    tracing::error!(job = %object, answer.message, "the status is refused");
                    break;
                }
                Err(error) => tracing::warn!(job = %object, %error, "the status cannot be written for now"),
            }
            backoff.wait().await;
        }
    }
}

/// What an actor shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub writer: Writer,
    /// Whether something may have changed since it was last shown.
    pub is_stale: bool,
    pub generation: Option<i64>,
    pub is_spec_changed: bool,
    /// Not before.
    next: Instant,
}

impl Shown {
    pub fn new(writer: Writer) -> Self {
        Self { writer, is_stale: true, generation: None, is_spec_changed: false, next: Instant::now() }
    }

    /// When it is to be shown again.
    pub fn due(&self) -> Option<Instant> {
        self.is_stale.then_some(self.next)
    }
}

impl Actor {
    /// Writes the status if it changed and the last write is long enough ago. All that it says is durable.
    pub(super) fn show(&mut self) {
        let is_over = self.state.finished().is_some();
        let now = Instant::now();
        if !self.shown.is_stale || (now < self.shown.next && !is_over) {
            return;
        }
        let mut waiting: Vec<Waiting> = self.held_up.iter().cloned().collect();
        let waits = self.works.iter().filter_map(|(number, work)| work.shown(*number));
        waiting.extend(waits);
        let place = self.place();
        let shown = status::Shown {
            spec: &self.context.spec,
            intent: &self.context.intent,
            state: &self.state,
            accepted: self.ledger.accepted,
            is_suspended: self.ledger.is_suspended,
            waiting: &waiting,
            place: place.as_ref(),
            is_spec_changed: self.shown.is_spec_changed,
            generation: self.shown.generation,
        };
        let status = status::status(&shown, &self.shown.writer.latest(), self.clock.now());
        self.shown.writer.write(status);
        self.shown.is_stale = false;
        self.shown.next = now + STATUS_INTERVAL;
    }

    /// Says that the whole job is held up, and nothing else: events that are not durable stay untold.
    pub(super) fn show_held_up(&mut self, waiting: &Waiting) {
        let latest = self.shown.writer.latest();
        if latest.phase.is_some_and(Phase::is_final) {
            return;
        }
        self.shown.writer.write(status::waits(waiting, self.shown.generation, &latest, self.clock.now()));
        self.shown.is_stale = true;
    }

    /// Tells people of an event that they would ask about.
    pub(super) fn announce(&self, event: &Event) {
        let (type_, reason, note) = match event {
            Event::Ended { outcome, incarnation } => {
                let Some(failure) = &outcome.failure else { return };
                let again = if self.state.failure().is_some() { "" } else { "; it is tried again" };
                let pod = self.works.get(incarnation).and_then(super::Work::seen);
                let pod = pod.and_then(|pod| pod.metadata.name.as_deref()).unwrap_or("no pod");
                (EventType::Warning, failure.class.to_string(), format!("{} ({pod}){again}", failure.message))
            }
            Event::StopRequested { class, message } if self.state.stop().is_none() => {
                let note = format!("{message}; too late: its results are being published");
                (EventType::Normal, class.to_string(), note)
            }
            Event::StopRequested { class, message } => (EventType::Normal, class.to_string(), message.clone()),
            Event::Suspended => (EventType::Normal, "Suspended".to_owned(), "no new step starts".to_owned()),
            Event::Resumed => (EventType::Normal, "Resumed".to_owned(), "steps start again".to_owned()),
            Event::StartAttempt { instance, resources, .. } => {
                let known = self.ledger.asked_memory.get(instance).copied();
                let Some(before) = known.filter(|before| *before < resources.ram_mib) else { return };
                let note = format!("step `{instance}` gets {} MiB of memory instead of {before}", resources.ram_mib);
                (EventType::Normal, "MemoryRaised".to_owned(), note)
            }
            Event::Finished { phase, failure, .. } => {
                let type_ = if *phase == Phase::Failed { EventType::Warning } else { EventType::Normal };
                let note = failure.as_ref().map_or_else(|| "every output is published", |failure| &failure.message);
                (type_, format!("{phase:?}"), note.to_owned())
            }
            _ => return,
        };
        self.shared.announcer.tell(&self.object, type_, reason, note);
    }

    pub(super) fn announce_waiting(&self, incarnation: Incarnation, class: FailureClass, message: &str) {
        let instance = self.ledger.live.get(&incarnation).map(|live| live.instance.to_string());
        let note = format!("step `{}` waits: {message}", instance.unwrap_or_default());
        self.shared.announcer.tell(&self.object, EventType::Normal, class.to_string(), note);
    }
}

/// An event that waits to be written.
type Told = (ObjectReference, EventType, String, String);

/// Writes Kubernetes events of all jobs, a bounded number at a time, warnings first: a thousand jobs that go well do not hide
/// one that does not. Who speaks never waits: what is too much is dropped.
#[derive(Debug, Clone)]
pub struct Announcer {
    warnings: mpsc::Sender<Told>,
    others: mpsc::Sender<Told>,
}

impl Announcer {
    /// Writes as `pod`, the operator's own.
    pub fn new(client: kube::Client, pod: Option<String>) -> Self {
        let (warnings, mut warned) = mpsc::channel::<Told>(EVENTS_WAITING);
        let (others, mut told) = mpsc::channel::<Told>(EVENTS_WAITING);
        let reporter = Reporter { controller: "weir.dev/operator".to_owned(), instance: pod };
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_secs(1) / EVENTS_A_SECOND);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let next = tokio::select! {
                    biased;
                    Some(next) = warned.recv() => next,
                    Some(next) = told.recv() => next,
                    else => return,
                };
                let (reference, type_, reason, note) = next;
                tick.tick().await;
                let action = reason.clone();
                let note = Note { type_, reason, note: Some(note), action, secondary: None };
                if let Err(error) = in_time(recorder.publish(&note, &reference)).await {
                    tracing::debug!(%error, "a Kubernetes event was not written");
                }
            }
        });
        Self { warnings, others }
    }

    /// Tells of `object`.
    pub fn tell(&self, object: &Object, type_: EventType, reason: String, mut note: String) {
        if note.len() > EVENT_NOTE_BYTES {
            let mut end = EVENT_NOTE_BYTES;
            while !note.is_char_boundary(end) {
                end -= 1;
            }
            note.truncate(end);
        }
        let queue = if type_ == EventType::Warning { &self.warnings } else { &self.others };
        // Full: people are told enough as it is.
        let _ = queue.try_send((object.reference(), type_, reason, note));
    }
}
