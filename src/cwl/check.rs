//! Static checks of a loaded package: links, types and features that cannot work at run time are reported before.
//!
//! Errors are certain: no value could pass. Where some values could, there is a warning.

mod compatibility;
mod javascript;

pub use compatibility::{Fit, fits};

use compatibility::{array, items, linked, union, without_null};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Link, Package, Port, Process, Scatter, ScatterMethod, Step, StepInput, Workflow};
use crate::job::{allows_null, misfits};
use crate::load::suggestion::listed;
use crate::requirement::{Requirements, Unsupported};
use crate::schema::{InputParameter, Type};

/// Checks all processes of a package.
pub fn check(package: &Package) -> Diagnostics {
    let mut found = Diagnostics::default();
    for process in &package.processes {
        check_defaults(process, &mut found);
        if let Process::Workflow(workflow) = process {
            Checker { package, workflow, found: &mut found }.workflow();
        }
    }
    javascript::check(package, &mut found);
    found.sort();
    found
}

/// Requirements of unknown classes, anywhere in the package: it must not be run. Hints do not count.
pub fn unsupported(package: &Package) -> Vec<&Unsupported> {
    let of_steps = package.processes.iter().flat_map(|process| match process {
        Process::Workflow(workflow) => workflow.steps.iter().map(|step| &step.requirements).collect(),
        _ => Vec::new(),
    });
    let of_processes = package.processes.iter().map(|process| &process.header().requirements);
    of_processes.chain(of_steps).flat_map(|requirements| &requirements.unsupported).collect()
}

/// Outputs of a process as ids and types.
pub fn output_types(process: &Process) -> Vec<(&str, &Type)> {
    let plain = match process {
        Process::CommandLineTool(tool) => &tool.outputs,
        Process::ExpressionTool(tool) => &tool.outputs,
        Process::Operation(operation) => &operation.outputs,
        Process::Workflow(workflow) => {
            return workflow.outputs.iter().map(|output| (output.id.as_str(), &output.type_)).collect();
        }
    };
    plain.iter().map(|output| (output.id.as_str(), &output.type_)).collect()
}

fn check_defaults(process: &Process, found: &mut Diagnostics) {
    for input in &process.header().inputs {
        let Some(default) = &input.default else { continue };
        if *default == crate::value::Value::Null {
            continue;
        }
        for misfit in misfits(&input.type_, default.clone()) {
            let message = format!("the default of '{}' does not fit its type: {}", input.id, misfit.message);
            found.push(Diagnostic { help: misfit.help, ..Diagnostic::warning(&process.header().span, message) });
        }
    }
}

/// Looks whether a level of requirements declares a feature.
type Declares = fn(&Requirements) -> bool;

struct Checker<'p> {
    package: &'p Package,
    workflow: &'p Workflow,
    found: &'p mut Diagnostics,
}

impl<'p> Checker<'p> {
    fn workflow(&mut self) {
        if let Some(ring) = ring(self.workflow) {
            let names: Vec<&str> = ring.iter().map(|step| self.workflow.steps[*step].id.as_str()).collect();
            let message = format!("steps wait for each other: {}", names.join(" -> "));
            let span = ring.first().map_or(&self.workflow.header.span, |step| &self.workflow.steps[*step].span);
            self.found.push(Diagnostic::error(span, message).help("each arrow is an output that the next step reads"));
        }
        for step in &self.workflow.steps {
            self.step(step);
        }
        for output in &self.workflow.outputs {
            if output.link.sources.is_empty() {
                if !allows_null(&output.type_) {
                    let message = format!("nothing is connected to the output '{}'", output.id);
                    self.found.push(Diagnostic::error(&output.span, message).help("write `outputSource: step/output`"));
                }
                continue;
            }
            self.needs_multiple_input(&output.link, &[], &output.span);
            let source = linked(&output.link, &self.sources(&output.link));
            let what = format!("the output '{}'", output.id);
            self.compare(&source, &output.type_, &what, &output.span);
        }
    }

    fn sources(&self, link: &Link) -> Vec<Type> {
        link.sources.iter().map(|port| self.port(port)).collect()
    }

    /// The type of what a port yields.
    fn port(&self, port: &Port) -> Type {
        match port {
            Port::Input(id) => {
                let input = self.workflow.header.inputs.iter().find(|input| input.id == *id);
                input.map_or(Type::Any, effective_type)
            }
            Port::Step { step, output } => {
                let step = &self.workflow.steps[*step];
                let outputs = output_types(&self.package.processes[step.run.0]);
                let type_ =
                    outputs.into_iter().find(|(id, _)| id == output).map_or(Type::Any, |(_, type_)| type_.clone());
                let type_ = if step.when.is_some() { union([Type::Null, type_]) } else { type_ };
                match &step.scatter {
                    None => type_,
                    Some(Scatter { inputs, method: ScatterMethod::NestedCrossProduct }) => {
                        inputs.iter().fold(type_, |type_, _| array(type_))
                    }
                    Some(_) => array(type_),
                }
            }
        }
    }

