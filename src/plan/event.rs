//! Facts of a job, in the order in which they became durable.

use serde::{Deserialize, Serialize};
use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};

use crate::path::InstancePath;

/// Milliseconds since the Unix epoch. The executor's clock stamps events; the core never reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// The number of an incarnation: counts from 1 within a job and is never used twice (invariant I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// An event and when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// Event 0: pins everything that the job was asked to do, in the executor's own format. The core does not read it;
    /// it is what an `Intent` is rebuilt from after a restart.
    Accepted {
        /// The pinned specification.
        spec: serde_json::Value,
    },
    /// A new leader writes this before its first action on the job.
    Epoch {
        /// Higher than any before.
        epoch: u64,
    },
    /// The result of `Action::Evaluate` or `Action::Load`: what the core cannot know by itself. It is written down so
    /// that a restart sees the same value.
    Evaluated {
        /// Of which step instance.
        instance: InstancePath,
        /// Which of its expressions.
        slot: Slot,
        /// The value, or why there is none.
        result: Result<Value, String>,
    },
    /// One incarnation of a step instance may be created. Durable before anything of it exists.
    StartAttempt {
        /// The step instance.
        instance: InstancePath,
        /// Counted try, from 1.
        attempt: u32,
        /// The number of this incarnation.
        incarnation: Incarnation,
        /// What it asks for.
        resources: Resources,
        /// Name of the log without suffix (`node_crop_2`), the same for all incarnations of the instance.
        log: String,
    },
    /// The incarnation `uid` may run the tool. Durable before the tool starts; any other uid is superseded.
    Claimed {
        /// Which incarnation.
        incarnation: Incarnation,
        /// The pod's uid, or the executor's own token for a process.
        uid: String,
    },
    /// The incarnation is over.
    Ended {
        /// Which incarnation.
        incarnation: Incarnation,
        /// How.
        outcome: Outcome,
    },
    /// Somebody, or a limit, asks the job to stop.
    StopRequested {
        /// Dismissed or TimeLimit.
        class: FailureClass,
        /// For the user.
        message: String,
    },
    /// No new step instance is started until `Resumed`.
    Suspended,
    /// Ends `Suspended`.
    Resumed,
    /// The job is over; nothing may follow.
    Finished {
        /// Successful, Failed or Dismissed.
        phase: Phase,
        /// The output object, published locations; empty unless successful.
        outputs: Record,
        /// Why, unless successful.
        failure: Option<Failure>,
    },
}

/// Which expression of a step instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Slot {
    /// `when`
    When,
    /// `loadContents` or `loadListing` of an entry of the step's `in`, by id. Comes before `valueFrom`.
    StepLoad(String),
    /// `valueFrom` of an entry of the step's `in`, by id.
    ValueFrom(String),
    /// `loadContents` or `loadListing` of an input of an ExpressionTool or Workflow, by id.
    InputLoad(String),
    /// One field of the ResourceRequirement, by its CWL name.
    Resource(String),
    /// The `expression` of an ExpressionTool.
    Expression,
}

/// What a step instance asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores.
    pub cores: f64,
    /// Mebibytes of memory.
    pub ram_mib: u64,
    /// Mebibytes of temporary space.
    pub tmpdir_mib: u64,
    /// Mebibytes of output space.
    pub outdir_mib: u64,
}

/// The immutable record of an incarnation's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The output object; `None` means failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Record>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The tool's exit code, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What it used, measured.
    pub usage: Usage,
}

/// Why something failed, in words for the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One word.
    pub class: FailureClass,
    /// What is wrong, where, and what would be right.
    pub message: String,
    /// The step instance, if one is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstancePath>,
    /// The tool's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines of its stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
}

/// Measured usage of one incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// When the tool started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// Bytes of memory at the peak.
    pub memory_peak_bytes: u64,
    /// Bytes of its outputs.
    pub output_bytes: u64,
}
