//! A schema in one line, as a person would say it: `string[]`, `integer, 1 to 10, default 3`.

use serde_json::Value as Json;

/// Alternatives that are told apart at most; more are "one of several".
const ALTERNATIVES: usize = 3;

/// The type, the values that are allowed, and what there is without one.
pub(super) fn line(schema: &Json) -> String {
    let number = |name: &str| schema.get(name).filter(|bound| bound.is_number());
    let range = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("{least} or more")),
        (None, Some(most)) => Some(format!("{most} at most")),
        (None, None) => None,
    };
    let default = schema.get("default").map(|default| format!("default {}", word(default)));
    [Some(type_of(schema)), range, default].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The type alone.
pub(super) fn type_of(schema: &Json) -> String {
    let text = |name: &str| schema.get(name).and_then(Json::as_str);
    let list = |name: &str| schema.get(name).and_then(Json::as_array);
    if let Some(name) = text("$ref").and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    if let Some(values) = list("enum") {
        return values.iter().map(word).collect::<Vec<_>>().join(" | ");
    }
    if let Some(schemas) = list("oneOf").or_else(|| list("anyOf")) {
        let mut types: Vec<String> = schemas.iter().map(type_of).collect();
        types.dedup();
        return if types.len() > ALTERNATIVES { "one of several".to_owned() } else { types.join(" or ") };
    }
    if let Some(parts) = list("allOf") {
        return parts.iter().map(type_of).find(|type_| type_ != "anything").unwrap_or_else(|| "anything".to_owned());
    }
    match (text("type"), text("format").or_else(|| text("contentMediaType"))) {
        (Some("array"), _) => {
            let items = schema.get("items").map_or_else(|| "anything".to_owned(), type_of);
            if items.contains(' ') { format!("({items})[]") } else { format!("{items}[]") }
        }
        (Some(type_), Some(format)) => format!("{type_} ({format})"),
        (Some(type_), None) => type_.to_owned(),
        (None, Some(format)) => format.to_owned(),
        (None, None) => "anything".to_owned(),
    }
}

/// A value as it is typed in: a text without its quotes.
pub(super) fn word(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_one_line() {
        let lines = [
            json!({"type": "array", "items": {"type": "string"}, "default": ["green", "nir"]}),
            json!({"type": "integer", "minimum": 1, "maximum": 10, "default": 3}),
            json!({"type": "array", "items": {"type": "string", "enum": ["json", "html"]}}),
            json!({"oneOf": [{"type": "string", "format": "uri"}, {"$ref": "#/components/schemas/link"}]}),
            json!({"allOf": [{"format": "ogc-bbox"}, {}]}),
            json!({}),
        ]
        .map(|schema| line(&schema));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        string[], default ["green","nir"]
        integer, 1 to 10, default 3
        (json | html)[]
        string (uri) or link
        ogc-bbox
        anything
        "#);
    }
}
