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
        /// The number of this incarnation: a new one, or that of a spare.
        incarnation: Incarnation,
        /// What it asks for.
        resources: Resources,
        /// Name of the log without suffix (`node_crop_2`), the same for all incarnations of the instance.
        log: String,
    },
    /// A number is reserved for a pod that is created ahead of its turn: a spare. Durable before anything of it exists. A
    /// `StartAttempt` of an instance of that place takes it; until then it may not be claimed.
    Prepared {
        /// The number.
        incarnation: Incarnation,
        /// Where its step stands in the workflow tree: step ids from the outermost workflow, joined by `/`.
        place: String,
        /// What it asks for.
        resources: Resources,
    },
    /// A spare is given up. Its number is used up.
    Released {
        /// Which.
        incarnation: Incarnation,
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
    /// The results are about to become visible: from here on whoever asks the job to stop is too late. It ends with them, or
    /// as Failed if they cannot be written. In the cluster it is durable before the first catalog is written (invariant I5);
    /// results without a catalog become visible by `Finished`. On one machine, where a try is not interrupted, it is not
    /// written. Void if somebody has asked to stop before.
    Committed,
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
    /// One field of the ResourceRequirement or the CUDARequirement, by its CWL name.
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
    /// GPUs. Journals from before GPUs could be asked for do not have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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

#[cfg(test)]
mod tests {
    use weir_cwl::value::Number;

    use super::*;

    fn round_trip(event: Event) {
        let recorded = Recorded { at: Timestamp(1), event };
        let text = serde_json::to_string(&recorded).unwrap();
        let read: Recorded = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read, recorded, "{text}");
    }

    fn object() -> Record {
        let text = r#"{"i": 1, "f": 1.5, "s": "$(x)", "n": null, "a": [true, {"class": "File", "location": "file:///a b"}],
            "d": {"class": "Directory", "location": "s3://b/k", "listing": []}, "r": {"event": "Ended"}}"#;
        let mut object = match serde_json::from_str(text).unwrap() {
            Value::Record(record) => record,
            other => panic!("{other:?}"),
        };
        assert!(matches!(object["d"], Value::Directory(_)));
        object.insert("big".to_owned(), Value::Number(Number::Big(format!("1{}", "0".repeat(42)))));
        object
    }

    #[test]
    fn events_survive_the_journal_exactly() {
        let instance = || InstancePath::try_from("a[1]/b".to_owned()).unwrap();
        let failure = || Failure {
            class: FailureClass::OutOfMemory,
            message: "m".to_owned(),
            instance: Some(instance()),
            exit_code: Some(137),
            stderr_tail: Some("tail\n".to_owned()),
        };
        let usage = Usage {
            started: Timestamp(1),
            finished: Timestamp(2),
            cpu_seconds: 0.1,
            memory_peak_bytes: 3,
            output_bytes: 4,
        };
        round_trip(Event::Accepted { spec: serde_json::json!({"a": [1, null]}) });
        round_trip(Event::Epoch { epoch: 7 });
        for slot in
            [Slot::When, Slot::ValueFrom("x/y".to_owned()), Slot::Resource("ramMin".to_owned()), Slot::Expression]
        {
            round_trip(Event::Evaluated { instance: instance(), slot, result: Ok(Value::Record(object())) });
        }
        round_trip(Event::Evaluated { instance: instance(), slot: Slot::When, result: Err("no".to_owned()) });
        round_trip(Event::StartAttempt {
            instance: instance(),
            attempt: 1,
            incarnation: Incarnation(3),
            resources: Resources { cores: 0.5, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 2, gpus: 0 },
            log: "b".to_owned(),
        });
        round_trip(Event::Prepared {
            incarnation: Incarnation(2),
            place: "a/b".to_owned(),
            resources: Resources { cores: 0.5, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 2, gpus: 0 },
        });
        round_trip(Event::Prepared {
            incarnation: Incarnation(2),
            place: "a/b".to_owned(),
            resources: Resources { cores: 0.5, ram_mib: 256, tmpdir_mib: 1, outdir_mib: 2, gpus: 3 },
        });
        let of_before: Resources =
            serde_json::from_str(r#"{"cores":1.0,"ramMib":1,"tmpdirMib":1,"outdirMib":1}"#).unwrap();
        assert_eq!(of_before.gpus, 0, "journals from before GPUs could be asked for");
        round_trip(Event::Released { incarnation: Incarnation(2) });
        round_trip(Event::Claimed { incarnation: Incarnation(3), uid: "u".to_owned() });
        let good = Outcome { outputs: Some(object()), failure: None, exit_code: Some(0), usage };
        round_trip(Event::Ended { incarnation: Incarnation(3), outcome: good });
        let bad = Outcome { outputs: None, failure: Some(failure()), exit_code: Some(1), usage };
        round_trip(Event::Ended { incarnation: Incarnation(4), outcome: bad });
        round_trip(Event::StopRequested { class: FailureClass::Dismissed, message: "m".to_owned() });
        round_trip(Event::Suspended);
        round_trip(Event::Resumed);
        round_trip(Event::Committed);
        round_trip(Event::Finished { phase: Phase::Failed, outputs: object(), failure: Some(failure()) });
    }

    #[test]
    fn a_journal_without_spares_is_read() {
        let lines = [
            r#"{"at":1,"event":"Epoch","epoch":1}"#,
            r#"{"at":2,"event":"StartAttempt","instance":"a[1]/b","attempt":1,"incarnation":3,
                "resources":{"cores":1.0,"ramMib":256,"tmpdirMib":1,"outdirMib":2},"log":"b"}"#,
            r#"{"at":3,"event":"Claimed","incarnation":3,"uid":"u"}"#,
        ];
        for line in lines {
            serde_json::from_str::<Recorded>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}
