//! CWL v1.0, v1.1 and v1.2 as data.
//!
//! The way through this crate, in order:
//!
//! 1. [`yaml`]: YAML or JSON text becomes a tree with spans ([`source`]), so that every later message
//!    ([`diagnostic`]) can show `file:line:column` and the line.
//! 2. [`mod@load`]: YAML or JSON text becomes a resolved [`Package`]: `$import`, `$include`, `$graph`, references, map and list
//!    forms, type abbreviations. Text is fetched through a trait; this crate opens no file and no socket.
//! 3. [`document`], [`schema`], [`requirement`], [`expression`]: the model. It holds parsed things only; nobody reads the
//!    raw document after `load`.
//! 4. [`check`]: links and types between steps, unsupported features by name.
//!    [`job`]: an input object becomes the typed record of a process's inputs.
//! 5. `command`: a tool and its input object become a work order (argv, environment, redirections, files to place).
//! 6. `output`: what a tool left behind becomes its output object.
//!
//! Expressions that need JavaScript are handed to the caller through `expression::Evaluate`; parameter references are
//! evaluated here.

#![allow(
    clippy::doc_markdown,
    reason = "CommandLineTool, InitialWorkDir and the like are words of CWL, not of this code"
)]
#![allow(clippy::single_match_else, reason = "a match shows the good case and the reported one side by side")]

pub mod check;
pub mod command;
pub mod conform;
pub mod description;
pub mod diagnostic;
pub mod document;
pub mod expression;
#[cfg(test)]
mod fixture;
pub mod job;
pub mod json;
pub mod limits;
pub mod load;
pub mod ontology;
pub mod output;
mod reference;
pub mod requirement;
pub mod runtime;
pub mod schema;
pub mod source;
pub mod stage_in;
pub mod stage_out;
pub mod uri;
pub mod value;
mod wrap;
pub mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::{CommandLineTool, ExpressionTool, Package, Process, ProcessIndex, Workflow};
pub use expression::{Computed, Template};
pub use load::{Fetch, FetchError, load, load_text};
pub use schema::Type;
pub use value::{Directory, Entry, File, Number, Record, Value};
