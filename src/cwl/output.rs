//! What a tool left behind becomes its output object (CWL v1.2 Command Line Tool Description, §4.6 "Output binding").

use std::collections::BTreeMap;

use weir_api::limits::LOAD_CONTENTS_BYTES_MAX;

use crate::command::WorkOrder;
use crate::conform::{Mismatch, conform};
use crate::document::CommandLineTool;
use crate::expression::{Evaluate, EvaluationError};
use crate::requirement::Effective;
use crate::runtime::Runtime;
use crate::schema::OutputParameter;
use crate::value::{Entry, EntryRef, Record, Value, file_path};

mod collector;
mod directory;
mod glob;

pub use directory::{Found, OutputDirectory};

#[cfg(test)]
mod tests;

/// A tool's own output object: where it stands in the output directory (CWL v1.2, §4.6).
const OUTPUT_OBJECT: &str = "cwl.output.json";

/// Outputs that are not what the tool promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The value is of another type.
    #[error("output `{output}`: {mismatch}")]
    Type {
        /// The output.
        output: String,
        /// What is wrong.
        mismatch: Mismatch,
    },
    /// Nothing matched.
    #[error(
        "output `{output}`: nothing in the output directory matches {}; there is {}",
        quoted(patterns),
        present(names)
    )]
    NothingMatches {
        /// The output.
        output: String,
        /// The patterns.
        patterns: Vec<String>,
        /// What is in the output directory.
        names: Vec<String>,
    },
    /// Too much matched.
    #[error("output `{output}` is a single {expected}, but {} match {}", matches.len(), quoted(patterns))]
    SeveralMatch {
        /// The output.
        output: String,
        /// `File` or `Directory`.
        expected: String,
        /// The patterns.
        patterns: Vec<String>,
        /// What matched.
        matches: Vec<String>,
    },
    /// A pattern that leads out.
    #[error("output `{output}`: the glob `{pattern}` leads out of the output directory")]
    GlobOutside {
        /// The output.
        output: String,
        /// As evaluated.
        pattern: String,
    },
    /// A file outside of the output directory that is no input either.
    #[error("output `{output}`: `{path}` is outside of the output directory")]
    Outside {
        /// The output.
        output: String,
        /// Where.
        path: String,
    },
    /// A symbolic link that leads out.
    #[error("output `{output}`: `{path}` is a symbolic link to {target}, outside of the output directory")]
    LinkOutside {
        /// The output.
        output: String,
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A file that is not there.
    #[error("output `{output}`: `{path}` does not exist")]
    Missing {
        /// The output.
        output: String,
        /// Where.
        path: String,
    },
    /// An expression failed.
    #[error("output `{output}`, {what}: {source}")]
    Expression {
        /// The output.
        output: String,
        /// Which expression.
        what: &'static str,
        /// Why.
        source: Box<EvaluationError>,
    },
    /// A required secondary file.
    #[error("output `{output}`: `{primary}` needs its secondary file `{missing}`, which the tool did not write")]
    MissingSecondaryFile {
        /// The output.
        output: String,
        /// Name of the primary.
        primary: String,
        /// Name of the missing one.
        missing: String,
    },
    /// Too large for `loadContents`.
    #[error(
        "output `{output}`: loadContents reads at most {LOAD_CONTENTS_BYTES_MAX} bytes (64 KiB), `{path}` has {size}"
    )]
    TooLarge {
        /// The output.
        output: String,
        /// The file.
        path: String,
        /// Bytes.
        size: u64,
    },
    /// Not text.
    #[error("output `{output}`: `{path}` is not UTF-8 text, so its contents cannot be loaded")]
    NotText {
        /// The output.
        output: String,
        /// The file.
        path: String,
    },
    /// The output directory could not be looked at.
    #[error("output `{output}`: {message}")]
    Directory {
        /// The output.
        output: String,
        /// What the directory says.
        message: String,
    },
    /// The tool's own output object cannot be read.
    #[error("{OUTPUT_OBJECT}: {message}")]
    OutputObject {
        /// What is wrong with it.
        message: String,
    },
    /// An expression tool that gave no object.
    #[error("the expression must give an object with the outputs as members, not {found}")]
    NotAnObject {
        /// What it gave.
        found: &'static str,
    },
}

fn quoted(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(" or ")
}

