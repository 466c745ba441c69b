//! CWL v1.0, v1.1 and v1.2 as data.
//!
//! The way through this crate, in order:
//!
//! 1. [`source`]: text with spans, so that every later message can show `file:line:column` and the line.
//! 2. `load`: YAML or JSON text becomes a resolved [`Package`]: `$import`, `$include`, `$graph`, references, map and list
//!    forms, type abbreviations. Text is fetched through a trait; this crate opens no file and no socket.
//! 3. [`document`], [`schema`], [`requirement`], [`expression`]: the model. It holds parsed things only; nobody reads the
//!    raw document after `load`.
//! 4. `check`: links and types between steps, unsupported features by name.
//! 5. `command`: a tool and its input object become a work order (argv, environment, redirections, files to place).
//! 6. `output`: what a tool left behind becomes its output object.
//!
//! Expressions that need JavaScript are handed to the caller through `expression::Evaluate`; parameter references are
//! evaluated here.

pub mod command;
pub mod conform;
pub mod document;
pub mod expression;
#[cfg(test)]
mod fixture;
pub mod json;
pub mod ontology;
pub mod output;
pub mod requirement;
pub mod runtime;
pub mod schema;
pub mod source;
pub mod value;

pub use document::{CommandLineTool, ExpressionTool, Package, Process, ProcessIndex, Workflow};
pub use expression::{Computed, Template};
pub use schema::Type;
pub use value::{Directory, Entry, File, Number, Record, Value};
