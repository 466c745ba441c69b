//! The program as people use it: the real binary, real files, real processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "it/support.rs"]
mod support;

#[path = "it/chart.rs"]
mod chart;
#[path = "it/command_line.rs"]
mod command_line;
#[path = "it/cwl_runner.rs"]
mod cwl_runner;
#[path = "it/generated.rs"]
mod generated;
#[path = "it/serve.rs"]
mod serve;
#[path = "it/water_bodies.rs"]
mod water_bodies;
