//! `class: Workflow` and its steps (CWL v1.2 Workflow Description, §5).

use indexmap::{IndexMap, IndexSet};

use super::fields::{Fields, Item};
use super::process::{Opened, is_reference};
use super::requirement::Strictness;
use super::schema::{ParameterType, WrittenType};
use super::{Loader, Scope, process_id, short_id};
use crate::diagnostic::Diagnostic;
use crate::document::{
    CwlVersion, Link, LinkMerge, PickValue, Port, Scatter, ScatterMethod, Step, StepInput, Workflow, WorkflowOutput,
};
use crate::load::suggestion::listed;
use crate::schema::LoadListing;
use crate::uri;
use crate::yaml::{Data, Node};

/// What sources of a workflow can name.
struct Ports {
    /// The workflow's id within its document, the prefix of its absolute references.
    workflow: String,
    inputs: IndexSet<String>,
    /// Outputs of the steps.
    steps: IndexMap<String, Vec<String>>,
}

impl Loader<'_> {
    pub(super) fn workflow(&mut self, opened: Opened<'_>) -> Option<Workflow> {
        let Opened { mut fields, scope, header, .. } = opened;
        let Some(steps_node) = fields.get_or_null("steps") else {
            self.error(fields.span, "a Workflow needs the field 'steps'");
            return None;
        };
        let items = self.items(steps_node, "steps", "id")?;
        self.unique(&items, "steps");
        let ports = Ports {
            workflow: fields
                .get("id")
                .and_then(Node::as_text)
                .map_or_else(String::new, |id| uri::split_fragment(id).1.unwrap_or(id).to_owned()),
            // Those that cannot be read too: what is wrong with them is told once.
            inputs: fields.get("inputs").map(ids).unwrap_or_default().into_iter().collect(),
            steps: items.iter().map(|item| (short_id(&item.id).to_owned(), outputs_of(item.node))).collect(),
        };
        let steps: Vec<_> = items.iter().map(|item| self.step(item, &ports, &scope)).collect();
        let outputs = self.outputs_node(&mut fields).and_then(|node| self.workflow_outputs(node, &ports, &scope));
        let header = self.closed(fields, header);
        Some(Workflow { header, outputs: outputs?, steps: steps.into_iter().collect::<Option<_>>()? })
    }

    fn workflow_outputs(&mut self, node: &Node, ports: &Ports, scope: &Scope) -> Option<Vec<WorkflowOutput>> {
        let items = self.items(node, "outputs", "id")?;
        self.unique(&items, "outputs");
        let outputs: Vec<_> = items.iter().map(|item| self.workflow_output(item, ports, scope)).collect();
        outputs.into_iter().collect()
    }

    fn workflow_output(&mut self, item: &Item<'_>, ports: &Ports, scope: &Scope) -> Option<WorkflowOutput> {
        let id = short_id(&item.id).to_owned();
        if item.node.as_map().is_none() {
            let diagnostic = Diagnostic::error(item.span, format!("the output '{id}' needs the field 'outputSource'"));
            self.report(diagnostic.help(format!("write `{id}: {{type: …, outputSource: step/output}}`")));
            return None;
        }
        let mut fields = self.fields(item.node, "an output of a Workflow")?;
        fields.allow(&["id", "name", "secondaryFiles", "streamable", "format"]);
        let label = self.label(fields.get("label"));
        let doc = self.doc(fields.get("doc"));
        let link = self.link(fields.get("outputSource"), &mut fields, ports, scope);
        let type_node = fields.get("type");
        self.finish(fields);
        let Some(type_node) = type_node else {
            self.error(item.span, format!("the output '{id}' needs a type"));
            return None;
        };
        let WrittenType { type_, source: type_source } = self.parameter_type(type_node, scope)?;
        let ParameterType::Plain(type_) = type_ else {
            self.error(&type_node.span, format!("only a CommandLineTool has outputs of type '{type_source}'"));
            return None;
        };
        Some(WorkflowOutput { id, type_, type_source, label, doc, link: link?, span: item.span.clone() })
    }

    fn step(&mut self, item: &Item<'_>, ports: &Ports, scope: &Scope) -> Option<Step> {
        let id = short_id(&item.id).to_owned();
        let mut fields = self.fields(item.node, "a step")?;
        fields.allow(&["id"]);
        let label = self.label(fields.get("label"));
        self.doc(fields.get("doc"));
        let requirements_node = fields.get("requirements");
        let hints_node = fields.get("hints");
        let mut inner = scope.clone();
        self.define_types_of(requirements_node, &mut inner);
        let requirements = self.requirements(requirements_node, scope, Strictness::Requirements);
        let hints = self.requirements(hints_node, scope, Strictness::Hints);
        let inputs = match fields.get_or_null("in") {
            Some(node) => self.step_inputs(node, ports, scope),
            None => {
                let diagnostic = Diagnostic::error(item.span, format!("the step '{id}' needs the field 'in'"));
                self.report(diagnostic.help("write `in: []` if nothing goes into it"));
                None
            }
        };
        let outputs = match fields.get_or_null("out") {
            Some(node) => self.items(node, "out", "id"),
            None => {
                let diagnostic = Diagnostic::error(item.span, format!("the step '{id}' needs the field 'out'"));
                self.report(diagnostic.help("write `out: []` if nothing comes out of it"));
                None
            }
        };
        let scatter_nodes = (fields.get("scatter"), fields.get("scatterMethod"));
        let scatter = inputs.as_deref().and_then(|inputs| self.scatter(scatter_nodes, inputs));
        let when_node = fields.get("when");
        if let Some(node) = when_node {
            self.since(node, "when", CwlVersion::V1_2, scope);
        }
        let when = self.text_template(when_node, "when", scope);
        let run = match fields.get("run") {
            Some(node) if is_reference(node) => self.process_by_reference(node, scope.version),
            Some(node) => self.process_inline(node, &id, &inner),
            None => {
                self.error(item.span, format!("the step '{id}' needs the field 'run'"));
                None
            }
        };
        self.finish(fields);
        let outputs = outputs?.iter().map(|item| short_id(&item.id).to_owned()).collect();
        Some(Step {
            id,
            label,
            run: run?,
            inputs: inputs?,
            outputs,
            scatter,
            when,
            requirements,
            hints,
            span: item.span.clone(),
        })
    }

    fn step_inputs(&mut self, node: &Node, ports: &Ports, scope: &Scope) -> Option<Vec<StepInput>> {
        let items = self.items(node, "in", "id")?;
        self.unique(&items, "in");
        let inputs: Vec<_> = items.iter().map(|item| self.step_input(item, ports, scope)).collect();
        inputs.into_iter().collect()
    }

    fn step_input(&mut self, item: &Item<'_>, ports: &Ports, scope: &Scope) -> Option<StepInput> {
        let mut input = StepInput {
            id: short_id(&item.id).to_owned(),
            link: Link::default(),
            default: None,
            value_from: None,
            load_contents: false,
            load_listing: None::<LoadListing>,
            span: item.span.clone(),
        };
        if item.node.as_map().is_none() {
            // The short form states the source only.
            input.link.is_list = item.node.as_list().is_some();
            input.link.sources = self.sources(item.node, ports)?;
            return Some(input);
        }
        let mut fields = self.fields(item.node, "an entry of a step's in")?;
        fields.allow(&["id", "label", "doc"]);
        let link = self.link(fields.get("source"), &mut fields, ports, scope);
        input.default = fields.get_or_null("default").and_then(|node| self.object(node, &scope.namespaces));
        input.value_from = self.text_template(fields.get("valueFrom"), "valueFrom", scope);
        input.load_contents = self.boolean(fields.get("loadContents"), "loadContents").unwrap_or(false);
        input.load_listing = fields.get("loadListing").and_then(|node| self.load_listing(node));
        self.finish(fields);
        input.link = link?;
        Some(input)
    }

    /// `source` or `outputSource` with `linkMerge` and `pickValue`.
    fn link(&mut self, source: Option<&Node>, fields: &mut Fields<'_>, ports: &Ports, scope: &Scope) -> Option<Link> {
        let link_merge = fields.get("linkMerge").and_then(|node| match self.string(node, "linkMerge")?.as_str() {
            "merge_nested" => Some(LinkMerge::Nested),
            "merge_flattened" => Some(LinkMerge::Flattened),
            other => {
                let diagnostic = Diagnostic::error(&node.span, format!("unknown linkMerge '{other}'"));
                self.report(diagnostic.help("write merge_nested or merge_flattened"));
                None
            }
        });
        let pick_node = fields.get("pickValue");
        if let Some(node) = pick_node {
            self.since(node, "pickValue", CwlVersion::V1_2, scope);
        }
        let pick_value = pick_node.and_then(|node| match self.string(node, "pickValue")?.as_str() {
            "first_non_null" => Some(PickValue::FirstNonNull),
            "the_only_non_null" => Some(PickValue::TheOnlyNonNull),
            "all_non_null" => Some(PickValue::AllNonNull),
            other => {
                let diagnostic = Diagnostic::error(&node.span, format!("unknown pickValue '{other}'"));
                self.report(diagnostic.help("write first_non_null, the_only_non_null or all_non_null"));
                None
            }
        });
        let sources = match source {
            Some(node) => self.sources(node, ports)?,
            None => Vec::new(),
        };
        let is_list = source.is_some_and(|node| node.as_list().is_some());
        Some(Link { sources, is_list, link_merge, pick_value })
    }

    fn sources(&mut self, node: &Node, ports: &Ports) -> Option<Vec<Port>> {
        if node.data == Data::Null {
            return Some(Vec::new());
        }
        let texts = self.strings(node, "source")?;
        let sources: Vec<_> = texts.iter().map(|(text, node)| self.port(text, node, ports)).collect();
        sources.into_iter().collect()
    }

    /// Resolves a source: `input`, `step/output`, or the same behind `#workflow/`.
    fn port(&mut self, text: &str, node: &Node, ports: &Ports) -> Option<Port> {
        let fragment = uri::split_fragment(text).1;
        let path = fragment.unwrap_or(text);
        let inside = path.strip_prefix(ports.workflow.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let inside = inside.filter(|_| !ports.workflow.is_empty());
        // An absolute reference begins with the workflow's id; a relative one may, in packed documents.
        let candidates = if fragment.is_some() { [inside, Some(path)] } else { [Some(path), inside] };
        for candidate in candidates.into_iter().flatten() {
            if let Some(port) = ports.find(candidate) {
                return Some(port);
            }
        }
        // Steps of an inline workflow in a packed document have longer paths: `#main/outer/run/inner/out`.
        let tail = path.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        if let [output, step] = tail.as_slice()
            && fragment.is_some_and(|path| path.matches('/').count() > 2)
            && let Some(port) = ports.find(&format!("{step}/{output}")).or_else(|| ports.find(output))
        {
            return Some(port);
        }
        self.report(ports.missing(inside.unwrap_or(path), node));
        None
    }

    fn scatter(&mut self, (over, how): (Option<&Node>, Option<&Node>), inputs: &[StepInput]) -> Option<Scatter> {
        let over = over?;
        let names = self.strings(over, "scatter")?;
        let mut scattered = Vec::with_capacity(names.len());
        for (name, node) in &names {
            let id = short_id(name).to_owned();
            if inputs.iter().any(|input| input.id == id) {
                scattered.push(id);
            } else {
                let ids = inputs.iter().map(|input| input.id.as_str());
                let diagnostic =
                    Diagnostic::error(&node.span, format!("scatter over '{id}', which is no input of the step"));
                self.report(diagnostic.help(format!("the step's `in` has: {}", listed(ids))));
            }
        }
        let method = match how {
            None => {
                if names.len() > 1 {
                    let diagnostic =
                        Diagnostic::warning(&over.span, "scatter over several inputs states no scatterMethod");
                    self.report(diagnostic.help("it is taken as dotproduct"));
                }
                ScatterMethod::DotProduct
            }
            Some(node) => match self.string(node, "scatterMethod")?.as_str() {
                "dotproduct" => ScatterMethod::DotProduct,
                "nested_crossproduct" => ScatterMethod::NestedCrossProduct,
                "flat_crossproduct" => ScatterMethod::FlatCrossProduct,
                other => {
                    let diagnostic = Diagnostic::error(&node.span, format!("unknown scatterMethod '{other}'"));
                    self.report(diagnostic.help("write dotproduct, nested_crossproduct or flat_crossproduct"));
                    return None;
                }
            },
        };
        (!scattered.is_empty()).then_some(Scatter { inputs: scattered, method })
    }
}

