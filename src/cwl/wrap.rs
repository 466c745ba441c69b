//! What the built-in staging steps share: the entry process as a workflow to which steps are added.

use crate::document::{Header, Link, Package, Port, Process, ProcessIndex, Step, StepInput, Workflow, WorkflowOutput};
use crate::expression::{Part, Script, ScriptKind, Template};
use crate::requirement::{InlineJavascript, Requirements};
use crate::source::Span;
use crate::value::Value;

/// The entry process as a workflow: itself, or one step around it.
pub(crate) fn entry_workflow(package: &Package) -> Workflow {
    let (header, outputs) = match &package.processes[package.entry.0] {
        Process::Workflow(workflow) => return workflow.clone(),
        Process::CommandLineTool(tool) => (&tool.header, &tool.outputs),
        Process::ExpressionTool(tool) => (&tool.header, &tool.outputs),
        Process::Operation(operation) => (&operation.header, &operation.outputs),
    };
    let inputs = header.inputs.iter().map(|input| {
        let link = Link { sources: vec![Port::Input(input.id.clone())], ..Link::default() };
        step_input(&input.id, link, None, &header.span)
    });
    let step = Step {
        label: header.label.clone(),
        outputs: outputs.iter().map(|output| output.id.clone()).collect(),
        ..step(header.id.clone(), package.entry, inputs.collect(), &header.span)
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

/// The package with this workflow as its entry.
pub(crate) fn with_entry(mut package: Package, workflow: Workflow) -> Package {
    package.entry = ProcessIndex(package.processes.len());
    package.processes.push(Process::Workflow(workflow));
    package
}

/// Adds another package's entry; gives its index.
pub(crate) fn add_process(package: &mut Package, tool: &Package) -> ProcessIndex {
    package.processes.push(tool.processes[tool.entry.0].clone());
    ProcessIndex(package.processes.len() - 1)
}

/// A step without anything special.
pub(crate) fn step(id: String, run: ProcessIndex, inputs: Vec<StepInput>, span: &Span) -> Step {
    Step {
        id,
        label: None,
        run,
        inputs,
        outputs: Vec::new(),
        scatter: None,
        when: None,
        requirements: Requirements::default(),
        hints: Requirements::default(),
        span: span.clone(),
    }
}

/// An input of such a step.
pub(crate) fn step_input(id: &str, link: Link, default: Option<Value>, span: &Span) -> StepInput {
    StepInput {
        id: id.to_owned(),
        link,
        default,
        value_from: None,
        load_contents: false,
        load_listing: None,
        span: span.clone(),
    }
}

/// Makes a step run only where its input is not null.
pub(crate) fn only_if_given(step: &mut Step, input: &str) {
    let source = format!("inputs.{input} !== null");
    step.requirements.inline_javascript = Some(InlineJavascript::default());
    step.when = Some(Template {
        source: format!("$({source})"),
        parts: vec![Part::Script(Script { kind: ScriptKind::Expression, source })],
    });
}

/// A name that no step of the workflow has: `name`, or `name_2`, `name_3` …
pub(crate) fn free_step_name(workflow: &Workflow, name: &str) -> String {
    let mut free = name.to_owned();
    let mut number = 1;
    while workflow.steps.iter().any(|step| step.id == free) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}
