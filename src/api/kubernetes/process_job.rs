//! ProcessJob: one execution of a process, one OGC job.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Phase;

/// One execution of a process: one OGC job. Everything but `suspend`, `dismiss` and `ttlSecondsAfterFinished` is fixed once
/// the job is accepted.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ProcessJob",
    plural = "processjobs",
    shortname = "pjob",
    category = "weir",
    namespaced,
    status = "ProcessJobStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ProcessJobSpec {
    /// Name of a Process in the same namespace. Exactly one of `processRef` and `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_ref: Option<String>,
    /// The package itself, for a job without a Process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<InlineProcess>,
    /// The input object: CWL input ids and their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub inputs: Option<serde_json::Value>,
    /// Instead of `inputs`, where they are large: key of a JSON document in the store, below the tenant's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_ref: Option<String>,
    /// Which outputs the HTTP client asked for, in its own words. The engine does not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub outputs: Option<serde_json::Value>,
    /// `raw` or `document`: likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Whom to tell when the job is over (OGC API - Processes, "callback").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Subscriber>,
    /// Step instances that run at the same time, at most. Default: the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// Seconds from acceptance after which the job is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// Seconds after its end at which the object, journal and logs are deleted; published results stay. Default: 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i64>,
    /// How failed steps are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What the pods of the steps get besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Whether no new step may start. Running steps go on.
    #[serde(default)]
    pub suspend: bool,
    /// Whether the job is to be cancelled. Cannot be taken back.
    #[serde(default)]
    pub dismiss: bool,
}

/// A package in a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InlineProcess {
    /// The text (YAML or JSON).
    pub inline: String,
    /// Which process of the package to run, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
}

/// URLs that are called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscriber {
    /// Gets the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_uri: Option<String>,
    /// Gets the status while the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress_uri: Option<String>,
    /// Gets the status of a job that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_uri: Option<String>,
}

/// How failed steps are tried again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Counted attempts of one step instance, the first included. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Whether steps that do not depend on a failed one still run.
    #[serde(default)]
    pub continue_on_failure: bool,
}

/// What the pods of the steps get besides. The operator's settings say what is allowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels; not of Kubernetes or weir.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations; not of Kubernetes or weir.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Nodes to run on, by labels that the operator allows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Names of Secrets with registry credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// Taints to tolerate; where the operator allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Priority class; where the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// A taint that a pod tolerates (Kubernetes `Toleration`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Exists` or `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule`, `NoExecute`; empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// Where the job stands. Says only what its journal holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessJobStatus {
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "string"))]
    pub phase: Option<Phase>,
    /// Percent, 0 to 100.
    #[serde(default)]
    pub progress: i32,
    /// `7/10`: step instances that succeeded, of those known so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_count: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it became durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// When its first step started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
    /// When this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Time>,
    /// Accepted, Complete, Failed, SpecChangeIgnored, Waiting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Digest of the package as it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Steps that began, at most 100, in the order of the workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepStatus>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it used, measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The output object, if it is small; the whole stands in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub results: Option<serde_json::Value>,
}

/// All instances of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Path in the workflow: `node_water_bodies/node_crop`.
    pub name: String,
    /// Instances known so far.
    pub total: i32,
    /// Running now.
    pub running: i32,
    /// Succeeded.
    pub succeeded: i32,
    /// Failed for good.
    pub failed: i32,
    /// Tried again.
    #[serde(default)]
    pub retries: i32,
    /// First start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// Last end so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

/// Why a job failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One word: a failure class.
    pub class: String,
    /// What is wrong, where, and what would be right.
    pub message: String,
    /// Path of the step instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The tool's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// End of its stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Name of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What the steps of a job used so far, measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU seconds, with three digits behind the point.
    pub cpu_seconds: String,
    /// Bytes of memory of the largest step at its peak.
    pub memory_peak_bytes: i64,
    /// Bytes of all steps' outputs.
    pub output_bytes: i64,
}
