//! Text becomes a resolved [`Package`].
//!
//! The way of a document: [`crate::yaml`] reads the text; `import` replaces `$import` and `$include`; `process` and the
//! modules beside it read the classes of CWL into the model. Whatever is reached by `run:` is loaded once.
//!
//! Functions here return `None` after they have reported why, so that one pass collects several messages.

mod fields;
mod import;
pub(crate) mod object;
mod parameter;
mod process;
mod requirement;
mod schema;
pub(crate) mod suggestion;
mod tool;
mod workflow;

pub(crate) use requirement::{standalone as standalone_requirements, what_is_right};

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::document::{CwlVersion, Package, Process, ProcessIndex};
use crate::expression::Template;
use crate::limits::{PACKAGE_BYTES_MAX, YAML_NODES_MAX};
use crate::load::suggestion::listed;
use crate::source::{Source, Span};
use crate::uri;
use crate::yaml::{Data, Node};

/// Where texts come from. The implementor opens `file:` URLs and applies its own rules to all others.
pub trait Fetch {
    /// The text at an absolute URL without fragment.
    fn fetch(&self, url: &str) -> Result<String, FetchError>;

    /// What messages call the text at a URL, if not its path or the URL itself: a relative path, for instance.
    fn name(&self, url: &str) -> Option<String> {
        let _ = url;
        None
    }
}

/// A text that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(
    /// Why, without the URL: "no such file".
    pub String,
);

/// Fetches nothing: for texts that must stand alone.
#[derive(Debug, Clone, Copy)]
pub struct NoFetch;

impl Fetch for NoFetch {
    fn fetch(&self, _: &str) -> Result<String, FetchError> {
        Err(FetchError("nothing can be imported here".to_owned()))
    }
}

/// Loads the package at an absolute URL. A fragment names the process to run.
pub fn load(reference: &str, fetch: &dyn Fetch) -> Result<Package, Diagnostics> {
    let (url, fragment) = uri::split_fragment(reference);
    Loader::new(fetch).package(url, fragment)
}

/// Like [`load`], for a text that is at hand. Its relative references resolve against `url`.
pub fn load_text(url: &str, text: &str, fragment: Option<&str>, fetch: &dyn Fetch) -> Result<Package, Diagnostics> {
    let mut loader = Loader::new(fetch);
    let url = uri::split_fragment(url).0;
    match loader.open(&Source::named(fetch.name(url), url, text.to_owned())) {
        Some(_) => loader.package(url, fragment),
        None => Err(loader.diagnostics),
    }
}

/// The steps of a load share this.
struct Loader<'f> {
    fetch: &'f dyn Fetch,
    /// Documents by URL, imports expanded.
    documents: HashMap<String, Rc<Document>>,
    /// Texts read so far, and what is left of the budgets that they share.
    texts: usize,
    bytes_left: usize,
    nodes_left: usize,
    /// Processes by `url#id`; the slot is filled when the process has been read.
    by_url: HashMap<String, ProcessIndex>,
    processes: Vec<Option<Process>>,
    /// Processes that are known and not read yet.
    pending: VecDeque<process::Pending>,
    types: schema::Definitions,
    diagnostics: Diagnostics,
}

/// A text that holds processes.
struct Document {
    url: String,
    root: Node,
    version: Option<CwlVersion>,
    /// Members of `$graph` by id.
    members: HashMap<String, usize>,
}

/// What surrounds the thing being read.
#[derive(Clone)]
struct Scope {
    version: CwlVersion,
    /// Named types in reach: short name to IRI.
    types: HashMap<String, String>,
    /// `$namespaces` of the document.
    namespaces: Rc<IndexMap<String, String>>,
}

