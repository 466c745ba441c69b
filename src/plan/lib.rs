//! The pure core (invariant I10): `plan(&Intent, &State, &Observed, now) -> Plan`, and `State = fold(events)`.
//!
//! No clock, no randomness, no I/O, no async: an executor observes, calls [`plan`](fn@plan), performs the actions in
//! order, appends what happened to the journal, folds it, and plans again.
//!
//! | word | type | meaning |
//! |---|---|---|
//! | intent | `Intent` | the job, validated once: package, inputs, policy |
//! | event | [`Event`] | a fact in the journal; the only thing that changes the state |
//! | observed | [`Observed`] | what the executor sees now and does not write down |
//! | action | [`Action`] | what the executor must do; leaves it no choice |
//! | outcome | [`Outcome`] | the immutable record of an incarnation's end |

pub mod action;
#[cfg(any(test, feature = "sim"))]
pub mod builder;
pub mod check;
#[cfg(any(test, feature = "sim"))]
pub mod drive;
mod evaluate;
pub mod event;
mod flow;
pub mod fold;
pub mod graph;
pub mod intent;
pub mod limits;
mod link;
pub mod observed;
pub mod path;
pub mod plan;
mod prepare;
pub mod progress;
mod retry;
mod scatter;
#[cfg(test)]
mod scripts;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod state;
mod step_input;

pub use action::{Action, Plan};
pub use event::{Event, Incarnation, Outcome, Recorded, Timestamp};
pub use fold::{FoldError, fold};
pub use intent::{Intent, IntentError, OnFailure, Policy};
pub use observed::Observed;
pub use path::InstancePath;
pub use plan::plan;
pub use progress::Progress;
pub use state::State;
