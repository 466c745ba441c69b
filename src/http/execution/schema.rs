//! Values against the schemas of a process description: the subset of OpenAPI 3.0's schemas that 18-062r2's `schema.yaml`
//! has and [`weir_cwl::description`] makes. What is not known here restricts nothing.

use serde_json::{Map, Value as Json};

use super::mistake::{Mistakes, below, clipped, listed, shown};
use super::{format, pattern};
use crate::results::offer::is_same;

/// A value, and what a qualified value says of it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The value.
    pub value: &'a Json,
    /// `mediaType`: picks the alternative (18-062r2, `/req/core/process-execute-input-inline-mixed-type`).
    pub media_type: Option<&'a str>,
}

/// Adds what keeps the value from fitting.
pub fn check(schema: &Json, given: Given<'_>, pointer: &str, mistakes: &mut Mistakes) {
    let Some(schema) = schema.as_object() else { return };
    if mistakes.is_full() || (given.value.is_null() && schema.get("nullable") == Some(&Json::Bool(true))) {
        return;
    }
    for part in alternatives(schema, "allOf") {
        let mut found = Mistakes::default();
        check(part, given, pointer, &mut found);
        mistakes.extend_elsewhere(found);
    }
    for keyword in ["oneOf", "anyOf"] {
        let several: Vec<&Json> = alternatives(schema, keyword).collect();
        if !several.is_empty() {
            any_of(&several, given, pointer, mistakes);
        }
    }
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        format::check_reference(reference, given.value, pointer, mistakes);
    }
    check_media_type(schema, given, pointer, mistakes);
    if let Some(symbols) = schema.get("enum").and_then(Json::as_array)
        && !symbols.contains(given.value)
    {
        mistakes.add(pointer, format!("{} is not among its values", shown(given.value)), expected(schema));
        return;
    }
    if let Some(type_) = schema.get("type").and_then(Json::as_str)
        && !is_of(type_, given.value)
    {
        mistakes.add(pointer, format!("it is {}", shown(given.value)), expected(schema));
        return;
    }
    match given.value {
        Json::String(text) => check_string(schema, text, pointer, mistakes),
        Json::Number(number) => check_number(schema, number, pointer, mistakes),
        Json::Array(items) => check_array(schema, items, pointer, mistakes),
        Json::Object(members) => check_object(schema, members, given.value, pointer, mistakes),
        Json::Null | Json::Bool(_) => {}
    }
}

/// Whether a value fits.
pub fn fits(schema: &Json, given: Given<'_>) -> bool {
    let mut mistakes = Mistakes::default();
    check(schema, given, "", &mut mistakes);
    mistakes.is_empty()
}

/// What would be right, as an instruction: `write an integer`.
pub fn expected(schema: &Map<String, Json>) -> String {
    format!("write {}", described(schema))
}

fn alternatives<'a>(schema: &'a Map<String, Json>, keyword: &str) -> impl Iterator<Item = &'a Json> {
    schema.get(keyword).and_then(Json::as_array).into_iter().flatten()
}

/// `oneOf` like `anyOf`: alternatives often differ in their media types alone, and the first is the default then
/// (18-062r2, `/req/ogc-process-description/input-mixed-type`).
fn any_of(several: &[&Json], given: Given<'_>, pointer: &str, mistakes: &mut Mistakes) {
    if several.iter().any(|schema| fits(schema, given)) {
        return;
    }
    // The alternative that fits outwardly says more about the mistake than the choice as a whole.
    let type_of = |schema: &Json| schema.get("type").and_then(Json::as_str).map(str::to_owned);
    let near: Vec<&&Json> =
        several.iter().filter(|schema| type_of(schema).is_some_and(|type_| is_of(&type_, given.value))).collect();
    if let [only] = near[..] {
        return check(only, given, pointer, mistakes);
    }
    let is_wrong_media_type =
        !near.is_empty() && near.iter().any(|schema| fits(schema, Given { media_type: None, ..given }));
    if let (true, Some(media_type)) = (is_wrong_media_type, given.media_type) {
        let stated = several.iter().filter_map(|schema| schema.get("contentMediaType").and_then(Json::as_str));
        mistakes.add(pointer, format!("its media type is {media_type:?}"), format!("write one of {}", listed(stated)));
        return;
    }
    let mut right: Vec<String> = several.iter().filter_map(|schema| schema.as_object().map(described)).collect();
    right.dedup();
    mistakes.add(pointer, format!("it is {}", shown(given.value)), format!("write {}", right.join(", or ")));
}

