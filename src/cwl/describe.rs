//! The OGC process description of a package's entry (OGC API - Processes Part 1, §7.8 "Process description"), with the
//! schemas that existing clients of EO application packages know.

use indexmap::IndexMap;

use crate::document::Package;
use crate::expression::Template;
use crate::job::allows_null;
use crate::schema::{FileTreatment, RecordType, Type};
use crate::uri;
use crate::value::{Number, Record, Value};

/// JSON Schema formats of the eoap string formats.
const STRING_FORMATS: [(&str, &str); 19] = [
    ("Date", "date"),
    ("DateTime", "date-time"),
    ("Duration", "duration"),
    ("Email", "email"),
    ("Hostname", "hostname"),
    ("IDNEmail", "idn-email"),
    ("IDNHostname", "idn-hostname"),
    ("IPv4", "ipv4"),
    ("IPv6", "ipv6"),
    ("IRI", "iri"),
    ("IRIReference", "iri-reference"),
    ("JsonPointer", "json-pointer"),
    ("Password", "password"),
    ("RelativeJsonPointer", "relative-json-pointer"),
    ("UUID", "uuid"),
    ("URI", "uri"),
    ("URIReference", "uri-reference"),
    ("URITemplate", "uri-template"),
    ("Time", "time"),
];

/// Schemas that a File or Directory may be given or returned as, besides a URL.
const STAC_ITEM: &str = "https://schemas.stacspec.org/v1.0.0/item-spec/json-schema/item.json";
const STAC_COLLECTION: &str = "https://schemas.stacspec.org/v1.0.0/collection-spec/json-schema/collection.json";
const FEATURE_COLLECTION: &str = "https://geojson.org/schema/FeatureCollection.json";

/// The description, as a JSON object. Links are the façade's.
pub fn describe(package: &Package) -> Value {
    let process = &package.processes[package.entry.0];
    let header = process.header();
    let mut description = object([("id", text(&header.id))]);
    describe_names(&mut description, header.label.as_deref(), header.doc.as_deref());
    description.insert("version".to_owned(), text(&version(package)));
    let metadata = authors(package);
    if !metadata.is_empty() {
        description.insert("metadata".to_owned(), Value::Array(metadata));
    }
    description.insert("jobControlOptions".to_owned(), list(["async-execute", "dismiss"]));
    description.insert("outputTransmission".to_owned(), list(["value", "reference"]));
    let inputs = header.inputs.iter().map(|input| {
        let is_optional = input.default.is_some() || allows_null(&input.type_);
        let mut schema = schema(&input.type_, &input.file);
        // A default File lies on the machine of the package; clients can do nothing with its path.
        if let Some(default) = input.default.as_ref().filter(|default| is_plain(default)) {
            schema.insert("default".to_owned(), default.clone());
        }
        let mut entry = Record::new();
        describe_names(&mut entry, input.label.as_deref(), input.doc.as_deref());
        entry.insert("schema".to_owned(), Value::Record(schema));
        entry.insert("minOccurs".to_owned(), int(i64::from(!is_optional)));
        entry.insert("maxOccurs".to_owned(), int(1));
        entry.insert("valuePassing".to_owned(), list(["byValue"]));
        entry.insert("metadata".to_owned(), type_metadata(&input.type_source));
        (input.id.clone(), Value::Record(entry))
    });
    description.insert("inputs".to_owned(), Value::Record(inputs.collect()));
    description.insert("outputs".to_owned(), Value::Record(outputs(process)));
    Value::Record(description)
}

fn outputs(process: &crate::document::Process) -> Record {
    use crate::document::Process;
    let plain = match process {
        Process::Workflow(workflow) => {
            let outputs = workflow.outputs.iter().map(|output| {
                let file = FileTreatment::default();
                (output.id.clone(), described(output, &output.type_, &output.type_source, &file))
            });
            return outputs.collect();
        }
        Process::CommandLineTool(tool) => &tool.outputs,
        Process::ExpressionTool(tool) => &tool.outputs,
        Process::Operation(operation) => &operation.outputs,
    };
    plain
        .iter()
        .map(|output| (output.id.clone(), described(output, &output.type_, &output.type_source, &output.file)))
        .collect()
}

/// What has a label and a doc.
trait Named {
    fn names(&self) -> (Option<&str>, Option<&str>);
}

impl Named for crate::document::WorkflowOutput {
    fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.label.as_deref(), self.doc.as_deref())
    }
}

impl Named for crate::schema::OutputParameter {
    fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.label.as_deref(), self.doc.as_deref())
    }
}

