//! ProcessJob: one execution of a process, one OGC job.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{
    HTTP_URL, INLINE_LENGTH_MAX, LABEL_KEY_LENGTH_MAX, LABEL_LENGTH_MAX, MESSAGE_LENGTH_MAX, NAME, NAME_LENGTH_MAX,
    POD_LIST_MAX, PROCESS_ID_LENGTH_MAX, Plain, SHA256, STEPS_MAX, URL_LENGTH_MAX, WORD_LENGTH_MAX,
};
use crate::Phase;

/// What is to be run. Everything but `suspend`, `dismiss` and `ttlSecondsAfterFinished` is fixed once the job is accepted:
/// later changes have no effect, and the condition SpecChangeIgnored says so.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ProcessJob",
    plural = "processjobs",
    shortname = "pjob",
    category = "weir",
    namespaced,
    doc = "One execution of a process: one job of the OGC API. Each step of the package becomes a pod.",
    status = "ProcessJobStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.processRef",
    selectable = ".status.phase",
    printcolumn = r#"{"name":"Process","type":"string","jsonPath":".spec.processRef","description":"The Process; empty: the job brings its own package"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Progress","type":"integer","jsonPath":".status.progress","description":"Percent"}"#,
    printcolumn = r#"{"name":"Steps","type":"string","jsonPath":".status.stepCount","description":"Step instances that succeeded, of those known so far"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.message"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = Plain)]
#[x_kube(
    validation = Rule::new("has(self.processRef) != has(self.process)")
        .message("state exactly one of processRef (the name of a Process) and process (a package of the job's own)"),
    validation = Rule::new("!has(self.packageDigest) || has(self.processRef)")
        .message("packageDigest goes with processRef: it is the digest of a package of that Process")
        .field_path(".packageDigest"),
    validation = Rule::new("!(has(self.inputs) && has(self.inputsRef))")
        .message("state at most one of inputs and inputsRef")
)]
pub struct ProcessJobSpec {
    /// Name of a Process in the same namespace. Exactly one of `processRef` and `process`. Replacing or deleting that Process
    /// later does not change this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = NAME))]
    pub process_ref: Option<String>,
    /// With `processRef`: digest of the package to run, a `status.digest` of that Process. The job runs it whatever becomes of
    /// the Process, and takes no defaults from there. The HTTP API states it, so that a process which is replaced or undeployed
    /// keeps the jobs that were created before. Default: what the Process has when the job is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = SHA256))]
    pub package_digest: Option<String>,
    /// A package of the job's own, without a Process. Exactly one of `processRef` and `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<InlineProcess>,
    /// The input object: the process's input ids and their values, at most 64 KiB as JSON. A file is
    /// `{"class": "File", "location": "https://..."}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true, "maxProperties" = 256))]
    pub inputs: Option<serde_json::Value>,
    /// Instead of `inputs`, where they are larger: key of a JSON document in the store, below the tenant's prefix (`inputs/a.json`
    /// is the object `<tenant>/inputs/a.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = URL_LENGTH_MAX))]
    pub inputs_ref: Option<String>,
    /// Which outputs a client of the HTTP API asked for, in its own words. It does not change what is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true, "maxProperties" = 256))]
    pub outputs: Option<serde_json::Value>,
    /// How a client of the HTTP API wants the results: `raw` or `document`. It does not change what is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["raw", "document"]))]
    pub response: Option<String>,
    /// Whom to tell when the job is over (OGC API - Processes, "callback").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Subscriber>,
    /// Step instances that run at the same time, at most. Default, and largest value that counts: the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub parallelism: Option<i32>,
    /// Seconds from acceptance after which the job is stopped and fails, at most a year. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub timeout_seconds: Option<i64>,
    /// Seconds after its end at which the object, its journal and its logs are deleted; published results stay. It may be changed
    /// at any time. Default: the operator's setting (30 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 315_360_000))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// How failed steps are tried again. Steps that the platform stopped (a lost node, say) are tried again in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What the pods of the steps get besides. The operator's settings say what is allowed; a job that asks for more is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Whether no new step may start. Running steps go on. It may be changed at any time.
    #[serde(default)]
    pub suspend: bool,
    /// Whether the job is to be cancelled: running steps are stopped, and the job ends as Dismissed. It cannot be taken back.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!oldSelf || self").message("a dismissed job stays dismissed: create a new one"))]
    pub dismiss: bool,
}

/// A package in a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InlineProcess {
    /// The text itself (CWL as YAML or JSON), at most 64 KiB. What it imports is fetched when the job is accepted.
    #[schemars(length(min = 1, max = INLINE_LENGTH_MAX))]
    pub inline: String,
    /// Which process of the package to run, by its id. Needed only if the package holds several that could be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = PROCESS_ID_LENGTH_MAX))]
    pub workflow: Option<String>,
}

