//! One ProcessJob in the API server: what it is called and where its own things are.

use std::fmt;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::Api;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::{RUN_ID, SPEC_DIGEST, TENANT};

/// A ProcessJob, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid now.
    pub uid: String,
}

impl Object {
    /// Names a ProcessJob that the API server gave.
    pub fn of(job: &ProcessJob) -> Self {
        let uid = job.uid().unwrap_or_default();
        Self { namespace: job.namespace().unwrap_or_default(), name: job.name_any(), uid }
    }

    /// The ProcessJobs of its namespace.
    pub fn jobs(&self, client: &kube::Client) -> Api<ProcessJob> {
        Api::namespaced(client.clone(), &self.namespace)
    }

    /// The pods of its namespace.
    pub fn pods(&self, client: &kube::Client) -> Api<Pod> {
        Api::namespaced(client.clone(), &self.namespace)
    }

    /// What Kubernetes events refer to.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(ProcessJob::api_version(&()).into_owned()),
            kind: Some(ProcessJob::kind(&()).into_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The run id that keys the journal: what acceptance wrote down, else the uid.
pub fn run_id(job: &ProcessJob) -> String {
    job.annotations().get(RUN_ID).cloned().or_else(|| job.uid()).unwrap_or_default()
}

/// The tenant with which the job was accepted, if it says so. Whoever relies on it must see from the journal that the run is
/// the job's own: [`super::open()`], [`super::belongs()`].
pub fn accepted_tenant(job: &ProcessJob) -> Option<String> {
    let annotations = job.annotations();
    annotations.get(TENANT).filter(|_| annotations.contains_key(RUN_ID)).cloned()
}

/// Digest of what is fixed once a job is accepted.
pub fn spec_digest(job: &ProcessJob) -> String {
    let mut spec = job.spec.clone();
    (spec.suspend, spec.dismiss, spec.ttl_seconds_after_finished) = (false, false, None);
    hex::encode(Sha256::digest(serde_json::to_vec(&spec).unwrap_or_default()))
}

/// Whether something else than `suspend`, `dismiss` and `ttlSecondsAfterFinished` was changed since acceptance.
pub fn is_spec_changed(job: &ProcessJob) -> bool {
    job.annotations().get(SPEC_DIGEST).is_some_and(|accepted| *accepted != spec_digest(job))
}
