//! What objects of the API server mean to the façade, and what its requests become as objects. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt as _;
use serde::Deserialize as _;
use serde_json::Value as Json;
use weir_api::Phase;
use weir_api::kubernetes::conditions::PUBLISHING;
use weir_api::kubernetes::names::{ORIGIN, PROCESS_ID, TOLD};
use weir_api::kubernetes::process_job::{self, InlineProcess, StepStatus};
use weir_api::kubernetes::{ProcessJob, ProcessJobSpec};
use weir_http::backend::{
    Asked, JobFailure, JobId, JobRecord, NewJob, ProcessId, ResponseForm, StepRecord, Subscriber,
};

use crate::job::{accepted_tenant, run_id};

/// Process id of a job that brings its own package and does not say what it is called.
const UNNAMED: &str = "inline";

/// A ProcessJob, as far as the façade remembers it: about 2 KB.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub record: std::sync::Arc<JobRecord>,
    /// Of the object.
    pub uid: String,
    /// Keys what it has in the store.
    pub run_id: String,
    /// With which it was accepted, if it says so. Proves nothing by itself.
    pub tenant: Option<String>,
    /// The phase that its subscriber was told last.
    pub told: Option<Phase>,
}

impl Job {
    /// What the façade knows of a ProcessJob. `process_id` gives the id of a Process by its name.
    pub fn of(object: &ProcessJob, process_id: impl FnOnce(&str) -> Option<ProcessId>) -> Option<Self> {
        let id: JobId = object.metadata.name.as_deref()?.parse().ok()?;
        let created = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let status = object.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or(Phase::Accepted);
        let record = JobRecord {
            id,
            process: process(object, process_id),
            phase,
            is_committed: status.conditions.iter().any(|known| known.type_ == PUBLISHING && known.status == "True"),
            progress: u8::try_from(status.progress.clamp(0, 100)).unwrap_or(0),
            message: status.message,
            created,
            started: status.started.as_ref().map(at),
            finished: status.finished.as_ref().map(at),
            updated: status.updated.as_ref().map_or(created, at),
            failure: status.failure.filter(|_| phase == Phase::Failed).map(failure),
            steps: steps(status.steps),
            asked: asked(&object.spec),
            subscriber: subscriber(object),
        };
        let told = object.annotations().get(TOLD).and_then(|word| Phase::deserialize(Json::String(word.clone())).ok());
        let (uid, run_id) = (object.uid().unwrap_or_default(), run_id(object));
        Some(Self { record: record.into(), uid, run_id, tenant: accepted_tenant(object), told })
    }

    /// Whether its subscriber wants to be told of the phase that it is in now.
    pub fn is_due(&self) -> bool {
        let Some(subscriber) = &self.record.subscriber else { return false };
        let url = match self.record.phase {
            Phase::Accepted | Phase::Dismissed => &None,
            Phase::Running => &subscriber.in_progress_uri,
            Phase::Successful => &subscriber.success_uri,
            Phase::Failed => &subscriber.failed_uri,
        };
        url.is_some() && self.told != Some(self.record.phase)
    }
}

fn at(time: &Time) -> Timestamp {
    time.0
}

/// The process of a job: as the façade wrote it down, else the id of the Process that it names, else what is left.
fn process(object: &ProcessJob, process_id: impl FnOnce(&str) -> Option<ProcessId>) -> ProcessId {
    let spec = &object.spec;
    let noted = || object.annotations().get(PROCESS_ID)?.parse().ok();
    let named = || spec.process_ref.as_deref().and_then(|name| process_id(name).or_else(|| name.parse().ok()));
    let own = || spec.process.as_ref()?.workflow.as_deref()?.parse().ok();
    #[expect(clippy::expect_used, reason = "a constant")]
    noted().or_else(named).or_else(own).unwrap_or_else(|| UNNAMED.parse().expect("a process id"))
}

fn failure(failure: process_job::Failure) -> JobFailure {
    let process_job::Failure { class, message, step, exit_code, stderr, .. } = failure;
    JobFailure { class, message, step, exit_code, stderr }
}

