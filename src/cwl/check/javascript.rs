//! Expressions that need JavaScript where nothing declares `InlineJavascriptRequirement`: they would fail when their
//! turn comes, perhaps hours into a run.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{CommandLineTool, Package, Process, Step};
use crate::expression::{Computed, Template};
use crate::requirement::{Cuda, InitialWorkDir, Requirements, Resource, WorkDirEntry};
use crate::schema::{CommandLineBinding, FileTreatment, OutputBinding, OutputParameter, Type};

/// Warns of each process and step that has such expressions.
pub(super) fn check(package: &Package, found: &mut Diagnostics) {
    let declared = declared(package);
    for (process, declared) in package.processes.iter().zip(&declared) {
        if *declared {
            continue;
        }
        let mut templates = Templates::default();
        templates.process(process);
        templates.report(&process.header().span, &process.header().id, found);
        if let Process::Workflow(workflow) = process {
            for step in workflow.steps.iter().filter(|step| !step_declares(step)) {
                let mut templates = Templates::default();
                templates.step(step);
                templates.report(&step.span, &step.id, found);
            }
        }
    }
}

/// For each process whether it declares JavaScript, or something that runs it does.
fn declared(package: &Package) -> Vec<bool> {
    let headers = package.processes.iter().map(Process::header);
    let own = |level: &Requirements| level.inline_javascript.is_some();
    let mut declared: Vec<bool> = headers.map(|header| own(&header.requirements) || own(&header.hints)).collect();
    loop {
        let mut changed = false;
        for (at, process) in package.processes.iter().enumerate() {
            let Process::Workflow(workflow) = process else { continue };
            for step in &workflow.steps {
                if (declared[at] || step_declares(step)) && !declared[step.run.0] {
                    declared[step.run.0] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return declared;
        }
    }
}

fn step_declares(step: &Step) -> bool {
    step.requirements.inline_javascript.is_some() || step.hints.inline_javascript.is_some()
}

/// The first template that needs JavaScript.
#[derive(Default)]
struct Templates<'p> {
    first: Option<&'p Template>,
}

impl<'p> Templates<'p> {
    fn report(&self, span: &crate::source::Span, id: &str, found: &mut Diagnostics) {
        let Some(template) = self.first else { return };
        let words: Vec<&str> = template.source.split_whitespace().take(20).collect();
        let source: String = words.join(" ").chars().take(60).collect();
        let message = format!("'{id}' uses JavaScript, but nothing declares InlineJavascriptRequirement: {source}");
        let help = "add `InlineJavascriptRequirement: {}` to its requirements";
        found.push(Diagnostic::warning(span, message).help(help));
    }

    fn add(&mut self, templates: impl IntoIterator<Item = &'p Template>) {
        if self.first.is_none() {
            self.first = templates.into_iter().find(|template| template.needs_script());
        }
    }

    fn computed<T>(&mut self, computed: Option<&'p Computed<T>>) {
        if let Some(Computed::Expression(template)) = computed {
            self.add([template]);
        }
    }

    fn process(&mut self, process: &'p Process) {
        let header = process.header();
        for input in &header.inputs {
            self.type_(&input.type_);
            self.file(&input.file);
            self.input_binding(input.input_binding.as_ref());
        }
        self.requirements(&header.requirements);
        self.requirements(&header.hints);
        match process {
            Process::CommandLineTool(tool) => self.tool(tool),
            Process::ExpressionTool(tool) => {
                self.add([&tool.expression]);
                self.outputs(&tool.outputs);
            }
            Process::Workflow(_) | Process::Operation(_) => {}
        }
    }

    fn tool(&mut self, tool: &'p CommandLineTool) {
        tool.arguments.iter().for_each(|binding| self.input_binding(Some(binding)));
        self.add([&tool.stdin, &tool.stdout, &tool.stderr].into_iter().flatten());
        self.outputs(&tool.outputs);
    }

    fn outputs(&mut self, outputs: &'p [OutputParameter]) {
        for output in outputs {
            self.type_(&output.type_);
            self.file(&output.file);
            self.output_binding(output.output_binding.as_ref());
        }
    }

    fn step(&mut self, step: &'p Step) {
        self.add(&step.when);
        self.add(step.inputs.iter().filter_map(|input| input.value_from.as_ref()));
        self.requirements(&step.requirements);
        self.requirements(&step.hints);
    }

    fn input_binding(&mut self, binding: Option<&'p CommandLineBinding>) {
        let Some(binding) = binding else { return };
        self.computed(binding.position.as_ref());
        self.add(&binding.value_from);
    }

    fn output_binding(&mut self, binding: Option<&'p OutputBinding>) {
        let Some(binding) = binding else { return };
        self.add(&binding.glob);
        self.add(&binding.output_eval);
    }

    fn file(&mut self, file: &'p FileTreatment) {
        self.add(&file.format);
        for secondary in &file.secondary_files {
            self.add([&secondary.pattern]);
            self.computed(secondary.required.as_ref());
        }
    }

    fn type_(&mut self, type_: &'p Type) {
        match type_ {
            Type::Array(array) => {
                self.input_binding(array.input_binding.as_ref());
                self.type_(&array.items);
            }
            Type::Record(record) => {
                self.input_binding(record.input_binding.as_ref());
                for field in &record.fields {
                    self.type_(&field.type_);
                    self.file(&field.file);
                    self.input_binding(field.input_binding.as_ref());
                    self.output_binding(field.output_binding.as_ref());
                }
            }
            Type::Enum(symbols) => self.input_binding(symbols.input_binding.as_ref()),
            Type::Union(members) => members.iter().for_each(|member| self.type_(member)),
            _ => {}
        }
    }

    fn requirements(&mut self, requirements: &'p Requirements) {
        self.add(requirements.env_var.iter().flatten().map(|definition| &definition.value));
        self.computed(requirements.time_limit.as_ref());
        self.computed(requirements.work_reuse.as_ref());
        self.computed(requirements.network_access.as_ref());
        let amounts = requirements.resource.iter().flat_map(Resource::fields);
        let devices = requirements.cuda.iter().flat_map(Cuda::fields);
        amounts.chain(devices).for_each(|(_, amount)| self.computed(Some(amount)));
        match &requirements.initial_work_dir {
            Some(InitialWorkDir::Expression(template)) => self.add([template]),
            Some(InitialWorkDir::Listing(entries)) => {
                for entry in entries {
                    match entry {
                        WorkDirEntry::Dirent { entryname, entry, .. } => self.add(entryname.iter().chain([entry])),
                        WorkDirEntry::Expression(template) => self.add([template]),
                        WorkDirEntry::Entry(_) => {}
                    }
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Part, Script, ScriptKind};
    use crate::load::{NoFetch, load_text};

    /// A workflow over one tool whose first argument is JavaScript.
    fn warnings(workflow_requirements: &str, tool_requirements: &str) -> String {
        let text = format!(
            "cwlVersion: v1.2
$graph:
- {{class: CommandLineTool, id: echo, baseCommand: echo, requirements: {tool_requirements}, arguments: [$(1 + 1)], inputs: [], outputs: []}}
- {{class: Workflow, id: main, requirements: {workflow_requirements}, inputs: [], outputs: [], steps: {{a: {{run: '#echo', in: [], out: []}}}}}}
"
        );
        let mut package = load_text("file:///p/a.cwl", &text, None, &NoFetch).unwrap();
        for process in &mut package.processes {
            if let Process::CommandLineTool(tool) = process {
                let script = Script { kind: ScriptKind::Expression, source: "1 + 1".to_owned() };
                let parts = vec![Part::Script(script)];
                tool.arguments[0].value_from = Some(Template { source: "$(1 + 1)".to_owned(), parts });
            }
        }
        let mut found = Diagnostics::default();
        check(&package, &mut found);
        found.to_string()
    }

    #[test]
    fn javascript_must_be_declared_by_the_tool_or_around_it() {
        insta::assert_snapshot!(warnings("{}", "{}"), @r#"
        /p/a.cwl:3:3: warning: 'echo' uses JavaScript, but nothing declares InlineJavascriptRequirement: $(1 + 1)
         3 | - {class: CommandLineTool, id: echo, baseCommand: echo, requirements: {}, arguments: [$(1 + 1)], inputs: [], outputs: []}
           |   ^
        help: add `InlineJavascriptRequirement: {}` to its requirements
        "#);
        assert_eq!(warnings("{}", "{InlineJavascriptRequirement: {}}"), "");
        assert_eq!(warnings("{InlineJavascriptRequirement: {}}", "{}"), "");
    }
}