    fn step(&mut self, step: &'p Step) {
        let process = &self.package.processes[step.run.0];
        let outputs = output_types(process);
        for output in &step.outputs {
            if !outputs.iter().any(|(id, _)| id == output) {
                let message = format!("the step '{}' lists the output '{output}', which its process has not", step.id);
                self.found.push(
                    Diagnostic::error(&step.span, message)
                        .help(format!("it has: {}", listed(outputs.iter().map(|(id, _)| *id)))),
                );
            }
        }
        for wanted in &process.header().inputs {
            self.connected(step, wanted);
        }
        for input in &step.inputs {
            self.needs_multiple_input(&input.link, &[&step.requirements, &step.hints], &input.span);
            self.input(step, input, process.header().inputs.iter().find(|wanted| wanted.id == input.id));
        }
        self.features(step, process);
    }

    fn connected(&mut self, step: &Step, wanted: &InputParameter) {
        if wanted.default.is_some() || allows_null(&wanted.type_) {
            return;
        }
        let given = step.inputs.iter().find(|input| input.id == wanted.id);
        let is_given = given.is_some_and(|input| {
            !input.link.sources.is_empty() || input.default.is_some() || input.value_from.is_some()
        });
        if !is_given {
            let message = format!("the step '{}' gives its process no '{}'", step.id, wanted.id);
            let help = format!("add `{}: <source>` to its `in`; it is of type {}", wanted.id, wanted.type_);
            self.found.push(Diagnostic::error(&step.span, message).help(help));
        }
    }

    fn input(&mut self, step: &Step, input: &StepInput, wanted: Option<&InputParameter>) {
        if input.link.sources.is_empty() {
            return;
        }
        let mut source = linked(&input.link, &self.sources(&input.link));
        if input.default.as_ref().is_some_and(|default| *default != crate::value::Value::Null) {
            source = without_null(source);
        }
        let is_scattered = step.scatter.as_ref().is_some_and(|scatter| scatter.inputs.contains(&input.id));
        if is_scattered {
            let Some(element) = items(&source) else {
                let message = format!("the step '{}' scatters over '{}', which is no array", step.id, input.id);
                self.found
                    .push(Diagnostic::error(&input.span, message).help(format!("its source is of type {source}")));
                return;
            };
            source = element;
        }
        // What an expression makes of it is known at run time only.
        let (Some(wanted), None) = (wanted, &input.value_from) else { return };
        let what = format!("the input '{}' of the step '{}'", input.id, step.id);
        self.compare(&source, &sink_type(wanted), &what, &input.span);
    }

    fn compare(&mut self, source: &Type, sink: &Type, what: &str, span: &crate::source::Span) {
        let message = format!("{what} is of type {sink}, but its source yields {source}");
        match fits(source, sink) {
            Fit::Always => {}
            Fit::Sometimes => self
                .found
                .push(Diagnostic::warning(span, message).help("some values do not fit and would fail when they come")),
            Fit::Never => self.found.push(Diagnostic::error(span, message).help("no value of one fits the other")),
        }
    }

    /// Warns of a feature that is used and not declared: other engines may refuse the package.
    fn features(&mut self, step: &Step, process: &Process) {
        let levels = [&step.requirements, &step.hints];
        let used: [(bool, &str, Declares); 3] = [
            (step.scatter.is_some(), "ScatterFeatureRequirement", |level| level.scatter.is_some()),
            (matches!(process, Process::Workflow(_)), "SubworkflowFeatureRequirement", |level| {
                level.subworkflow.is_some()
            }),
            (step.inputs.iter().any(|input| input.value_from.is_some()), "StepInputExpressionRequirement", |level| {
                level.step_input_expression.is_some()
            }),
        ];
        for (is_used, class, declares) in used {
            if is_used && !self.declared(&levels, declares) {
                self.undeclared(class, &step.span);
            }
        }
    }

    fn needs_multiple_input(&mut self, link: &Link, levels: &[&Requirements], span: &crate::source::Span) {
        if link.sources.len() > 1 && !self.declared(levels, |level| level.multiple_input.is_some()) {
            self.undeclared("MultipleInputFeatureRequirement", span);
        }
    }

