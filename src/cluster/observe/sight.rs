//! Single facts of a pod.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use weir_api::agent::TerminationMessage;
use weir_api::kubernetes::names;
use weir_plan::{Incarnation, Timestamp};

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ContainerState<'a> {
    /// The kubelet has not said anything yet.
    Unknown,
    /// Not started.
    Waiting {
        /// One word of the kubelet.
        reason: &'a str,
        /// Its explanation; may be empty.
        message: &'a str,
    },
    /// Started.
    Running,
    /// Over.
    Terminated(&'a ContainerStateTerminated),
}

/// `metadata.uid`.
pub fn uid(pod: &Pod) -> Option<&str> {
    pod.metadata.uid.as_deref()
}

/// The run that its label names.
pub fn run_id(pod: &Pod) -> Option<&str> {
    label(pod, names::RUN)
}

/// The incarnation that its label names.
pub fn incarnation(pod: &Pod) -> Option<Incarnation> {
    label(pod, names::INCARNATION)?.parse().ok().map(Incarnation)
}

/// The uid of the ProcessJob that controls it.
pub fn owner_uid(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.as_deref()?;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// The digest of what it was built from.
pub fn spec_hash(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(names::SPEC_HASH).map(String::as_str)
}

/// Whether somebody has deleted it. It may still run.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the kubelet has started the tool's container at any time: from then on images, hooks and volumes are no issue.
pub fn started(pod: &Pod) -> bool {
    match state(pod, names::TOOL_CONTAINER) {
        ContainerState::Running => true,
        ContainerState::Terminated(terminated) => !is_start_error(terminated),
        ContainerState::Unknown | ContainerState::Waiting { .. } => false,
    }
}

/// Whether a container was made, none has started, and the sandbox that it was made for is gone: what a restart of the node
/// leaves (seen with Kubernetes 1.34; the condition is there since 1.29).
pub fn is_abandoned(pod: &Pod) -> bool {
    let is_made = |name| container_status(pod, name).is_some_and(|status| status.container_id.is_some());
    let waits = |name| matches!(state(pod, name), ContainerState::Waiting { .. } | ContainerState::Unknown);
    condition(pod, "PodReadyToStartContainers").is_some_and(|condition| condition.status == "False")
        && [names::AGENT_CONTAINER, names::TOOL_CONTAINER].into_iter().all(waits)
        && [names::AGENT_CONTAINER, names::TOOL_CONTAINER].into_iter().any(is_made)
}

/// Whether the kubelet says how the tool's container ended.
pub fn is_tool_over(pod: &Pod) -> bool {
    matches!(state(pod, names::TOOL_CONTAINER), ContainerState::Terminated(_))
}

/// Whether every container is over.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// What a container does, by its name.
pub fn state<'a>(pod: &'a Pod, container: &str) -> ContainerState<'a> {
    let Some(state) = container_status(pod, container).and_then(|status| status.state.as_ref()) else {
        return ContainerState::Unknown;
    };
    if let Some(terminated) = &state.terminated {
        ContainerState::Terminated(terminated)
    } else if state.running.is_some() {
        ContainerState::Running
    } else {
        let waiting = state.waiting.as_ref();
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
        ContainerState::Waiting { reason, message }
    }
}

/// The agent's last words, if it had time for any.
pub fn last_words(pod: &Pod) -> Option<TerminationMessage> {
    let ContainerState::Terminated(agent) = state(pod, names::AGENT_CONTAINER) else { return None };
    serde_json::from_str(agent.message.as_deref()?).ok()
}

/// Name of the pod and its node, for people.
pub fn place(pod: &Pod) -> (Option<String>, Option<String>) {
    (pod.metadata.name.clone(), node(pod).map(str::to_owned))
}

/// The node that it was given to.
pub fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Reason and message of the pod itself; empty where there are none.
pub(super) fn reason(pod: &Pod) -> (&str, &str) {
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref()).unwrap_or_default();
    let message = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    (reason, message)
}

/// A condition, whatever its status.
pub(super) fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_deref()?.iter().find(|condition| condition.type_ == type_)
}

/// The image of a container, as its spec names it.
pub(super) fn image<'a>(pod: &'a Pod, container: &str) -> &'a str {
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    all.into_iter().find(|found| found.name == container).and_then(|found| found.image.as_deref()).unwrap_or_default()
}

/// The limit on the tool's memory, in Kubernetes' words.
pub(super) fn memory_limit(pod: &Pod) -> &str {
    let tool = pod.spec.iter().flat_map(|spec| &spec.containers).find(|found| found.name == names::TOOL_CONTAINER);
    let limits = tool.and_then(|tool| tool.resources.as_ref()).and_then(|resources| resources.limits.as_ref());
    limits.and_then(|limits| limits.get("memory")).map_or("unknown", |quantity| quantity.0.as_str())
}

/// Whether the container runtime could not even begin: nothing of the container's program ran.
pub(super) fn is_start_error(terminated: &ContainerStateTerminated) -> bool {
    matches!(terminated.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
        && terminated.started_at.as_ref().is_none_or(|Time(time)| time.as_millisecond() <= 0)
}

/// Whether the exit code is that of a process. Of a container that is not there any more after its node was booted,
/// containerd says 255 and the kubelet 137, with these reasons.
pub(super) fn is_end_known(terminated: &ContainerStateTerminated) -> bool {
    !matches!(terminated.reason.as_deref(), Some("Unknown" | "ContainerStatusUnknown"))
}

pub(super) fn timestamp(time: &Time) -> Timestamp {
    Timestamp(u64::try_from(time.0.as_millisecond()).unwrap_or(0))
}

fn container_status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = [&status.container_statuses, &status.init_container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == container)
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
