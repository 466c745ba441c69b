//! Finding processes, and what all classes of process have (CWL v1.2 Workflow Description, §4.1).

use std::rc::Rc;

use indexmap::IndexMap;
use weir_api::limits::WORKFLOW_DEPTH_MAX;

use super::fields::Fields;
use super::requirement::{Strictness, fill_v1_0};
use super::schema::ParameterType;
use super::{Document, Loader, Scope, process_id, short_id};
use crate::diagnostic::Diagnostic;
use crate::document::{CwlVersion, ExpressionTool, Header, Operation, Process, ProcessIndex};
use crate::load::suggestion::{listed, nearest};
use crate::schema::OutputParameter;
use crate::source::Span;
use crate::uri;
use crate::yaml::{Data, Node};

/// Classes of processes.
const CLASSES: [&str; 4] = ["CommandLineTool", "ExpressionTool", "Workflow", "Operation"];

/// A process that has an index and is not read yet.
pub(super) struct Pending {
    index: ProcessIndex,
    node: Node,
    scope: Scope,
    name: String,
}

/// A process being read: its fields, what surrounds it, and what its class does not change.
pub(super) struct Opened<'n> {
    pub(super) fields: Fields<'n>,
    pub(super) scope: Scope,
    pub(super) header: Header,
    /// The input of type `stdin`.
    pub(super) stdin: Option<String>,
}

