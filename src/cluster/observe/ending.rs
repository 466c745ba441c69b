//! How an incarnation ended whose agent has not said so.
//!
//! Ranked (invariant I3): what the agent knew when it wrote its last words; the kernel's kill for memory; what the kubelet
//! says of the pod; who took the pod away; whether the tool ever started; its container's exit code.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use weir_api::FailureClass;
use weir_api::agent::{self, TerminationMessage};
use weir_api::kubernetes::names::{AGENT_CONTAINER, TOOL_CONTAINER};

use super::judge::About;
use super::quote::quote;
use super::sight::{self, ContainerState};
use crate::build::pod::INSTALL_CONTAINER;

/// The shim's exit code when it has none of a tool to pass on.
const NO_TOOL: i32 = 125;
/// Its exit codes when the program cannot be executed, or does not exist.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// The exit code of a process that a signal ended is this plus the signal's number.
const SIGNALLED: i32 = 128;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// The exit code of a container whose program could not be started, or was killed by nobody knows whom.
const KILLED: i32 = SIGNALLED + SIGKILL;
const TERMINATED: i32 = SIGNALLED + SIGTERM;

/// How an incarnation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// One word.
    pub class: FailureClass,
    /// For the user: what is wrong, and what would be right.
    pub message: String,
    /// The tool's exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// The end of its standard error, if the agent could still say it.
    pub stderr_tail: Option<String>,
}

impl Ending {
    pub(super) fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), exit_code: None, stderr_tail: None }
    }
}

/// What ended an incarnation of which nobody will hear any more: its pod is over or gone, its agent is dead, or its agent
/// lost the tool's container. `pod` is the last state that was seen.
pub fn ended(pod: &Pod, about: &About<'_>) -> Ending {
    let words = sight::last_words(pod);
    let mut ending = words.as_ref().and_then(|words| of_last_words(words, pod, about)).unwrap_or_else(|| {
        out_of_memory(pod)
            .or_else(|| of_pod(pod, about))
            .or_else(|| taken_away(pod))
            .or_else(|| never_started(pod))
            .unwrap_or_else(|| of_containers(pod, about))
    });
    ending.stderr_tail = words.and_then(|words| words.stderr_tail);
    ending
}

/// What the agent knew of the tool; `None` where that explains nothing.
fn of_last_words(words: &TerminationMessage, pod: &Pod, about: &About<'_>) -> Option<Ending> {
    let hints = &words.hints;
    let code = match words.ending.as_ref()? {
        agent::Ending::Failed { class: FailureClass::Disrupted | FailureClass::Platform, .. } => return None,
        agent::Ending::Failed { class, message } => return Some(Ending::new(*class, message.clone())),
        agent::Ending::Code(code) => Some(*code),
        agent::Ending::Signal(_) => None,
    };
    if let Some(code) = code.filter(|code| about.success_codes.contains(code)) {
        let agent = quote(&words.agent);
        let message = format!(
            "the tool ended well (exit code {code}), but its agent ended before its outputs were stored: {agent}"
        );
        return Some(Ending::new(FailureClass::Disrupted, message));
    }
    if hints.time_limit {
        return Some(Ending::new(FailureClass::TimeLimit, "the tool ran longer than its ToolTimeLimit"));
    }
    if hints.terminated {
        return None;
    }
    if hints.oom_kills > 0 {
        return Some(Ending { exit_code: code, ..for_want_of_memory(pod) });
    }
    if hints.disk_full {
        return Some(Ending { exit_code: code, ..out_of_disk("no space is left in its working folder") });
    }
    Some(match words.ending.as_ref()? {
        agent::Ending::Code(code) => tool_failed(*code, about),
        agent::Ending::Signal(signal) => {
            Ending::new(FailureClass::ToolFailed, format!("the tool was killed by signal {signal}"))
        }
        agent::Ending::Failed { class, message } => Ending::new(*class, message.clone()),
    })
}

