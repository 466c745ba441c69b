//! Kubernetes: ProcessJobs become pods.
//!
//! The way of a job, one direction; each word is a file or folder:
//!
//! ProcessJob -> [`intake`] (validated once, pinned as event 0 of its journal) -> [`controller`] (one actor a job) ->
//! [`job`] (observe, plan, journal, perform) -> [`build`] (pods) -> [`agents`] (claims and reports of the pods) and
//! [`observe`] (what only the kubelet knows) -> [`data`] (work orders, outputs, publishing) -> journal -> plan ... ->
//! [`status`].
//!
//! Around it: [`operator`] wires and supervises, [`lease`] elects, [`process`] looks after Processes, [`sweep`] removes
//! what nobody owns any more.

pub mod agents;
pub mod build;
pub mod context;
pub mod controller;
pub mod data;
pub mod facade;
pub mod health;
pub mod intake;
pub mod job;
pub mod lease;
pub mod limits;
pub mod metrics;
pub mod observe;
pub mod operator;
pub mod process;
pub mod registry;
pub mod settings;
pub mod spec;
pub mod status;
pub mod sweep;
mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod watches;