    /// Whether a level of the step, this workflow or the entry declares a feature; requirements are inherited.
    fn declared(&self, levels: &[&Requirements], declares: impl Fn(&Requirements) -> bool) -> bool {
        let entry = self.package.processes[self.package.entry.0].header();
        let headers = [&self.workflow.header, entry];
        let inherited = headers.into_iter().flat_map(|header| [&header.requirements, &header.hints]);
        levels.iter().copied().chain(inherited).any(declares)
    }

    fn undeclared(&mut self, class: &str, span: &crate::source::Span) {
        let message = format!("{class} is used and not declared");
        let help = format!("add `{class}: {{}}` to the workflow's requirements; other engines insist on it");
        self.found.push(Diagnostic::warning(span, message).help(help));
    }
}

/// What an input yields inside of its workflow: never null where a default stands in.
fn effective_type(input: &InputParameter) -> Type {
    match &input.default {
        Some(default) if *default != crate::value::Value::Null => without_null(input.type_.clone()),
        _ => input.type_.clone(),
    }
}

/// What an input takes: null too, where a default stands in for it.
fn sink_type(input: &InputParameter) -> Type {
    if input.default.is_some() { union([Type::Null, input.type_.clone()]) } else { input.type_.clone() }
}

/// Steps that wait for each other, the first one repeated at the end, in the direction of the data.
fn ring(workflow: &Workflow) -> Option<Vec<usize>> {
    let sources = |step: &Step| -> Vec<usize> {
        let ports = step.inputs.iter().flat_map(|input| &input.link.sources);
        ports.filter_map(|port| if let Port::Step { step, .. } = port { Some(*step) } else { None }).collect()
    };
    let waits: Vec<Vec<usize>> = workflow.steps.iter().map(sources).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
    for (step, sources) in waits.iter().enumerate() {
        for source in sources {
            readers[*source].push(step);
        }
    }
    // Finish what waits for nothing, again and again: what is left is a ring, or waits for one.
    let mut left: Vec<usize> = waits.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..waits.len()).filter(|step| left[*step] == 0).collect();
    let mut is_done = vec![false; waits.len()];
    while let Some(step) = ready.pop() {
        is_done[step] = true;
        for reader in &readers[step] {
            left[*reader] -= 1;
            if left[*reader] == 0 {
                ready.push(*reader);
            }
        }
    }
    let mut at = is_done.iter().position(|done| !done)?;
    let mut way = Vec::new();
    let mut is_on_way = vec![false; waits.len()];
    while !is_on_way[at] {
        is_on_way[at] = true;
        way.push(at);
        at = waits[at].iter().copied().find(|source| !is_done[*source])?;
    }
    let mut ring: Vec<usize> = way.into_iter().skip_while(|step| *step != at).collect();
    ring.push(at);
    ring.reverse();
    Some(ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{NoFetch, load_text};

    /// A workflow over `echo`, which takes a string and gives a File, and `sum`, which takes files and an int.
    fn checked(rest: &str) -> String {
        let text = format!(
            "cwlVersion: v1.2
$graph:
- {{class: CommandLineTool, id: echo, baseCommand: echo, inputs: {{text: string}}, outputs: {{out: stdout}}}}
- {{class: CommandLineTool, id: sum, baseCommand: sum, inputs: {{files: 'File[]', n: {{type: int, default: 1}}}}, outputs: {{out: {{type: string, outputBinding: {{glob: x}}}}}}}}
- class: Workflow
  id: main
{rest}"
        );
        check(&load_text("file:///p/a.cwl", &text, None, &NoFetch).unwrap()).to_string()
    }

    #[test]
    fn a_sound_workflow_has_no_messages() {
        let sound = checked(
            "  requirements: {ScatterFeatureRequirement: {}, MultipleInputFeatureRequirement: {}, StepInputExpressionRequirement: {}}
  inputs: {texts: 'string[]', text: 'string?', n: 'int?'}
  outputs: {o: {type: 'string', outputSource: [add/out]}, all: {type: 'File[]', outputSource: [one/out, many/out], linkMerge: merge_flattened, pickValue: all_non_null}}
  steps:
    many: {run: '#echo', in: {text: texts}, scatter: text, out: [out]}
    one: {run: '#echo', in: {text: {source: text, default: x}}, when: $(inputs.go), out: [out]}
    add: {run: '#sum', in: {files: many/out, n: n, other: {valueFrom: $(self)}}, out: [out]}
",
        );
        assert_eq!(sound, "");
    }

    #[test]
    fn what_can_never_work_is_an_error() {
        insta::assert_snapshot!(checked(
            "  requirements: {ScatterFeatureRequirement: {}}
  inputs: {text: string, texts: 'string[]'}
  outputs:
    a: {type: File, outputSource: many/out}
    b: {type: string}
  steps:
    many: {run: '#echo', in: {text: texts}, scatter: text, out: [out]}
    none: {run: '#echo', in: {}, out: [out, err]}
    scattered: {run: '#echo', in: {text: text}, scatter: text, out: [out]}
    direct: {run: '#sum', in: {files: none/out}, out: [out]}
"
        ), @r#"
        /p/a.cwl:10:5: error: the output 'a' is of type File, but its source yields File[]
         10 |     a: {type: File, outputSource: many/out}
            |     ^
        help: no value of one fits the other
        /p/a.cwl:11:5: error: nothing is connected to the output 'b'
         11 |     b: {type: string}
            |     ^
        help: write `outputSource: step/output`
        /p/a.cwl:14:5: error: the step 'none' lists the output 'err', which its process has not
         14 |     none: {run: '#echo', in: {}, out: [out, err]}
            |     ^^^^
        help: it has: out
        /p/a.cwl:14:5: error: the step 'none' gives its process no 'text'
         14 |     none: {run: '#echo', in: {}, out: [out, err]}
            |     ^^^^
        help: add `text: <source>` to its `in`; it is of type string
        /p/a.cwl:15:36: error: the step 'scattered' scatters over 'text', which is no array
         15 |     scattered: {run: '#echo', in: {text: text}, scatter: text, out: [out]}
            |                                    ^^^^
        help: its source is of type string
        /p/a.cwl:16:32: error: the input 'files' of the step 'direct' is of type File[], but its source yields File
         16 |     direct: {run: '#sum', in: {files: none/out}, out: [out]}
            |                                ^^^^^
        help: no value of one fits the other
        "#);
    }

    #[test]
    fn all_non_null_into_a_single_value_is_an_error() {
        insta::assert_snapshot!(checked(
            "  requirements: {MultipleInputFeatureRequirement: {}}
  inputs: {text: string, other: File}
  outputs: {o: {type: File, outputSource: [one/out, other], pickValue: all_non_null}}
  steps:
    one: {run: '#echo', in: {text: text}, when: $(inputs.go), out: [out]}
"
        ), @r#"
        /p/a.cwl:9:13: error: the output 'o' is of type File, but its source yields File[]
         9 |   outputs: {o: {type: File, outputSource: [one/out, other], pickValue: all_non_null}}
           |             ^
        help: no value of one fits the other
        "#);
    }

    #[test]
    fn rings_are_named_and_undeclared_features_are_noted() {
        insta::assert_snapshot!(checked(
            "  inputs: {texts: 'string?'}
  outputs: {o: {type: string, outputSource: a/out}}
  steps:
    a: {run: '#sum', in: {files: c/out}, out: [out]}
    b: {run: '#echo', in: {text: a/out}, out: [out]}
    c: {run: '#echo', in: {text: b/out, x: {source: texts, valueFrom: $(self)}}, out: [out]}
    d: {run: '#echo', in: {text: texts}, out: [out]}
"
        ), @r#"
        /p/a.cwl:10:5: error: steps wait for each other: a -> b -> c -> a
         10 |     a: {run: '#sum', in: {files: c/out}, out: [out]}
            |     ^
        help: each arrow is an output that the next step reads
        /p/a.cwl:10:27: error: the input 'files' of the step 'a' is of type File[], but its source yields File
         10 |     a: {run: '#sum', in: {files: c/out}, out: [out]}
            |                           ^^^^^
        help: no value of one fits the other
        /p/a.cwl:12:5: warning: StepInputExpressionRequirement is used and not declared
         12 |     c: {run: '#echo', in: {text: b/out, x: {source: texts, valueFrom: $(self)}}, out: [out]}
            |     ^
        help: add `StepInputExpressionRequirement: {}` to the workflow's requirements; other engines insist on it
        /p/a.cwl:12:28: error: the input 'text' of the step 'c' is of type string, but its source yields File
         12 |     c: {run: '#echo', in: {text: b/out, x: {source: texts, valueFrom: $(self)}}, out: [out]}
            |                            ^^^^
        help: no value of one fits the other
        /p/a.cwl:13:28: warning: the input 'text' of the step 'd' is of type string, but its source yields string?
         13 |     d: {run: '#echo', in: {text: texts}, out: [out]}
            |                            ^^^^
        help: some values do not fit and would fail when they come
        "#);
    }
}
