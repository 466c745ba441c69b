//! Worlds and tools for the tests of this crate.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::command::{Kind, Layout, Probe, WorkOrder};
use crate::document::{CommandLineTool, CwlVersion, Header};
use crate::expression::{Context, Evaluate, Script, Template};
use crate::json;
use crate::output::{Found, OutputDirectory};
use crate::requirement::{Effective, InlineJavascript, Requirements};
use crate::runtime::Runtime;
use crate::schema::{
    ArrayType, CommandLineBinding, FileTreatment, InputParameter, OutputBinding, OutputParameter, RecordField,
    RecordType, Type,
};
use crate::source::{Source, Span};
use crate::value::{Record, Value};

/// Files by absolute path; directories are what leads to them.
#[derive(Default, Clone)]
pub struct World {
    files: BTreeMap<String, Vec<u8>>,
    /// Symbolic links that lead out of an output directory, by relative path.
    pub links: BTreeMap<String, String>,
    /// Where an output directory is.
    pub root: String,
}

impl World {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self { files, root: "/out".to_owned(), ..Self::default() }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if let Some(bytes) = self.files.get(path) {
            return Some(Kind::File(bytes.len() as u64));
        }
        let inside = format!("{}/", path.trim_end_matches('/'));
        self.files.keys().any(|file| file.starts_with(&inside)).then_some(Kind::Directory)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let inside = format!("{}/", path.trim_end_matches('/'));
        let below = self.files.keys().filter_map(|file| file.strip_prefix(&inside));
        let mut names: Vec<_> = below.map(|rest| rest.split('/').next().unwrap().to_owned()).collect();
        names.dedup();
        // The order of a directory is nobody's promise.
        names.reverse();
        names
    }

    fn absolute(&self, relative: &str) -> String {
        if relative.is_empty() { self.root.clone() } else { format!("{}/{relative}", self.root) }
    }
}

impl Probe for World {
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
        Ok(self.kind(&crate::value::file_path(location).ok_or("not local")?))
    }

    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        let bytes = &self.files[&crate::value::file_path(location).ok_or("not local")?];
        Ok(bytes.iter().copied().take(usize::try_from(limit).unwrap()).collect())
    }

    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
        let path = crate::value::file_path(location).ok_or("not local")?;
        Ok(self
            .names(&path)
            .into_iter()
            .map(|name| (name.clone(), self.kind(&format!("{path}/{name}")).unwrap()))
            .collect())
    }
}

impl OutputDirectory for World {
    fn list(&mut self, directory: &str) -> Result<Vec<String>, String> {
        Ok(self.names(&self.absolute(directory)))
    }

    fn look(&mut self, path: &str) -> Result<Option<Found>, String> {
        let absolute = self.absolute(path);
        let elsewhere = self.links.get(path).cloned();
        let kind = self.kind(elsewhere.as_deref().unwrap_or(&absolute));
        Ok(kind.map(|kind| Found { kind, location: format!("store:{absolute}"), elsewhere }))
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        Ok(self.files[&self.absolute(path)].iter().copied().take(usize::try_from(limit).unwrap()).collect())
    }

    fn checksum(&mut self, path: &str) -> Result<Option<String>, String> {
        Ok(Some(format!("sha1$of {path}")))
    }
}

/// Scripts by source text, with their values as JSON.
#[derive(Default, Clone)]
pub struct Scripts(pub Vec<(&'static str, &'static str)>);

impl Evaluate for Scripts {
    fn evaluate(&mut self, script: &Script, _: &Context<'_>) -> Result<Value, String> {
        let known = self.0.iter().find(|(source, _)| *source == script.source.trim());
        known.map(|(_, result)| json::parse(result).unwrap()).ok_or_else(|| format!("unknown script {}", script.source))
    }
}

pub fn template(source: &str) -> Template {
    Template::parse(source, CwlVersion::V1_2).unwrap()
}

pub fn value(json: &str) -> Value {
    crate::json::parse(json).unwrap().recognise().unwrap()
}

pub fn record(json: &str) -> Record {
    match value(json) {
        Value::Record(record) => record,
        other => panic!("{other:?} is no record"),
    }
}

