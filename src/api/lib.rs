//! The words that every part of weir shares: failure classes, phases, names and limits. No client, no I/O.

pub mod agent;
pub mod data_url;
pub mod failure;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod limits;
pub mod media;
pub mod phase;

pub use failure::FailureClass;
pub use phase::Phase;
