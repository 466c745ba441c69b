//! Types in all the forms that documents write them in (CWL v1.2 Command Line Tool Description, "Type DSL" and the
//! schemas of arrays, records and enums).

use std::collections::HashMap;
use std::rc::Rc;

use super::fields::Item;
use super::{Loader, Scope, expand_prefix, short_id};
use crate::diagnostic::Diagnostic;
use crate::limits::{TYPE_DEPTH_MAX, TYPE_SUFFIX_MAX, TYPES_MAX};
use crate::load::suggestion::nearest;
use crate::schema::{ArrayType, EnumType, FileTreatment, RecordField, RecordType, Type};
use crate::uri;
use crate::yaml::{Data, Node};

/// Named types by IRI, and what is under way.
#[derive(Default)]
pub(super) struct Definitions {
    by_iri: HashMap<String, Rc<Node>>,
    /// Names being resolved, outermost first: CWL types have no recursion.
    open: Vec<String>,
    resolved: usize,
}

/// A parameter's type, or one of the shortcuts that stand for a File and a stream.
pub(super) enum ParameterType {
    Plain(Type),
    Stdin,
    Stdout,
    Stderr,
}

/// A type and how the document wrote it.
pub(super) struct WrittenType {
    pub(super) type_: ParameterType,
    pub(super) source: String,
}

