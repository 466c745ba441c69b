//! Packages by hand, for tests and the simulation: every process in a few words instead of a document.

use std::sync::Arc;

use indexmap::IndexMap;
use weir_cwl::document::{
    CommandLineTool, CwlVersion, ExpressionTool, Header, Link, LinkMerge, PickValue, Port, Scatter, ScatterMethod, Step,
    StepInput, WorkflowOutput,
};
use weir_cwl::requirement::{InlineJavascript, Requirements, Resource};
use weir_cwl::schema::{ArrayType, FileTreatment, InputParameter, OutputParameter};
use weir_cwl::source::{Source, Span};
use weir_cwl::{Computed, Diagnostics, Package, Process, ProcessIndex, Template, Type, Value, Workflow};

fn span() -> Span {
    Span::start_of(&Source::new("file:///built", String::new()))
}

/// A package whose entry is its last process.
pub fn package(processes: Vec<Process>) -> Arc<Package> {
    let entry = ProcessIndex(processes.len().saturating_sub(1));
    Arc::new(Package {
        processes,
        entry,
        metadata: IndexMap::new(),
        namespaces: IndexMap::new(),
        schemas: Vec::new(),
        warnings: Diagnostics::default(),
    })
}

/// `T?`
pub fn optional(type_: Type) -> Type {
    Type::Union(vec![Type::Null, type_])
}

/// `T[]`
pub fn array(items: Type) -> Type {
    Type::Array(Box::new(ArrayType { items, input_binding: None }))
}

/// Anything, null included.
pub fn anything() -> Type {
    optional(Type::Any)
}

/// A template; panics on a text that is none.
pub fn template(text: &str) -> Template {
    #[expect(clippy::expect_used, reason = "texts of tests")]
    Template::parse(text, CwlVersion::V1_2).expect("a template")
}

fn header(id: &str, inputs: &[(&str, Type)]) -> Header {
    let parameter = |(id, type_): &(&str, Type)| InputParameter {
        id: (*id).to_owned(),
        type_: type_.clone(),
        type_source: String::new(),
        label: None,
        doc: None,
        default: None,
        file: FileTreatment::default(),
        input_binding: None,
    };
    Header {
        id: id.to_owned(),
        version: CwlVersion::V1_2,
        label: None,
        doc: None,
        intent: Vec::new(),
        inputs: inputs.iter().map(parameter).collect(),
        requirements: Requirements {
            inline_javascript: Some(InlineJavascript::default()),
            ..Requirements::default()
        },
        hints: Requirements::default(),
        metadata: IndexMap::new(),
        span: span(),
    }
}

fn output((id, type_): &(&str, Type)) -> OutputParameter {
    OutputParameter {
        id: (*id).to_owned(),
        type_: type_.clone(),
        type_source: String::new(),
        label: None,
        doc: None,
        file: FileTreatment::default(),
        output_binding: None,
    }
}

/// A CommandLineTool.
pub fn tool(id: &str, inputs: &[(&str, Type)], outputs: &[(&str, Type)]) -> Process {
    Process::CommandLineTool(CommandLineTool {
        header: header(id, inputs),
        outputs: outputs.iter().map(output).collect(),
        base_command: vec![id.to_owned()],
        arguments: Vec::new(),
        stdin: None,
        stdout: None,
        stderr: None,
        success_codes: vec![0],
        temporary_fail_codes: Vec::new(),
        permanent_fail_codes: Vec::new(),
    })
}

/// The tool with `coresMin` and `ramMin` (MiB).
#[must_use]
pub fn sized(process: Process, cores: f64, ram_mib: f64) -> Process {
    let Process::CommandLineTool(mut tool) = process else { return process };
    tool.header.requirements.resource = Some(Resource {
        cores_min: Some(Computed::Literal(cores)),
        ram_min: Some(Computed::Literal(ram_mib)),
        ..Resource::default()
    });
    Process::CommandLineTool(tool)
}

/// An ExpressionTool.
pub fn expression(id: &str, inputs: &[(&str, Type)], outputs: &[(&str, Type)], text: &str) -> Process {
    Process::ExpressionTool(ExpressionTool {
        header: header(id, inputs),
        outputs: outputs.iter().map(output).collect(),
        expression: template(text),
    })
}

