//! What a job is asked to do, pinned as event 0 of its journal.

use serde::{Deserialize, Serialize};
use weir_api::kubernetes::process_job::PodTemplate;
use weir_plan::{Intent, PinnedError, PinnedJob, Policy};

use crate::settings::Settings;

/// The version of this format; a journal of another one is refused.
pub const FORMAT: u32 = 1;

/// A ProcessJob as it was accepted. Nothing outside of it decides what the job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterJob {
    /// Version of this format: [`FORMAT`].
    pub format: u32,
    /// Namespace of the ProcessJob.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid when it was accepted.
    pub uid: String,
    /// First segment of the results' keys: the name if it is a UUID, else the run id.
    pub result_id: String,
    /// Bucket of the results.
    pub results_bucket: String,
    /// Digest of the package's texts.
    pub digest: String,
    /// What the pods get besides, checked.
    #[serde(default)]
    pub pod_template: PodTemplate,
    /// What is run: package, inputs, rules.
    pub job: PinnedJob,
}

/// An event 0 that is no pinned job of this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Written by something else.
    #[error("event 0 of the journal is no job of weir: {0}")]
    Unreadable(String),
    /// Written by another version.
    #[error("event 0 of the journal has format {0}, this version of weir reads format {FORMAT}")]
    Format(u64),
}

impl ClusterJob {
    /// Reads what event 0 pins.
    pub fn from_json(spec: &serde_json::Value) -> Result<Self, SpecError> {
        match spec.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format != u64::from(FORMAT) => Err(SpecError::Format(format)),
            _ => Self::deserialize(spec).map_err(|error| SpecError::Unreadable(error.to_string())),
        }
    }

    /// The job as the planner sees it: package loaded from the pinned texts, inputs checked. Settings bound what the job
    /// may have; they may differ from those of an earlier start of the operator.
    pub fn intent(&self, settings: &Settings) -> Result<Intent, PinnedError> {
        self.job.intent(policy(settings))
    }
}

/// The rules of execution of jobs that state none.
fn policy(settings: &Settings) -> Policy {
    Policy { parallelism: settings.parallelism.max(1), memory_cap_mib: settings.pods.ram_mib_max, ..Policy::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pinned() -> serde_json::Value {
        json!({
            "format": 1, "namespace": "eo", "name": "olinda", "uid": "u", "resultId": "u", "resultsBucket": "results",
            "digest": "00",
            "job": {
                "entry": "weir:a.cwl",
                "documents": {"weir:a.cwl": "cwlVersion: v1.2\nclass: Workflow\ninputs: {}\noutputs: {}\nsteps: {}\n"},
                "inputs": {}, "attemptsMax": 2, "continueOnFailure": true, "parallelism": 99
            }
        })
    }

    #[test]
    fn event_0_is_read_as_it_was_written() {
        let job = ClusterJob::from_json(&pinned()).unwrap();
        assert_eq!(ClusterJob::from_json(&serde_json::to_value(&job).unwrap()), Ok(job));
    }

    #[test]
    fn an_event_0_of_another_program_is_refused() {
        let refusal = |value: serde_json::Value| ClusterJob::from_json(&value).unwrap_err().to_string();
        let mut newer = pinned();
        newer["format"] = json!(2);
        insta::assert_snapshot!(refusal(newer), @"event 0 of the journal has format 2, this version of weir reads format 1");
        insta::assert_snapshot!(refusal(json!({"outdir": "/tmp"})), @"event 0 of the journal is no job of weir: missing field `format`");
    }

    #[test]
    fn settings_bound_what_a_job_may_have() {
        let settings = crate::intake::fixture::settings();
        let intent = ClusterJob::from_json(&pinned()).unwrap().intent(&settings).unwrap();
        let policy = intent.policy();
        assert_eq!(policy.parallelism, settings.parallelism);
        assert_eq!(policy.memory_cap_mib, settings.pods.ram_mib_max);
        assert_eq!(policy.attempts_max, 2);
    }
}