/// URLs that are called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscriber {
    /// Gets the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = URL_LENGTH_MAX), regex(pattern = HTTP_URL))]
    pub success_uri: Option<String>,
    /// Gets the status while the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = URL_LENGTH_MAX), regex(pattern = HTTP_URL))]
    pub in_progress_uri: Option<String>,
    /// Gets the status of a job that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = URL_LENGTH_MAX), regex(pattern = HTTP_URL))]
    pub failed_uri: Option<String>,
}

/// How failed steps are tried again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Counted attempts of one step instance, the first included. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<i32>,
    /// Whether steps that do not depend on a failed one still run. The job fails all the same.
    #[serde(default)]
    pub continue_on_failure: bool,
}

/// What the pods of the steps get besides. The operator's settings say what is allowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels. Those of Kubernetes (`*kubernetes.io`, `*k8s.io`), Istio and weir are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = super::schema::labels)]
    pub labels: BTreeMap<String, String>,
    /// Annotations. Those of Kubernetes (`*kubernetes.io`, `*k8s.io`), Istio and weir are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = super::schema::annotations)]
    pub annotations: BTreeMap<String, String>,
    /// Nodes to run on, by labels that the operator allows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = super::schema::labels)]
    pub node_selector: BTreeMap<String, String>,
    /// Names of Secrets in the same namespace with credentials for registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = POD_LIST_MAX), inner(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = NAME)))]
    pub image_pull_secrets: Vec<String>,
    /// Taints to tolerate, where the operator allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = POD_LIST_MAX))]
    pub tolerations: Vec<Toleration>,
    /// Priority class, where the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_LENGTH_MAX), regex(pattern = NAME))]
    pub priority_class_name: Option<String>,
}

/// A taint that a pod tolerates (Kubernetes `Toleration`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; without one, with operator `Exists`: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LABEL_KEY_LENGTH_MAX))]
    pub key: Option<String>,
    /// `Exists` or `Equal`. Default: `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Exists", "Equal"]))]
    pub operator: Option<String>,
    /// Value of the taint, with operator `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LABEL_LENGTH_MAX))]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; without one: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute"]))]
    pub effect: Option<String>,
}

/// Where the job stands. Says only what its journal holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = Plain)]
pub struct ProcessJobStatus {
    /// Where it stands: Accepted, Running, Successful, Failed or Dismissed. The last three are final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::schema::phase)]
    pub phase: Option<Phase>,
    /// Percent, 0 to 100: of the step instances known so far.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub progress: i32,
    /// `7/10`: step instances that succeeded, of those known so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub step_count: Option<String>,
    /// One line for people: what happens now, or why the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MESSAGE_LENGTH_MAX))]
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
    /// Accepted (False: the job can never run), Complete, Failed, and while they apply Waiting, Publishing and SpecChangeIgnored.
    /// `kubectl wait --for=condition=Complete processjob/NAME` waits for success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = super::schema::conditions)]
    pub conditions: Vec<Condition>,
    /// SHA-256 of the package as it was pinned on acceptance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// Steps that began, at most 100, in the order of the workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = STEPS_MAX), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<StepStatus>,
    /// What went wrong, if the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it used, measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The output object: the process's output ids and their values, if it is small. The whole stands in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
    pub results: Option<serde_json::Value>,
}

/// All instances of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Path in the workflow: `node_water_bodies/node_crop`.
    #[schemars(length(max = WORD_LENGTH_MAX))]
    pub name: String,
    /// Instances known so far.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Running now.
    #[schemars(range(min = 0))]
    pub running: i32,
    /// Succeeded.
    #[schemars(range(min = 0))]
    pub succeeded: i32,
    /// Failed for good.
    #[schemars(range(min = 0))]
    pub failed: i32,
    /// Tried again.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub retries: i32,
    /// First start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// Last end so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

/// Why a job failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One word: a failure class (ToolFailed, OutOfMemory, ImageUnavailable, ...) or the reason why the job was refused.
    #[schemars(length(max = 64))]
    pub class: String,
    /// What is wrong, where, and what would be right.
    #[schemars(length(max = MESSAGE_LENGTH_MAX))]
    pub message: String,
    /// Path of the step instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = WORD_LENGTH_MAX))]
    pub step: Option<String>,
    /// The tool's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Last lines of its stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub stderr: Option<String>,
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_LENGTH_MAX))]
    pub pod: Option<String>,
    /// The pod's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_LENGTH_MAX))]
    pub node: Option<String>,
    /// Its log: the object `<tenant>/jobs/<run id>/logs/<this name>` in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = WORD_LENGTH_MAX))]
    pub log: Option<String>,
}

/// What the steps of a job used so far, measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU seconds, with three digits behind the point.
    #[schemars(length(max = 64))]
    pub cpu_seconds: String,
    /// Bytes of memory of the largest step at its peak.
    #[schemars(range(min = 0))]
    pub memory_peak_bytes: i64,
    /// Bytes of all steps' outputs.
    #[schemars(range(min = 0))]
    pub output_bytes: i64,
}