impl<'f> Loader<'f> {
    fn new(fetch: &'f dyn Fetch) -> Self {
        Self {
            fetch,
            documents: HashMap::new(),
            texts: 0,
            bytes_left: PACKAGE_BYTES_MAX,
            nodes_left: YAML_NODES_MAX,
            by_url: HashMap::new(),
            processes: Vec::new(),
            pending: VecDeque::new(),
            types: schema::Definitions::default(),
            diagnostics: Diagnostics::default(),
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn error(&mut self, span: &Span, message: impl Into<String>) {
        self.report(Diagnostic::error(span, message));
    }

    fn package(mut self, url: &str, fragment: Option<&str>) -> Result<Package, Diagnostics> {
        let loaded = self.entry(url, fragment);
        self.read_pending();
        let processes: Option<Vec<Process>> = std::mem::take(&mut self.processes).into_iter().collect();
        if let (Some((_, entry)), Some(processes)) = (&loaded, &processes)
            && let Err(diagnostic) = process::check_nesting(processes, *entry, &mut Vec::new(), &mut Vec::new())
        {
            self.report(diagnostic);
        }
        self.diagnostics.sort();
        match (loaded, processes) {
            (Some((document, entry)), Some(processes)) if !self.diagnostics.has_errors() => {
                let namespaces = document.namespaces();
                Ok(Package {
                    processes,
                    entry,
                    metadata: document.metadata(),
                    schemas: document.schemas(&namespaces),
                    namespaces,
                    warnings: self.diagnostics,
                })
            }
            _ => {
                // A failure without a message would be a defect of ours; say at least which document.
                if !self.diagnostics.has_errors() {
                    self.diagnostics.push(Diagnostic::general(format!("{url} cannot be loaded")));
                }
                self.diagnostics.0.retain(|diagnostic| diagnostic.severity == Severity::Error);
                Err(self.diagnostics)
            }
        }
    }

    fn entry(&mut self, url: &str, fragment: Option<&str>) -> Option<(Rc<Document>, ProcessIndex)> {
        let document = self.document(url, None)?;
        let id = match fragment {
            Some(fragment) => fragment.to_owned(),
            None => self.default_entry(&document)?,
        };
        let at = document.root.span.clone();
        let index = self.process_at(&document, &id, &at, None)?;
        Some((document, index))
    }

    /// The process that a document without a fragment means (CWL v1.2 Workflow Description, §3.4 "Packed documents").
    fn default_entry(&mut self, document: &Document) -> Option<String> {
        let Some(members) = document.root.get("$graph").and_then(Node::as_list) else {
            return Some(process_id(&document.root).unwrap_or_default());
        };
        // A process of another class would not be looked at, and the choice fall on something else.
        for node in members {
            self.known_class(node);
        }
        let ids: Vec<String> = members.iter().filter_map(process_id).collect();
        if ids.iter().any(|id| id == "main") {
            return Some("main".to_owned());
        }
        let of_workflows = |node: &&Node| node.get("class").and_then(Node::as_text) == Some("Workflow");
        let workflows: Vec<String> = members.iter().filter(of_workflows).filter_map(process_id).collect();
        let mut called = Vec::new();
        for node in members {
            collect_runs(node, &mut called);
        }
        let top = workflows.iter().find(|id| !called.contains(id));
        let chosen = match (workflows.as_slice(), ids.as_slice()) {
            ([only], _) | ([], [only]) => Some(only),
            _ => top,
        };
        if chosen.is_none() {
            let message = "the document holds several processes and none of them is called 'main'";
            let help =
                format!("add '#' and one of their ids to the reference: {}", listed(ids.iter().map(String::as_str)));
            self.report(Diagnostic::error(&document.root.span, message).help(help));
        }
        chosen.cloned()
    }

    /// The document at a URL, read at most once.
    fn document(&mut self, url: &str, wanted_at: Option<&Span>) -> Option<Rc<Document>> {
        if let Some(document) = self.documents.get(url) {
            return Some(Rc::clone(document));
        }
        let source = self.text(url, wanted_at)?;
        self.open(&source)
    }

    /// Parses a text and keeps it as the document of its URL.
    fn open(&mut self, source: &Arc<Source>) -> Option<Rc<Document>> {
        let url = source.url.clone();
        let root = self.tree(source)?;
        let version = root.get("cwlVersion").and_then(|node| self.version(node));
        let graph = root.get("$graph").and_then(Node::as_list).unwrap_or_default();
        if root.get("$graph").is_some()
            && let Some(mut fields) = self.fields(&root, "a document with $graph")
        {
            fields.allow(&["cwlVersion", "id", "schemas", "namespaces"]);
            self.finish(fields);
        }
        let mut members = HashMap::new();
        for (at, node) in graph.iter().enumerate() {
            let Some(id) = process_id(node) else { continue };
            if let Some(first) = members.get(&id).and_then(|first: &usize| graph.get(*first)) {
                let help = format!("the first one begins at line {}", first.span.line);
                self.report(Diagnostic::error(&node.span, format!("two processes are called '{id}'")).help(help));
            }
            members.entry(id).or_insert(at);
        }
        let document = Rc::new(Document { url: url.clone(), root, version, members });
        self.documents.insert(url, Rc::clone(&document));
        Some(document)
    }

    /// Reads a `cwlVersion`.
    fn version(&mut self, node: &Node) -> Option<CwlVersion> {
        const KNOWN: &str = "weir runs v1.0, v1.1 and v1.2";
        let Some(text) = node.as_text() else {
            let message = format!("cwlVersion is {}", node.kind());
            self.report(Diagnostic::error(&node.span, message).help(format!("write `cwlVersion: v1.2`; {KNOWN}")));
            return None;
        };
        let plain = text.strip_prefix("cwl:").unwrap_or(text);
        let plain = plain.strip_prefix("https://w3id.org/cwl/cwl#").unwrap_or(plain);
        let (number, development) = plain.split_once("-dev").map_or((plain, false), |(number, _)| (number, true));
        let version = match number {
            "v1.0" => CwlVersion::V1_0,
            "v1.1" | "v1.1.0" => CwlVersion::V1_1,
            "v1.2" | "v1.2.0" => CwlVersion::V1_2,
            _ => {
                self.report(Diagnostic::error(&node.span, format!("unknown cwlVersion '{text}'")).help(KNOWN));
                return None;
            }
        };
        if development {
            let message = format!("'{text}' is a development version; it is read as the final {version}");
            self.report(Diagnostic::warning(&node.span, message));
        }
        Some(version)
    }

    /// Parses a string that may hold expressions.
    fn template(&mut self, node: &Node, text: &str, scope: &Scope) -> Option<Template> {
        match Template::parse(text, scope.version) {
            Ok(template) => Some(template),
            Err(error) => {
                self.error(&node.span, error.to_string());
                None
            }
        }
    }
}

impl Document {
    /// The process with an id, or the root of a document without `$graph`.
    fn process(&self, id: &str) -> Option<&Node> {
        match self.root.get("$graph").and_then(Node::as_list) {
            Some(members) => members.get(*self.members.get(id)?),
            None => (id.is_empty() || process_id(&self.root).is_some_and(|own| own == id)).then_some(&self.root),
        }
    }

    /// Ids of all processes.
    fn ids(&self) -> Vec<String> {
        match self.root.get("$graph").and_then(Node::as_list) {
            Some(members) => members.iter().filter_map(process_id).collect(),
            None => process_id(&self.root).into_iter().collect(),
        }
    }

    fn namespaces(&self) -> IndexMap<String, String> {
        let declared = self.root.get("$namespaces").and_then(Node::as_map);
        let pairs = declared.into_iter().flatten();
        pairs.filter_map(|(prefix, member)| Some((prefix.clone(), member.value.as_text()?.to_owned()))).collect()
    }

    /// `$schemas` as absolute URLs.
    fn schemas(&self, namespaces: &IndexMap<String, String>) -> Vec<String> {
        let listed = match self.root.get("$schemas").map(|node| &node.data) {
            Some(Data::List(items)) => items.iter().filter_map(Node::as_text).collect(),
            Some(Data::Text(text)) => vec![text.as_str()],
            _ => Vec::new(),
        };
        listed.into_iter().map(|schema| uri::join(&self.url, &expand_prefix(schema, namespaces))).collect()
    }

    /// Extension fields of the document; of a document without `$graph` they are those of its process.
    fn metadata(&self) -> IndexMap<String, crate::value::Value> {
        let members = self.root.as_map().into_iter().flatten();
        let extensions = members.filter(|(key, _)| fields::is_extension(key) && !key.starts_with('$'));
        extensions.map(|(key, member)| (key.clone(), member.value.to_value())).collect()
    }
}

/// `edam:format_1` with the prefix's IRI in its place; anything else as it is.
fn expand_prefix(text: &str, namespaces: &IndexMap<String, String>) -> String {
    let expanded = text.split_once(':').and_then(|(prefix, rest)| Some(format!("{}{rest}", namespaces.get(prefix)?)));
    expanded.unwrap_or_else(|| text.to_owned())
}

/// A process's id within its document: what follows `#`, or the id as written.
fn process_id(node: &Node) -> Option<String> {
    let id = node.get("id")?.as_text()?;
    Some(uri::split_fragment(id).1.unwrap_or(id).to_owned())
}

/// The last part of an id: of `#main/step/out` it is `out`.
fn short_id(id: &str) -> &str {
    let fragment = uri::split_fragment(id).1.unwrap_or(id);
    fragment.rsplit('/').next().unwrap_or(fragment)
}

/// Ids that `run:` names anywhere below a node.
fn collect_runs(node: &Node, called: &mut Vec<String>) {
    match &node.data {
        Data::List(items) => items.iter().for_each(|item| collect_runs(item, called)),
        Data::Map(map) => {
            for (key, member) in map {
                match member.value.as_text() {
                    Some(text) if key == "run" => {
                        called.extend(uri::split_fragment(text).1.map(str::to_owned));
                    }
                    _ => collect_runs(&member.value, called),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