pub fn input(id: &str, type_: Type, input_binding: Option<CommandLineBinding>) -> InputParameter {
    InputParameter {
        id: id.to_owned(),
        type_,
        type_source: String::new(),
        label: None,
        doc: None,
        default: None,
        file: FileTreatment::default(),
        input_binding,
    }
}

pub fn output(id: &str, type_: Type, glob: &[&str]) -> OutputParameter {
    OutputParameter {
        id: id.to_owned(),
        type_,
        type_source: String::new(),
        label: None,
        doc: None,
        file: FileTreatment::default(),
        output_binding: Some(OutputBinding {
            glob: glob.iter().map(|pattern| template(pattern)).collect(),
            ..OutputBinding::default()
        }),
    }
}

pub fn array(items: Type) -> Type {
    Type::Array(Box::new(ArrayType { items, input_binding: None }))
}

pub fn optional(type_: Type) -> Type {
    Type::Union(vec![Type::Null, type_])
}

pub fn field(name: &str, type_: Type, input_binding: Option<CommandLineBinding>) -> RecordField {
    RecordField {
        name: name.to_owned(),
        type_,
        label: None,
        doc: None,
        file: FileTreatment::default(),
        input_binding,
        output_binding: None,
    }
}

pub fn record_type(fields: Vec<RecordField>) -> Type {
    Type::Record(Box::new(RecordType { name: None, fields, input_binding: None }))
}

pub fn prefix(prefix: &str) -> CommandLineBinding {
    CommandLineBinding { prefix: Some(prefix.to_owned()), ..CommandLineBinding::default() }
}

pub fn at(position: i64, binding: CommandLineBinding) -> CommandLineBinding {
    CommandLineBinding { position: Some(crate::Computed::Literal(position)), ..binding }
}

pub fn value_from(source: &str) -> CommandLineBinding {
    CommandLineBinding { value_from: Some(template(source)), ..CommandLineBinding::default() }
}

pub fn tool(version: CwlVersion, inputs: Vec<InputParameter>, outputs: Vec<OutputParameter>) -> CommandLineTool {
    let source = Source::new("file:///tool.cwl", String::new());
    CommandLineTool {
        header: Header {
            id: "tool".to_owned(),
            version,
            label: None,
            doc: None,
            intent: Vec::new(),
            inputs,
            requirements: Requirements::default(),
            hints: Requirements::default(),
            metadata: IndexMap::new(),
            span: Span { source, line: 1, column: 1, length: 1 },
        },
        outputs,
        base_command: vec!["run".to_owned()],
        arguments: Vec::new(),
        stdin: None,
        stdout: None,
        stderr: None,
        success_codes: vec![0],
        temporary_fail_codes: Vec::new(),
        permanent_fail_codes: Vec::new(),
    }
}

pub fn with_javascript(mut tool: CommandLineTool) -> CommandLineTool {
    tool.header.requirements.inline_javascript = Some(InlineJavascript::default());
    tool
}

pub fn runtime() -> Runtime {
    Runtime {
        outdir: "/out".to_owned(),
        tmpdir: "/tmp/t".to_owned(),
        cores: 2.0,
        ram_mib: 256,
        outdir_size_mib: 1024,
        tmpdir_size_mib: 1024,
        exit_code: None,
    }
}

pub fn layout() -> Layout {
    Layout { inputs: "/in".to_owned(), ..Layout::default() }
}

/// Builds with the fixture's runtime; errors as their texts.
pub fn order(
    tool: &CommandLineTool,
    inputs: &str,
    world: &mut World,
    scripts: &mut Scripts,
) -> Result<WorkOrder, String> {
    let effective = Effective::of(&tool.header);
    WorkOrder::build(tool, &effective, &record(inputs), &runtime(), &layout(), world, scripts)
        .map_err(|error| error.to_string())
}

/// Collects with the fixture's runtime; errors as their texts, outputs as JSON.
pub fn collected(
    tool: &CommandLineTool,
    order: &WorkOrder,
    world: &mut World,
    scripts: &mut Scripts,
) -> Result<String, String> {
    let effective = Effective::of(&tool.header);
    let runtime = Runtime { exit_code: Some(0), ..runtime() };
    crate::output::collect(tool, &effective, order, &runtime, world, scripts)
        .map(|outputs| json::pretty(&outputs.into()))
        .map_err(|error| error.to_string())
}
