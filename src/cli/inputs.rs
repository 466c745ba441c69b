//! The input object from a file and from `--input NAME=VALUE`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use weir_cwl::job::{InputObject, Inputs};
use weir_cwl::load::Fetch as _;
use weir_cwl::source::Source;
use weir_cwl::{Package, Type};

use super::documents::{self, Documents};

/// The input object of somebody who gave none.
const NOTHING: &str = "{}";

/// Reads and checks the inputs of the package's entry.
pub fn read(file: Option<&Path>, assignments: &[String], package: &Package) -> Result<Inputs> {
    let mut object = match file {
        Some(path) => {
            let url = documents::file_url(path)?;
            let text = Documents.fetch(&url).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
            InputObject::from_source(&Source::named(Documents.name(&url), &url, text))?
        }
        None => InputObject::parse(&here()?, NOTHING)?,
    };
    for assignment in assignments {
        let source = Source::named(Some("--input".to_owned()), &here()?, yaml_of(assignment, package)?);
        object.overlay(InputObject::from_source(&source)?);
    }
    object.inputs(package).map_err(|mut found| {
        // There is no line to show where nothing was given.
        for finding in &mut found.0 {
            finding.span.take_if(|span| span.source.text == NOTHING);
        }
        found.into()
    })
}

/// Relative locations on the command line resolve against the working directory.
fn here() -> Result<String> {
    let directory = std::env::current_dir().context("cannot find the working directory")?;
    let text = directory.to_str().context("the path of the working directory is not UTF-8")?;
    Ok(format!("{}/--input", weir_cwl::uri::from_path(text)))
}

/// `NAME=VALUE` as a YAML mapping. Where the input is a string the value is taken as it is; where it is a File or a
/// Directory it is a path or URL, unless it is written as an object; `null` is null where the input is optional.
fn yaml_of(assignment: &str, package: &Package) -> Result<String> {
    let Some((name, value)) = assignment.split_once('=') else {
        bail!("--input {assignment}: write it as NAME=VALUE");
    };
    let inputs = &package.processes[package.entry.0].header().inputs;
    let Some(input) = inputs.iter().find(|input| input.id == name) else {
        let known = inputs.iter().map(|input| input.id.as_str()).collect::<Vec<_>>().join(", ");
        bail!("--input {assignment}: the process has no input `{name}`; it has: {known}");
    };
    let quoted = serde_json::Value::from(value);
    let is = |wanted: &[Type]| alternatives(&input.type_).all(|type_| *type_ == Type::Null || wanted.contains(type_));
    let is_null = value == "null" && alternatives(&input.type_).any(|type_| *type_ == Type::Null);
    let field = if value.contains("://") { "location" } else { "path" };
    let value = if is_null || value.starts_with('{') && !is(&[Type::String]) {
        value.to_owned()
    } else if is(&[Type::String]) {
        quoted.to_string()
    } else if is(&[Type::File]) {
        format!("{{class: File, {field}: {quoted}}}")
    } else if is(&[Type::Directory]) {
        format!("{{class: Directory, {field}: {quoted}}}")
    } else {
        value.to_owned()
    };
    Ok(format!("{}: {value}", serde_json::Value::from(name)))
}

fn alternatives(type_: &Type) -> impl Iterator<Item = &Type> {
    match type_ {
        Type::Union(types) => types.as_slice(),
        other => std::slice::from_ref(other),
    }
    .iter()
}