fn described(output: &impl Named, type_: &Type, type_source: &str, file: &FileTreatment) -> Value {
    let mut entry = Record::new();
    let (label, doc) = output.names();
    describe_names(&mut entry, label, doc);
    entry.insert("schema".to_owned(), Value::Record(schema(type_, file)));
    entry.insert("metadata".to_owned(), type_metadata(type_source));
    Value::Record(entry)
}

/// `title` and `description` from `label` and `doc`.
fn describe_names(entry: &mut Record, label: Option<&str>, doc: Option<&str>) {
    for (key, value) in [("title", label), ("description", doc)] {
        entry.extend(value.map(|value| (key.to_owned(), text(value.trim()))));
    }
}

fn type_metadata(type_source: &str) -> Value {
    Value::Array(vec![Value::Record(object([("title", text("cwl:type")), ("value", text(type_source))]))])
}

/// The JSON Schema of a CWL type.
fn schema(type_: &Type, file: &FileTreatment) -> Record {
    let plain = |name: &str| object([("type", text(name))]);
    let formatted = |name: &str, format: &str| object([("type", text(name)), ("format", text(format))]);
    match type_ {
        Type::Null => plain("null"),
        Type::Boolean => plain("boolean"),
        Type::Int => formatted("integer", "int32"),
        Type::Long => formatted("integer", "int64"),
        Type::Float => formatted("number", "float"),
        Type::Double => formatted("number", "double"),
        Type::String => plain("string"),
        Type::Any => Record::new(),
        Type::File => {
            let mut url = formatted("string", "uri");
            url.extend(media_type(&file.format).map(|media| ("contentMediaType".to_owned(), text(media))));
            one_of(url, &[STAC_ITEM])
        }
        Type::Directory => one_of(formatted("string", "uri"), &[STAC_ITEM, STAC_COLLECTION, FEATURE_COLLECTION]),
        Type::Array(array) => object([("type", text("array")), ("items", Value::Record(schema(&array.items, file)))]),
        Type::Enum(symbols) => {
            let symbols = symbols.symbols.iter().map(|symbol| text(symbol)).collect();
            object([("type", text("string")), ("enum", Value::Array(symbols))])
        }
        Type::Record(record) => record_schema(record),
        Type::Union(members) => {
            let mut solid = members.iter().filter(|member| **member != Type::Null);
            let mut union = match (solid.next(), solid.next()) {
                (Some(only), None) => schema(only, file),
                _ => {
                    let members = members.iter().filter(|member| **member != Type::Null);
                    let members = members.map(|member| Value::Record(schema(member, file))).collect();
                    object([("anyOf", Value::Array(members))])
                }
            };
            if members.contains(&Type::Null) {
                union.insert("nullable".to_owned(), Value::Bool(true));
            }
            union
        }
    }
}

fn record_schema(record: &RecordType) -> Record {
    let name = record.name.as_deref().unwrap_or("");
    let (url, short) = uri::split_fragment(name);
    let format = STRING_FORMATS.iter().find(|(known, _)| Some(*known) == short);
    if let (true, Some((_, format))) = (url.ends_with("/string_format.yaml"), format) {
        return object([("type", text("string")), ("format", text(format))]);
    }
    let properties = record.fields.iter().map(|field| {
        let mut property = schema(&field.type_, &field.file);
        describe_names(&mut property, field.label.as_deref(), field.doc.as_deref());
        (field.name.clone(), Value::Record(property))
    });
    let required = record.fields.iter().filter(|field| !allows_null(&field.type_)).map(|field| text(&field.name));
    let mut described = object([("type", text("object")), ("properties", Value::Record(properties.collect()))]);
    described.insert("required".to_owned(), Value::Array(required.collect()));
    if url.ends_with("/ogc.yaml") && short == Some("BBox") {
        described.insert("format".to_owned(), text("ogc-bbox"));
    }
    described
}

fn one_of(url: Record, schemas: &[&str]) -> Record {
    let references = schemas.iter().map(|schema| Value::Record(object([("$ref", text(schema))])));
    object([("oneOf", Value::Array([Value::Record(url)].into_iter().chain(references).collect()))])
}

/// The media type that an IANA format IRI names.
fn media_type(format: &[Template]) -> Option<&str> {
    const REGISTRY: &str = "https://www.iana.org/assignments/media-types/";
    format.first()?.source.strip_prefix(REGISTRY)
}

/// `s:softwareVersion` of the process, then of the document.
fn version(package: &Package) -> String {
    let header = package.processes[package.entry.0].header();
    let found = ["softwareVersion", "version"].iter().find_map(|term| {
        schema_org(&header.metadata, package, term).or_else(|| schema_org(&package.metadata, package, term))
    });
    match found {
        Some(Value::String(version)) => version.clone(),
        Some(Value::Number(Number::Int(version))) => version.to_string(),
        Some(Value::Number(Number::Float(version))) => format!("{version:?}"),
        _ => "unknown".to_owned(),
    }
}