impl Loader<'_> {
    /// The process that `run: <reference>` names. `outer` is the version of the process that names it.
    pub(super) fn process_by_reference(&mut self, reference: &Node, outer: CwlVersion) -> Option<ProcessIndex> {
        let text = self.string(reference, "run")?;
        let here = &reference.span.source.url;
        let target = uri::join(here, &uri::encode_reference(&text));
        let (url, fragment) = uri::split_fragment(&target);
        // `run: tool` for `run: "#tool"` is a frequent slip in packed documents.
        let slip = self.documents.get(here).is_some_and(|document| {
            document.root.get("$graph").is_some() && url != here && document.process(&text).is_some()
        });
        if slip {
            let message = format!("run: {text} means the file '{text}'");
            self.report(Diagnostic::error(&reference.span, message).help(format!("write `run: \"#{text}\"`")));
            return None;
        }
        let document = self.document(url, Some(&reference.span))?;
        let id = match fragment {
            Some(fragment) => fragment.to_owned(),
            None => self.default_entry(&document)?,
        };
        self.process_at(&document, &id, &reference.span, Some(outer))
    }

    /// The process of a document with an id; empty for the document itself.
    pub(super) fn process_at(
        &mut self,
        document: &Rc<Document>,
        id: &str,
        wanted_at: &Span,
        outer: Option<CwlVersion>,
    ) -> Option<ProcessIndex> {
        let Some(node) = document.process(id) else {
            let ids = document.ids();
            let diagnostic = Diagnostic::error(
                wanted_at,
                format!("there is no process '#{id}' in {}", document.root.span.source.name),
            );
            let known = || ids.iter().map(String::as_str);
            self.report(match nearest(id, known()) {
                Some(known) => diagnostic.help(format!("did you mean '#{known}'?")),
                None => diagnostic.help(format!("it has: {}", listed(known()))),
            });
            return None;
        };
        let key = format!("{}#{}", document.url, process_id(node).unwrap_or_default());
        if let Some(index) = self.by_url.get(&key) {
            return Some(*index);
        }
        let version = match node.get("cwlVersion") {
            Some(own) => self.version(own)?,
            None => match document.version.or(outer) {
                Some(version) => version,
                // A wrong one has been reported already.
                None if document.root.get("cwlVersion").is_some() => return None,
                None => {
                    let diagnostic = Diagnostic::error(&document.root.span, "the document states no cwlVersion");
                    self.report(diagnostic.help("write `cwlVersion: v1.2` at the top of the document"));
                    return None;
                }
            },
        };
        let namespaces = Rc::new(document.namespaces());
        let scope = Scope { version, types: std::collections::HashMap::new(), namespaces };
        let name = name_of(&key).to_owned();
        Some(self.reserve(node, scope, key, name))
    }

    /// A process written where it is run.
    pub(super) fn process_inline(&mut self, node: &Node, step: &str, outer: &Scope) -> Option<ProcessIndex> {
        let mut scope = outer.clone();
        if let Some(own) = node.get("cwlVersion") {
            scope.version = self.version(own)?;
        }
        let key = format!("{}#{step}@{}:{}", node.span.source.url, node.span.line, node.span.column);
        Some(self.reserve(node, scope, key, step.to_owned()))
    }

    /// Gives a process its index. It is read later: what calls it is not on the stack then.
    fn reserve(&mut self, node: &Node, scope: Scope, key: String, name: String) -> ProcessIndex {
        let index = ProcessIndex(self.processes.len());
        self.processes.push(None);
        self.by_url.insert(key, index);
        self.pending.push_back(Pending { index, node: node.clone(), scope, name });
        index
    }

    /// Reads the processes that have an index, and those that they run in turn.
    pub(super) fn read_pending(&mut self) {
        while let Some(Pending { index, node, scope, name }) = self.pending.pop_front() {
            self.processes[index.0] = self.process(&node, scope, &name);
        }
    }

    fn process(&mut self, node: &Node, scope: Scope, name: &str) -> Option<Process> {
        let class = match node.get("class").map(|node| (node, node.as_text())) {
            Some((_, Some(class))) => class.strip_prefix("cwl:").unwrap_or(class),
            Some((node, None)) => {
                self.error(&node.span, format!("class must be a string, not {}", node.kind()));
                return None;
            }
            None if node.as_map().is_some() => {
                let diagnostic = Diagnostic::error(&node.span, "a process needs the field 'class'");
                self.report(diagnostic.help("write CommandLineTool, ExpressionTool or Workflow"));
                return None;
            }
            None => {
                self.error(&node.span, format!("a process must be a mapping, not {}", node.kind()));
                return None;
            }
        };
        match class {
            "CommandLineTool" => {
                let opened = self.opened(node, "a CommandLineTool", scope, name)?;
                self.command_line_tool(opened).map(Process::CommandLineTool)
            }
            "Workflow" => {
                let opened = self.opened(node, "a Workflow", scope, name)?;
                self.workflow(opened).map(Process::Workflow)
            }
            "ExpressionTool" => {
                let opened = self.opened(node, "an ExpressionTool", scope, name)?;
                self.expression_tool(opened).map(Process::ExpressionTool)
            }
            "Operation" => {
                let class = node.get("class").unwrap_or(node);
                self.since(class, "the class Operation", CwlVersion::V1_2, &scope);
                let opened = self.opened(node, "an Operation", scope, name)?;
                self.operation(opened).map(Process::Operation)
            }
            _ => {
                self.known_class(node);
                None
            }
        }
    }

    /// Reports a class that is none, of a process that may not be read.
    pub(super) fn known_class(&mut self, node: &Node) {
        let Some((class, text)) = node.get("class").and_then(|class| Some((class, class.as_text()?))) else { return };
        let text = text.strip_prefix("cwl:").unwrap_or(text);
        if CLASSES.contains(&text) {
            return;
        }
        let diagnostic = Diagnostic::error(&class.span, format!("'{text}' is no class of process"));
        self.report(match nearest(text, CLASSES) {
            Some(class) => diagnostic.help(format!("did you mean '{class}'?")),
            None => diagnostic.help(format!("write one of: {}", listed(CLASSES))),
        });
    }

    /// Reads what all classes have.
    fn opened<'n>(&mut self, node: &'n Node, what: &'static str, mut scope: Scope, name: &str) -> Option<Opened<'n>> {
        let mut fields = self.fields(node, what)?;
        // `schemas` without `$` stands in many published packages.
        fields.allow(&["class", "cwlVersion", "schemas", "namespaces"]);
        let id = fields.get("id").and_then(|node| self.string(node, "id"));
        let requirements_node = fields.get("requirements");
        let hints_node = fields.get("hints");
        self.define_types_of(requirements_node, &mut scope);
        self.define_types_of(hints_node, &mut scope);
        let requirements = self.requirements(requirements_node, &scope, Strictness::Requirements);
        let mut hints = self.requirements(hints_node, &scope, Strictness::Hints);
        if scope.version == CwlVersion::V1_0 && what != "a Workflow" {
            fill_v1_0(&requirements, &mut hints);
        }
        let intent = fields.get("intent").and_then(|node| self.strings(node, "intent")).unwrap_or_default();
        let label = self.label(fields.get("label"));
        let doc = self.doc(fields.get("doc"));
        let inputs_node = fields.get_or_null("inputs");
        if inputs_node.is_none() {
            let diagnostic = Diagnostic::error(&node.span, format!("{what} needs the field 'inputs'"));
            self.report(diagnostic.help("write `inputs: []` if there are none"));
        }
        let (inputs, stdin) = inputs_node.and_then(|node| self.inputs(node, &scope)).unzip();
        let header = Header {
            id: id.as_deref().map_or(name, short_id).to_owned(),
            version: scope.version,
            label,
            doc,
            intent: intent.into_iter().map(|(text, _)| text).collect(),
            inputs: inputs.unwrap_or_default(),
            requirements,
            hints,
            metadata: IndexMap::new(),
            span: node.span.clone(),
        };
        Some(Opened { fields, scope, header, stdin: stdin.flatten() })
    }

    /// Ends the reading of a process.
    pub(super) fn closed(&mut self, fields: Fields<'_>, mut header: Header) -> Header {
        header.metadata = self.finish(fields);
        header
    }

    /// The node of `outputs`, which every process has.
    pub(super) fn outputs_node<'n>(&mut self, fields: &mut Fields<'n>) -> Option<&'n Node> {
        let node = fields.get_or_null("outputs");
        if node.is_none() {
            let diagnostic = Diagnostic::error(fields.span, "a process needs the field 'outputs'");
            self.report(diagnostic.help("write `outputs: []` if there are none"));
        }
        node
    }

    /// Outputs of a process that has no streams.
    fn plain_outputs(&mut self, node: &Node, scope: &Scope) -> Option<Vec<OutputParameter>> {
        let items = self.items(node, "outputs", "id")?;
        self.unique(&items, "outputs");
        let outputs = items.iter().map(|item| {
            let (output, written) = self.output(item, scope)?;
            if !matches!(written, ParameterType::Plain(_)) {
                self.error(item.span, format!("only a CommandLineTool has outputs of type '{}'", output.type_source));
            }
            Some(output)
        });
        outputs.collect::<Vec<_>>().into_iter().collect()
    }

    fn expression_tool(&mut self, opened: Opened<'_>) -> Option<ExpressionTool> {
        let Opened { mut fields, scope, header, .. } = opened;
        let outputs = self.outputs_node(&mut fields).and_then(|node| self.plain_outputs(node, &scope));
        let expression_node = fields.get("expression");
        let expression = self.text_template(expression_node, "expression", &scope);
        if expression_node.is_none() {
            self.error(fields.span, "an ExpressionTool needs the field 'expression'");
        }
        let header = self.closed(fields, header);
        Some(ExpressionTool { header, outputs: outputs?, expression: expression? })
    }

    fn operation(&mut self, opened: Opened<'_>) -> Option<Operation> {
        let Opened { mut fields, scope, header, .. } = opened;
        let outputs = self.outputs_node(&mut fields).and_then(|node| self.plain_outputs(node, &scope));
        let header = self.closed(fields, header);
        Some(Operation { header, outputs: outputs? })
    }
}

