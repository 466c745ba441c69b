//! What the controller sees of pods. It ranks below an agent's report with an exit status (invariant I3): a pod that
//! ended without one is waited for, then its termination message decides, then what the kubelet says.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_api::agent::{Claimant, Exited, TerminationMessage};
use weir_api::kubernetes::names::INCARNATION;
use weir_plan::observed::Lookahead;
use weir_plan::{Incarnation, launch_of};

use super::create::is_ours;
use super::work::{PodState, Report, Timeout, Waits};
use super::{Actor, Backoff, End, JobError, in_time};
use crate::limits::REPORT_WAIT;
use crate::observe::{Judgement, judge, termination};
use crate::registry::PodSeen;
use crate::status::Place;

/// Requests of the next step's pod, at most: what hides its start must not take what runs now.
const LOOKAHEAD: Lookahead = Lookahead { cores_max: 1.0, ram_mib_max: 2048 };

/// The incarnation that a pod was created for.
pub(super) fn incarnation_of(pod: &Pod) -> Option<Incarnation> {
    pod.labels().get(INCARNATION)?.parse().ok().map(Incarnation)
}

impl Actor {
    /// Takes over what an earlier actor left: pods of live incarnations that are ours are gone on with, others are deleted.
    /// Of an incarnation that was claimed the API server itself is asked before it is taken for lost: the cache of a new
    /// leader may be younger than its claim.
    pub(super) async fn adopt(&mut self) -> Result<Option<End>, JobError> {
        self.observe()?;
        let claimed: Vec<Incarnation> =
            self.ledger.live.keys().copied().filter(|incarnation| self.state.claim(*incarnation).is_some()).collect();
        for incarnation in claimed {
            if self.observed.present.contains(&incarnation) {
                continue;
            }
            let Some(launch) = launch_of(&self.context.intent, &self.state, incarnation) else { continue };
            let Ok(wanted) = self.pod_of(&launch) else { continue };
            let api = self.object.pods(&self.shared.client);
            let mut backoff = Backoff::default();
            let found = loop {
                match in_time(api.get_opt(&wanted.name_any())).await {
                    Ok(found) => break found,
                    Err(error) => {
                        tracing::warn!(job = %self.object, %error, "a pod cannot be looked up for now");
                        tokio::select! {
                            () = backoff.wait() => {}
                            () = self.inbox.gone() => return Ok(Some(End::Gone)),
                        }
                    }
                }
            };
            if let Some(found) = found {
                self.pod_seen(PodSeen::There(Arc::new(found)))?;
            }
        }
        Ok(None)
    }

    /// A pod of the job, as it is now.
    pub(super) fn pod_seen(&mut self, seen: PodSeen) -> Result<(), JobError> {
        match seen {
            PodSeen::There(pod) => self.pod_is(pod),
            PodSeen::Gone(pod) => self.pod_gone(&pod),
        }
    }

    fn pod_is(&mut self, pod: Arc<Pod>) -> Result<(), JobError> {
        let Some(incarnation) = incarnation_of(&pod) else { return Ok(()) };
        if incarnation > self.state.last_incarnation() && !self.ledger.is_awaited(incarnation) {
            // A newer leader's.
            return Ok(());
        }
        if !self.ledger.is_awaited(incarnation) {
            let work = self.works.entry(incarnation).or_default();
            work.pod = PodState::There(pod);
            if !work.is_dismissed {
                self.observed.present.insert(incarnation);
            }
            return Ok(());
        }
        let known = self.works.get(&incarnation).and_then(super::Work::pod_uid);
        match known {
            Some(known) if Some(&known) == pod.metadata.uid.as_ref() => {}
            // Our own creation tells which pod is ours.
            None if self.is_creating(incarnation) => return Ok(()),
            None if self.is_adoptable(incarnation, &pod) => {}
            // One of the same name that is not ours. The one that is has its own events.
            _ => {
                self.delete(pod, Some(0));
                return Ok(());
            }
        }
        self.observed.present.insert(incarnation);
        self.works.entry(incarnation).or_default().pod = PodState::There(Arc::clone(&pod));
        self.judged(incarnation, &pod)?;
        self.serve_claim(incarnation)
    }

    fn is_creating(&self, incarnation: Incarnation) -> bool {
        self.works.get(&incarnation).is_some_and(|work| matches!(work.pod, PodState::Creating(_)))
    }

    /// Whether a pod that this actor did not create is the one that an earlier actor created for the incarnation.
    fn is_adoptable(&self, incarnation: Incarnation, pod: &Pod) -> bool {
        if let Some(uid) = self.state.claim(incarnation) {
            // The journal knows it. Whether it terminates makes no difference: it runs the tool.
            return pod.metadata.uid.as_deref() == Some(uid);
        }
        let wanted = match launch_of(&self.context.intent, &self.state, incarnation) {
            Some(launch) => self.pod_of(&launch).ok(),
            None => self.spare_pod(incarnation),
        };
        wanted.is_some_and(|wanted| is_ours(pod, &wanted))
    }