fn check_media_type(schema: &Map<String, Json>, given: Given<'_>, pointer: &str, mistakes: &mut Mistakes) {
    let stated = schema.get("contentMediaType").and_then(Json::as_str);
    if let (Some(stated), Some(sent)) = (stated, given.media_type)
        && !is_same(stated, sent)
    {
        mistakes.add(pointer, format!("its media type is {sent:?}"), format!("write {stated:?}"));
    }
}

fn is_of(type_: &str, value: &Json) -> bool {
    match type_ {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // JSON knows no integers: 3.0 is one (JSON Schema, "type").
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn check_string(schema: &Map<String, Json>, text: &str, pointer: &str, mistakes: &mut Mistakes) {
    let length = text.chars().count();
    bounds(schema, "minLength", "maxLength", length, "characters", pointer, mistakes);
    if let Some(wanted) = schema.get("pattern").and_then(Json::as_str)
        && pattern::matches(wanted, text) == Some(false)
    {
        let right = format!("write a text that matches {}", clipped(wanted));
        mistakes.add(pointer, format!("it is {}", shown(&text.into())), right);
    }
    if let Some(format) = schema.get("format").and_then(Json::as_str) {
        format::check_string(format, text, pointer, mistakes);
    }
    let encoding = schema.get("contentEncoding").or_else(|| schema.get("format")).and_then(Json::as_str);
    if matches!(encoding, Some("binary" | "base64" | "byte")) && !format::is_base64(text) {
        mistakes.add(pointer, format!("it is {}", shown(&text.into())), "write the bytes in base64 (RFC 4648)");
    }
}

fn check_number(schema: &Map<String, Json>, number: &serde_json::Number, pointer: &str, mistakes: &mut Mistakes) {
    let Some(value) = number.as_f64() else { return };
    let limit = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
    // OpenAPI 3.0 has a flag, later drafts of JSON Schema the number itself.
    let is_exclusive = |keyword: &str| schema.get(keyword) == Some(&Json::Bool(true));
    let mut rule = |is_broken: bool, right: String| {
        if is_broken {
            mistakes.add(pointer, format!("it is {number}"), right);
        }
    };
    if let Some(minimum) = limit("minimum") {
        let is_exclusive = is_exclusive("exclusiveMinimum");
        let words = if is_exclusive { "more than" } else { "at least" };
        rule(value < minimum || (is_exclusive && value <= minimum), format!("write {words} {minimum}"));
    }
    if let Some(maximum) = limit("maximum") {
        let is_exclusive = is_exclusive("exclusiveMaximum");
        let words = if is_exclusive { "less than" } else { "at most" };
        rule(value > maximum || (is_exclusive && value >= maximum), format!("write {words} {maximum}"));
    }
    if let Some(minimum) = limit("exclusiveMinimum") {
        rule(value <= minimum, format!("write more than {minimum}"));
    }
    if let Some(maximum) = limit("exclusiveMaximum") {
        rule(value >= maximum, format!("write less than {maximum}"));
    }
    if let Some(step) = limit("multipleOf").filter(|step| *step > 0.0) {
        let steps = value / step;
        rule((steps - steps.round()).abs() > 1e-9, format!("write a multiple of {step}"));
    }
    if schema.get("format").and_then(Json::as_str) == Some("int32") {
        let is_broken = value < f64::from(i32::MIN) || value > f64::from(i32::MAX);
        rule(is_broken, "write an integer of 32 bits".to_owned());
    }
}

fn check_array(schema: &Map<String, Json>, items: &[Json], pointer: &str, mistakes: &mut Mistakes) {
    bounds(schema, "minItems", "maxItems", items.len(), "elements", pointer, mistakes);
    if let Some(schema) = schema.get("items") {
        for (at, value) in items.iter().enumerate() {
            if mistakes.is_full() {
                return;
            }
            check(schema, Given { value, media_type: None }, &format!("{pointer}/{at}"), mistakes);
        }
    }
    if schema.get("uniqueItems") == Some(&Json::Bool(true)) {
        // In the order of their texts equal ones are neighbours.
        let mut texts: Vec<String> = items.iter().map(Json::to_string).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) {
            mistakes.add(pointer, "some elements are equal", "write each once");
        }
    }
}

fn check_object(
    schema: &Map<String, Json>,
    members: &Map<String, Json>,
    value: &Json,
    pointer: &str,
    mistakes: &mut Mistakes,
) {
    if let Some(format) = schema.get("format").and_then(Json::as_str) {
        format::check_object(format, value, pointer, mistakes);
    }
    let properties = schema.get("properties").and_then(Json::as_object);
    for name in alternatives(schema, "required").filter_map(Json::as_str) {
        if !members.contains_key(name) {
            let property = properties.and_then(|properties| properties.get(name)).and_then(Json::as_object);
            let right = property.map_or_else(|| "write it".to_owned(), expected);
            mistakes.add(&below(pointer, name), "it is missing", right);
        }
    }
    bounds(schema, "minProperties", "maxProperties", members.len(), "members", pointer, mistakes);
    for (name, value) in members {
        let given = Given { value, media_type: None };
        let property = properties.and_then(|properties| properties.get(name));
        match property.or_else(|| schema.get("additionalProperties")) {
            Some(Json::Bool(false)) => {
                let known = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                mistakes.add(&below(pointer, name), "there is no such member", format!("there are: {}", listed(known)));
            }
            Some(schema) => check(schema, given, &below(pointer, name), mistakes),
            None => {}
        }
    }
}

fn bounds(
    schema: &Map<String, Json>,
    least: &str,
    most: &str,
    count: usize,
    unit: &str,
    pointer: &str,
    mistakes: &mut Mistakes,
) {
    let bound =
        |keyword: &str| schema.get(keyword).and_then(Json::as_u64).and_then(|bound| usize::try_from(bound).ok());
    let unit = if count == 1 { unit.trim_end_matches('s') } else { unit };
    if let Some(least) = bound(least).filter(|least| count < *least) {
        mistakes.add(pointer, format!("it has {count} {unit}"), format!("write at least {least}"));
    }
    if let Some(most) = bound(most).filter(|most| count > *most) {
        mistakes.add(pointer, format!("it has {count} {unit}"), format!("write at most {most}"));
    }
}

/// What a schema asks for, in words: `a list of integers`.
fn described(schema: &Map<String, Json>) -> String {
    let text = |keyword: &str| schema.get(keyword).and_then(Json::as_str);
    if let Some(symbols) = schema.get("enum").and_then(Json::as_array) {
        let symbols: Vec<String> =
            symbols.iter().map(|symbol| symbol.as_str().map_or_else(|| symbol.to_string(), str::to_owned)).collect();
        return format!("one of {}", listed(symbols.iter().map(String::as_str)));
    }
    let several: Vec<String> = ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .flat_map(|keyword| alternatives(schema, keyword))
        .filter_map(|schema| schema.as_object().map(described))
        .collect();
    if let Some((first, _)) = several.split_first() {
        return if schema.contains_key("allOf") { first.clone() } else { several.join(", or ") };
    }
    if let Some(words) =
        text("$ref").map(format::reference_in_words).or_else(|| text("format").and_then(format::in_words))
    {
        return words.to_owned();
    }
    match (text("type"), text("contentMediaType")) {
        (Some("string"), Some(media_type)) => format!("{media_type} in base64"),
        (Some("string"), None) => "a string".to_owned(),
        (Some("boolean"), _) => "true or false".to_owned(),
        (Some("number"), _) => "a number".to_owned(),
        (Some("integer"), _) => "an integer".to_owned(),
        (Some("array"), _) => match schema.get("items").and_then(Json::as_object) {
            Some(items) if !items.is_empty() => format!("a list, each {}", described(items)),
            _ => "a list".to_owned(),
        },
        (Some("object"), _) => match schema.get("properties").and_then(Json::as_object) {
            Some(properties) if !properties.is_empty() => {
                format!("an object with {}", listed(properties.keys().map(String::as_str)))
            }
            _ => "an object".to_owned(),
        },
        _ => "a value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "schemas and values are written where they are read")]
    fn wrong(schema: Json, value: Json) -> String {
        let mut mistakes = Mistakes::default();
        check(&schema, Given { value: &value, media_type: None }, "/inputs/x", &mut mistakes);
        mistakes.to_string()
    }

    #[test]
    fn scalars_are_of_their_type_and_within_their_bounds() {
        assert_eq!(wrong(json!({"type": "integer", "format": "int32"}), json!(3)), "");
        assert_eq!(wrong(json!({"type": "number"}), json!(3)), "");
        assert_eq!(wrong(json!({"type": "string", "nullable": true}), json!(null)), "");
        insta::assert_snapshot!(wrong(json!({"type": "integer"}), json!(3.5)), @"/inputs/x: it is the number 3.5; write an integer");
        insta::assert_snapshot!(wrong(json!({"type": "integer", "format": "int32"}), json!(3_000_000_000_i64)), @"/inputs/x: it is 3000000000; write an integer of 32 bits");
        insta::assert_snapshot!(wrong(json!({"type": "string"}), json!(5)), @"/inputs/x: it is the integer 5; write a string");
        insta::assert_snapshot!(wrong(json!({"type": "string"}), json!(null)), @"/inputs/x: it is null; write a string");
        insta::assert_snapshot!(wrong(json!({"type": "string", "enum": ["green", "nir"]}), json!("red")), @r#"/inputs/x: the string "red" is not among its values; write one of green, nir"#);
        insta::assert_snapshot!(wrong(json!({"type": "number", "minimum": 0, "maximum": 60}), json!(-1)), @"/inputs/x: it is -1; write at least 0");
        insta::assert_snapshot!(wrong(json!({"type": "number", "maximum": 60, "exclusiveMaximum": true}), json!(60)), @"/inputs/x: it is 60; write less than 60");
        insta::assert_snapshot!(wrong(json!({"type": "string", "format": "date-time"}), json!("yesterday")), @r#"/inputs/x: it is the string "yesterday"; write a time like 2024-10-22T04:18:54Z"#);
    }

    #[test]
    fn lists_and_objects_are_looked_into() {
        let bands = json!({"type": "array", "items": {"type": "string"}, "minItems": 2});
        insta::assert_snapshot!(wrong(bands.clone(), json!("green")), @r#"/inputs/x: it is the string "green"; write a list, each a string"#);
        insta::assert_snapshot!(wrong(bands.clone(), json!([1, "nir", null])), @"
        /inputs/x/0: it is the integer 1; write a string
        /inputs/x/2: it is null; write a string
        ");
        insta::assert_snapshot!(wrong(bands, json!(["a"])), @"/inputs/x: it has 1 element; write at least 2");
        let record = json!({
            "type": "object",
            "properties": {"name": {"type": "string"}, "index": {"type": "integer"}},
            "required": ["name"],
            "additionalProperties": false,
        });
        assert_eq!(wrong(record.clone(), json!({"name": "a"})), "");
        insta::assert_snapshot!(wrong(record, json!({"index": "1", "nme": 2})), @r#"
        /inputs/x/name: it is missing; write a string
        /inputs/x/index: it is the string "1"; write an integer
        /inputs/x/nme: there is no such member; there are: name, index
        "#);
    }

    #[test]
    fn of_alternatives_the_nearest_explains_the_mistake() {
        let either = json!({"oneOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "integer", "minimum": 1}]});
        assert_eq!(wrong(either.clone(), json!("a")), "");
        assert_eq!(wrong(either.clone(), json!(1)), "");
        insta::assert_snapshot!(wrong(either.clone(), json!("c")), @r#"/inputs/x: the string "c" is not among its values; write one of a, b"#);
        insta::assert_snapshot!(wrong(either, json!(true)), @"/inputs/x: it is true; write one of a, b, or an integer");
    }

    #[test]
    fn the_media_type_picks_the_alternative_and_the_first_is_the_default() {
        let image = json!({"oneOf": [
            {"type": "string", "contentEncoding": "binary", "contentMediaType": "image/tiff; application=geotiff"},
            {"type": "string", "contentEncoding": "binary", "contentMediaType": "image/jp2"},
        ]});
        let check = |value: Json, media_type: Option<&str>| {
            let mut mistakes = Mistakes::default();
            check(&image, Given { value: &value, media_type }, "/inputs/image", &mut mistakes);
            mistakes.to_string()
        };
        assert_eq!(check(json!("SUkqAA=="), None), "");
        assert_eq!(check(json!("SUkqAA=="), Some("image/tiff;application=geotiff")), "");
        assert_eq!(check(json!("SUkqAA=="), Some("image/tiff")), "");
        insta::assert_snapshot!(check(json!("SUkqAA=="), Some("image/png")), @r#"/inputs/image: its media type is "image/png"; write one of image/tiff; application=geotiff, image/jp2"#);
        insta::assert_snapshot!(check(json!("no base64!"), None), @r#"/inputs/image: it is the string "no base64!"; write image/tiff; application=geotiff in base64, or image/jp2 in base64"#);
        insta::assert_snapshot!(check(json!({"type": "wrong/type"}), None), @"/inputs/image: it is an object with type; write image/tiff; application=geotiff in base64, or image/jp2 in base64");
    }

    #[test]
    fn a_text_matches_the_pattern_of_its_schema() {
        let code = json!({"type": "string", "pattern": "^EPSG:[0-9]+$"});
        assert_eq!(wrong(code.clone(), json!("EPSG:4326")), "");
        insta::assert_snapshot!(wrong(code.clone(), json!("4326")), @r#"/inputs/x: it is the string "4326"; write a text that matches ^EPSG:[0-9]+$"#);
        let codes = json!({"type": "array", "items": code});
        insta::assert_snapshot!(wrong(codes, json!(["EPSG:1", "x"])), @r#"/inputs/x/1: it is the string "x"; write a text that matches ^EPSG:[0-9]+$"#);
        assert_eq!(wrong(json!({"type": "string", "pattern": "(?!x)"}), json!("x")), "");
    }

    #[test]
    fn a_bounding_box_is_one() {
        let bbox = json!({"allOf": [{"format": "ogc-bbox"}, {"type": "object", "required": ["bbox"]}]});
        assert_eq!(
            wrong(
                bbox.clone(),
                json!({"bbox": [51.9, 7, 52, 7.1], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"})
            ),
            ""
        );
        insta::assert_snapshot!(wrong(bbox.clone(), json!({"bbox": [1, 2, 3], "crs": 5})), @"
        /inputs/x/crs: it is the integer 5; write the URI of a coordinate system, or leave it out for CRS84
        /inputs/x/bbox: it is a list of 3; write 4 numbers (minx, miny, maxx, maxy), or 6 with heights
        ");
        let derived = json!({"allOf": [{"format": "ogc-bbox"}, {"type": "object", "properties": {"bbox": {"type": "array", "minItems": 4}, "crs": {"type": "string"}}}]});
        insta::assert_snapshot!(wrong(derived, json!({"bbox": [1, 2, 3]})), @"/inputs/x/bbox: it is a list of 3; write 4 numbers (minx, miny, maxx, maxy), or 6 with heights");
        insta::assert_snapshot!(wrong(bbox.clone(), json!({"box": []})), @"/inputs/x/bbox: it is missing; write 4 numbers (minx, miny, maxx, maxy), or 6 with heights");
        insta::assert_snapshot!(wrong(bbox, json!([1, 2, 3, 4])), @"/inputs/x: it is a list of 4; write an object");
    }

    #[test]
    fn what_a_description_refers_to_is_recognised() {
        let directory = weir_cwl::description::schema(&weir_cwl::Type::Directory);
        assert_eq!(wrong(directory.clone(), json!("https://x.example/item.json")), "");
        assert_eq!(wrong(directory.clone(), json!({"type": "Feature", "stac_version": "1.0.0"})), "");
        insta::assert_snapshot!(wrong(directory.clone(), json!("item.json")), @r#"/inputs/x: it is the string "item.json"; write an absolute URL"#);
        insta::assert_snapshot!(wrong(directory, json!({"type": "Topology"})), @"/inputs/x: it is an object with type; write an absolute URL, or a GeoJSON Feature, or an object with type, or a GeoJSON FeatureCollection");
        let reference = json!({"$ref": "https://schemas.stacspec.org/v1.0.0/item-spec/json-schema/item.json"});
        assert_eq!(wrong(reference.clone(), json!({"type": "Feature"})), "");
        insta::assert_snapshot!(wrong(reference, json!({"type": "Topology"})), @r#"/inputs/x/type: it is the string "Topology"; write Feature"#);
    }
}
