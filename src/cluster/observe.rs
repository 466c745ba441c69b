//! What a pod's status says. Pure.
//!
//! Reports of agents come first; this is for what only the kubelet and the control plane know: pods that never start,
//! are taken away, or end without a word. [`sight`] reads single facts, [`adopt`] tells whether a pod found under our name
//! is ours, [`judge`] what its status means for the incarnation, [`refused`] why the API server made no pod.

mod adopt;
mod ending;
mod judge;
mod quote;
mod refusal;
pub mod sight;
#[cfg(test)]
mod tests;

pub use adopt::{Adoption, Expected, adopt};
pub use ending::{Ending, ended};
pub use judge::{About, Judgement, Waiting, Want, judge};
pub(crate) use quote::quote;
pub use refusal::{Refusal, refused};
