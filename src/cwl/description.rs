//! A process as OGC API - Processes describes it (OGC 18-062r2, §7.10 and Annex "ogc-process-description").
//!
//! Schemas stay inside the OpenAPI 3.0 subset that the standard's own `schema.yaml` allows: without references to others.

use serde_json::{Map, Value as Json, json};

use crate::document::Process;
use crate::schema::{InputParameter, RecordType, Type};
use crate::value::Value;
use crate::{Package, Record};

/// The process description of a package's entry process, without links: these belong to whoever serves it.
///
/// An input is optional (`minOccurs` 0) if null is among its types or it has a default.
pub fn process_description(package: &Package) -> Json {
    let process = &package.processes[package.entry.0];
    let header = process.header();
    let mut description = Map::new();
    description.insert("id".into(), json!(header.id));
    description.insert("title".into(), json!(header.label.as_deref().unwrap_or(&header.id)));
    if let Some(doc) = &header.doc {
        description.insert("description".into(), json!(doc));
    }
    description.insert("version".into(), json!(version(&header.metadata, &package.metadata)));
    description.insert("mutable".into(), json!(true));
    description.insert("jobControlOptions".into(), json!(["async-execute", "sync-execute", "dismiss"]));
    description.insert("outputTransmission".into(), json!(["value", "reference"]));
    description
        .insert("inputs".into(), header.inputs.iter().map(|input| (input.id.clone(), input_of(input))).collect());
    description.insert("outputs".into(), Json::Object(outputs_of(process)));
    Json::Object(description)
}

/// `s:softwareVersion` of the process, else of the document, else `s:version`, else `unknown`.
fn version(process: &Record, document: &Record) -> String {
    let stated = |metadata: &Record| {
        metadata.iter().find_map(|(key, value)| {
            let name = key.rsplit([':', '/', '#']).next().unwrap_or(key);
            (key.contains(':') && matches!(name, "softwareVersion" | "version")).then(|| plain(value)).flatten()
        })
    };
    stated(process).or_else(|| stated(document)).unwrap_or_else(|| "unknown".to_owned())
}

fn plain(value: &Value) -> Option<String> {
    match serde_json::to_value(value).ok()? {
        Json::String(text) => Some(text),
        number @ Json::Number(_) => Some(number.to_string()),
        _ => None,
    }
}

fn input_of(input: &InputParameter) -> Json {
    let mut described = titled(&input.id, input.label.as_deref(), input.doc.as_deref());
    let mut schema = schema(&input.type_);
    if let (Some(default), Some(members)) = (&input.default, schema.as_object_mut())
        && !matches!(default, Value::Null)
        && let Ok(default) = serde_json::to_value(default)
    {
        members.insert("default".into(), default);
    }
    let optional = input.default.is_some() || is_nullable(&input.type_);
    described.insert("schema".into(), schema);
    described.insert("minOccurs".into(), json!(i32::from(!optional)));
    described.insert("maxOccurs".into(), json!(1));
    described.insert("valuePassing".into(), json!(["byValue", "byReference"]));
    described.insert("metadata".into(), cwl_type(&input.type_source));
    Json::Object(described)
}

fn outputs_of(process: &Process) -> Map<String, Json> {
    let describe = |id: &str, label: Option<&str>, doc: Option<&str>, type_: &Type, type_source: &str| {
        let mut described = titled(id, label, doc);
        described.insert("schema".into(), schema(type_));
        described.insert("metadata".into(), cwl_type(type_source));
        (id.to_owned(), Json::Object(described))
    };
    let parameters = match process {
        Process::Workflow(workflow) => {
            return workflow
                .outputs
                .iter()
                .map(|out| describe(&out.id, out.label.as_deref(), out.doc.as_deref(), &out.type_, &out.type_source))
                .collect();
        }
        Process::CommandLineTool(tool) => &tool.outputs,
        Process::ExpressionTool(tool) => &tool.outputs,
        Process::Operation(operation) => &operation.outputs,
    };
    parameters
        .iter()
        .map(|out| describe(&out.id, out.label.as_deref(), out.doc.as_deref(), &out.type_, &out.type_source))
        .collect()
}

fn titled(id: &str, label: Option<&str>, doc: Option<&str>) -> Map<String, Json> {
    let mut described = Map::new();
    described.insert("title".into(), json!(label.unwrap_or(id)));
    if let Some(doc) = doc {
        described.insert("description".into(), json!(doc));
    }
    described
}

fn cwl_type(type_source: &str) -> Json {
    json!([{"title": "cwl:type", "value": type_source}])
}

fn is_nullable(type_: &Type) -> bool {
    match type_ {
        Type::Null => true,
        Type::Union(types) => types.iter().any(is_nullable),
        _ => false,
    }
}

