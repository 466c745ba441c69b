//! Reading a mapping field by field, so that what was not asked for is known at the end.

use indexmap::IndexMap;

use super::{Loader, Scope, short_id};
use crate::diagnostic::Diagnostic;
use crate::document::CwlVersion;
use crate::expression::{Computed, Template};
use crate::load::suggestion::nearest;
use crate::source::Span;
use crate::value::{Number, Value};
use crate::yaml::{Data, Map, Member, Node};

/// A mapping being read.
pub(super) struct Fields<'n> {
    /// What it is, for messages: "a CommandLineTool".
    what: &'static str,
    pub(super) span: &'n Span,
    map: &'n Map,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// A field's value; null counts as absent.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.get_or_null(key).filter(|node| node.data != Data::Null)
    }

    /// A field's value, a written null included.
    pub(super) fn get_or_null(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.map.get(key).map(|member| &member.value)
    }

    /// Notes fields that are allowed and not read.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }
}

/// Whether a key is an extension: it has a prefix, or is a directive of the document itself.
pub(super) fn is_extension(key: &str) -> bool {
    key.contains(':') || key.starts_with('$')
}

/// An entry of a field that may be written as a list or as a mapping.
pub(super) struct Item<'n> {
    /// The entry's key or id, as written.
    pub(super) id: String,
    pub(super) span: &'n Span,
    /// The entry; in the short form its main value only.
    pub(super) node: &'n Node,
}

