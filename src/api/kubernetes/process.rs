//! Process: a deployed package, one OGC process.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::schema::{
    HTTP_URL, INLINE_LENGTH_MAX, PROCESS_ID, PROCESS_ID_LENGTH_MAX, Plain, SHA256, URL_LENGTH_MAX, WORD_LENGTH_MAX,
};

/// What is to be deployed.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Process",
    plural = "processes",
    shortname = "proc",
    category = "weir",
    namespaced,
    doc = "A deployed application package (CWL): one process of the OGC API, to be run by ProcessJobs.",
    status = "ProcessStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.id",
    validation = Rule::new(
        "(has(self.spec.id) ? self.spec.id : self.metadata.name) == (has(oldSelf.spec.id) ? oldSelf.spec.id : oldSelf.metadata.name)"
    )
    .message("the id of a process cannot change: delete this Process and create another one")
    .field_path(".spec.id"),
    printcolumn = r#"{"name":"Id","type":"string","jsonPath":".status.id","description":"Id of the OGC process"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether jobs can be started"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","description":"s:softwareVersion of the package"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = Plain)]
pub struct ProcessSpec {
    /// Id of the OGC process: letters, digits, `.`, `_`, `:` and `-`. It cannot change. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = PROCESS_ID_LENGTH_MAX), regex(pattern = PROCESS_ID))]
    pub id: Option<String>,
    /// The package: exactly one of `inline`, `href` and `digest`.
    pub package: Package,
    /// Which process of the package to run, by its id. Needed only if the package holds several that could be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = PROCESS_ID_LENGTH_MAX))]
    pub workflow: Option<String>,
    /// Whether the HTTP API may replace and undeploy the process. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutable: Option<bool>,
    /// Values for inputs that a job leaves out, by input id; they go before the package's own defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true, "maxProperties" = 256))]
    pub defaults: Option<serde_json::Value>,
}

/// Where the package's text comes from: exactly one of `inline`, `href` and `digest`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.inline), has(self.href), has(self.digest)].exists_one(given, given)")
        .message("state exactly one of inline, href and digest"),
    validation = Rule::new("!has(self.sha256) || has(self.href)")
        .message("sha256 goes with href: it is the digest of the text that is fetched")
        .field_path(".sha256")
)]
pub struct Package {
    /// The text itself (CWL as YAML or JSON), at most 64 KiB. What it imports is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = INLINE_LENGTH_MAX))]
    pub inline: Option<String>,
    /// URL (http or https) to fetch it from, with `#id` to choose a process in it. It is fetched once for each change of
    /// this object, and frozen with all of its imports. Private addresses are refused unless the operator allows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = URL_LENGTH_MAX), regex(pattern = HTTP_URL))]
    pub href: Option<String>,
    /// With `href`: SHA-256 of the text, 64 lower-case hexadecimal digits. Another text is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = SHA256))]
    pub sha256: Option<String>,
    /// Digest of a package that is in the tenant's part of the store already: the `status.digest` of another Process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = SHA256))]
    pub digest: Option<String>,
}

/// What weir found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = Plain)]
pub struct ProcessStatus {
    /// `metadata.generation` that this status speaks of. If it is smaller than that one, weir has not looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: True if jobs can be started; else its reason (PackageInvalid, PackageUnavailable, ...) and its message say
    /// what is wrong, with file:line:column. `kubectl wait --for=condition=Ready process/NAME` waits for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = super::schema::conditions)]
    pub conditions: Vec<Condition>,
    /// SHA-256 of the resolved package: its text and all that it imports, frozen. Keys it in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// Id of the OGC process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub id: Option<String>,
    /// `s:softwareVersion` of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = WORD_LENGTH_MAX))]
    pub version: Option<String>,
    /// Label of the process in the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = WORD_LENGTH_MAX))]
    pub title: Option<String>,
}