/// A Workflow. Steps are added with [`StepBuilder`].
pub fn workflow(id: &str, inputs: &[(&str, Type)], steps: Vec<StepBuilder>, outputs: &[(&str, Type, &str)]) -> Process {
    let names: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
    let outputs = outputs.iter().map(|(id, type_, source)| WorkflowOutput {
        id: (*id).to_owned(),
        type_: type_.clone(),
        type_source: String::new(),
        label: None,
        doc: None,
        link: link(&names, source),
        span: span(),
    });
    Process::Workflow(Workflow {
        header: header(id, inputs),
        outputs: outputs.collect(),
        steps: steps.into_iter().map(|step| step.build(&names)).collect(),
    })
}

/// A link in one text: sources joined by `,` (`step/output` or an input's id), then `|` and rules:
/// `a/x,b/x|merge_flattened|first_non_null`.
fn link(steps: &[String], text: &str) -> Link {
    let mut parts = text.split('|');
    let sources = parts.next().unwrap_or_default().split(',').filter(|source| !source.is_empty());
    let port = |source: &str| match source.split_once('/') {
        Some((step, output)) => {
            let step = steps.iter().position(|known| known == step).unwrap_or(usize::MAX);
            Port::Step { step, output: output.to_owned() }
        }
        None => Port::Input(source.to_owned()),
    };
    let mut link = Link { sources: sources.map(port).collect(), ..Link::default() };
    link.is_list = link.sources.len() > 1;
    for rule in parts {
        match rule {
            "merge_nested" => link.link_merge = Some(LinkMerge::Nested),
            "merge_flattened" => link.link_merge = Some(LinkMerge::Flattened),
            "first_non_null" => link.pick_value = Some(PickValue::FirstNonNull),
            "the_only_non_null" => link.pick_value = Some(PickValue::TheOnlyNonNull),
            "all_non_null" => link.pick_value = Some(PickValue::AllNonNull),
            _ => {}
        }
    }
    link
}

/// A step to be.
#[derive(Debug, Clone)]
pub struct StepBuilder {
    id: String,
    run: usize,
    inputs: Vec<(String, String, Option<Value>, Option<String>)>,
    outputs: Vec<String>,
    scatter: Option<Scatter>,
    when: Option<String>,
}

/// A step that runs process number `run` of the package.
pub fn step(id: &str, run: usize, outputs: &[&str]) -> StepBuilder {
    StepBuilder {
        id: id.to_owned(),
        run,
        inputs: Vec::new(),
        outputs: outputs.iter().map(|id| (*id).to_owned()).collect(),
        scatter: None,
        when: None,
    }
}

#[allow(missing_docs, clippy::missing_panics_doc)]
impl StepBuilder {
    #[must_use]
    pub fn input(mut self, id: &str, source: &str) -> Self {
        self.inputs.push((id.to_owned(), source.to_owned(), None, None));
        self
    }

    #[must_use]
    pub fn default(mut self, value: Value) -> Self {
        if let Some(last) = self.inputs.last_mut() {
            last.2 = Some(value);
        }
        self
    }

    #[must_use]
    pub fn value_from(mut self, text: &str) -> Self {
        if let Some(last) = self.inputs.last_mut() {
            last.3 = Some(text.to_owned());
        }
        self
    }

    #[must_use]
    pub fn scatter(mut self, inputs: &[&str], method: ScatterMethod) -> Self {
        let inputs = inputs.iter().map(|id| (*id).to_owned()).collect();
        self.scatter = Some(Scatter { inputs, method });
        self
    }

    #[must_use]
    pub fn when(mut self, text: &str) -> Self {
        self.when = Some(text.to_owned());
        self
    }

    fn build(self, names: &[String]) -> Step {
        let input = |(id, source, default, value_from): (String, String, Option<Value>, Option<String>)| StepInput {
            id,
            link: link(names, &source),
            default,
            value_from: value_from.as_deref().map(template),
            load_contents: false,
            load_listing: None,
            span: span(),
        };
        Step {
            id: self.id,
            label: None,
            run: ProcessIndex(self.run),
            inputs: self.inputs.into_iter().map(input).collect(),
            outputs: self.outputs,
            scatter: self.scatter,
            when: self.when.as_deref().map(template),
            requirements: Requirements::default(),
            hints: Requirements::default(),
            span: span(),
        }
    }
}
