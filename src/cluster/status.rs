//! What a ProcessJob's status shows. Pure: a function of what the journal holds and of what is waited for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sha2::{Digest, Sha256};
use weir_api::kubernetes::ProcessJobStatus;
use weir_api::kubernetes::conditions::{ACCEPTED, COMPLETE, FAILED, PUBLISHING, SPEC_CHANGE_IGNORED, WAITING};
use weir_api::kubernetes::process_job::{Failure, StepStatus, Usage};
use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};
use weir_plan::progress::StepProgress;
use weir_plan::{Incarnation, Intent, Progress, State, Timestamp, event};

use crate::limits::{STATUS_MESSAGE_BYTES, STATUS_RESULTS_BYTES, STATUS_STEPS_MAX, STATUS_WORD_BYTES};
use crate::spec::ClusterJob;

/// Something outside that keeps a job from going on for now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// One word: a failure class or another reason of `weir_api::kubernetes::conditions`.
    pub reason: String,
    /// What it waits for.
    pub message: String,
    /// The incarnation that waits; `None` for the whole job.
    pub incarnation: Option<Incarnation>,
}

/// Where the failure that ended a job happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The pod.
    pub pod: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// Name of the log's object.
    pub log: Option<String>,
}

/// What a status is made of.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// As it was pinned.
    pub spec: &'a ClusterJob,
    /// As the planner sees it.
    pub intent: &'a Intent,
    /// What the journal holds.
    pub state: &'a State,
    /// When event 0 was written.
    pub accepted: Timestamp,
    /// Whether no new step may start.
    pub is_suspended: bool,
    /// What is waited for.
    pub waiting: &'a [Waiting],
    /// Where the job failed.
    pub place: Option<&'a Place>,
    /// Whether the spec was changed after acceptance.
    pub is_spec_changed: bool,
    /// `metadata.generation` that it speaks of.
    pub generation: Option<i64>,
}

/// The status. Conditions of `previous` that say the same keep their time.
pub fn status(shown: &Shown<'_>, previous: &ProcessJobStatus, now: Timestamp) -> ProcessJobStatus {
    let progress = Progress::of(shown.intent, shown.state);
    let finished = shown.state.finished();
    let count = |one: fn(&StepProgress) -> u32| progress.steps.iter().map(|step| u64::from(one(step))).sum::<u64>();
    let (succeeded, total) = (count(|step| step.succeeded), count(|step| step.total) - count(|step| step.skipped));
    let failure = finished.map_or_else(|| shown.state.failure(), |finished| finished.failure.as_ref());
    let steps = progress.steps.iter().filter(|step| step.total > 0).take(STATUS_STEPS_MAX).map(step_status);
    ProcessJobStatus {
        phase: Some(progress.phase),
        progress: i32::from(progress.percent),
        step_count: Some(format!("{succeeded}/{total}")),
        message: Some(message(shown, &progress, succeeded)),
        created: time(shown.accepted),
        started: progress.steps.iter().filter_map(|step| step.first_start).min().and_then(time),
        finished: finished.and_then(|finished| time(finished.at)),
        updated: time(now),
        conditions: conditions(shown, failure, previous, now),
        digest: Some(shown.spec.digest.clone()),
        steps: steps.collect(),
        failure: failure.map(|failure| failure_status(failure, shown.place)),
        usage: Some(usage(&progress.steps)),
        results: finished.filter(|finished| finished.phase == Phase::Successful).and_then(|end| results(&end.outputs)),
    }
}

/// The status of a job that can never run.
pub fn refused(
    reason: &str,
    message: &str,
    generation: Option<i64>,
    previous: &ProcessJobStatus,
    now: Timestamp,
) -> ProcessJobStatus {
    let message = cut(message);
    let wanted =
        [(ACCEPTED, false, reason.to_owned(), message.clone()), (FAILED, true, reason.to_owned(), message.clone())];
    ProcessJobStatus {
        phase: Some(Phase::Failed),
        message: Some(message.clone()),
        created: previous.created.clone().or_else(|| time(now)),
        finished: time(now),
        updated: time(now),
        conditions: wanted.into_iter().map(|wanted| condition(wanted, generation, previous, now)).collect(),
        failure: Some(Failure { class: reason.to_owned(), message, ..Failure::default() }),
        ..ProcessJobStatus::default()
    }
}

