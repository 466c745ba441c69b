//! What must be read of files before an expression can see it: contents, listings, sizes.
//!
//! What is read for a step's or a process's expressions stands in the journal. What only the tool's command line needs is
//! the executor's own matter.

use weir_cwl::schema::{InputParameter, LoadListing};
use weir_cwl::{Computed, Process, Template, Value};

use crate::graph::{In, Place};

/// What to read of the Files and Directories of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct What {
    /// Somebody asks for sizes; a File that came with the job or as a default has none.
    pub sizes: bool,
    pub contents: bool,
    pub listing: LoadListing,
}

impl What {
    /// For the step's own expressions.
    pub fn of_step_input(place: &Place, input: &In) -> Self {
        let mut expressions =
            place.when.iter().chain(place.inputs.iter().filter_map(|input| input.value_from.as_ref()));
        let listing = input.load_listing.unwrap_or(LoadListing::No);
        Self { sizes: expressions.any(asks_sizes), contents: input.load_contents, listing }
    }

    /// For the process's expressions: those of an ExpressionTool, those below a Workflow, and a tool's
    /// ResourceRequirement, which is evaluated before the tool's command line.
    pub fn of_process_input(process: &Process, place: &Place, input: &InputParameter) -> Self {
        let contents =
            input.file.load_contents || input.input_binding.as_ref().is_some_and(|binding| binding.load_contents);
        let nothing = Self { sizes: false, contents: false, listing: LoadListing::No };
        match process {
            Process::Workflow(_) => {
                Self { sizes: false, contents, listing: input.file.load_listing.unwrap_or(LoadListing::No) }
            }
            Process::ExpressionTool(tool) => {
                let listing =
                    input.file.load_listing.unwrap_or_else(|| place.effective.load_listing(tool.header.version));
                Self { sizes: asks_sizes(&tool.expression), contents, listing }
            }
            Process::CommandLineTool(tool) => {
                let mut expressions = place.effective.amounts().filter_map(|(_, field)| match field {
                    Computed::Expression(template) => Some(template),
                    Computed::Literal(_) => None,
                });
                let Some(first) = expressions.next() else { return nothing };
                let sizes = asks_sizes(first) || expressions.any(asks_sizes);
                let listing =
                    input.file.load_listing.unwrap_or_else(|| place.effective.load_listing(tool.header.version));
                Self { sizes, contents, listing }
            }
            Process::Operation(_) => nothing,
        }
    }

    /// Whether anything is asked for at all.
    pub fn is_anything(self) -> bool {
        self.sizes || self.contents || self.listing != LoadListing::No
    }

    /// Whether there is something to read in the value.
    pub fn is_lacking(self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| self.is_lacking(item)),
            Value::Record(record) => record.values().any(|member| self.is_lacking(member)),
            Value::File(file) => (self.contents && file.contents.is_none()) || (self.sizes && file.size.is_none()),
            Value::Directory(directory) => self.listing != LoadListing::No && directory.listing.is_none(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
}

/// Sizes are only measured where the text of an expression speaks of them.
fn asks_sizes(template: &Template) -> bool {
    template.as_literal().is_none() && template.source.contains("size")
}
