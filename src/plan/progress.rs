//! A view of the state for displays, status documents and usage reports. Pure; reading it costs one pass over the places,
//! and over the instances only for those functions that list them.

use weir_api::Phase;

use crate::event::{Incarnation, Resources, Timestamp, Usage};
use crate::graph::Kind;
use crate::intent::Intent;
use crate::path::InstancePath;
use crate::state::{Stage, State};

/// Where a job stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Accepted, Running or how it ended.
    pub phase: Phase,
    /// 0 to 100; never falls, 100 only when the job is successful.
    pub percent: u8,
    /// One for each static place that is no workflow, in document order, depth first.
    pub steps: Vec<StepProgress>,
    /// What runs now, in the order of the starts.
    pub running: Vec<Running>,
    /// Tools that could start if there were room, and those that wait for their next try.
    pub waiting: usize,
}

/// All instances of one static step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// Step ids from the outermost workflow, joined by `/`.
    pub path: String,
    /// The step's short id.
    pub id: String,
    /// Instances known so far; may grow while scatters unfold.
    pub total: u32,
    /// With an incarnation now.
    pub running: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Failed for good.
    pub failed: u32,
    /// Skipped by `when`.
    pub skipped: u32,
    /// Ended because the job ended.
    pub stopped: u32,
    /// Incarnations beyond the first of their instance.
    pub retries: u32,
    /// First StartAttempt.
    pub first_start: Option<Timestamp>,
    /// Latest end of an incarnation.
    pub last_end: Option<Timestamp>,
    /// Measured sums over all incarnations.
    pub cpu_seconds: f64,
    /// Highest peak of one incarnation.
    pub memory_peak_bytes: u64,
    /// Sum over all incarnations.
    pub output_bytes: u64,
}

/// An incarnation that was started and has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// Its number.
    pub incarnation: Incarnation,
    /// The step instance.
    pub instance: InstancePath,
    /// Short id of its step.
    pub step: String,
    /// Where the step stands in the workflow tree.
    pub place: String,
    /// Name of its log without suffix.
    pub log: String,
    /// Counted try, from 1.
    pub attempt: u32,
    /// Uncounted retries of the instance before it.
    pub uncounted: u32,
    /// When it was started.
    pub started: Timestamp,
    /// Who claimed it: its tool may run by now.
    pub uid: Option<String>,
    /// What it may use.
    pub resources: Resources,
}

/// One tool invocation that was started at least once, for usage reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// The step instance.
    pub instance: InstancePath,
    /// Name of its log without suffix.
    pub log: String,
    /// What its last incarnation asked for.
    pub resources: Resources,
    /// First StartAttempt.
    pub first_start: Timestamp,
    /// End of the last incarnation that ended.
    pub last_end: Option<Timestamp>,
    /// CPU seconds are summed over all incarnations, memory is the highest peak, output is of the last one; `started` is
    /// of the first and `finished` of the last.
    pub usage: Usage,
    /// Exit code of the last incarnation.
    pub exit_code: Option<i32>,
    /// Whether it succeeded; `None` while it is not over.
    pub succeeded: Option<bool>,
}

impl Progress {
    /// The view of a state.
    pub fn of(intent: &Intent, state: &State) -> Self {
        let places = intent.graph.places.iter().zip(&state.tallies);
        let steps =
            places.filter(|(place, _)| !matches!(place.kind, Kind::Workflow(_))).map(|(place, tally)| StepProgress {
                path: place.path.clone(),
                id: place.id.clone(),
                total: tally.total,
                running: tally.running,
                succeeded: tally.succeeded,
                failed: tally.failed,
                skipped: tally.skipped,
                stopped: tally.stopped,
                retries: tally.retries,
                first_start: tally.first_start,
                last_end: tally.last_end,
                cpu_seconds: tally.cpu_seconds,
                memory_peak_bytes: tally.memory_peak_bytes,
                output_bytes: tally.output_bytes,
            });
        Self {
            phase: state.phase(),
            percent: percent(state),
            steps: steps.collect(),
            running: running(intent, state).collect(),
            waiting: state.ready.len() + state.delayed.len(),
        }
    }
}