impl Ports {
    fn find(&self, path: &str) -> Option<Port> {
        if self.inputs.contains(path) {
            return Some(Port::Input(path.to_owned()));
        }
        let (step, output) = path.rsplit_once('/')?;
        let (index, _, outputs) = self.steps.get_full(step)?;
        outputs.iter().any(|known| known == output).then(|| Port::Step { step: index, output: output.to_owned() })
    }

    /// The message for a source that names nothing.
    fn missing(&self, path: &str, node: &Node) -> Diagnostic {
        let error = |message: String| Diagnostic::error(&node.span, message);
        let names = |names: &[String]| listed(names.iter().map(String::as_str));
        let Some((step, output)) = path.rsplit_once('/') else {
            let diagnostic = error(format!("the workflow has no input '{path}'"));
            return match self.steps.get(path) {
                Some(outputs) => {
                    let outputs: Vec<String> = outputs.iter().map(|output| format!("{path}/{output}")).collect();
                    diagnostic.help(format!("'{path}' is a step; its outputs are: {}", names(&outputs)))
                }
                None => {
                    let inputs = listed(self.inputs.iter().map(String::as_str));
                    diagnostic.help(format!("it has: {inputs}; outputs of steps are written step/output"))
                }
            };
        };
        match self.steps.get(step) {
            Some(outputs) => error(format!("the step '{step}' has no output '{output}'"))
                .help(format!("its `out` has: {}", names(outputs))),
            None => error(format!("there is no step '{step}'"))
                .help(format!("the workflow has: {}", listed(self.steps.keys().map(String::as_str)))),
        }
    }
}

/// Short ids of a step's `out`, before the step itself is read; what is malformed is reported then.
fn outputs_of(step: &Node) -> Vec<String> {
    step.get("out").map(ids).unwrap_or_default()
}

/// Short ids of what is written as a list or as a mapping.
fn ids(node: &Node) -> Vec<String> {
    let ids: Vec<String> = match &node.data {
        Data::List(items) => {
            items.iter().filter_map(|item| item.as_text().map(str::to_owned).or_else(|| process_id(item))).collect()
        }
        Data::Map(map) => map.keys().cloned().collect(),
        _ => Vec::new(),
    };
    ids.iter().map(|id| short_id(id).to_owned()).collect()
}
