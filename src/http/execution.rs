//! Executing a process (18-062r2, §7.11): POST …/processes/{processID}/execution.
//!
//! The way of a request: [`prefer`], [`request`] -> [`inputs`] ([`given`], [`file`], [`schema`], [`format`]) -> a job.

pub mod file;
pub mod format;
pub mod given;
pub mod inputs;
pub mod mistake;
pub mod prefer;
pub mod request;
pub mod schema;