/// In the order of their first starts; those that have not started come last.
fn steps(mut steps: Vec<StepStatus>) -> Vec<StepRecord> {
    steps.sort_by_key(|step| (step.started.is_none(), step.started.as_ref().map(at)));
    let count = |count: i32| u32::try_from(count).unwrap_or(0);
    let one = |step: StepStatus| StepRecord {
        name: step.name,
        total: count(step.total),
        running: count(step.running),
        succeeded: count(step.succeeded),
        failed: count(step.failed),
    };
    steps.into_iter().map(one).collect()
}

fn asked(spec: &ProcessJobSpec) -> Asked {
    let outputs = spec.outputs.as_ref().and_then(Json::as_object).cloned();
    let response = match spec.response.as_deref() {
        Some("raw") => Some(ResponseForm::Raw),
        Some("document") => Some(ResponseForm::Document),
        _ => None,
    };
    Asked { outputs, response }
}

fn subscriber(object: &ProcessJob) -> Option<Subscriber> {
    let process_job::Subscriber { success_uri, in_progress_uri, failed_uri } = object.spec.subscriber.clone()?;
    let subscriber = Subscriber { success_uri, in_progress_uri, failed_uri, origin: None };
    let origin = object.annotations().get(ORIGIN).and_then(|origin| origin.parse().ok());
    (subscriber != Subscriber::default()).then_some(Subscriber { origin, ..subscriber })
}

/// What a new job runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Runs {
    /// The package of this digest, of the Process of this name.
    Process { name: String, digest: String },
    /// A package of its own.
    Package(String),
}

/// Where its inputs are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Inputs {
    Inline(Json),
    /// In the store, below the tenant's prefix.
    Key(String),
}

