//! What a pod's status means for its incarnation.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use weir_api::FailureClass;
use weir_api::kubernetes::names::{AGENT_CONTAINER, TOOL_CONTAINER};
use weir_plan::Timestamp;

use super::ending::{Ending, disruption, ended, never_started};
use super::quote::{of_scheduler, quote};
use super::sight::{self, ContainerState};
use crate::build::pod::INSTALL_CONTAINER;
use crate::limits::{AGENT_SILENT_SECONDS_MAX, POD_ABANDONED_SECONDS_MAX, POD_QUIET_SECONDS, POD_START_SECONDS_MAX};
use crate::settings::PodSettings;

/// What the operator knows of the incarnation besides its pod.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Whether it has the claim: from then on the tool may have run.
    pub claimed: bool,
    /// Since when its pod runs and its agent has not been heard of; `None` once it has.
    pub silent_since: Option<Timestamp>,
    /// The tool's `successCodes`.
    pub success_codes: &'a [i32],
    /// The tool's `temporaryFailCodes`.
    pub temporary_fail_codes: &'a [i32],
    /// How long what may be waited for.
    pub settings: &'a PodSettings,
    /// What the last judgement of this pod waited for: a status says that an image is missing, not since when.
    pub before: Option<&'a Waiting>,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// Nothing to do: it is starting, it runs, or its agent is about to report.
    Fine,
    /// Something keeps it from going on. Judge again at the deadline at the latest.
    Waiting(Waiting),
    /// It is over, or will never be anything. Reports that arrive afterwards are of no use; the pod is to be deleted.
    Over(Ending),
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A node.
    Node,
    /// An image.
    Image,
    /// A container that the kubelet fails to start.
    Container,
    /// A node's preparations.
    Preparation,
    /// A node that has restarted to go on with its preparations.
    Restart,
    /// The last report of a pod that was deleted.
    Report,
    /// A word of the agent.
    Agent,
}

/// What an incarnation waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// In one word.
    pub want: Want,
    /// Its class if the wait is in vain.
    pub class: FailureClass,
    /// For the user.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; at this time it is over.
    pub deadline: Timestamp,
}

/// Judges a pod that exists. Call it for each state that is seen, and every few seconds until [`sight::started`].
pub fn judge(pod: &Pod, about: &About<'_>, now: Timestamp) -> Judgement {
    if sight::is_finished(pod) || sight::phase(pod) == "Unknown" {
        return Judgement::Over(ended(pod, about));
    }
    if sight::is_terminating(pod) {
        return terminating(pod, about, now);
    }
    if sight::node(pod).is_none() {
        return unscheduled(pod, about, now);
    }
    if let Some(ending) = never_started(pod) {
        return Judgement::Over(ending);
    }
    if matches!(sight::state(pod, AGENT_CONTAINER), ContainerState::Terminated(_)) {
        // Nobody is left to report. The tool dies with its agent.
        return Judgement::Over(ended(pod, about));
    }
    if !about.claimed
        && let ContainerState::Terminated(tool) = sight::state(pod, TOOL_CONTAINER)
        // With 0 the agent sent it away, and is leaving too.
        && tool.exit_code != 0
    {
        return Judgement::Over(ended(pod, about));
    }
    for container in [INSTALL_CONTAINER, AGENT_CONTAINER, TOOL_CONTAINER] {
        let ContainerState::Waiting { reason, message } = sight::state(pod, container) else { continue };
        match trouble(pod, container, reason, message) {
            Some(Trouble::Forever(ending)) => return Judgement::Over(ending),
            Some(Trouble::Retried(want, class, message)) => {
                let wait = Wait { want, class, message, since: since_before(about, want, now) };
                return wait.until(about.settings.image_seconds, now);
            }
            None => {}
        }
    }
    if !sight::started(pod) && sight::state(pod, TOOL_CONTAINER) != ContainerState::Running {
        return if sight::is_abandoned(pod) { abandoned(pod, about, now) } else { preparing(pod, about, now) };
    }
    match about.silent_since {
        Some(since) if !about.claimed => silent(since, now),
        _ => Judgement::Fine,
    }
}

/// It runs, but its agent does not come through to the operator.
fn silent(since: Timestamp, now: Timestamp) -> Judgement {
    if now.0 < since.0.saturating_add(POD_QUIET_SECONDS * 1000) {
        return Judgement::Fine;
    }
    let message =
        "the pod runs, but its agent does not reach the operator; look at the log of its container `agent`, and \
                   whether a NetworkPolicy of the job's namespace forbids the way to the Service `weir-agents`"
            .to_owned();
    let wait = Wait { want: Want::Agent, class: FailureClass::Platform, message, since };
    wait.until(AGENT_SILENT_SECONDS_MAX, now)
}

/// Deleted, and not over yet. An agent that lives may still report; on a lost node nothing ever changes.
fn terminating(pod: &Pod, about: &About<'_>, now: Timestamp) -> Judgement {
    // The API server sets it to the end of the grace period.
    let end = pod.metadata.deletion_timestamp.as_ref().map_or(now, sight::timestamp);
    let is_lost = disruption(pod) == Some("DeletionByTaintManager");
    let can_report = sight::state(pod, AGENT_CONTAINER) == ContainerState::Running;
    let ending = ended(pod, about);
    if !about.claimed || is_lost || !can_report || now >= end {
        return Judgement::Over(ending);
    }
    let (want, since) = (Want::Report, since_before(about, Want::Report, now));
    Judgement::Waiting(Waiting { want, class: ending.class, message: ending.message, since, deadline: end })
}

