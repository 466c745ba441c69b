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
pub mod event;
pub mod observed;
pub mod path;

pub use action::{Action, Plan};
pub use event::{Event, Incarnation, Outcome, Recorded, Timestamp};
pub use observed::Observed;
pub use path::InstancePath;
