//! Words of weir in Kubernetes: custom resources, labels, conditions and reasons. Only with the feature `kubernetes`.

pub mod conditions;
pub mod names;
pub mod process;
pub mod process_job;

pub use process::{Process, ProcessSpec, ProcessStatus};
pub use process_job::{ProcessJob, ProcessJobSpec, ProcessJobStatus};