/// The object that a new job becomes.
pub(super) fn object(namespace: &str, id: &JobId, job: &NewJob, runs: Runs, inputs: Inputs) -> ProcessJob {
    let (process_ref, package_digest, process) = match runs {
        Runs::Process { name, digest } => (Some(name), Some(digest), None),
        Runs::Package(inline) => (None, None, Some(InlineProcess { inline, workflow: None })),
    };
    let (inputs, inputs_ref) = match inputs {
        Inputs::Inline(inputs) => (Some(inputs), None),
        Inputs::Key(key) => (None, Some(key)),
    };
    let origin = job.subscriber.as_ref().and_then(|subscriber| subscriber.origin.clone());
    let subscriber = job.subscriber.clone().map(|Subscriber { success_uri, in_progress_uri, failed_uri, .. }| {
        process_job::Subscriber { success_uri, in_progress_uri, failed_uri }
    });
    let response = job.asked.response.map(|form| match form {
        ResponseForm::Raw => "raw".to_owned(),
        ResponseForm::Document => "document".to_owned(),
    });
    let noted = [(PROCESS_ID, Some(job.process.to_string())), (ORIGIN, origin.map(String::from))];
    let annotations = noted.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let metadata = ObjectMeta {
        name: Some(id.to_string()),
        namespace: Some(namespace.to_owned()),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    let outputs = job.asked.outputs.clone().map(Json::Object);
    let spec = ProcessJobSpec {
        process_ref,
        package_digest,
        process,
        inputs,
        inputs_ref,
        outputs,
        response,
        subscriber,
        ..Default::default()
    };
    ProcessJob { metadata, spec, status: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(object: &Json) -> Job {
        let mut whole = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
            "metadata": {"name": "job", "namespace": "eo", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
        });
        for (name, value) in object.as_object().into_iter().flatten() {
            if name == "metadata" {
                whole["metadata"].as_object_mut().unwrap().extend(value.as_object().cloned().unwrap());
            } else {
                whole[name] = value.clone();
            }
        }
        let id = |name: &str| (name == "water-1234").then(|| "Water".parse().unwrap());
        Job::of(&serde_json::from_value(whole).unwrap(), id).unwrap()
    }

    #[test]
    fn a_job_without_a_status_is_accepted() {
        let job = read(&json!({"spec": {"processRef": "water-1234"}}));
        assert_eq!((job.record.phase, job.record.process.as_str()), (Phase::Accepted, "Water"));
        assert_eq!(job.record.updated, job.record.created);
        assert_eq!(job.run_id, "u");
    }

    #[test]
    fn a_job_whose_results_are_becoming_visible_says_that_it_is_too_late_to_stop_it() {
        let condition = json!({"type": "Publishing", "status": "True", "reason": "Committed", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let job =
            |conditions: Json| read(&json!({"spec": {}, "status": {"phase": "Running", "conditions": conditions}}));
        assert!(job(json!([condition])).record.is_committed && !job(json!([])).record.is_committed);
    }

    #[test]
    fn the_process_of_a_job_is_named_as_well_as_can_be() {
        let process = |object| read(&object).record.process.to_string();
        let noted = json!({"weir.dev/process-id": "Water:2"});
        assert_eq!(process(json!({"metadata": {"annotations": noted}, "spec": {"processRef": "x"}})), "Water:2");
        assert_eq!(process(json!({"spec": {"processRef": "gone"}})), "gone");
        assert_eq!(process(json!({"spec": {"process": {"inline": "x", "workflow": "main"}}})), "main");
        assert_eq!(process(json!({"spec": {"process": {"inline": "x"}}})), "inline");
    }

    #[test]
    fn a_failed_job_says_why_and_its_steps_stand_in_the_order_of_their_starts() {
        let step = |name: &str, started: Json| json!({"name": name, "total": 2, "running": 0, "succeeded": 1, "failed": 1, "started": started});
        let job = read(&json!({
            "spec": {"processRef": "w", "outputs": {"o": {}}, "response": "raw"},
            "status": {
                "phase": "Failed", "progress": 50, "message": "no memory",
                "steps": [step("later", json!("2026-01-01T00:00:09Z")), step("never", Json::Null), step("first", json!("2026-01-01T00:00:02Z"))],
                "failure": {"class": "OutOfMemory", "message": "no memory", "step": "first", "exitCode": 137}
            }
        }));
        let names: Vec<&str> = job.record.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["first", "later", "never"]);
        assert_eq!(job.record.failure.as_ref().unwrap().exit_code, Some(137));
        assert_eq!(job.record.asked.response, Some(ResponseForm::Raw));
        assert!(job.record.asked.outputs.as_ref().unwrap().contains_key("o"));
    }

    #[test]
    fn a_subscriber_is_told_of_what_it_asked_for_once() {
        let due = |phase: &str, told: &str| {
            let job = read(&json!({
                "metadata": {"annotations": {"weir.dev/told": told}},
                "spec": {"processRef": "w", "subscriber": {"successUri": "http://a/", "inProgressUri": "http://b/"}},
                "status": {"phase": phase}
            }));
            job.is_due()
        };
        assert!(due("Running", "") && due("Successful", "Running"));
        assert!(!due("Accepted", "") && !due("Running", "Running") && !due("Successful", "Successful"));
        assert!(!due("Failed", "Running"), "nobody asked for that");
    }

    #[test]
    fn a_new_job_is_read_back_as_it_was_asked_for() {
        let asked = Asked { outputs: json!({"o": {}}).as_object().cloned(), response: Some(ResponseForm::Document) };
        let origin = "https://eo.example".parse().ok();
        let subscriber = Subscriber { success_uri: Some("https://a/".to_owned()), origin, ..Subscriber::default() };
        let new = NewJob {
            process: "Water".parse().unwrap(),
            version: None,
            package: None,
            inputs: serde_json::Map::new(),
            asked: asked.clone(),
            subscriber: Some(subscriber.clone()),
        };
        let id: JobId = "0190b6b2-0000-7000-8000-000000000000".parse().unwrap();
        let runs = Runs::Process { name: "water-1234".to_owned(), digest: "d".to_owned() };
        let made = object("eo", &id, &new, runs, Inputs::Inline(json!({"a": 1})));
        let job = Job::of(&made, |_| None).unwrap();
        assert_eq!((&job.record.id, job.record.process.as_str()), (&id, "Water"));
        assert_eq!((job.record.asked.clone(), job.record.subscriber.clone()), (asked, Some(subscriber)));
    }
}
