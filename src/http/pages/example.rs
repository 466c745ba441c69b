//! An execute request that fits a process, made of its description.

use serde_json::{Map, Value as Json, json};

/// A command that executes the process.
pub(super) fn curl(url: &str, description: &Json) -> String {
    let body = json!({"inputs": inputs(description)});
    let body = serde_json::to_string_pretty(&body).unwrap_or_default().replace('\'', "'\\''");
    format!(
        "curl -i '{url}' \\\n  -H 'Content-Type: application/json' \\\n  -H 'Prefer: respond-async' \\\n  -d '{body}'"
    )
}

/// A value for every input that must be given.
pub(crate) fn inputs(description: &Json) -> Json {
    let inputs = description.get("inputs").and_then(Json::as_object).into_iter().flatten();
    let required = inputs.filter(|(_, input)| input.get("minOccurs") != Some(&json!(0)));
    Json::Object(required.map(|(id, input)| (id.clone(), value(input.get("schema").unwrap_or(&Json::Null)))).collect())
}

/// A value of a schema of the standard's `schema.yaml`.
fn value(schema: &Json) -> Json {
    for name in ["default", "example"] {
        if let Some(value) = schema.get(name) {
            return value.clone();
        }
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    if let Some(parts) = schema.get("allOf").and_then(Json::as_array) {
        let is_bbox = parts.iter().any(|part| part.get("format") == Some(&json!("ogc-bbox")));
        if is_bbox {
            return json!({"bbox": [-121.4, 39.8, -120.7, 40.5]});
        }
    }
    for name in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema.get(name).and_then(|schemas| schemas.get(0)) {
            return value(first);
        }
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("string") => string(schema.get("format").and_then(Json::as_str)),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("number") => schema.get("minimum").cloned().unwrap_or(json!(1.5)),
        Some("boolean") => json!(true),
        Some("array") => json!([value(schema.get("items").unwrap_or(&Json::Null))]),
        Some("object") => {
            let properties = schema.get("properties").and_then(Json::as_object);
            let required = schema.get("required").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
            let is_required = |name: &str| required.iter().any(|required| required == name);
            let properties = properties.into_iter().flatten().filter(|(name, _)| is_required(name));
            Json::Object(properties.map(|(name, schema)| (name.clone(), value(schema))).collect::<Map<_, _>>())
        }
        _ => json!("…"),
    }
}

fn string(format: Option<&str>) -> Json {
    match format {
        Some("uri") => json!("https://example.org/item.json"),
        Some("date") => json!("2026-01-01"),
        Some("date-time") => json!("2026-01-01T00:00:00Z"),
        _ => json!("text"),
    }
}