/// Finds a workflow that runs itself, or is nested too deep, below a process. `open` holds the processes above it,
/// outermost first; `done` those that are known to be fine.
pub(super) fn check_nesting(
    processes: &[Process],
    at: ProcessIndex,
    open: &mut Vec<ProcessIndex>,
    done: &mut Vec<ProcessIndex>,
) -> Result<(), Diagnostic> {
    let Process::Workflow(workflow) = &processes[at.0] else { return Ok(()) };
    open.push(at);
    for step in &workflow.steps {
        if open.contains(&step.run) {
            let ring = open.iter().skip_while(|open| **open != step.run).chain([&step.run]);
            let ring: Vec<&str> = ring.map(|index| processes[index.0].header().id.as_str()).collect();
            return Err(Diagnostic::error(&step.span, format!("a workflow runs itself: {}", ring.join(" -> "))));
        }
        if open.len() >= WORKFLOW_DEPTH_MAX {
            let message = format!("workflows are nested deeper than {WORKFLOW_DEPTH_MAX} levels");
            return Err(Diagnostic::error(&step.span, message));
        }
        if !done.contains(&step.run) {
            check_nesting(processes, step.run, open, done)?;
        }
    }
    open.pop();
    done.push(at);
    Ok(())
}

/// The name of a process by its key: its id, or its file.
fn name_of(key: &str) -> &str {
    match uri::split_fragment(key) {
        (_, Some(id)) if !id.is_empty() => short_id(id),
        (url, _) => url.rsplit('/').next().unwrap_or(url),
    }
}

/// Whether a node is a reference rather than an inline process.
pub(super) fn is_reference(node: &Node) -> bool {
    matches!(node.data, Data::Text(_))
}