/// The value of a schema.org term under whatever prefix the document gives it.
fn schema_org<'m>(metadata: &'m IndexMap<String, Value>, package: &Package, term: &str) -> Option<&'m Value> {
    let is_meant = |key: &str| {
        let (prefix, rest) = key.split_once(':').unwrap_or(("", key));
        let known = package.namespaces.get(prefix).map_or(prefix == "s", |iri| iri.contains("://schema.org"));
        known && rest == term
    };
    metadata.iter().find(|(key, _)| is_meant(key)).map(|(_, value)| value)
}

/// `s:author` as OGC metadata.
fn authors(package: &Package) -> Vec<Value> {
    let header = package.processes[package.entry.0].header();
    let stated =
        schema_org(&header.metadata, package, "author").or_else(|| schema_org(&package.metadata, package, "author"));
    let authors = match stated {
        Some(Value::Array(authors)) => authors.as_slice(),
        Some(author) => std::slice::from_ref(author),
        None => &[],
    };
    let described = authors.iter().map(|author| {
        let value = match author {
            Value::Record(members) => {
                let mut person = object([("@context", text("https://schema.org")), ("@type", text("Person"))]);
                let rest = members.iter().filter(|(key, _)| *key != "class");
                person.extend(rest.map(|(key, value)| (key.clone(), value.clone())));
                Value::Record(person)
            }
            other => other.clone(),
        };
        Value::Record(object([("role", text("https://schema.org/author")), ("value", value)]))
    });
    described.collect()
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::File(_) | Value::Directory(_) => false,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Record(members) => members.values().all(is_plain),
        _ => true,
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Record {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn int(number: i64) -> Value {
    Value::Number(Number::Int(number))
}

fn list<const N: usize>(texts: [&str; N]) -> Value {
    Value::Array(texts.into_iter().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Fetch, FetchError, load_text};

    struct Nothing;
    impl Fetch for Nothing {
        fn fetch(&self, _: &str) -> Result<String, FetchError> {
            Err(FetchError("no such file".to_owned()))
        }
    }

    /// The member at a JSON pointer.
    fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
        pointer.split('/').skip(1).try_fold(value, |value, part| match value {
            Value::Record(members) => members.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    #[test]
    fn types_defaults_and_metadata_become_a_process_description() {
        let package = load_text(
            "file:///p/a.cwl",
            "cwlVersion: v1.2
$namespaces: {s: 'https://schema.org/'}
s:softwareVersion: 1.4.1
s:author: [{class: s:Person, s.name: Jane}]
$graph:
- class: Workflow
  id: water-bodies
  label: Water
  doc: [Finds, water]
  inputs:
    epsg: {type: string, default: '', label: EPSG}
    n: int?
    bands: string[]
    scene: Directory
    url: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI?
    box: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml#BBox
    mode: {type: {type: enum, symbols: [fast, good]}}
    either: [int, string, 'null']
  outputs: {catalog: {type: Directory, outputSource: scene}}
  steps: []
",
            None,
            &Nothing,
        )
        .unwrap();
        let description = describe(&package);
        for (pointer, expected) in [
            ("/id", "water-bodies"),
            ("/title", "Water"),
            ("/description", "Finds\nwater"),
            ("/version", "1.4.1"),
            ("/metadata/0/value/s.name", "Jane"),
            ("/inputs/epsg/schema/default", ""),
            ("/inputs/epsg/title", "EPSG"),
            ("/inputs/n/schema/format", "int32"),
            ("/inputs/n/metadata/0/value", "int?"),
            ("/inputs/bands/schema/items/type", "string"),
            ("/inputs/bands/metadata/0/value", "string[]"),
            ("/inputs/scene/schema/oneOf/0/format", "uri"),
            ("/inputs/url/schema/format", "uri"),
            ("/inputs/box/schema/format", "ogc-bbox"),
            ("/inputs/box/schema/required/0", "bbox"),
            ("/inputs/mode/schema/enum/1", "good"),
            ("/inputs/either/schema/anyOf/0/type", "integer"),
            ("/outputs/catalog/schema/oneOf/3/$ref", FEATURE_COLLECTION),
        ] {
            assert_eq!(at(&description, pointer), Some(&text(expected)), "{pointer}");
        }
        assert_eq!(at(&description, "/inputs/n/schema/nullable"), Some(&Value::Bool(true)));
        let occurs = |id: &str| at(&description, &format!("/inputs/{id}/minOccurs")).cloned();
        assert_eq!((occurs("epsg"), occurs("n"), occurs("bands")), (Some(int(0)), Some(int(0)), Some(int(1))));
    }
}