/// The status of a job that is not yet accepted and waits.
pub fn waits(
    waiting: &Waiting,
    generation: Option<i64>,
    previous: &ProcessJobStatus,
    now: Timestamp,
) -> ProcessJobStatus {
    let message = cut(&waiting.message);
    let wanted = (WAITING, true, waiting.reason.clone(), message.clone());
    let mut status = previous.clone();
    // Not `Accepted`: nothing of it is in a journal (invariant I4).
    status.message = Some(message);
    status.updated = time(now);
    let waiting = condition(wanted, generation, previous, now);
    status.conditions.retain(|one| one.type_ != WAITING);
    status.conditions.push(waiting);
    status
}

/// Whether two statuses say the same, whenever they were written.
pub fn says_the_same(one: &ProcessJobStatus, other: &ProcessJobStatus) -> bool {
    let undated = |status: &ProcessJobStatus| ProcessJobStatus { updated: None, ..status.clone() };
    undated(one) == undated(other)
}

/// What is said of a job that cannot be stopped any more.
const COMMITTED: &str = "its results are being published: it is too late to stop it";

type Wanted = (&'static str, bool, String, String);

fn conditions(
    shown: &Shown<'_>,
    failure: Option<&event::Failure>,
    previous: &ProcessJobStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let mut wanted: Vec<Wanted> = vec![(ACCEPTED, true, "Accepted".to_owned(), "the job is durable".to_owned())];
    match shown.state.phase() {
        Phase::Successful => {
            wanted.push((COMPLETE, true, "Successful".to_owned(), "every output is published".to_owned()));
        }
        phase @ (Phase::Failed | Phase::Dismissed) => {
            let class = failure.map_or(FailureClass::Dismissed, |failure| failure.class);
            let reason = if phase == Phase::Dismissed { FailureClass::Dismissed } else { class };
            let message = failure.map_or_else(String::new, |failure| cut(&failure.message));
            wanted.push((FAILED, true, reason.to_string(), message));
        }
        Phase::Accepted | Phase::Running => {
            if let Some(first) = shown.waiting.first() {
                wanted.push((WAITING, true, first.reason.clone(), cut(&first.message)));
            }
            if shown.state.is_committed() {
                wanted.push((PUBLISHING, true, "Committed".to_owned(), COMMITTED.to_owned()));
            }
        }
    }
    if shown.is_spec_changed {
        let message = "the spec was changed after the job was accepted; only suspend, dismiss and \
                       ttlSecondsAfterFinished have an effect then";
        wanted.push((SPEC_CHANGE_IGNORED, true, "SpecChanged".to_owned(), message.to_owned()));
    }
    wanted.into_iter().map(|wanted| condition(wanted, shown.generation, previous, now)).collect()
}

fn condition(wanted: Wanted, generation: Option<i64>, previous: &ProcessJobStatus, now: Timestamp) -> Condition {
    let (type_, is_true, reason, message) = wanted;
    let status = if is_true { "True" } else { "False" }.to_owned();
    let known = previous.conditions.iter().find(|known| known.type_ == type_ && known.status == status);
    let last_transition_time = known.map_or_else(
        || time(now).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH)),
        |known| known.last_transition_time.clone(),
    );
    Condition {
        type_: type_.to_owned(),
        status,
        reason,
        message,
        last_transition_time,
        observed_generation: generation,
    }
}

