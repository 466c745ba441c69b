//! What a job is asked to do, pinned as event 0 of its journal.

use serde::{Deserialize, Serialize};
use weir_api::kubernetes::process_job::PodTemplate;

/// A ProcessJob as it was accepted. Nothing outside of it decides what the job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterJob {
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
}
