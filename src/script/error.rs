//! What can go wrong in an evaluation.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Why an evaluation has no value. The texts are for the author of the CWL document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptError {
    /// The library or the source is not JavaScript.
    #[error("{message}{}", at(place.as_ref()))]
    Syntax {
        /// The engine's words, starting with `SyntaxError`.
        message: String,
        /// Where, if the engine says so.
        place: Option<Place>,
    },
    /// The script threw an exception and did not catch it.
    #[error("{message}{}", at(place.as_ref()))]
    Exception {
        /// Name and message of the error, or the thrown value as JSON.
        message: String,
        /// The innermost place of the call stack inside the document.
        place: Option<Place>,
    },
    /// The value has no JSON form.
    #[error("the expression returned {what}, which has no JSON form")]
    NotJson {
        /// What was returned, with its article.
        what: String,
    },
    /// The evaluation took too long.
    #[error("the expression ran longer than {} s", limit.as_secs_f64())]
    TimeLimit {
        /// The time that it had.
        limit: Duration,
    },
    /// The evaluation needed too much memory.
    #[error("the expression used more than {} of memory", mebibytes(limits::HEAP_BYTES))]
    MemoryLimit,
    /// Calls were nested too deeply.
    #[error("the expression nests calls too deeply (a recursion without end?)")]
    StackOverflow,
    /// Library, source and variables are too big together.
    #[error(
        "the expression and its variables are {bytes} bytes; at most {} are accepted",
        mebibytes(limits::REQUEST_BYTES)
    )]
    RequestTooLarge {
        /// Encoded size.
        bytes: usize,
    },
    /// The result is too big.
    #[error(
        "the expression's result is {bytes} bytes of JSON; at most {} are accepted",
        mebibytes(limits::RESULT_BYTES)
    )]
    ResultTooLarge {
        /// Size as JSON text.
        bytes: usize,
    },
    /// The caller passed a variable that is not JSON.
    #[error("the variable `{variable}` is not JSON: {message}")]
    Variable {
        /// `inputs`, `self` or `runtime`.
        variable: String,
        /// The engine's words.
        message: String,
    },
    /// The worker process ended twice while it evaluated this expression.
    #[error("the expression ended its evaluating process ({how})")]
    WorkerDied {
        /// Exit status or signal, or what was wrong with its answer.
        how: String,
    },
    /// No worker process could be started; says nothing about the expression.
    #[error("the process that evaluates expressions cannot be started: {message}")]
    WorkerUnavailable {
        /// What the system said.
        message: String,
    },
}

/// A position in what the document's author wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which text.
    pub part: Part,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// The texts that an evaluation consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The expression or function body.
    Source,
    /// An entry of `expressionLib`, by index from 0.
    Library(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {} of ", self.line, self.column)?;
        match self.part {
            Part::Source => f.write_str("the expression"),
            Part::Library(index) => write!(f, "expressionLib[{index}]"),
        }
    }
}

fn at(place: Option<&Place>) -> String {
    place.map(|place| format!(" (at {place})")).unwrap_or_default()
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
