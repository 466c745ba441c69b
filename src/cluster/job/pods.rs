//! What the controller sees of pods. It ranks below an agent's report with an exit status (invariant I3): a pod that
//! ended without one is waited for, then its termination message decides, then what the kubelet says.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_cwl::Process;
use weir_plan::action::words_of_kill;
use weir_plan::event::{Failure, Usage};
use weir_plan::observed::Lookahead;
use weir_plan::{Incarnation, Outcome, Timestamp, launch_of};

use super::create::ours;
use super::work::{Agent, PodState};
use super::{Actor, Backoff, End, JobError, in_time};
use crate::limits::REPORT_WAIT;
use crate::observe::{About, Adoption, Ending, Judgement, ended, judge, sight};
use crate::registry::PodSeen;
use crate::status::Place;

/// How often a pod that has not started its tool is judged though nothing of it changed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
        let Some(incarnation) = sight::incarnation(&pod) else { return Ok(()) };
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
            None if self.is_creating(incarnation) => {
                self.works.entry(incarnation).or_default().early = Some(PodSeen::There(pod));
                return Ok(());
            }
            None if self.is_adoptable(incarnation, &pod) => {}
            // One of the same name that is not ours. The one that is has its own events.
            _ => {
                self.delete(&pod, Some(0));
                return Ok(());
            }
        }
        self.observed.present.insert(incarnation);
        let work = self.works.entry(incarnation).or_default();
        if work.launch.is_none() && self.state.claim(incarnation).is_none() {
            self.observed.unlaunched.insert(incarnation);
        }
        work.pod = PodState::There(Arc::clone(&pod));
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
        wanted.is_some_and(|wanted| ours(pod, &wanted, None) == Adoption::Ours)
    }

    /// The pod of an incarnation that was created ahead.
    fn spare_pod(&self, incarnation: Incarnation) -> Option<Pod> {
        let (place, resources) = self.ledger.spare.get(&incarnation)?;
        let place = self.context.intent.places().iter().find(|one| one.path == *place)?;
        self.build(incarnation, &place.id, None, *resources, 0, &place.effective).ok()
    }

    /// The pod was created, or found to be ours.
    pub(super) fn created(&mut self, incarnation: Incarnation, pod: &Arc<Pod>) -> Result<(), JobError> {
        let Some(work) = self.works.get_mut(&incarnation) else {
            self.delete(pod, None);
            return Ok(());
        };
        work.delayed = None;
        self.shown.is_stale = true;
        work.pod = PodState::There(Arc::clone(pod));
        match work.early.take() {
            // What was seen is newer than the answer.
            Some(PodSeen::There(seen)) if seen.uid() == pod.uid() => return self.pod_is(seen),
            Some(PodSeen::Gone(seen)) if seen.uid() == pod.uid() => return self.pod_gone(&seen),
            _ => {}
        }
        if self.ledger.is_awaited(incarnation) {
            self.judged(incarnation, pod)?;
            self.serve_claim(incarnation)?;
        } else if !work.is_dismissed {
            self.observed.present.insert(incarnation);
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Arc<Pod>) -> Result<(), JobError> {
        let Some(incarnation) = sight::incarnation(pod) else { return Ok(()) };
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        if matches!(work.pod, PodState::Creating(_)) {
            work.early = Some(PodSeen::Gone(Arc::clone(pod)));
            return Ok(());
        }
        if work.pod_uid() != pod.uid() {
            return Ok(());
        }
        if !self.ledger.is_awaited(incarnation) {
            self.works.remove(&incarnation);
            self.observed.present.remove(&incarnation);
            return Ok(());
        }
        if let Some((class, _)) = work.stop.take() {
            return self.failed(incarnation, class, words_of_kill(class));
        }
        let codes = self.codes(incarnation);
        let ending = ended(pod, &self.about(incarnation, &codes));
        self.over(incarnation, pod, ending)
    }

    /// What a pod's status says.
    pub(super) fn judged(&mut self, incarnation: Incarnation, pod: &Arc<Pod>) -> Result<(), JobError> {
        let (codes, now) = (self.codes(incarnation), self.clock.now());
        if let Some(work) = self.works.get_mut(&incarnation)
            && matches!(work.agent, Agent::NotThere)
            && sight::started(pod)
        {
            work.agent = Agent::Silent(now);
        }
        let judgement = judge(pod, &self.about(incarnation, &codes), now);
        let is_claimed = self.state.claim(incarnation).is_some();
        let Some(work) = self.works.get_mut(&incarnation) else { return Ok(()) };
        let had_waited = work.waiting.take();
        let is_quiet = is_claimed || matches!(work.agent, Agent::Heard);
        work.look_at = (!is_quiet || !sight::started(pod)).then(|| Instant::now() + LOOK_AGAIN);
        match judgement {
            Judgement::Fine => self.shown.is_stale |= had_waited.is_some(),
            Judgement::Waiting(waiting) => {
                let is_news = had_waited.is_none_or(|known| known.class != waiting.class);
                let (class, message) = (waiting.class, waiting.message.clone());
                work.waiting = Some(waiting);
                self.shown.is_stale = true;
                if is_news {
                    self.announce_waiting(incarnation, class, &message);
                }
            }
            Judgement::Over(ending) => {
                work.look_at = None;
                return self.over(incarnation, pod, ending);
            }
        }
        Ok(())
    }

    /// The pod is over. What its agent sent before that may still be on its way, and says more.
    fn over(&mut self, incarnation: Incarnation, pod: &Pod, ending: Ending) -> Result<(), JobError> {
        if !self.ledger.live.contains_key(&incarnation) || self.state.claim(incarnation).is_none() {
            return self.failed(incarnation, ending.class, &ending.message);
        }
        let outcome = self.outcome(incarnation, pod, ending).map(Box::new);
        if let (Some(work), Some(outcome)) = (self.works.get_mut(&incarnation), outcome) {
            let at = work.over.take().map_or_else(|| Instant::now() + REPORT_WAIT, |(_, at)| at);
            work.over = Some((outcome, at));
        }
        Ok(())
    }

    /// The outcome of an incarnation as far as its pod's status tells it.
    pub(super) fn outcome_by(&self, incarnation: Incarnation, pod: &Pod) -> Option<Outcome> {
        let codes = self.codes(incarnation);
        self.outcome(incarnation, pod, ended(pod, &self.about(incarnation, &codes)))
    }

    fn outcome(&self, incarnation: Incarnation, pod: &Pod, ending: Ending) -> Option<Outcome> {
        let live = self.ledger.live.get(&incarnation)?;
        let Ending { class, message, exit_code, stderr_tail } = ending;
        let (instance, now) = (live.instance.clone(), self.clock.now());
        let message = format!("step `{instance}`: {message}");
        let failure = Failure { class, message, instance: Some(instance), exit_code, stderr_tail };
        let known = sight::last_words(pod).map(|words| words.usage).unwrap_or_default();
        let usage = Usage {
            started: if known.started_ms == 0 { live.started } else { Timestamp(known.started_ms) },
            finished: if known.finished_ms == 0 { now } else { Timestamp(known.finished_ms) },
            cpu_seconds: known.cpu_seconds,
            memory_peak_bytes: known.memory_peak_bytes,
            output_bytes: 0,
        };
        Some(Outcome { outputs: None, failure: Some(failure), exit_code, usage })
    }

    /// `successCodes` and `temporaryFailCodes` of the incarnation's tool.
    pub(super) fn codes(&self, incarnation: Incarnation) -> (Vec<i32>, Vec<i32>) {
        let launch = self.works.get(&incarnation).and_then(|work| work.launch.as_ref());
        let process = launch.and_then(|launch| self.context.intent.package().processes.get(launch.tool.0));
        match process {
            Some(Process::CommandLineTool(tool)) => (tool.success_codes.clone(), tool.temporary_fail_codes.clone()),
            // A spare has no tool yet, and all of its ends are alike.
            _ => (vec![0], Vec::new()),
        }
    }

    fn about<'a>(&'a self, incarnation: Incarnation, codes: &'a (Vec<i32>, Vec<i32>)) -> About<'a> {
        About {
            claimed: self.state.claim(incarnation).is_some(),
            silent_since: self.works.get(&incarnation).and_then(|work| match work.agent {
                Agent::Silent(since) => Some(since),
                Agent::NotThere | Agent::Heard => None,
            }),
            success_codes: &codes.0,
            temporary_fail_codes: &codes.1,
            settings: &self.context.services.settings.pods,
            before: self.works.get(&incarnation).and_then(|work| work.waiting.as_ref()),
        }
    }

    /// How much may be created ahead now: nothing while a step that could run finds no place, and no more until the
    /// scheduler has given each of them its node.
    pub(super) fn lookahead(&self) -> Option<Lookahead> {
        let is_short = |class| matches!(class, FailureClass::Unschedulable | FailureClass::QuotaExceeded);
        let works = || self.ledger.live.keys().map(|incarnation| self.works.get(incarnation));
        let has_node = |work: &super::Work| work.seen().is_some_and(|pod| sight::node(pod).is_some());
        let is_short = works().flatten().any(|work| {
            work.waiting.as_ref().is_some_and(|waiting| is_short(waiting.class))
                || work.delayed.as_ref().is_some_and(|(class, _)| is_short(*class))
        });
        let is_held = !works().all(|work| work.is_some_and(has_node));
        let is_on = self.context.services.settings.lookahead && !is_short;
        is_on.then(|| Lookahead { is_held, ..Lookahead::default() })
    }

    /// Where the failure that ends the job happened, for people.
    pub(super) fn place(&self) -> Option<Place> {
        let (incarnation, log) = self.ledger.fatal.as_ref()?;
        let pod = self.works.get(incarnation).and_then(super::Work::seen);
        Some(Place {
            pod: pod.map(|pod| pod.name_any()),
            node: pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()),
            log: self.context.keys.incarnation_log(log, incarnation.0).filename().map(str::to_owned),
        })
    }
}
