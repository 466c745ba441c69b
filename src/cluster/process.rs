//! Processes: packages that are deployed.

pub mod resolve;
pub mod stored;
