//! CWL types for JSON schemas of a process description: what a container's inputs and outputs are. Pure.

use serde_json::{Value as Json, json};

/// The CWL type (as CWL text in JSON) of values of a schema; what no CWL type describes is `Any`.
///
/// Strings that hold a file (`contentMediaType`, `contentEncoding`, format `file` or `binary`) are Files; format `directory`
/// is a Directory (20-044, "inputBinding").
pub fn cwl_type(schema: &Json) -> Json {
    let plain = not_null(schema);
    if schema["nullable"] == true { optional(&plain) } else { plain }
}

/// The same type or null.
pub fn optional(type_: &Json) -> Json {
    union([json!("null"), type_.clone()])
}

/// An array of a type.
pub fn array(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

/// Whether values of the type may be of a class: the type itself, an array of it, one of several.
pub fn holds(type_: &Json, class: &str) -> bool {
    match type_ {
        Json::String(name) => name == class,
        Json::Array(types) => types.iter().any(|type_| holds(type_, class)),
        other => other["type"] == "array" && holds(&other["items"], class),
    }
}

fn not_null(schema: &Json) -> Json {
    for several in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[several].as_array().filter(|schemas| !schemas.is_empty()) {
            return union(schemas.iter().map(cwl_type));
        }
    }
    match schema["type"].as_str() {
        Some("boolean") => json!("boolean"),
        Some("integer") if schema["format"] == "int32" => json!("int"),
        Some("integer") => json!("long"),
        Some("number") => json!("double"),
        Some("array") => array(&cwl_type(&schema["items"])),
        Some("string") => string(schema),
        _ => json!("Any"),
    }
}

fn string(schema: &Json) -> Json {
    let holds_file = schema.get("contentMediaType").is_some() || schema.get("contentEncoding").is_some();
    let symbols = schema["enum"].as_array().map(|symbols| symbols.iter().filter_map(Json::as_str));
    match (schema["format"].as_str(), symbols) {
        (Some("directory"), _) => json!("Directory"),
        (Some("file" | "binary" | "byte"), _) => json!("File"),
        _ if holds_file => json!("File"),
        (_, Some(symbols)) => {
            let mut unique: Vec<&str> = Vec::new();
            for symbol in symbols {
                if !unique.contains(&symbol) {
                    unique.push(symbol);
                }
            }
            json!({"type": "enum", "symbols": unique})
        }
        _ => json!("string"),
    }
}

/// One of several types: flat, each once; `Any` takes all others but null.
fn union(types: impl IntoIterator<Item = Json>) -> Json {
    let mut members: Vec<Json> = Vec::new();
    for type_ in types {
        let several = match type_ {
            Json::Array(several) => several,
            one => vec![one],
        };
        for one in several {
            if !members.contains(&one) {
                members.push(one);
            }
        }
    }
    if members.contains(&json!("Any")) {
        members.retain(|member| *member == "Any" || *member == "null");
    }
    match <[Json; 1]>::try_from(members) {
        Ok([only]) => only,
        Err(several) => Json::Array(several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_scalars_files_and_arrays_have_their_cwl_types() {
        for (schema, type_) in [
            (json!({"type": "string"}), json!("string")),
            (json!({"type": "integer"}), json!("long")),
            (json!({"type": "integer", "format": "int32"}), json!("int")),
            (json!({"type": "number"}), json!("double")),
            (json!({"type": "boolean", "nullable": true}), json!(["null", "boolean"])),
            (json!({"type": "array", "items": {"type": "string"}}), json!({"type": "array", "items": "string"})),
            (json!({"type": "string", "enum": ["a", "b", "a"]}), json!({"type": "enum", "symbols": ["a", "b"]})),
            (json!({"type": "string", "format": "directory"}), json!("Directory")),
            (json!({"type": "string", "contentMediaType": "image/tiff"}), json!("File")),
            (json!({"type": "object"}), json!("Any")),
            (json!({}), json!("Any")),
            (json!({"allOf": [{"format": "ogc-bbox"}]}), json!("Any")),
        ] {
            assert_eq!(cwl_type(&schema), type_, "{schema}");
        }
    }

    #[test]
    fn alternatives_are_a_flat_union() {
        let images = json!({"oneOf": [
            {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/tiff"},
            {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
        ]});
        assert_eq!(cwl_type(&images), "File");
        let either = json!({"anyOf": [{"type": "integer", "nullable": true}, {"type": "string"}]});
        assert_eq!(cwl_type(&either), json!(["null", "long", "string"]));
        assert_eq!(cwl_type(&json!({"oneOf": [{"type": "string"}, {"type": "object"}]})), "Any");
    }
}
