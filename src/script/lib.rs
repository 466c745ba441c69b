//! Evaluates JavaScript expressions of CWL documents in a separate, sandboxed process.
//!
//! Expressions are untrusted input and `QuickJS` is written in C, so no expression ever runs in the
//! process that plans and publishes. A [`Worker`] starts the same program again under the name
//! [`ARG0`]; that process calls [`worker_main`], gives up every right it does not need
//! ([`sandbox`]) and answers evaluations over its standard input and output ([`frame`]).
//! A [`Pool`] shares several workers between threads; [`Scripts`] lends it to CWL's templates.
//!
//! Values cross as JSON text, so the caller keeps its own model of numbers. Inside JavaScript,
//! integers beyond 2^53 lose precision: plain parameter references must be evaluated natively.

mod error;
mod evaluate;
pub mod frame;
pub mod limits;
mod pool;
pub mod sandbox;
mod scripts;
mod serve;
mod spawn;
mod worker;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::{Part, Place, ScriptError};
pub use pool::Pool;
pub use sandbox::Sandbox;
pub use scripts::Scripts;
pub use serve::worker_main;
pub use spawn::{ARG0, WorkerCommand, called_as_worker};
pub use worker::Worker;

/// One evaluation in a context of its own.
///
/// The variables `inputs`, `self` and `runtime` are visible to the source and, when called from
/// it, to the functions of the library.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Request<'a> {
    /// The texts of `expressionLib`, evaluated in this order before the source.
    pub library: &'a [String],
    /// Whether `source` is an expression or a function body.
    pub kind: Kind,
    /// JavaScript without its CWL delimiters; evaluated in strict mode.
    pub source: &'a str,
    /// JSON text of the variable `inputs`.
    pub inputs: &'a str,
    /// JSON text of the variable `self`.
    #[serde(rename = "self")]
    pub self_: &'a str,
    /// JSON text of the variable `runtime`.
    pub runtime: &'a str,
    /// Wall-clock time that the evaluation may take; capped at [`limits::LONGEST_EVALUATION`].
    pub time_limit: Duration,
}

/// The two forms of a CWL expression (CWL v1.2, "Expressions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `$(…)`: the source is an expression.
    Expression,
    /// `${…}`: the source is a function body that returns the value.
    Body,
}