impl Loader<'_> {
    /// Begins to read a mapping.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &'static str) -> Option<Fields<'n>> {
        match &node.data {
            Data::Map(map) => Some(Fields { what, span: &node.span, map, known: Vec::new() }),
            _ => {
                self.error(&node.span, format!("{what} must be a mapping, not {}", node.kind()));
                None
            }
        }
    }

    /// Ends it: extension fields come back, unknown plain ones are reported. A likely misspelling is an error, because
    /// ignoring it would run something else than what was written.
    #[expect(clippy::needless_pass_by_value, reason = "nothing is read after the end")]
    pub(super) fn finish(&mut self, fields: Fields<'_>) -> IndexMap<String, Value> {
        let mut extensions = IndexMap::new();
        for (key, Member { key_span, value }) in fields.map {
            if fields.known.contains(&key.as_str()) {
                continue;
            }
            if is_extension(key) || key.contains('.') {
                extensions.insert(key.clone(), value.to_value());
                continue;
            }
            let message = format!("{} has no field '{key}'", fields.what);
            self.report(match nearest(key, fields.known.iter().copied()) {
                Some(known) => Diagnostic::error(key_span, message).help(format!("did you mean '{known}'?")),
                None => Diagnostic::warning(key_span, message).help("it is ignored"),
            });
        }
        extensions
    }

    /// Reports that a field asks for a newer version of CWL than the process states.
    pub(super) fn since(&mut self, node: &Node, what: &str, first: CwlVersion, scope: &Scope) {
        if scope.version < first {
            let message = format!("{what} came with CWL {first}, but this process states {}", scope.version);
            self.report(Diagnostic::error(&node.span, message).help(format!("state `cwlVersion: {first}`")));
        }
    }

    /// A text.
    pub(super) fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        let Some(text) = node.as_text() else {
            let mut diagnostic = Diagnostic::error(&node.span, format!("{what} must be a string, not {}", node.kind()));
            if matches!(node.data, Data::Number(_) | Data::Bool(_)) {
                diagnostic = diagnostic.help("put it in quotes");
            }
            self.report(diagnostic);
            return None;
        };
        Some(text.to_owned())
    }

    /// One text or a list of texts, each with its node.
    pub(super) fn strings<'n>(&mut self, node: &'n Node, what: &str) -> Option<Vec<(String, &'n Node)>> {
        let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
        let texts: Vec<_> = nodes.iter().map(|item| Some((self.string(item, what)?, item))).collect();
        texts.into_iter().collect()
    }

    /// `doc`: a text or paragraphs.
    pub(super) fn doc(&mut self, node: Option<&Node>) -> Option<String> {
        let texts = self.strings(node?, "doc")?;
        Some(texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("\n"))
    }

    /// `label`
    pub(super) fn label(&mut self, node: Option<&Node>) -> Option<String> {
        self.string(node?, "label")
    }

    /// A boolean; absent is `None`, and so is what was reported.
    pub(super) fn boolean(&mut self, node: Option<&Node>, what: &str) -> Option<bool> {
        let node = node?;
        match node.data {
            Data::Bool(truth) => Some(truth),
            _ => {
                let message = format!("{what} must be true or false, not {}", node.kind());
                let diagnostic = Diagnostic::error(&node.span, message);
                let is_word = node.as_text().is_some_and(|text| ["yes", "no", "on", "off"].contains(&text));
                self.report(if is_word {
                    diagnostic.help("YAML 1.2 knows `true` and `false` only")
                } else {
                    diagnostic
                });
                None
            }
        }
    }

    /// A text that may hold expressions.
    pub(super) fn text_template(&mut self, node: Option<&Node>, what: &str, scope: &Scope) -> Option<Template> {
        let node = node?;
        let text = self.string(node, what)?;
        self.template(node, &text, scope)
    }

    /// A value of its own kind, which is no text, or an expression for it.
    pub(super) fn computed<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        scope: &Scope,
        literal: impl FnOnce(&Data) -> Result<T, String>,
    ) -> Option<Computed<T>> {
        let node = node?;
        if let Data::Text(text) = &node.data {
            let template = self.template(node, text, scope)?;
            if template.as_literal().is_none() {
                return Some(Computed::Expression(template));
            }
        }
        match literal(&node.data) {
            Ok(value) => Some(Computed::Literal(value)),
            Err(wanted) => {
                self.error(&node.span, format!("{what} must be {wanted} or an expression, not {}", node.kind()));
                None
            }
        }
    }

    /// Entries of a field that takes a list of mappings, or one mapping from `key` to the rest of each.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str, key: &str) -> Option<Vec<Item<'n>>> {
        match &node.data {
            Data::Map(map) => {
                let items =
                    map.iter().map(|(id, member)| Item { id: id.clone(), span: &member.key_span, node: &member.value });
                Some(items.collect())
            }
            Data::List(list) => {
                let mut items = Vec::new();
                for node in list {
                    match node.get(key) {
                        Some(id) => {
                            if let Some(text) = self.string(id, key) {
                                items.push(Item { id: text, span: &id.span, node });
                            }
                        }
                        None if what == "out" && node.as_text().is_some() => {
                            // The entry is its own id.
                            items.push(Item { id: node.as_text().unwrap_or("").to_owned(), span: &node.span, node });
                        }
                        None => self.error(&node.span, format!("each entry of {what} needs the field '{key}'")),
                    }
                }
                Some(items)
            }
            Data::Null => Some(Vec::new()),
            _ => {
                self.error(&node.span, format!("{what} must be a list or a mapping, not {}", node.kind()));
                None
            }
        }
    }

    /// Reports ids that stand twice among siblings.
    pub(super) fn unique(&mut self, items: &[Item<'_>], what: &str) {
        let mut seen: IndexMap<&str, &Span> = IndexMap::new();
        for item in items {
            if let Some(first) = seen.get(short_id(&item.id)) {
                let help = format!("it stands first at line {}", first.line);
                let message = format!("{what} has two entries called '{}'", short_id(&item.id));
                self.report(Diagnostic::error(item.span, message).help(help));
            }
            seen.entry(short_id(&item.id)).or_insert(item.span);
        }
    }
}

/// For [`Loader::computed`].
pub(super) fn boolean_literal(data: &Data) -> Result<bool, String> {
    match data {
        Data::Bool(truth) => Ok(*truth),
        _ => Err("true, false".to_owned()),
    }
}

/// For [`Loader::computed`].
pub(super) fn integer_literal(data: &Data) -> Result<i64, String> {
    match data {
        Data::Number(Number::Int(number)) => Ok(*number),
        _ => Err("an integer".to_owned()),
    }
}