    /// The pod was created, or found to be ours.
    pub(super) fn created(&mut self, incarnation: Incarnation, pod: Arc<Pod>) -> Result<(), JobError> {
        let Some(work) = self.works.get_mut(&incarnation) else {
            self.delete(pod, None);
            return Ok(());
        };
        work.waiting = None;
        self.shown.is_stale = true;
        work.pod = PodState::There(Arc::clone(&pod));
        if self.ledger.is_awaited(incarnation) {
            self.judged(incarnation, &pod)?;
            self.serve_claim(incarnation)?;
        } else if !work.is_dismissed {
            self.observed.present.insert(incarnation);
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Arc<Pod>) -> Result<(), JobError> {
        let Some(incarnation) = incarnation_of(pod) else { return Ok(()) };
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        if work.pod_uid() != pod.uid() {
            return Ok(());
        }
        if !self.ledger.is_awaited(incarnation) {
            self.works.remove(&incarnation);
            self.observed.present.remove(&incarnation);
            return Ok(());
        }
        if let Some(stop) = work.stop.take() {
            self.observed.present.remove(&incarnation);
            return self.failed(incarnation, stop.class, &stop.message, stop.exit_code, weir_plan::event::Usage::default());
        }
        if self.state.claim(incarnation).is_none() {
            self.observed.present.remove(&incarnation);
            return self.lost(incarnation, "its pod was deleted before the tool started");
        }
        if work.over.is_none() && work.answering.is_none() && work.report.is_none() {
            let over = match judge(pod) {
                Judgement::Over { class, message, exit_code } => (class, message, exit_code),
                _ => (FailureClass::Disrupted, "its pod was deleted".to_owned(), None),
            };
            self.over(incarnation, pod, over);
        }
        Ok(())
    }

    /// What a pod's status says.
    fn judged(&mut self, incarnation: Incarnation, pod: &Pod) -> Result<(), JobError> {
        let is_claimed = self.state.claim(incarnation).is_some();
        let pods = &self.context.services.settings.pods;
        let judgement = judge(pod);
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        let had_waited = work.waiting.take();
        match judgement {
            Judgement::Fine => {}
            Judgement::Waiting { class, message } => {
                let limit = match class {
                    FailureClass::ImageUnavailable => pods.image_seconds,
                    _ => pods.unschedulable_seconds,
                };
                let until = match &had_waited {
                    Some(known) if known.class == class => known.until,
                    _ => Instant::now() + Duration::from_secs(limit),
                };
                let is_news = had_waited.as_ref().is_none_or(|known| known.class != class);
                work.waiting = Some(Waits { class, message: message.clone(), until });
                self.shown.is_stale = true;
                if is_news {
                    self.announce_waiting(incarnation, class, &message);
                }
                return Ok(());
            }
            Judgement::Over { class, message, exit_code } => {
                if !is_claimed {
                    return self.failed(incarnation, class, &message, exit_code, weir_plan::event::Usage::default());
                }
                if work.over.is_none() && work.answering.is_none() && work.report.is_none() {
                    self.over(incarnation, pod, (class, message, exit_code));
                }
            }
        }
        self.shown.is_stale |= had_waited.is_some();
        Ok(())
    }

    /// The tool may have ended: its agent has some time left to say how. What it left as its last word says it as well.
    fn over(&mut self, incarnation: Incarnation, pod: &Pod, over: (FailureClass, String, Option<i32>)) {
        let (class, message, exit_code) = over;
        let Some(work) = self.works.get_mut(&incarnation) else { return };
        work.over = Some(Timeout { class, message, exit_code, at: Instant::now() + REPORT_WAIT });
        let Some(TerminationMessage { ending: Some(ending), hints, usage, stderr_tail, .. }) = termination(pod) else {
            return;
        };
        let claimant = Claimant {
            run_id: self.context.keys.run().as_str().to_owned(),
            incarnation: incarnation.0,
            pod_uid: pod.uid().unwrap_or_default(),
        };
        let exited = Exited {
            claimant,
            ending,
            hints,
            usage,
            stderr_tail,
            listing: weir_api::agent::Listing::default(),
            contents: std::collections::BTreeMap::new(),
            log_bytes: None,
        };
        // The agent itself is gone: nobody reads the answer.
        work.report = Some(Report::Exited(Box::new(exited), None));
        self.serve_report(incarnation);
    }

    /// How much may be created ahead now: nothing while a step that could run finds no place.
    pub(super) fn lookahead(&self) -> Option<Lookahead> {
        let is_short = |class| matches!(class, FailureClass::Unschedulable | FailureClass::QuotaExceeded);
        let is_short = self.works.values().any(|work| work.waiting.as_ref().is_some_and(|waits| is_short(waits.class)));
        (self.context.services.settings.lookahead && !is_short).then_some(LOOKAHEAD)
    }

    /// Where the failure that ends the job happened, for people.
    pub(super) fn place(&self) -> Option<Place> {
        let (incarnation, log) = self.ledger.fatal.as_ref()?;
        let pod = self.works.get(incarnation).and_then(super::Work::seen);
        Some(Place {
            pod: pod.map(|pod| pod.name_any()),
            node: pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()),
            log: Some(log.clone()),
        })
    }
}