fn present(names: &[String]) -> String {
    match names {
        [] => "nothing at all".to_owned(),
        names => {
            let more = if names.len() > 20 { format!(" and {} more", names.len() - 20) } else { String::new() };
            format!("{}{more}", names.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Collects the outputs of a tool that ended well. `runtime` has the exit code. Files and Directories of the result have
/// locations and no paths.
pub fn collect(
    tool: &CommandLineTool,
    effective: &Effective,
    order: &WorkOrder,
    runtime: &Runtime,
    outdir: &mut dyn OutputDirectory,
    scripts: &mut dyn Evaluate,
) -> Result<Record, OutputError> {
    let inputs = Value::Record(order.inputs.clone());
    let runtime_value = runtime.to_value();
    let staged = staged(order);
    let mut collector = collector::Collector {
        output: "",
        version: tool.header.version,
        load_listing: effective.load_listing(tool.header.version),
        root: &runtime.outdir,
        locations: staged.values().cloned().collect(),
        staged,
        writable: order.placements.iter().filter(|place| place.writable).map(|place| place.path.as_str()).collect(),
        inputs: &inputs,
        runtime: &runtime_value,
        library: effective.javascript_library(),
        outdir,
        scripts,
    };
    let mut own = collector.output_object()?;
    let mut outputs = Record::new();
    for parameter in &tool.outputs {
        collector.output = &parameter.id;
        let value = match &mut own {
            Some(own) => own.shift_remove(&parameter.id).unwrap_or_default(),
            None => collector.parameter(&parameter.type_, &parameter.file, parameter.output_binding.as_ref())?,
        };
        let value = value.map_entries(&mut |entry| collector.settled(entry, 0))?;
        outputs.insert(parameter.id.clone(), typed(parameter, value)?);
    }
    Ok(outputs)
}

/// Checks what an `ExpressionTool` gave against its outputs. Outputs that it left out are null.
pub fn check_outputs(outputs: &[OutputParameter], value: Value) -> Result<Record, OutputError> {
    let Value::Record(mut members) = value else { return Err(OutputError::NotAnObject { found: value.type_name() }) };
    let mut checked = Record::new();
    for parameter in outputs {
        let value = members.shift_remove(&parameter.id).unwrap_or_default();
        let value = value.map_entries(&mut |entry| Ok(without_paths(entry)))?;
        checked.insert(parameter.id.clone(), typed(parameter, value)?);
    }
    Ok(checked)
}

fn typed(parameter: &OutputParameter, value: Value) -> Result<Value, OutputError> {
    conform(&parameter.type_, value).map_err(|mismatch| OutputError::Type { output: parameter.id.clone(), mismatch })
}

/// Files of expression tools are known by their location; names are made explicit.
fn without_paths(mut entry: Entry) -> Entry {
    if let (None, Some(path)) = (entry.location(), entry.path()) {
        entry.set_location(Some(crate::uri::from_path(path)));
    }
    if let Some(name) = entry.name() {
        entry.set_basename(name);
    }
    match &mut entry {
        Entry::File(file) => file.path = None,
        Entry::Directory(directory) => directory.path = None,
    }
    let children: Result<Entry, std::convert::Infallible> = entry.map_children(&mut |child| Ok(without_paths(child)));
    match children {
        Ok(entry) => entry,
    }
}

/// Where each input stands, and its location.
fn staged(order: &WorkOrder) -> BTreeMap<String, String> {
    let mut staged = BTreeMap::new();
    for value in order.inputs.values() {
        value.for_each_entry(&mut |entry| {
            let (path, location) = match entry {
                EntryRef::File(file) => (&file.path, &file.location),
                EntryRef::Directory(directory) => (&directory.path, &directory.location),
            };
            if let (Some(path), Some(location)) = (path, location) {
                staged.insert(path.clone(), location.clone());
                // A symbolic link to a local input leads to where the input itself lies.
                staged.extend(file_path(location).map(|path| (path, location.clone())));
            }
        });
    }
    for placement in &order.placements {
        if let crate::command::Content::Link(location) = &placement.content {
            staged.extend(file_path(location).map(|path| (path, location.clone())));
            if !placement.writable {
                staged.entry(placement.path.clone()).or_insert_with(|| location.clone());
            }
        }
    }
    staged
}
