//! Input objects: what a person or a request gives a process, checked against its inputs once.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Package, Process};
use crate::json;
use crate::limits::INPUT_ERRORS_MAX;
use crate::load::suggestion::{listed, nearest};
use crate::load::{object, standalone_requirements};
use crate::reference;
use crate::requirement::{Effective, Requirements};
use crate::schema::{RecordType, Type};
use crate::source::{Source, Span};
use crate::uri;
use crate::value::{Number, Record, Value};
use crate::yaml::{self, Data, Node};

/// The text of an input object, parsed and not yet checked against a process.
#[derive(Debug, Clone, PartialEq)]
pub struct InputObject {
    root: Node,
}

/// A checked input object.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Values by input id. What is absent takes the input's default, or null.
    pub values: Record,
    /// `cwl:requirements` as JSON text: they go before those of the process (CWL v1.2 Workflow Description, §5.3). See
    /// [`with_requirements`].
    pub requirements: Option<String>,
    /// What is ignored.
    pub warnings: Diagnostics,
}

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// JSON pointer (RFC 6901) into the input object: `/bands/0`.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// All that does not fit, in the order of the process's inputs. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputErrors(pub Vec<InputError>);

impl std::error::Error for InputErrors {}

impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, InputError { pointer, message, help }) in self.0.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
            let help = help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            write!(f, "{separator}{place}{message}{help}")?;
        }
        Ok(())
    }
}

impl InputObject {
    /// Parses a YAML or JSON text. Relative locations in it resolve against `url`. An empty text is an empty object.
    pub fn parse(url: &str, text: &str) -> Result<Self, Diagnostics> {
        Self::from_source(&Source::new(url, text.to_owned()))
    }

    /// Like [`InputObject::parse`], for a text that messages call by a name of its own.
    pub fn from_source(source: &Arc<Source>) -> Result<Self, Diagnostics> {
        let root = yaml::parse(source)?;
        match root.data {
            Data::Map(_) | Data::Null => Ok(Self { root }),
            _ => {
                let message = format!("an input object must be a mapping from inputs to values, not {}", root.kind());
                Err(Diagnostic::error(&root.span, message).into())
            }
        }
    }

    /// Takes over the members of another object; where both have one, the other's wins.
    pub fn overlay(&mut self, other: Self) {
        match (&mut self.root.data, other.root.data) {
            (Data::Map(members), Data::Map(others)) => members.extend(others),
            (mine, others @ Data::Map(_)) => *mine = others,
            _ => {}
        }
    }

    /// `cwl:tool`: the absolute reference of the process that the object is meant for.
    pub fn tool(&self) -> Option<String> {
        let node = self.root.get("cwl:tool")?;
        Some(uri::join(&node.span.source.url, node.as_text()?))
    }

    /// Checks the object against the inputs of the package's entry.
    pub fn inputs(&self, package: &Package) -> Result<Inputs, Diagnostics> {
        let process = &package.processes[package.entry.0];
        let mut diagnostics = Diagnostics::default();
        let mut values = Record::new();
        let mut requirements = None;
        let namespaces = self.namespaces(package);
        let known: HashSet<&str> = process.header().inputs.iter().map(|input| input.id.as_str()).collect();
        for (key, member) in self.root.as_map().into_iter().flatten() {
            if key == "cwl:requirements" {
                standalone_requirements(&member.value, process.header().version, &mut diagnostics);
                requirements =
                    object::value(&member.value, &namespaces, &mut diagnostics).map(|value| json::compact(&value));
            } else if known.contains(key.as_str()) {
                let value = object::value(&member.value, &namespaces, &mut diagnostics);
                values.insert(key.clone(), value.unwrap_or_default());
            } else if !key.contains(':') && !key.starts_with('$') && key != "id" {
                let ids = process.header().inputs.iter().map(|input| input.id.as_str());
                let message = format!("the process has no input '{key}'");
                let diagnostic = Diagnostic::warning(&member.key_span, message);
                diagnostics.push(match nearest(key, ids.clone()) {
                    Some(id) => diagnostic.help(format!("did you mean '{id}'?")),
                    None => diagnostic.help(format!("it has: {}", listed(ids))),
                });
            }
        }
        if !diagnostics.has_errors() {
            match check_inputs(process, values) {
                Ok(values) => return Ok(Inputs { values, requirements, warnings: diagnostics }),
                Err(errors) => errors.0.into_iter().for_each(|error| diagnostics.push(self.located(error))),
            }
        }
        Err(diagnostics)
    }