impl Loader<'_> {
    /// Makes the types of a `SchemaDefRequirement` known, to `scope` by their short names.
    pub(super) fn define(&mut self, types: &Node, scope: &mut Scope) {
        let Some(list) = types.as_list() else {
            self.error(&types.span, format!("types must be a list, not {}", types.kind()));
            return;
        };
        for node in list {
            let Some(name) = node.get("name").and_then(Node::as_text) else {
                self.error(&node.span, "each type of a SchemaDefRequirement needs a name");
                continue;
            };
            let fragment = uri::split_fragment(name).1.unwrap_or(name);
            let iri = format!("{}#{fragment}", node.span.source.url);
            scope.types.insert(short_id(name).to_owned(), iri.clone());
            scope.types.insert(fragment.to_owned(), iri.clone());
            self.types.by_iri.insert(iri, Rc::new(node.clone()));
        }
    }

    /// The IRI of a type that a document refers to by name.
    fn named(&mut self, name: &str, node: &Node, scope: &Scope) -> Option<String> {
        let target = uri::join(&node.span.source.url, name);
        let local = format!("{}#{name}", node.span.source.url);
        let short = scope.types.get(name).or_else(|| scope.types.get(uri::split_fragment(name).1?));
        for iri in [Some(&local), Some(&target), short].into_iter().flatten() {
            if self.types.by_iri.contains_key(iri) {
                return Some(iri.clone());
            }
        }
        // A reference into a text that no SchemaDefRequirement imports, such as one of the built-in schemas.
        let (url, fragment) = uri::split_fragment(&target);
        if fragment.is_some() && url != node.span.source.url {
            let document = self.document(url, Some(&node.span))?;
            let types = document.root.get("types").unwrap_or(&document.root).clone();
            if types.as_list().is_some() {
                self.define(&types, &mut scope.clone());
            }
            if self.types.by_iri.contains_key(&target) {
                return Some(target);
            }
        }
        let known = scope.types.keys().map(String::as_str).chain(PRIMITIVES.iter().map(|(name, _)| *name));
        let diagnostic = Diagnostic::error(&node.span, format!("there is no type '{name}'"));
        self.report(match nearest(name, known) {
            Some(known) => diagnostic.help(format!("did you mean '{known}'?")),
            None => diagnostic.help("name a CWL type, or define it in a SchemaDefRequirement"),
        });
        None
    }

    /// The type of a parameter.
    pub(super) fn parameter_type(&mut self, node: &Node, scope: &Scope) -> Option<WrittenType> {
        let source = node.as_text().map(str::to_owned);
        let stream = match node.as_text() {
            Some("stdin") => Some(ParameterType::Stdin),
            Some("stdout") => Some(ParameterType::Stdout),
            Some("stderr") => Some(ParameterType::Stderr),
            _ => None,
        };
        let type_ = match stream {
            Some(stream) => stream,
            None => ParameterType::Plain(self.type_(node, scope)?),
        };
        let source = source.unwrap_or_else(|| match &type_ {
            ParameterType::Plain(type_) => type_.to_string(),
            _ => String::new(),
        });
        Some(WrittenType { type_, source })
    }

    /// A type in any of its forms.
    pub(super) fn type_(&mut self, node: &Node, scope: &Scope) -> Option<Type> {
        self.types.resolved += 1;
        if self.types.resolved > TYPES_MAX {
            self.error(&node.span, format!("the package's types consist of more than {TYPES_MAX} parts"));
            return None;
        }
        match &node.data {
            Data::Text(text) => self.type_text(text, node, scope),
            Data::List(members) => {
                let members: Vec<_> = members.iter().map(|member| self.type_(member, scope)).collect();
                let mut flat = Vec::new();
                for member in members.into_iter().collect::<Option<Vec<_>>>()? {
                    match member {
                        Type::Union(inner) => flat.extend(inner),
                        other => flat.push(other),
                    }
                }
                if flat.is_empty() {
                    self.error(&node.span, "a union of no types allows no value");
                    return None;
                }
                Some(if flat.len() == 1 { flat.remove(0) } else { Type::Union(flat) })
            }
            Data::Map(_) => self.type_schema(node, scope),
            _ => {
                self.error(&node.span, format!("a type must be a name, a list or a mapping, not {}", node.kind()));
                None
            }
        }
    }

    fn type_text(&mut self, text: &str, node: &Node, scope: &Scope) -> Option<Type> {
        if text.len() - text.trim_end_matches(['[', ']', '?']).len() > TYPE_SUFFIX_MAX {
            self.error(&node.span, "the type is an array of arrays far beyond use");
            return None;
        }
        if let Some(inner) = text.strip_suffix('?') {
            return Some(match self.type_text(inner, node, scope)? {
                Type::Union(members) if members.contains(&Type::Null) => Type::Union(members),
                Type::Union(members) => Type::Union([vec![Type::Null], members].concat()),
                inner => Type::Union(vec![Type::Null, inner]),
            });
        }
        if let Some(inner) = text.strip_suffix("[]") {
            let items = self.type_text(inner, node, scope)?;
            return Some(Type::Array(Box::new(ArrayType { items, input_binding: None })));
        }
        let plain = ["cwl:", "xsd:", "https://w3id.org/cwl/cwl#", "http://www.w3.org/2001/XMLSchema#"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        if let Some((_, type_)) = PRIMITIVES.iter().find(|(name, _)| *name == plain) {
            return Some(type_.clone());
        }
        if matches!(plain, "array" | "record" | "enum") {
            let message = format!("'{plain}' alone is no type");
            let rest = if plain == "array" {
                "items: string"
            } else if plain == "enum" {
                "symbols: [a, b]"
            } else {
                "fields: {…}"
            };
            self.report(
                Diagnostic::error(&node.span, message).help(format!("write `type: {{type: {plain}, {rest}}}`")),
            );
            return None;
        }
        if matches!(plain, "stdin" | "stdout" | "stderr") {
            self.error(&node.span, format!("'{plain}' may stand only as the whole type of a parameter"));
            return None;
        }
        let iri = self.named(&expand_prefix(text, &scope.namespaces), node, scope)?;
        if self.types.open.len() >= TYPE_DEPTH_MAX {
            self.error(&node.span, format!("types refer to types more than {TYPE_DEPTH_MAX} levels deep"));
            return None;
        }
        if self.types.open.contains(&iri) {
            self.error(&node.span, format!("the type '{text}' contains itself"));
            return None;
        }
        let definition = Rc::clone(self.types.by_iri.get(&iri)?);
        self.types.open.push(iri);
        let type_ = self.type_(&definition, scope);
        self.types.open.pop();
        type_
    }

    fn type_schema(&mut self, node: &Node, scope: &Scope) -> Option<Type> {
        let mut fields = self.fields(node, "a type")?;
        let Some(kind) = fields.get("type") else {
            self.error(&node.span, "a type written as a mapping needs the field 'type'");
            return None;
        };
        let name = fields.get("name").and_then(Node::as_text).map(|name| iri_of(name, node));
        fields.allow(&["label", "doc"]);
        let Some(kind_text) = kind.as_text() else {
            // `type: {type: [null, string]}` and deeper: the inner one is meant.
            return self.type_(kind, scope);
        };
        let input_binding = fields.get("inputBinding").and_then(|node| self.input_binding(node, scope));
        let type_ = match kind_text {
            "array" => {
                let Some(items) = fields.get("items") else {
                    self.error(&node.span, "an array type needs the field 'items'");
                    return None;
                };
                Type::Array(Box::new(ArrayType { items: self.type_(items, scope)?, input_binding }))
            }
            "record" => {
                let record_fields = match fields.get("fields") {
                    Some(list) => self.record_fields(list, scope)?,
                    None => Vec::new(),
                };
                Type::Record(Box::new(RecordType { name, fields: record_fields, input_binding }))
            }
            "enum" => {
                let Some(symbols) = fields.get("symbols") else {
                    self.error(&node.span, "an enum type needs the field 'symbols'");
                    return None;
                };
                let symbols = self.strings(symbols, "symbols")?.into_iter();
                // Symbols are identifiers, and those written as IRIs stand for their last part.
                let symbols = symbols.map(|(symbol, _)| {
                    let is_iri = symbol.contains('#') || uri::is_absolute(&symbol);
                    if is_iri { short_id(&symbol).to_owned() } else { symbol }
                });
                Type::Enum(Box::new(EnumType { name, symbols: symbols.collect(), input_binding }))
            }
            text => return self.type_text(text, kind, scope),
        };
        self.finish(fields);
        Some(type_)
    }

    fn record_fields(&mut self, node: &Node, scope: &Scope) -> Option<Vec<RecordField>> {
        let items = self.items(node, "fields", "name")?;
        self.unique(&items, "a record");
        let fields: Vec<_> = items.iter().map(|item| self.record_field(item, scope)).collect();
        fields.into_iter().collect()
    }

    fn record_field(&mut self, item: &Item<'_>, scope: &Scope) -> Option<RecordField> {
        let name = short_id(&item.id).to_owned();
        if item.node.as_map().is_none() {
            let type_ = self.type_(item.node, scope)?;
            let (file, label, doc) = (FileTreatment::default(), None, None);
            return Some(RecordField { name, type_, label, doc, file, input_binding: None, output_binding: None });
        }
        let mut fields = self.fields(item.node, "a record field")?;
        fields.allow(&["name", "default", "id"]);
        let file = self.file_treatment(&mut fields, scope);
        let label = self.label(fields.get("label"));
        let doc = self.doc(fields.get("doc"));
        let input_binding = fields.get("inputBinding").and_then(|node| self.input_binding(node, scope));
        let output_binding = fields.get("outputBinding").and_then(|node| self.output_binding(node, scope));
        let Some(type_) = fields.get("type") else {
            self.error(item.span, format!("the record field '{name}' needs a type"));
            return None;
        };
        // `{type: array, items: …}` written as the field itself is a type, not a field.
        let type_ = match type_.as_text() {
            Some("array" | "record" | "enum") => self.type_schema(item.node, scope)?,
            _ => self.type_(type_, scope)?,
        };
        fields.allow(&["items", "symbols", "fields"]);
        self.finish(fields);
        Some(RecordField { name, type_, label, doc, file, input_binding, output_binding })
    }

    /// Makes the SchemaDefRequirement among requirements or hints known before anything refers to its types.
    pub(super) fn define_types_of(&mut self, requirements: Option<&Node>, scope: &mut Scope) {
        let Some(requirements) = requirements else { return };
        let found: Vec<&Node> = match &requirements.data {
            Data::List(items) => {
                let is_schema =
                    |node: &&Node| node.get("class").and_then(Node::as_text) == Some("SchemaDefRequirement");
                items.iter().filter(is_schema).collect()
            }
            Data::Map(map) => map.get("SchemaDefRequirement").map(|member| &member.value).into_iter().collect(),
            _ => Vec::new(),
        };
        for requirement in found {
            match requirement.get("types") {
                Some(types) => self.define(types, scope),
                None => self.error(&requirement.span, "a SchemaDefRequirement needs the field 'types'"),
            }
        }
    }
}

/// The IRI of a type that a document calls `name`.
fn iri_of(name: &str, node: &Node) -> String {
    let fragment = uri::split_fragment(name).1.unwrap_or(name);
    if uri::is_absolute(name) { name.to_owned() } else { format!("{}#{fragment}", node.span.source.url) }
}

/// The names of types that need no definition.
const PRIMITIVES: [(&str, Type); 10] = [
    ("null", Type::Null),
    ("boolean", Type::Boolean),
    ("int", Type::Int),
    ("long", Type::Long),
    ("float", Type::Float),
    ("double", Type::Double),
    ("string", Type::String),
    ("File", Type::File),
    ("Directory", Type::Directory),
    ("Any", Type::Any),
];
