//! Values with Files and Directories in them: defaults of a document and the members of input objects.

use indexmap::IndexMap;

use super::{Loader, expand_prefix};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::uri;
use crate::value::{Directory, Entry, File, Number, Record, Value};
use crate::yaml::{Data, Map, Node};

impl Loader<'_> {
    /// A value of the document.
    pub(super) fn object(&mut self, node: &Node, namespaces: &IndexMap<String, String>) -> Option<Value> {
        value(node, namespaces, &mut self.diagnostics)
    }
}

/// Turns a node into a value. Objects of `class: File` and `class: Directory` are typed; their relative locations resolve
/// against the URL of the text that they stand in.
pub(crate) fn value(
    node: &Node,
    namespaces: &IndexMap<String, String>,
    diagnostics: &mut Diagnostics,
) -> Option<Value> {
    let mut reader = Reader { namespaces, diagnostics };
    reader.value(node).ok()
}

/// A message about it stands in the diagnostics.
struct Reported;

struct Reader<'r> {
    namespaces: &'r IndexMap<String, String>,
    diagnostics: &'r mut Diagnostics,
}

impl Reader<'_> {
    fn value(&mut self, node: &Node) -> Result<Value, Reported> {
        match &node.data {
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                items.into_iter().collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Data::Map(map) => match map.get("class").and_then(|member| member.value.as_text()) {
                Some("File" | "Directory") => Ok(match self.entry(node)? {
                    Entry::File(file) => Value::File(Box::new(file)),
                    Entry::Directory(directory) => Value::Directory(Box::new(directory)),
                }),
                _ => self.record(map.iter().map(|(key, member)| (key, &member.value))).map(Value::Record),
            },
            _ => Ok(node.to_value()),
        }
    }

    fn record<'n>(&mut self, members: impl Iterator<Item = (&'n String, &'n Node)>) -> Result<Record, Reported> {
        let members: Vec<_> = members.map(|(key, node)| Ok((key.clone(), self.value(node)?))).collect();
        members.into_iter().collect()
    }

    /// A File or Directory object (CWL v1.2 Command Line Tool Description, "File", "Directory").
    fn entry(&mut self, node: &Node) -> Result<Entry, Reported> {
        const FILE: &[&str] = &["basename", "contents", "size", "checksum", "format", "secondaryFiles"];
        const DIRECTORY: &[&str] = &["basename", "listing"];
        let class = node.get("class").and_then(Node::as_text);
        let (Some(map), Some(class @ ("File" | "Directory"))) = (node.as_map(), class) else {
            let message = format!("a File or Directory object is wanted here, not {}", node.kind());
            return Err(self.error(node, message));
        };
        let is_file = class == "File";
        let known = if is_file { FILE } else { DIRECTORY };
        // Derived members are computed anew; what the document says of them may be stale.
        let derived = ["class", "location", "path", "dirname", "nameroot", "nameext"];
        let members = map.iter().map(|(key, member)| (key, &member.value));
        let extra =
            self.record(members.filter(|(key, _)| !known.contains(&key.as_str()) && !derived.contains(&key.as_str())))?;
        let location = self.location(map)?;
        let basename = self.text(map, "basename")?;
        if basename.as_deref().is_some_and(|name| name.contains('/')) {
            return Err(self.error(&map["basename"].value, "a basename cannot contain '/'"));
        }
        if is_file {
            let contents = self.text(map, "contents")?;
            if location.is_none() && contents.is_none() {
                return Err(self.error(node, "a File needs a location, a path or contents"));
            }
            let size = map.get("size").and_then(|member| match &member.value.data {
                Data::Number(Number::Int(size)) => u64::try_from(*size).ok(),
                _ => None,
            });
            let format = self.text(map, "format")?.map(|format| expand_prefix(&format, self.namespaces));
            Ok(Entry::File(File {
                location,
                path: None,
                basename,
                contents,
                size,
                checksum: self.text(map, "checksum")?,
                format,
                secondary_files: self.entries(map, "secondaryFiles")?.unwrap_or_default(),
                extra,
            }))
        } else {
            let listing = self.entries(map, "listing")?;
            if location.is_none() && listing.is_none() {
                return Err(self.error(node, "a Directory needs a location, a path or a listing"));
            }
            Ok(Entry::Directory(Directory { location, path: None, basename, listing, extra }))
        }
    }

    /// `location` or `path` as an absolute URL. A path is a file's name, so nothing in it is an encoding.
    fn location(&mut self, map: &Map) -> Result<Option<String>, Reported> {
        let location = self.text(map, "location")?.filter(|location| !location.starts_with("_:"));
        if let Some(location) = location {
            let base = &map["location"].value.span.source.url;
            return Ok(Some(uri::join(base, &uri::encode_reference(&location))));
        }
        let Some(path) = self.text(map, "path")? else { return Ok(None) };
        let base = &map["path"].value.span.source.url;
        // Some documents write a URL as the path.
        let reference = if uri::is_absolute(&path) { uri::encode_reference(&path) } else { uri::encode_path(&path) };
        Ok(Some(uri::join(base, &reference)))
    }

    fn entries(&mut self, map: &Map, key: &str) -> Result<Option<Vec<Entry>>, Reported> {
        match map.get(key).map(|member| &member.value) {
            None | Some(Node { data: Data::Null, .. }) => Ok(None),
            Some(Node { data: Data::List(items), .. }) => {
                let entries: Vec<_> = items.iter().map(|item| self.entry(item)).collect();
                entries.into_iter().collect::<Result<Vec<_>, _>>().map(Some)
            }
            Some(node) => Err(self.error(node, format!("{key} must be a list, not {}", node.kind()))),
        }
    }

    /// A text member; null counts as absent.
    fn text(&mut self, map: &Map, key: &str) -> Result<Option<String>, Reported> {
        match map.get(key).map(|member| &member.value) {
            None | Some(Node { data: Data::Null, .. }) => Ok(None),
            Some(Node { data: Data::Text(text), .. }) => Ok(Some(text.clone())),
            Some(node) => Err(self.error(node, format!("{key} must be a string, not {}", node.kind()))),
        }
    }

    fn error(&mut self, node: &Node, message: impl Into<String>) -> Reported {
        self.diagnostics.push(Diagnostic::error(&node.span, message));
        Reported
    }
}
