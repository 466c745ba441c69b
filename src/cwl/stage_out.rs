//! Results that outlive a job: a step `node_stage_out` behind every Directory output of the entry process, as the
//! platforms of OGC 20-089r1 add it (Best Practice for Earth Observation Application Package, §7.5 "stage-out").

use serde::{Deserialize, Serialize};

use crate::document::{Header, Link, Package, Port, Process, ProcessIndex, Step, StepInput, Workflow, WorkflowOutput};
use crate::expression::{Part, Script, ScriptKind, Template};
use crate::requirement::{InlineJavascript, Requirements};
use crate::schema::Type;
use crate::value::Value;

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOut {
    /// A directory, or `s3://bucket[/prefix]`.
    pub to: String,
    /// First segment of every key: the job's id.
    pub id: String,
}

/// Where the built-in stage-out tool claims to come from.
pub const TOOL_URL: &str = "weir:stage_out.cwl";

/// The built-in stage-out tool.
pub const TOOL: &str = include_str!("stage_out.cwl");

/// Names of the stage-out tool's inputs and output.
const CATALOG: &str = "catalog";
const TO: &str = "to";
const ID: &str = "id";
const PUBLISHED: &str = "published";

/// The package whose entry stages every Directory, `Directory?` and `Directory[]` output out. The staged outputs become
/// the URLs of the published catalogs (strings). A package without such outputs comes back as it is.
///
/// `tool` is the stage-out tool's package: inputs `catalog` (Directory or an array of them), `to`, `id`; output
/// `published`.
#[must_use]
pub fn with_stage_out(mut package: Package, tool: &Package, stage_out: &StageOut) -> Package {
    let mut workflow = entry_workflow(&package);
    let staged: Vec<usize> =
        (0..workflow.outputs.len()).filter(|at| holds_directories(&workflow.outputs[*at].type_)).collect();
    if staged.is_empty() {
        return package;
    }
    let run = ProcessIndex(package.processes.len());
    package.processes.push(tool.processes[tool.entry.0].clone());
    for at in &staged {
        let output = &mut workflow.outputs[*at];
        let (name, id) = if staged.len() == 1 {
            ("node_stage_out".to_owned(), stage_out.id.clone())
        } else {
            (format!("node_stage_out_{}", output.id), format!("{}/{}", stage_out.id, output.id))
        };
        let link = std::mem::take(&mut output.link);
        output.link = Link {
            sources: vec![Port::Step { step: workflow.steps.len(), output: PUBLISHED.to_owned() }],
            ..Link::default()
        };
        workflow.steps.push(stage_out_step(name, run, output, link, &stage_out.to, id));
        let nullable = matches!(&output.type_, Type::Union(_));
        output.type_ = if nullable { Type::Union(vec![Type::Null, Type::String]) } else { Type::String };
        output.type_source = if nullable { "string?".to_owned() } else { "string".to_owned() };
    }
    package.entry = ProcessIndex(package.processes.len());
    package.processes.push(Process::Workflow(workflow));
    package
}

/// Whether values of the type are directories, some of them, or null.
fn holds_directories(type_: &Type) -> bool {
    match type_ {
        Type::Directory => true,
        Type::Array(array) => array.items == Type::Directory,
        Type::Union(types) => {
            types.iter().any(holds_directories) && types.iter().all(|one| *one == Type::Null || holds_directories(one))
        }
        _ => false,
    }
}

fn stage_out_step(name: String, run: ProcessIndex, output: &WorkflowOutput, link: Link, to: &str, id: String) -> Step {
    let input = |id: &str, link: Link, default: Option<Value>| StepInput {
        id: id.to_owned(),
        link,
        default,
        value_from: None,
        load_contents: false,
        load_listing: None,
        span: output.span.clone(),
    };
    let nullable = matches!(&output.type_, Type::Union(_));
    let mut requirements = Requirements::default();
    if nullable {
        requirements.inline_javascript = Some(InlineJavascript::default());
    }
    Step {
        id: name,
        label: Some("Publish the results".to_owned()),
        run,
        inputs: vec![
            input(CATALOG, link, None),
            input(TO, Link::default(), Some(Value::String(to.to_owned()))),
            input(ID, Link::default(), Some(Value::String(id))),
        ],
        outputs: vec![PUBLISHED.to_owned()],
        scatter: None,
        when: nullable.then(not_null),
        requirements,
        hints: Requirements::default(),
        span: output.span.clone(),
    }
}

/// `$(inputs.catalog !== null)`
fn not_null() -> Template {
    let source = format!("inputs.{CATALOG} !== null");
    Template {
        source: format!("$({source})"),
        parts: vec![Part::Script(Script { kind: ScriptKind::Expression, source })],
    }
}

/// The entry process as a workflow: itself, or one step around it.
fn entry_workflow(package: &Package) -> Workflow {
    let (header, outputs) = match &package.processes[package.entry.0] {
        Process::Workflow(workflow) => return workflow.clone(),
        Process::CommandLineTool(tool) => (&tool.header, &tool.outputs),
        Process::ExpressionTool(tool) => (&tool.header, &tool.outputs),
        Process::Operation(operation) => (&operation.header, &operation.outputs),
    };
    let step = Step {
        id: header.id.clone(),
        label: header.label.clone(),
        run: package.entry,
        inputs: header
            .inputs
            .iter()
            .map(|input| StepInput {
                id: input.id.clone(),
                link: Link { sources: vec![Port::Input(input.id.clone())], ..Link::default() },
                default: None,
                value_from: None,
                load_contents: false,
                load_listing: None,
                span: header.span.clone(),
            })
            .collect(),
        outputs: outputs.iter().map(|output| output.id.clone()).collect(),
        scatter: None,
        when: None,
        requirements: Requirements::default(),
        hints: Requirements::default(),
        span: header.span.clone(),
    };
    let outputs = outputs
        .iter()
        .map(|output| WorkflowOutput {
            id: output.id.clone(),
            type_: output.type_.clone(),
            type_source: output.type_source.clone(),
            label: output.label.clone(),
            doc: output.doc.clone(),
            link: Link { sources: vec![Port::Step { step: 0, output: output.id.clone() }], ..Link::default() },
            span: header.span.clone(),
        })
        .collect();
    let header = Header { requirements: Requirements::default(), hints: Requirements::default(), ..header.clone() };
    Workflow { header, outputs, steps: vec![step] }
}