/// One line for people.
fn message(shown: &Shown<'_>, progress: &Progress, succeeded: u64) -> String {
    match progress.phase {
        Phase::Successful => format!("all {succeeded} steps succeeded"),
        Phase::Failed | Phase::Dismissed => {
            let failure = shown.state.finished().and_then(|finished| finished.failure.as_ref());
            failure.map_or_else(|| progress.phase.to_string(), |failure| cut(&failure.message))
        }
        Phase::Accepted | Phase::Running => {
            if let Some(first) = shown.waiting.first() {
                return cut(&first.message);
            }
            if shown.state.is_committed() {
                return COMMITTED.to_owned();
            }
            let running: Vec<String> = progress
                .steps
                .iter()
                .filter(|step| step.running > 0)
                .map(|step| if step.running == 1 { step.id.clone() } else { format!("{} x{}", step.id, step.running) })
                .collect();
            match (running.is_empty(), shown.is_suspended) {
                (true, true) => "suspended".to_owned(),
                (true, false) if progress.phase == Phase::Accepted => "accepted".to_owned(),
                (true, false) => "between steps".to_owned(),
                (false, true) => cut(&format!("suspended; still running: {}", running.join(", "))),
                (false, false) => cut(&format!("running: {}", running.join(", "))),
            }
        }
    }
}

fn step_status(step: &StepProgress) -> StepStatus {
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    StepStatus {
        name: word(&step.path),
        total: count(step.total),
        running: count(step.running),
        succeeded: count(step.succeeded),
        failed: count(step.failed),
        retries: count(step.retries),
        started: step.first_start.and_then(time),
        finished: step.last_end.and_then(time),
    }
}

fn failure_status(failure: &event::Failure, place: Option<&Place>) -> Failure {
    let place = place.cloned().unwrap_or_default();
    Failure {
        class: failure.class.to_string(),
        message: cut(&failure.message),
        step: failure.instance.as_ref().map(|instance| word(&instance.to_string())),
        exit_code: failure.exit_code,
        stderr: failure.stderr_tail.clone(),
        pod: place.pod,
        node: place.node,
        log: place.log.as_deref().map(word),
    }
}

fn usage(steps: &[StepProgress]) -> Usage {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Usage {
        cpu_seconds: format!("{:.3}", steps.iter().map(|step| step.cpu_seconds).sum::<f64>()),
        memory_peak_bytes: bytes(steps.iter().map(|step| step.memory_peak_bytes).max().unwrap_or(0)),
        output_bytes: bytes(steps.iter().map(|step| step.output_bytes).sum()),
    }
}

/// The output object, if it is small.
fn results(outputs: &Record) -> Option<serde_json::Value> {
    let text = serde_json::to_string(&Value::Record(outputs.clone())).ok()?;
    if text.len() > STATUS_RESULTS_BYTES { None } else { serde_json::from_str(&text).ok() }
}

/// A point in time as Kubernetes writes it.
pub fn time(at: Timestamp) -> Option<Time> {
    let milliseconds = i64::try_from(at.0).ok()?;
    // Seconds are what Kubernetes keeps: what is read back equals what was written.
    let second = jiff::Timestamp::from_second(milliseconds / 1000).ok()?;
    Some(Time(second))
}

/// A name as a status carries it, which must be short and still tell one step from another.
fn word(name: &str) -> String {
    if name.len() <= STATUS_WORD_BYTES {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name));
    let end = name.floor_char_boundary(STATUS_WORD_BYTES - 10);
    format!("{}~{}", &name[..end], &digest[..8])
}

/// Cuts a text for people to the length that a status carries.
fn cut(text: &str) -> String {
    if text.len() <= STATUS_MESSAGE_BYTES {
        return text.to_owned();
    }
    let mut end = STATUS_MESSAGE_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_fit_and_differ_i7() {
        let long = |last: &str| format!("{}{last}", "ä/".repeat(STATUS_WORD_BYTES));
        let (one, other) = (word(&long("1")), word(&long("2")));
        assert!(one.len() <= STATUS_WORD_BYTES && other.len() <= STATUS_WORD_BYTES && one != other, "{one}");
        assert_eq!(word("node_water_bodies/node_crop"), "node_water_bodies/node_crop");
    }
}