fn unscheduled(pod: &Pod, about: &About<'_>, now: Timestamp) -> Judgement {
    let wait = |message, since| {
        let wait = Wait { want: Want::Node, class: FailureClass::Unschedulable, message, since };
        wait.until(about.settings.unschedulable_seconds, now)
    };
    let created = pod.metadata.creation_timestamp.as_ref().map_or(now, sight::timestamp);
    match sight::condition(pod, "PodScheduled").filter(|condition| condition.status == "False") {
        Some(condition) => {
            let since = condition.last_transition_time.as_ref().map_or(created, sight::timestamp);
            wait(why_unscheduled(condition), since)
        }
        None if now.0 < created.0.saturating_add(POD_QUIET_SECONDS * 1000) => Judgement::Fine,
        None => {
            let message = "no scheduler has looked at the pod yet; is the cluster's scheduler running?".to_owned();
            wait(message, created)
        }
    }
}

fn why_unscheduled(condition: &PodCondition) -> String {
    let words = of_scheduler(condition.message.as_deref().unwrap_or("no reason was given"));
    match condition.reason.as_deref() {
        Some("SchedulingGated") => format!("the pod is held back by a scheduling gate: {words}"),
        _ => format!("no node has room for the step: {words}"),
    }
}

/// On a node, and nothing has gone wrong, but nothing has started either.
fn preparing(pod: &Pod, about: &About<'_>, now: Timestamp) -> Judgement {
    let scheduled = sight::condition(pod, "PodScheduled").and_then(|condition| condition.last_transition_time.as_ref());
    let scheduled = scheduled.or(pod.metadata.creation_timestamp.as_ref());
    let since = scheduled.map_or_else(|| since_before(about, Want::Preparation, now), sight::timestamp);
    if now.0 < since.0.saturating_add(POD_QUIET_SECONDS * 1000) {
        return Judgement::Fine;
    }
    let node = sight::node(pod).unwrap_or_default();
    let message = format!(
        "the node `{node}` is still preparing the pod (pulling images, mounting volumes); `kubectl describe pod` shows \
         its events"
    );
    let wait = Wait { want: Want::Preparation, class: FailureClass::Platform, message, since };
    wait.until(POD_START_SECONDS_MAX, now)
}

/// Its node has restarted half way. The kubelet starts no pod again that is never to be restarted, and says nothing more.
fn abandoned(pod: &Pod, about: &About<'_>, now: Timestamp) -> Judgement {
    let node = sight::node(pod).unwrap_or_default();
    let message = format!("the node `{node}` restarted while it prepared the pod, and does not go on with it");
    let since = since_before(about, Want::Restart, now);
    Wait { want: Want::Restart, class: FailureClass::Disrupted, message, since }.until(POD_ABANDONED_SECONDS_MAX, now)
}

/// Since when the same thing is waited for.
fn since_before(about: &About<'_>, want: Want, now: Timestamp) -> Timestamp {
    about.before.filter(|before| before.want == want).map_or(now, |before| before.since)
}

/// A wait without its end.
struct Wait {
    want: Want,
    class: FailureClass,
    message: String,
    since: Timestamp,
}

impl Wait {
    /// It goes on, unless it has lasted long enough.
    fn until(self, seconds: u64, now: Timestamp) -> Judgement {
        let Self { want, class, message, since } = self;
        let deadline = Timestamp(since.0.saturating_add(seconds.saturating_mul(1000)));
        if now < deadline {
            return Judgement::Waiting(Waiting { want, class, message, since, deadline });
        }
        Judgement::Over(Ending::new(class, format!("{message} (waited {seconds} s)")))
    }
}

/// What keeps a container from starting.
enum Trouble {
    /// It never will.
    Forever(Ending),
    /// The kubelet tries again.
    Retried(Want, FailureClass, String),
}

fn trouble(pod: &Pod, container: &str, reason: &str, message: &str) -> Option<Trouble> {
    let words = quote(message);
    let image = sight::image(pod, container);
    // A missing image of ours is not the package's fault.
    let (class, whose, advice) = if container == TOOL_CONTAINER {
        let advice = "check `dockerPull`, and whether the cluster may pull it (imagePullSecrets)";
        (FailureClass::ImageUnavailable, "of the tool", advice)
    } else {
        (FailureClass::Platform, "of weir's agent", "check the operator's setting, and whether the cluster may pull it")
    };
    match reason {
        "InvalidImageName" => {
            let message = format!("`{image}`, the image {whose}, is no image name ({words}); {advice}");
            Some(Trouble::Forever(Ending::new(class, message)))
        }
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let message = format!("the image `{image}` {whose} cannot be had ({reason}): {words}; {advice}");
            Some(Trouble::Retried(Want::Image, class, message))
        }
        "CreateContainerConfigError" if message.contains("runAsNonRoot") => {
            let message = format!(
                "the image `{image}` {whose} would run as root, which is not allowed: {words}; give pods a numeric user \
                 (setting runAsUser)"
            );
            Some(Trouble::Forever(Ending::new(FailureClass::Rejected, message)))
        }
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError"
        | "CrashLoopBackOff" => {
            let message = format!("the container `{container}` cannot be started ({reason}): {words}");
            Some(Trouble::Retried(Want::Container, FailureClass::Platform, message))
        }
        _ => None,
    }
}