    /// Prefixes of IRIs: those of the package, and its own.
    fn namespaces(&self, package: &Package) -> IndexMap<String, String> {
        let mut namespaces = package.namespaces.clone();
        for (prefix, member) in self.root.get("$namespaces").and_then(Node::as_map).into_iter().flatten() {
            namespaces.extend(member.value.as_text().map(|iri| (prefix.clone(), iri.to_owned())));
        }
        namespaces
    }

    /// Adds the place in the text.
    fn located(&self, error: InputError) -> Diagnostic {
        let message =
            if error.pointer.is_empty() { error.message } else { format!("{} (at {})", error.message, error.pointer) };
        Diagnostic { help: error.help, ..Diagnostic::error(self.place(&error.pointer), message) }
    }

    /// The innermost node on the way that a pointer describes.
    fn place(&self, pointer: &str) -> &Span {
        let mut node = &self.root;
        for part in pointer.split('/').skip(1) {
            let key = part.replace("~1", "/").replace("~0", "~");
            let inner = match &node.data {
                Data::Map(map) => map.get(&key).map(|member| &member.value),
                Data::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        &node.span
    }
}

/// Puts requirements of an input object before those of the package's entry.
pub fn with_requirements(mut package: Package, text: &str) -> Result<Package, Diagnostics> {
    let node = yaml::parse(&Source::new("cwl:requirements", text.to_owned()))?;
    let header = package.processes[package.entry.0].header_mut();
    let mut diagnostics = Diagnostics::default();
    let stated = standalone_requirements(&node, header.version, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let first = Effective { requirements: stated, hints: Requirements::default() };
    let Effective { requirements, hints } = first.inherit(&header.requirements, &header.hints);
    (header.requirements, header.hints) = (requirements, hints);
    Ok(package)
}

/// Lays values over the defaults of the package's entry, which must fit them: what an input object leaves out takes them. A
/// null leaves the package's own default; members that name no input are dropped.
pub fn with_defaults(mut package: Package, defaults: &InputObject) -> Result<Package, Diagnostics> {
    let namespaces = defaults.namespaces(&package);
    let mut diagnostics = Diagnostics::default();
    for input in &mut package.processes[package.entry.0].header_mut().inputs {
        let given = defaults.root.get(&input.id);
        let given = given.and_then(|node| object::value(node, &namespaces, &mut diagnostics)).unwrap_or_default();
        let value = reference::resolve(&input.type_, given);
        if value == Value::Null {
            continue;
        }
        let mut errors = Vec::new();
        if let Some(value) = fit(&input.type_, value, &format!("/{}", escape(&input.id)), &mut errors) {
            input.default = Some(value);
        }
        for error in errors {
            diagnostics.push(defaults.located(error));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(package) }
}

/// Checks values against the inputs of a process: types, missing inputs. A null where the input has a default is taken
/// out, so that the default applies; a string for an eoap string format becomes its record, a URL for a File or Directory
/// such an object.
///
/// Members that name no input are dropped.
pub fn check_inputs(process: &Process, mut values: Record) -> Result<Record, InputErrors> {
    let mut checked = Record::new();
    let mut errors = Vec::new();
    for input in &process.header().inputs {
        let given = values.swap_remove(&input.id);
        let is_given = given.is_some();
        let value = reference::resolve(&input.type_, given.unwrap_or_default());
        if value == Value::Null && (input.default.is_some() || allows_null(&input.type_)) {
            if input.default.is_none() {
                checked.insert(input.id.clone(), Value::Null);
            }
            continue;
        }
        if value == Value::Null {
            let doc = input.label.as_ref().or(input.doc.as_ref());
            errors.push(InputError {
                pointer: if is_given { format!("/{}", escape(&input.id)) } else { String::new() },
                message: format!("the input '{}' is {}", input.id, if is_given { "null" } else { "missing" }),
                help: Some(match doc {
                    Some(doc) => format!("give `{}` of type {}: {}", input.id, input.type_, doc.trim()),
                    None => format!("give `{}` of type {}", input.id, input.type_),
                }),
            });
            continue;
        }
        let pointer = format!("/{}", escape(&input.id));
        if let Some(value) = fit(&input.type_, value, &pointer, &mut errors) {
            checked.insert(input.id.clone(), value);
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(InputErrors(errors)) }
}

/// Whether a type has a place for null.
pub fn allows_null(type_: &Type) -> bool {
    match type_ {
        Type::Null => true,
        Type::Union(members) => members.iter().any(allows_null),
        _ => false,
    }
}

/// What keeps a value from being one of a type; empty if it is.
pub(crate) fn misfits(type_: &Type, value: Value) -> Vec<InputError> {
    let mut errors = Vec::new();
    fit(type_, value, "", &mut errors);
    errors
}

/// A member's name inside a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The value as one of `type_`, or `None` after reports.
fn fit(type_: &Type, value: Value, pointer: &str, errors: &mut Vec<InputError>) -> Option<Value> {
    if errors.len() >= INPUT_ERRORS_MAX {
        return None;
    }
    let fits = match (type_, &value) {
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        // Larger integers pass exactly: what a long means to a tool is the tool's own affair.
        | (Type::Long, Value::Number(Number::Int(_) | Number::Big(_)))
        | (Type::Float | Type::Double, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::File, Value::File(_))
        | (Type::Directory, Value::Directory(_)) => true,
        (Type::Int, Value::Number(Number::Int(number))) => {
            if i32::try_from(*number).is_err() {
                let help = "an int has 32 bits; the process would have to say `long`".to_owned();
                let message = format!("{number} is too large for an int");
                errors.push(InputError { pointer: pointer.to_owned(), message, help: Some(help) });
                return None;
            }
            true
        }
        (Type::Any, value) => *value != Value::Null,
        (Type::Enum(symbols), Value::String(text)) => {
            if !symbols.symbols.contains(text) {
                let known = symbols.symbols.iter().map(String::as_str);
                let help = Some(format!("write one of: {}", listed(known)));
                let message = format!("'{text}' is not among the allowed values");
                errors.push(InputError { pointer: pointer.to_owned(), message, help });
                return None;
            }
            true
        }
        _ => false,
    };
    if fits {
        return Some(value);
    }
    match (type_, value) {
        (Type::Union(members), value) => fit_union(members, type_, value, pointer, errors),
        (Type::Array(array), Value::Array(items)) => {
            let items = items.into_iter().enumerate();
            let items: Vec<_> =
                items.map(|(index, item)| fit(&array.items, item, &format!("{pointer}/{index}"), errors)).collect();
            items.into_iter().collect::<Option<_>>().map(Value::Array)
        }
        (Type::Record(record), Value::Record(members)) => fit_record(record, members, pointer, errors),
        (Type::Record(record), Value::String(text)) if is_string_format(record) => {
            Some(Value::Record(Record::from([("value".to_owned(), Value::String(text))])))
        }
        (type_, value) => {
            errors.push(mismatch(type_, &value, pointer));
            None
        }
    }
}

/// The first member that the value fits. With one member besides null, its own messages are the better ones.
fn fit_union(
    members: &[Type],
    union: &Type,
    value: Value,
    pointer: &str,
    errors: &mut Vec<InputError>,
) -> Option<Value> {
    let solid: Vec<&Type> = members.iter().filter(|member| **member != Type::Null).collect();
    if let ([only], false) = (solid.as_slice(), value == Value::Null) {
        return fit(only, value, pointer, errors);
    }
    for member in members {
        if let Some(value) = fit(member, value.clone(), pointer, &mut Vec::new()) {
            return Some(value);
        }
    }
    errors.push(mismatch(union, &value, pointer));
    None
}

fn fit_record(record: &RecordType, mut members: Record, pointer: &str, errors: &mut Vec<InputError>) -> Option<Value> {
    let before = errors.len();
    for field in &record.fields {
        let at = format!("{pointer}/{}", escape(&field.name));
        match members.get_mut(&field.name).map(std::mem::take) {
            Some(value) => {
                if let Some(value) = fit(&field.type_, value, &at, errors) {
                    members.insert(field.name.clone(), value);
                }
            }
            None if allows_null(&field.type_) => {}
            None => errors.push(InputError {
                pointer: pointer.to_owned(),
                message: format!("the field '{}' is missing", field.name),
                help: Some(format!("give `{}` of type {}", field.name, field.type_)),
            }),
        }
    }
    (errors.len() == before).then_some(Value::Record(members))
}

/// Whether a record is one of the eoap string formats, which people write as plain strings.
fn is_string_format(record: &RecordType) -> bool {
    record.name.as_deref().is_some_and(|name| {
        name.starts_with("https://raw.githubusercontent.com/eoap/schemas/") && name.contains("/string_format.yaml#")
    })
}

fn mismatch(type_: &Type, value: &Value, pointer: &str) -> InputError {
    let help = match (type_, value) {
        (Type::String, Value::Number(_) | Value::Bool(_)) => Some("put it in quotes".to_owned()),
        (Type::File, Value::String(text)) => Some(format!("write {{class: File, path: {text}}}")),
        (Type::Directory, Value::String(text)) => Some(format!("write {{class: Directory, path: {text}}}")),
        (Type::Array(array), _) if array.items != Type::Null => Some("write a list, even for one element".to_owned()),
        (Type::Boolean, Value::String(_)) => Some("write true or false".to_owned()),
        _ => None,
    };
    let message = format!("the value must be of type {type_}, not {}", kind(value));
    InputError { pointer: pointer.to_owned(), message, help }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(Number::Float(_)) => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Record(_) => "a record",
        Value::File(_) => "a File",
        Value::Directory(_) => "a Directory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{NoFetch, load_text};
    use crate::value::Entry;

    fn package(inputs: &str) -> Package {
        let text = format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\n$namespaces: {{edam: 'http://edamontology.org/'}}\nbaseCommand: x\noutputs: []\ninputs:\n{inputs}"
        );
        load_text("file:///p/a.cwl", &text, None, &NoFetch).unwrap()
    }

    fn inputs(declared: &str, given: &str) -> Result<Inputs, Diagnostics> {
        InputObject::parse("file:///jobs/job.yml", given)?.inputs(&package(declared))
    }

    fn refused(declared: &str, given: &str) -> String {
        inputs(declared, given).unwrap_err().to_string()
    }

    #[test]
    fn defaults_from_outside_go_before_those_of_the_package() {
        let defaults = |text: &str| {
            let package =
                package("  a: string\n  b: {type: int, default: 1}\n  c: {type: int?, default: 2}\n  d: File?");
            with_defaults(package, &InputObject::parse("file:///p/defaults.yml", text).unwrap())
        };
        let package = defaults("{a: x, b: 5, c: null, d: 'https://a/b.tif', e: 1}").unwrap();
        let inputs = &package.processes[package.entry.0].header().inputs;
        let told = |index: usize| json::compact(inputs[index].default.as_ref().unwrap());
        assert_eq!((told(0), told(1), told(2)), (r#""x""#.to_owned(), "5".to_owned(), "2".to_owned()));
        assert!(matches!(inputs[3].default, Some(Value::File(_))));
        insta::assert_snapshot!(defaults("{a: 1, b: x}").unwrap_err(), @"
        /p/defaults.yml:1:5: error: the value must be of type string, not an integer (at /a)
         1 | {a: 1, b: x}
           |     ^
        help: put it in quotes
        /p/defaults.yml:1:11: error: the value must be of type int, not a string (at /b)
         1 | {a: 1, b: x}
           |           ^
        ");
    }

    #[test]
    fn locations_are_relative_to_the_input_object_and_only_they_are_encoded() {
        let given = "
f: {class: File, location: 'dir/item %231.txt', size: 3, nameroot: stale, format: 'edam:format_1', my: {x: 1}}
g: {class: File, path: 'dir/item #1%20.txt', secondaryFiles: [{class: File, location: b.idx}]}
d: {class: Directory, location: 'A%3AGln2Cys', listing: [{class: File, basename: x, contents: ''}]}
";
        let values = inputs("  f: File\n  g: File\n  d: Directory", given).unwrap().values;
        let Value::File(f) = &values["f"] else { panic!() };
        assert_eq!(f.location.as_deref(), Some("file:///jobs/dir/item%20%231.txt"));
        assert_eq!((f.size, f.format.as_deref()), (Some(3), Some("http://edamontology.org/format_1")));
        assert_eq!(f.extra.keys().collect::<Vec<_>>(), ["my"]);
        let Value::File(g) = &values["g"] else { panic!() };
        assert_eq!(g.location.as_deref(), Some("file:///jobs/dir/item%20%231%2520.txt"));
        assert!(
            matches!(&g.secondary_files[0], Entry::File(file) if file.location.as_deref() == Some("file:///jobs/b.idx"))
        );
        let Value::Directory(d) = &values["d"] else { panic!() };
        assert_eq!(d.location.as_deref(), Some("file:///jobs/A%3AGln2Cys"));
        assert_eq!(d.listing.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn a_file_or_directory_may_be_given_by_its_url() {
        let declared =
            "  f: File\n  d: Directory?\n  l: Directory[]\n  t: [string, Directory]\n  e: [Directory, 'Directory[]']";
        let given = r#"{
            "f": {"href": "s3://b/f.tif", "type": "image/tiff"}, "d": "https://h/d", "t": "https://h/t", "e": ["https://h/e"],
            "l": [{"class": "https://h/string_format.yaml#URI", "value": "http://h/l"}, {"class": "Directory", "path": "/l"}]
        }"#;
        let values = inputs(declared, given).unwrap().values;
        insta::assert_snapshot!(json::compact(&Value::Record(values)), @r#"{"f":{"class":"File","location":"s3://b/f.tif"},"d":{"class":"Directory","location":"https://h/d"},"l":[{"class":"Directory","location":"http://h/l"},{"class":"Directory","location":"file:///l"}],"t":"https://h/t","e":[{"class":"Directory","location":"https://h/e"}]}"#);
        insta::assert_snapshot!(refused("  d: Directory", "d: {href: scene.json}"), @"
        /jobs/job.yml:1:4: error: the value must be of type Directory, not a record (at /d)
         1 | d: {href: scene.json}
           |    ^
        ");
    }

    #[test]
    fn messages_name_the_place_and_what_would_be_right() {
        insta::assert_snapshot!(refused("  bands: string[]\n  item: {type: string, doc: the scene}", "bands: green\nitm: x"), @r#"
        /jobs/job.yml:2:1: warning: the process has no input 'itm'
         2 | itm: x
           | ^^^
        help: did you mean 'item'?
        /jobs/job.yml:1:8: error: the value must be of type string[], not a string (at /bands)
         1 | bands: green
           |        ^^^^^
        help: write a list, even for one element
        /jobs/job.yml:1:1: error: the input 'item' is missing
         1 | bands: green
           | ^
        help: give `item` of type string: the scene
        "#);
        insta::assert_snapshot!(refused("  bands: string[]\n  n: int", "bands: [green, 5]\nn: 3000000000"), @r#"
        /jobs/job.yml:1:16: error: the value must be of type string, not an integer (at /bands/1)
         1 | bands: [green, 5]
           |                ^
        help: put it in quotes
        /jobs/job.yml:2:4: error: 3000000000 is too large for an int (at /n)
         2 | n: 3000000000
           |    ^^^^^^^^^^
        help: an int has 32 bits; the process would have to say `long`
        "#);
        insta::assert_snapshot!(refused("  f: File?\n  e: {type: {type: enum, symbols: [a, b]}}", "f: x.tif\ne: c"), @r#"
        /jobs/job.yml:1:4: error: the value must be of type File, not a string (at /f)
         1 | f: x.tif
           |    ^^^^^
        help: write {class: File, path: x.tif}
        /jobs/job.yml:2:4: error: 'c' is not among the allowed values (at /e)
         2 | e: c
           |    ^
        help: write one of: a, b
        "#);
        insta::assert_snapshot!(refused("  r: {type: {type: record, fields: {a: int, b: 'string[]?'}}}", "r: {b: [x, true]}"), @r#"
        /jobs/job.yml:1:4: error: the field 'a' is missing (at /r)
         1 | r: {b: [x, true]}
           |    ^
        help: give `a` of type int
        /jobs/job.yml:1:12: error: the value must be of type string, not a boolean (at /r/b/1)
         1 | r: {b: [x, true]}
           |            ^^^^
        help: put it in quotes
        "#);
        insta::assert_snapshot!(refused("  u: [int, string, 'null']\n  y: boolean", "u: 1.5\ny: yes"), @r#"
        /jobs/job.yml:1:4: error: the value must be of type int | string | null, not a number with a fraction (at /u)
         1 | u: 1.5
           |    ^^^
        /jobs/job.yml:2:4: error: the value must be of type boolean, not a string (at /y)
         2 | y: yes
           |    ^^^
        help: write true or false
        "#);
        insta::assert_snapshot!(refused("  f: File", "f: {class: File, size: 3}"), @r#"
        /jobs/job.yml:1:4: error: a File needs a location, a path or contents
         1 | f: {class: File, size: 3}
           |    ^
        "#);
        insta::assert_snapshot!(refused("  f: File", "[1]"), @r#"
        /jobs/job.yml:1:1: error: an input object must be a mapping from inputs to values, not a list
         1 | [1]
           | ^
        "#);
    }

    #[test]
    fn any_takes_everything_but_null() {
        assert!(inputs("  a: Any", "a: [1]").is_ok());
        assert!(inputs("  a: Any", "a: null").is_err());
        assert!(inputs("  a: Any", "").is_err());
        assert!(inputs("  a: Any?", "").is_ok());
        assert_eq!(inputs("  a: Any", "a: 'null'").unwrap().values["a"], Value::String("null".to_owned()));
    }

    #[test]
    fn a_null_takes_the_default_and_falsy_values_do_not() {
        let declared = "  a: {type: int, default: 5}\n  b: {type: int, default: 5}\n  c: {type: 'string?', default: x}\n  d: string?";
        let values = inputs(declared, "a: null\nb: 0\nc: ''").unwrap().values;
        assert_eq!(values.keys().collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!((&values["b"], &values["d"]), (&Value::Number(Number::Int(0)), &Value::Null));
    }

    #[test]
    fn a_string_stands_for_an_eoap_string_format() {
        let declared = "  u: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI";
        let short = inputs(declared, "u: 'https://x'").unwrap();
        let long = inputs(declared, "u: {value: 'https://x'}").unwrap();
        assert_eq!(short.values, long.values);
    }

    proptest::proptest! {
        #[test]
        fn any_input_object_is_read_or_refused(given in "[a-f]: [-:?,\\[\\]{}#&*!|>'\"% \na-f0-9.]{0,60}") {
            let declared = "  a: 'File[]?'\n  b: {type: {type: record, fields: {a: int, b: 'string?'}}}\n  c: Any?\n  d: [int, 'string[]', 'null']";
            match inputs(declared, &given) {
                Ok(inputs) => proptest::prop_assert!(inputs.values.contains_key("b")),
                Err(diagnostics) => proptest::prop_assert!(diagnostics.has_errors()),
            }
        }
    }

    #[test]
    fn requirements_and_tool_of_the_object_are_read() {
        let given = "cwl:requirements: [{class: EnvVarRequirement, envDef: {A: b}}]\ncwl:tool: ../p/a.cwl#main\na: x";
        let object = InputObject::parse("file:///jobs/job.yml", given).unwrap();
        assert_eq!(object.tool().as_deref(), Some("file:///p/a.cwl#main"));
        let package = package("  a: string");
        let inputs = object.inputs(&package).unwrap();
        let package = with_requirements(package, &inputs.requirements.unwrap()).unwrap();
        let env_var = package.processes[package.entry.0].header().requirements.env_var.as_ref();
        assert_eq!(env_var.unwrap()[0].name, "A");
        assert_eq!(inputs.warnings, Diagnostics::default());
    }
}