fn tool_failed(code: i32, about: &About<'_>) -> Ending {
    let (class, which) = if about.temporary_fail_codes.contains(&code) {
        (FailureClass::ToolFailedTemporarily, ", one of its temporaryFailCodes")
    } else {
        (FailureClass::ToolFailed, "")
    };
    Ending { exit_code: Some(code), ..Ending::new(class, format!("the tool ended with exit code {code}{which}")) }
}

/// The kernel killed the shim itself, and with it everything in the tool's container. A container that ended well may
/// have the reason too, if a child was killed.
fn out_of_memory(pod: &Pod) -> Option<Ending> {
    let ContainerState::Terminated(tool) = sight::state(pod, TOOL_CONTAINER) else { return None };
    let is_killed = tool.reason.as_deref() == Some("OOMKilled") && tool.exit_code != 0;
    is_killed.then(|| for_want_of_memory(pod))
}

fn for_want_of_memory(pod: &Pod) -> Ending {
    let limit = sight::memory_limit(pod);
    let message = format!(
        "the kernel killed the tool for want of memory (its limit was {limit}); state more in `ramMin` of \
         ResourceRequirement"
    );
    Ending::new(FailureClass::OutOfMemory, message)
}

fn out_of_disk(why: &str) -> Ending {
    let message = format!(
        "the step filled its disk: {why}; state more in `outdirMin` or `tmpdirMin` of ResourceRequirement, which must \
         hold its inputs, outputs and temporary files"
    );
    Ending::new(FailureClass::OutOfDisk, message)
}

/// What the kubelet says of the pod as a whole.
fn of_pod(pod: &Pod, about: &About<'_>) -> Option<Ending> {
    let (reason, message) = sight::reason(pod);
    let node = sight::node(pod).unwrap_or("(unknown)");
    let was_admitted = !matches!(sight::state(pod, AGENT_CONTAINER), ContainerState::Unknown)
        || !matches!(sight::state(pod, INSTALL_CONTAINER), ContainerState::Unknown);
    let words = quote(message);
    match reason {
        "" => None,
        "DeadlineExceeded" => {
            let spec = pod.spec.as_ref();
            let seconds = spec.and_then(|spec| spec.active_deadline_seconds).unwrap_or_default();
            let message = format!("the pod lived longer than the {seconds} s that a step may take in any case");
            Some(Ending::new(FailureClass::TimeLimit, message))
        }
        // The kubelet looked at it and would not have it: too many at once, a node in distress.
        _ if sight::phase(pod) == "Failed" && !was_admitted => {
            let message = format!("the node `{node}` refused the pod ({reason}): {words}");
            Some(Ending::new(FailureClass::Platform, message))
        }
        "Evicted" if disruption(pod) != Some("TerminationByKubelet") => Some(out_of_disk(&words)),
        // Evicted for the node's sake, node shut down, node lost, preempted by the kubelet.
        _ => {
            let message = format!("the node `{node}` ended the pod ({reason}): {words}");
            let class = if about.claimed { FailureClass::Disrupted } else { FailureClass::Platform };
            Some(Ending::new(class, message))
        }
    }
}

/// Somebody deleted the pod, or the control plane did.
fn taken_away(pod: &Pod) -> Option<Ending> {
    let node = sight::node(pod).unwrap_or("(none)");
    let target = sight::condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True");
    let message = if let Some(target) = target {
        let (reason, words) = (target.reason.as_deref().unwrap_or("Disrupted"), target.message.as_deref());
        format!(
            "the pod was taken away from node `{node}` ({reason}): {}",
            quote(words.unwrap_or("no reason was given"))
        )
    } else if sight::is_terminating(pod) {
        format!("the pod was deleted from outside while it was on node `{node}`")
    } else if sight::phase(pod) == "Unknown" {
        format!("the node `{node}` does not answer")
    } else {
        return None;
    };
    Some(Ending::new(FailureClass::Disrupted, message))
}

