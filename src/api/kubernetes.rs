//! Words of weir in Kubernetes: custom resources, labels, conditions and reasons. Only with the feature `kubernetes`.

pub mod conditions;
pub mod names;
pub mod process;
pub mod process_job;
pub mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use process::{Process, ProcessSpec, ProcessStatus};
pub use process_job::{ProcessJob, ProcessJobSpec, ProcessJobStatus};

/// The definitions of all custom resources, in the order of the way: what is deployed, what is run.
pub fn custom_resources() -> [CustomResourceDefinition; 2] {
    [Process::crd(), ProcessJob::crd()]
}

#[cfg(test)]
mod tests;
