//! `$import` and `$include` (Semantic Annotations for Linked Avro Data, §2.5 "Import", §2.6 "Include").
//!
//! An imported node keeps its own spans, and with them the URL that its relative references resolve against.

use std::sync::Arc;

use weir_api::limits::IMPORTS_MAX;

use super::{Loader, short_id};
use crate::diagnostic::Diagnostic;
use crate::limits::IMPORT_DEPTH_MAX;
use crate::source::{Source, Span};
use crate::uri;
use crate::yaml::{self, Data, Map, Node};

/// Schemas of the EO Application Package community, by file name. They are written anew here and served for any
/// revision of `raw.githubusercontent.com/eoap/schemas`, so that no package needs the network for its types.
const BUILT_IN: [(&str, &str); 4] = [
    ("string_format.yaml", include_str!("../schemas/string_format.yaml")),
    ("ogc.yaml", include_str!("../schemas/ogc.yaml")),
    ("geojson.yaml", include_str!("../schemas/geojson.yaml")),
    ("stac.yaml", include_str!("../schemas/stac.yaml")),
];

/// The built-in text for a URL.
fn built_in(url: &str) -> Option<&'static str> {
    let path = url.strip_prefix("https://raw.githubusercontent.com/eoap/schemas/")?;
    let name = path.rsplit('/').next()?;
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Loader<'_> {
    /// Reads the text at a URL. `wanted_at` is the place that refers to it, if a document does.
    pub(super) fn text(&mut self, url: &str, wanted_at: Option<&Span>) -> Option<Arc<Source>> {
        self.texts += 1;
        let fetched = if self.texts > IMPORTS_MAX {
            Err(format!("a package may consist of at most {IMPORTS_MAX} texts"))
        } else if let Some(text) = built_in(url) {
            Ok(text.to_owned())
        } else {
            self.fetch.fetch(url).map_err(|error| error.to_string())
        };
        let fetched = fetched.and_then(|text| match self.bytes_left.checked_sub(text.len()) {
            Some(left) => {
                self.bytes_left = left;
                Ok(text)
            }
            None => Err("the texts of the package are too large together".to_owned()),
        });
        match fetched {
            Ok(text) => Some(Source::named(self.fetch.name(url), url, text)),
            Err(reason) => {
                let name = self.fetch.name(url).or_else(|| uri::to_path(url)).unwrap_or_else(|| url.to_owned());
                let message = format!("cannot read {name}: {reason}");
                self.report(match wanted_at {
                    Some(span) => Diagnostic::error(span, message),
                    None => Diagnostic::general(message),
                });
                None
            }
        }
    }

    /// Parses a text and expands its imports.
    pub(super) fn tree(&mut self, source: &Arc<Source>) -> Option<Node> {
        self.expanded(source, &mut vec![source.url.clone()])
    }

    fn expanded(&mut self, source: &Arc<Source>, open: &mut Vec<String>) -> Option<Node> {
        match yaml::parse_within(source, &mut self.nodes_left) {
            Ok(node) => self.expand(node, open),
            Err(diagnostic) => {
                self.report(diagnostic);
                None
            }
        }
    }

    /// `open` holds the URLs being imported, outermost first.
    fn expand(&mut self, node: Node, open: &mut Vec<String>) -> Option<Node> {
        let Node { data, span } = node;
        let data = match data {
            Data::List(items) => {
                let mut expanded = Vec::with_capacity(items.len());
                for item in items {
                    let is_import = item.get("$import").is_some();
                    let item = self.expand(item, open)?;
                    match item.data {
                        // An imported list takes the place of its import among the other items.
                        Data::List(imported) if is_import => expanded.extend(imported),
                        _ => expanded.push(item),
                    }
                }
                Data::List(expanded)
            }
            Data::Map(map) => {
                if let Some((key, reference)) = directive(&map) {
                    return self.directive(key, reference, open);
                }
                let mut expanded = Map::with_capacity(map.len());
                for (key, mut member) in map {
                    member.value = self.expand(member.value, open)?;
                    expanded.insert(key, member);
                }
                Data::Map(expanded)
            }
            scalar => scalar,
        };
        Some(Node { data, span })
    }

    fn directive(&mut self, key: &str, reference: &Node, open: &mut Vec<String>) -> Option<Node> {
        let Some(text) = reference.as_text() else {
            self.error(&reference.span, format!("{key} takes the reference of a text, not {}", reference.kind()));
            return None;
        };
        let target = uri::join(&reference.span.source.url, &uri::encode_reference(text));
        let (url, fragment) = uri::split_fragment(&target);
        match key {
            "$include" => {
                let source = self.text(url, Some(&reference.span))?;
                Some(Node { data: Data::Text(source.text.clone()), span: reference.span.clone() })
            }
            "$import" => {
                if open.iter().any(|outer| outer == url) {
                    self.error(&reference.span, format!("{text} imports itself: {}", ring(open, url)));
                    return None;
                }
                let source = self.text(url, Some(&reference.span))?;
                if open.len() >= IMPORT_DEPTH_MAX {
                    self.error(&reference.span, format!("imports are nested deeper than {IMPORT_DEPTH_MAX} texts"));
                    return None;
                }
                open.push(url.to_owned());
                let imported = self.expanded(&source, open);
                open.pop();
                match fragment {
                    None => imported,
                    Some(fragment) => self.fragment(&imported?, fragment, reference),
                }
            }
            _ => {
                self.error(&reference.span, format!("{key} is not supported"));
                None
            }
        }
    }

    /// The member of an imported list or graph that has an id or a name.
    fn fragment(&mut self, imported: &Node, fragment: &str, reference: &Node) -> Option<Node> {
        let members = imported.get("$graph").and_then(Node::as_list).or(imported.as_list());
        let is_meant = |node: &&Node| {
            ["id", "name"]
                .iter()
                .any(|key| node.get(key).and_then(Node::as_text).is_some_and(|id| short_id(id) == short_id(fragment)))
        };
        let found = members.unwrap_or(std::slice::from_ref(imported)).iter().find(is_meant).cloned();
        if found.is_none() {
            self.error(&reference.span, format!("the imported document has nothing called '{fragment}'"));
        }
        found
    }
}

/// The import directive that a mapping is, if it is one.
fn directive(map: &Map) -> Option<(&str, &Node)> {
    ["$import", "$include", "$mixin"].into_iter().find_map(|key| Some((key, &map.get(key)?.value)))
}

fn ring(open: &[String], url: &str) -> String {
    let names = open.iter().map(String::as_str).skip_while(|outer| *outer != url).chain([url]);
    names.map(uri::basename).collect::<Vec<_>>().join(" -> ")
}
