//! What a job shows, as a function of its journal. Pure.

use indexmap::IndexSet;
use jiff::Timestamp;
use weir_api::Phase;
use weir_http::backend::{JobFailure, JobId, JobRecord, StepRecord};
use weir_plan::progress::StepProgress;
use weir_plan::{Event, Intent, Progress, Recorded, State, event};
use weir_store::usage::Report;

use super::request::Request;

/// What the events of a job amount to for those who look at it.
#[derive(Debug, Clone)]
pub struct Chronicle {
    /// The job as its journal has it.
    pub record: JobRecord,
    /// Names of its logs, in the order of the first starts.
    pub logs: IndexSet<String>,
    /// What its steps used.
    pub usage: Report,
}

impl Chronicle {
    /// A job that was just accepted.
    pub fn new(id: JobId, request: Request, accepted: weir_plan::Timestamp) -> Self {
        let created = time(accepted);
        let mut record = JobRecord::accepted(id, request.process, created, request.asked, request.subscriber);
        record.message = Some("accepted; it starts when there is room".to_owned());
        Self { record, logs: IndexSet::new(), usage: Report::default() }
    }

    /// Takes events into account that `state` holds.
    pub fn observe(&mut self, intent: &Intent, state: &State, events: &[Recorded]) {
        for recorded in events {
            self.usage.observe(recorded);
            self.record.updated = self.record.updated.max(time(recorded.at));
            if let Event::StartAttempt { log, .. } = &recorded.event {
                self.record.started.get_or_insert_with(|| time(recorded.at));
                if !self.logs.contains(log) {
                    self.logs.insert(log.clone());
                }
            }
        }
        let progress = Progress::of(intent, state);
        let finished = state.finished();
        let failure = finished.map_or_else(|| state.failure(), |finished| finished.failure.as_ref());
        self.record.phase = progress.phase;
        self.record.progress = progress.percent;
        self.record.finished = finished.map(|finished| time(finished.at));
        self.record.message = Some(message(&progress, state));
        self.record.failure = failure.filter(|_| progress.phase != Phase::Dismissed).map(job_failure);
        let mut steps: Vec<&StepProgress> = progress.steps.iter().filter(|step| step.first_start.is_some()).collect();
        steps.sort_by_key(|step| step.first_start);
        self.record.steps = steps.into_iter().map(step_record).collect();
    }
}

/// One line for people.
fn message(progress: &Progress, state: &State) -> String {
    let failure = state.finished().and_then(|finished| finished.failure.as_ref());
    match progress.phase {
        Phase::Successful => match progress.steps.iter().map(|step| step.succeeded).sum() {
            0 => "the job has succeeded".to_owned(),
            1 => "its only step succeeded".to_owned(),
            steps => format!("all {steps} steps succeeded"),
        },
        Phase::Failed | Phase::Dismissed => {
            failure.map_or_else(|| progress.phase.to_string(), |failure| failure.message.clone())
        }
        Phase::Accepted | Phase::Running => {
            if let Some((_, message)) = state.stop() {
                return format!("stopping: {message}");
            }
            let at_work = progress.steps.iter().filter(|step| step.running > 0);
            let running: Vec<String> = at_work
                .map(|step| if step.running == 1 { step.id.clone() } else { format!("{} x{}", step.id, step.running) })
                .collect();
            if running.is_empty() { "between steps".to_owned() } else { format!("running: {}", running.join(", ")) }
        }
    }
}

fn step_record(step: &StepProgress) -> StepRecord {
    let StepProgress { total, running, succeeded, failed, .. } = *step;
    StepRecord { name: step.path.clone(), total, running, succeeded, failed }
}

fn job_failure(failure: &event::Failure) -> JobFailure {
    JobFailure {
        class: failure.class.to_string(),
        message: failure.message.clone(),
        step: failure.instance.as_ref().map(ToString::to_string),
        exit_code: failure.exit_code,
        stderr: failure.stderr_tail.clone(),
    }
}

/// A point in time of the journal.
pub fn time(at: weir_plan::Timestamp) -> Timestamp {
    let milliseconds = i64::try_from(at.0).ok();
    milliseconds.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}