/// The JSON schema of values of a type.
pub fn schema(type_: &Type) -> Json {
    match type_ {
        Type::Null => json!({"nullable": true}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Int => json!({"type": "integer", "format": "int32"}),
        Type::Long => json!({"type": "integer", "format": "int64"}),
        Type::Float => json!({"type": "number", "format": "float"}),
        Type::Double => json!({"type": "number", "format": "double"}),
        Type::String => json!({"type": "string"}),
        Type::File => json!({"oneOf": [{"type": "string", "format": "uri"}, stac_item()]}),
        Type::Directory => json!({"oneOf": [
            {"type": "string", "format": "uri"}, stac_item(), stac_collection(), feature_collection(),
        ]}),
        Type::Any => json!({}),
        Type::Array(array) => json!({"type": "array", "items": schema(&array.items)}),
        Type::Enum(symbols) => json!({"type": "string", "enum": symbols.symbols}),
        Type::Record(record) => record_schema(record),
        Type::Union(types) => union_schema(types),
    }
}

/// By the short codes of 18-062r2 ("ogc-process-description", `format`), where there are some.
fn stac_item() -> Json {
    json!({"type": "object", "format": "geojson-feature"})
}

fn feature_collection() -> Json {
    json!({"type": "object", "format": "geojson-feature-collection"})
}

fn stac_collection() -> Json {
    let type_ = json!({"type": "string", "enum": ["Collection"]});
    json!({"type": "object", "required": ["type", "links"], "properties": {"type": type_}})
}

fn bounding_box() -> Json {
    let numbers = json!({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6});
    let object = json!({
        "type": "object",
        "required": ["bbox"],
        "properties": {"bbox": numbers, "crs": {"type": "string"}},
    });
    json!({"allOf": [{"format": "ogc-bbox"}, object]})
}

/// `oneOf`, as `/req/ogc-process-description/input-mixed-type` has it; the first is the default.
fn union_schema(types: &[Type]) -> Json {
    let some: Vec<Json> = types.iter().filter(|type_| **type_ != Type::Null).map(schema).collect();
    let nullable = some.len() < types.len();
    let mut schema = match <[Json; 1]>::try_from(some) {
        Ok([only]) => only,
        Err(several) => json!({"oneOf": several}),
    };
    if nullable && let Some(members) = schema.as_object_mut() {
        members.insert("nullable".into(), json!(true));
    }
    schema
}

/// The eoap record types stand for JSON strings and bounding boxes; other records are objects.
fn record_schema(record: &RecordType) -> Json {
    if let Some(name) = &record.name {
        if let Some((_, format)) = name.rsplit_once("string_format.yaml#") {
            return json!({"type": "string", "format": string_format(format)});
        }
        if name.ends_with("ogc.yaml#BBox") {
            return bounding_box();
        }
    }
    let required: Vec<&str> =
        record.fields.iter().filter(|field| !is_nullable(&field.type_)).map(|field| field.name.as_str()).collect();
    let properties: Map<String, Json> =
        record.fields.iter().map(|field| (field.name.clone(), schema(&field.type_))).collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The JSON schema format of a type of `string_format.yaml`: `DateTime` is `date-time`, `URI` is `uri`.
fn string_format(name: &str) -> String {
    match name {
        "DateTime" => "date-time".into(),
        "IDNEmail" => "idn-email".into(),
        "IDNHostname" => "idn-hostname".into(),
        "IRIReference" => "iri-reference".into(),
        "JsonPointer" => "json-pointer".into(),
        "RelativeJsonPointer" => "relative-json-pointer".into(),
        "URIReference" => "uri-reference".into(),
        "URITemplate" => "uri-template".into(),
        other => other.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ArrayType, EnumType};

    fn array(items: Type) -> Type {
        Type::Array(Box::new(ArrayType { items, input_binding: None }))
    }

    #[test]
    fn optional_types_are_nullable_schemas_of_the_type() {
        let optional = Type::Union(vec![Type::Null, array(Type::String)]);
        assert_eq!(schema(&optional), json!({"type": "array", "items": {"type": "string"}, "nullable": true}));
    }

    #[test]
    fn several_alternatives_become_one_of() {
        let either = Type::Union(vec![Type::Int, Type::String]);
        assert_eq!(schema(&either), json!({"oneOf": [{"type": "integer", "format": "int32"}, {"type": "string"}]}));
    }

    #[test]
    fn enum_symbols_are_kept_in_order() {
        let band = EnumType { name: None, symbols: vec!["green".into(), "nir".into()], input_binding: None };
        assert_eq!(schema(&Type::Enum(Box::new(band))), json!({"type": "string", "enum": ["green", "nir"]}));
    }

    #[test]
    fn eoap_string_formats_are_strings_with_a_format() {
        let record = RecordType {
            name: Some("https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#DateTime".into()),
            fields: Vec::new(),
            input_binding: None,
        };
        assert_eq!(schema(&Type::Record(Box::new(record))), json!({"type": "string", "format": "date-time"}));
    }
}
