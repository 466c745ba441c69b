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
    /// Whether the step only lays the results out, in its own output directory and without credentials, and the executor
    /// copies them to `to` (an `s3://` URL) afterwards. The outputs then stay Directories, which the executor replaces
    /// by the URLs of the published catalogs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lays_out: bool,
}

impl StageOut {
    /// The text of the built-in stage-out tool that does what this asks for.
    pub fn tool(&self) -> &'static str {
        if self.lays_out { LAYOUT_TOOL } else { TOOL }
    }
}

/// Where the built-in stage-out tool claims to come from.
pub const TOOL_URL: &str = "weir:stage_out.cwl";

/// The built-in stage-out tool that publishes itself.
pub const TOOL: &str = include_str!("stage_out.cwl");

/// The built-in stage-out tool that only lays results out.
pub const LAYOUT_TOOL: &str = include_str!("stage_out_layout.cwl");

/// Names of the stage-out tool's inputs and output.
const CATALOG: &str = "catalog";
const TO: &str = "to";
const ID: &str = "id";
const PUBLISHED: &str = "published";

/// The package whose entry stages every Directory, `Directory?` and `Directory[]` output out. The staged outputs become
/// the URLs of the published catalogs (strings), or Directories where `stage_out` only lays them out. A package without
/// such outputs comes back as it is.
///
/// `tool` is the stage-out tool's package ([`StageOut::tool`]): inputs `catalog` (Directory or an array of them), `to`,
/// `id`; output `published`. One output is staged under `<to>/<id>/`, several under `<to>/<id>/<output>/` each.
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
        let (name, to, id) = if staged.len() == 1 {
            ("node_stage_out".to_owned(), stage_out.to.clone(), stage_out.id.clone())
        } else {
            // The tool's id is one segment.
            let to = format!("{}/{}", stage_out.to.trim_end_matches('/'), stage_out.id);
            (format!("node_stage_out_{}", output.id), to, output.id.clone())
        };
        let link = std::mem::take(&mut output.link);
        output.link = Link {
            sources: vec![Port::Step { step: workflow.steps.len(), output: PUBLISHED.to_owned() }],
            ..Link::default()
        };
        workflow.steps.push(stage_out_step(name, run, output, link, to, id));
        let nullable = matches!(&output.type_, Type::Union(_));
        let (type_, name) = if stage_out.lays_out { (Type::Directory, "Directory") } else { (Type::String, "string") };
        output.type_ = if nullable { Type::Union(vec![Type::Null, type_]) } else { type_ };
        output.type_source = format!("{name}{}", if nullable { "?" } else { "" });
    }
    package.entry = ProcessIndex(package.processes.len());
    package.processes.push(Process::Workflow(workflow));
    package
}

/// The outputs of the entry that stage-out steps give, in their order.
pub fn staged_outputs(package: &Package) -> Vec<&str> {
    let Process::Workflow(workflow) = &package.processes[package.entry.0] else { return Vec::new() };
    let is_staged = |output: &&WorkflowOutput| match output.link.sources.as_slice() {
        [Port::Step { step, output }] => {
            let run = workflow.steps.get(*step).map(|step| &package.processes[step.run.0]);
            output == PUBLISHED && run.is_some_and(|process| process.header().span.source.url == TOOL_URL)
        }
        _ => false,
    };
    workflow.outputs.iter().filter(is_staged).map(|output| output.id.as_str()).collect()
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

fn stage_out_step(
    name: String,
    run: ProcessIndex,
    output: &WorkflowOutput,
    link: Link,
    to: String,
    id: String,
) -> Step {
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
            input(TO, Link::default(), Some(Value::String(to))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::NoFetch;
    use crate::load_text;

    const PACKAGE: &str = "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {}\noutputs:\n  \
        a: {type: Directory, outputBinding: {glob: a}}\n  n: {type: int, outputBinding: {outputEval: $(1)}}\n";

    fn staged(package: &str, lays_out: bool) -> Package {
        let stage_out = StageOut { to: "s3://results/".to_owned(), id: "job".to_owned(), lays_out };
        let package = load_text("file:///p.cwl", package, None, &NoFetch).unwrap();
        let tool = load_text(TOOL_URL, stage_out.tool(), None, &NoFetch).unwrap();
        with_stage_out(package, &tool, &stage_out)
    }

    fn workflow(package: &Package) -> &Workflow {
        match &package.processes[package.entry.0] {
            Process::Workflow(workflow) => workflow,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_laid_out_stays_a_directory() {
        for (lays_out, type_) in [(false, "string"), (true, "Directory")] {
            let package = staged(PACKAGE, lays_out);
            assert_eq!(staged_outputs(&package), ["a"]);
            let output = &workflow(&package).outputs[0];
            assert_eq!(output.type_source, type_);
        }
    }

    #[test]
    fn several_outputs_are_staged_below_the_jobs_id() {
        let two = format!("{PACKAGE}  b: {{type: Directory?, outputBinding: {{glob: b}}}}\n");
        let package = staged(&two, true);
        assert_eq!(staged_outputs(&package), ["a", "b"]);
        let defaults = |step: &Step| -> Vec<String> {
            step.inputs.iter().filter_map(|input| input.default.as_ref()?.as_str().map(str::to_owned)).collect()
        };
        let workflow = workflow(&package);
        assert_eq!(defaults(&workflow.steps[1]), ["s3://results/job", "a"]);
        assert_eq!(defaults(&workflow.steps[2]), ["s3://results/job", "b"]);
        assert_eq!(workflow.outputs[2].type_source, "Directory?");
    }
}