/// What runs now, in the order of the starts.
pub fn running(intent: &Intent, state: &State) -> impl Iterator<Item = Running> {
    state.live.iter().map(|(incarnation, live)| {
        let instance = &state.instances[live.instance];
        let place = &intent.graph.places[instance.place];
        Running {
            incarnation: *incarnation,
            instance: state.path(&intent.graph, live.instance),
            step: place.id.clone(),
            place: place.path.clone(),
            log: instance.log.as_deref().unwrap_or_default().to_owned(),
            attempt: live.attempt,
            uncounted: instance.uncounted,
            started: live.started,
            uid: live.uid.clone(),
            resources: live.resources,
        }
    })
}

/// Every tool invocation so far, in the order in which their instances came to be. One pass over all instances.
pub fn invocations(intent: &Intent, state: &State) -> impl Iterator<Item = Invocation> {
    state.instances.iter().enumerate().filter_map(|(index, instance)| {
        let times = instance.times.as_deref()?;
        Some(Invocation {
            instance: state.path(&intent.graph, index),
            log: instance.log.as_deref().unwrap_or_default().to_owned(),
            resources: instance.resources,
            first_start: times.first_start,
            last_end: times.last_end,
            usage: times.usage,
            exit_code: times.exit_code,
            succeeded: instance.stage.is_over().then_some(instance.stage == Stage::Succeeded),
        })
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn percent(state: &State) -> u8 {
    match &state.finished {
        Some(finished) if finished.phase == Phase::Successful => 100,
        // 100 is promised only once the results are published.
        _ => (state.done * 100.0 + 1e-6).clamp(0.0, 99.0) as u8,
    }
}

#[cfg(test)]
mod tests {
    use weir_cwl::Record;
    use weir_cwl::document::ScatterMethod;

    use super::*;
    use crate::action::Launch;
    use crate::builder::{anything, package, step, tool, workflow};
    use crate::drive::Job;
    use crate::event::Outcome;
    use crate::{Intent, Policy};

    #[test]
    fn percent_rises_evenly_and_reaches_100_only_at_the_end() {
        let one = tool("one", &[("a", anything())], &[("out", anything())]);
        let main = workflow(
            "main",
            &[("x", anything())],
            vec![
                step("s", 0, &["out"]).input("a", "x").scatter(&["a"], ScatterMethod::DotProduct),
                step("end", 0, &["out"]).input("a", "s/out"),
            ],
            &[("o", anything(), "end/out")],
        );
        let inputs: Record = match weir_cwl::json::parse(r#"{"x": [1, 2, 3, 4]}"#).unwrap() {
            weir_cwl::Value::Record(record) => record,
            _ => unreachable!(),
        };
        let policy = Policy { parallelism: 1, ..Policy::default() };
        let mut job = Job::new(Intent::new(package(vec![one, main]), inputs, policy).unwrap());
        let mut seen = Vec::new();
        let usage = Usage { cpu_seconds: 0.5, memory_peak_bytes: 7, output_bytes: 1, ..Usage::default() };
        let mut world = |_: &Launch| Outcome { outputs: Some(Record::new()), failure: None, exit_code: Some(0), usage };
        while job.state.finished().is_none() {
            let percent = Progress::of(&job.intent, &job.state).percent;
            if seen.last() != Some(&percent) {
                seen.push(percent);
            }
            job.turn(&mut world);
        }
        seen.push(Progress::of(&job.intent, &job.state).percent);
        assert_eq!(seen, [0, 12, 25, 37, 50, 99, 100]);
        let progress = Progress::of(&job.intent, &job.state);
        let scattered = &progress.steps[0];
        assert_eq!((scattered.path.as_str(), scattered.total, scattered.succeeded), ("s", 4, 4));
        assert!((scattered.cpu_seconds - 2.0).abs() < 1e-9);
        assert_eq!(invocations(&job.intent, &job.state).map(|one| one.log).last().unwrap(), "end");
    }
}