/// Why a pod is to end before its time, if it is.
pub(super) fn disruption(pod: &Pod) -> Option<&str> {
    let target = sight::condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True")?;
    target.reason.as_deref()
}

/// A container of the pod could not begin, so the tool never ran.
pub(super) fn never_started(pod: &Pod) -> Option<Ending> {
    let platform = |message: String| Some(Ending::new(FailureClass::Platform, message));
    if let ContainerState::Terminated(install) = sight::state(pod, INSTALL_CONTAINER)
        && install.exit_code != 0
    {
        return platform(format!("the container that delivers the shim failed: {}", describe(install)));
    }
    let ContainerState::Terminated(tool) = sight::state(pod, TOOL_CONTAINER) else { return None };
    if !sight::is_start_error(tool) {
        return None;
    }
    let why = match sight::state(pod, AGENT_CONTAINER) {
        ContainerState::Waiting { reason, message } if reason != "ContainerCreating" => {
            let image = sight::image(pod, AGENT_CONTAINER);
            format!("the agent's image `{image}` could not be used ({reason}): {}", quote(message))
        }
        // The kubelet tells of a failed hook in an event only; what it shows is that it killed the agent for it.
        ContainerState::Terminated(_) => {
            format!(
                "the agent was ended before the shim was delivered (did its postStart hook fail?): {}",
                describe(tool)
            )
        }
        _ => describe(tool),
    };
    platform(format!("the tool's container could not be started: {why}"))
}

/// What the exit codes of the containers say.
fn of_containers(pod: &Pod, about: &About<'_>) -> Ending {
    let lost = if about.claimed { FailureClass::Disrupted } else { FailureClass::Platform };
    let agent = match sight::state(pod, AGENT_CONTAINER) {
        ContainerState::Terminated(agent) => Some(match sight::last_words(pod) {
            Some(words) => quote(&words.agent),
            None => describe(agent),
        }),
        _ => None,
    };
    let tool = match sight::state(pod, TOOL_CONTAINER) {
        ContainerState::Terminated(tool) => Some(tool),
        _ => None,
    };
    match (tool, agent) {
        (Some(tool), _) if about.claimed && sight::is_end_known(tool) && is_own_code(tool.exit_code, about) => {
            tool_failed(tool.exit_code, about)
        }
        (Some(tool), _) if about.claimed && matches!(tool.exit_code, NOT_EXECUTABLE | NOT_FOUND) => {
            let message = "the tool's program does not exist in its image, or cannot be executed; check `baseCommand` \
                           and `dockerPull`";
            Ending { exit_code: Some(tool.exit_code), ..Ending::new(FailureClass::ToolFailed, message) }
        }
        (_, Some(agent)) => Ending::new(lost, format!("the pod's agent ended: {agent}")),
        (Some(tool), None) if tool.exit_code == NO_TOOL => {
            Ending::new(lost, "the tool's container found no agent, or lost it")
        }
        (Some(tool), None) => Ending::new(lost, format!("the tool's container ended: {}", describe(tool))),
        (None, None) => Ending::new(lost, "the pod is gone, and nobody knows why"),
    }
}

/// Whether a code can only be the tool's own. Zero means that outputs were lost; SIGKILL and SIGTERM come from outside as
/// often as from inside.
fn is_own_code(code: i32, about: &About<'_>) -> bool {
    let is_the_shims = matches!(code, NO_TOOL | NOT_EXECUTABLE | NOT_FOUND | SIGNALLED | KILLED | TERMINATED);
    !is_the_shims && !about.success_codes.contains(&code)
}

/// How a container ended, in a few words.
fn describe(terminated: &ContainerStateTerminated) -> String {
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let code = terminated.exit_code;
    match terminated.message.as_deref().map(quote).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}, exit code {code}: {message}"),
        None => format!("{reason}, exit code {code}"),
    }
}
