//! The inputs of an execute request become a CWL input object, checked against the process's description and its package.
//!
//! Values come as 18-062r2 has them (`inlineOrRefData.yaml`: plain, qualified, by reference), as its test suite writes
//! them (`format: {mediaType, encoding}`), and as the eoap schemas do (`{class: …#URI, value}`). What each becomes follows
//! from the input's CWL type.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use weir_cwl::description::schema as schema_of;
use weir_cwl::job::{allows_null, check_inputs};
use weir_cwl::schema::RecordType;
use weir_cwl::{Record, Type, Value};

use super::file::{directory, file, guard};
use super::given::{Given, Qualified};
use super::mistake::{Mistakes, below, listed};
use super::schema::{self, Given as Checked};
use crate::backend::ProcessRecord;
use crate::fetcher::Fetched;

/// Values that are given by reference, by the pointers of their links.
pub type References = HashMap<String, Fetched>;

/// The CWL input object, or every mistake; none of those about links that `fetched` lacks, which [`wanted`] names.
pub fn read(
    process: &ProcessRecord,
    given: &Map<String, Json>,
    fetched: &References,
) -> Result<Map<String, Json>, Mistakes> {
    let (values, mut mistakes, missing) = convert(process, given, fetched);
    // A link that leads nowhere has been told by whoever followed it.
    if !mistakes.is_empty() || !missing.is_empty() {
        return Err(mistakes);
    }
    match check_inputs(&process.package.processes[process.package.entry.0], values) {
        Ok(values) => {
            let object = serde_json::to_value(Value::Record(values)).ok();
            object.and_then(|object| if let Json::Object(inputs) = object { Some(inputs) } else { None }).ok_or_else(
                || {
                    mistakes.add("/inputs", "they cannot be written as JSON", "write finite numbers");
                    mistakes
                },
            )
        }
        Err(errors) => {
            for error in errors.0 {
                let right = error.help.unwrap_or_else(|| "see the process description".to_owned());
                mistakes.add(&format!("/inputs{}", error.pointer), error.message, right);
            }
            Err(mistakes)
        }
    }
}

/// Links that must be followed before the inputs can be read: pointer and URL. Files are none of them, these are staged
/// by the job.
pub fn wanted(process: &ProcessRecord, given: &Map<String, Json>) -> Vec<(String, String)> {
    convert(process, given, &References::new()).2
}

fn convert(
    process: &ProcessRecord,
    given: &Map<String, Json>,
    fetched: &References,
) -> (Record, Mistakes, Vec<(String, String)>) {
    let inputs = &process.package.processes[process.package.entry.0].header().inputs;
    let described = process.description.get("inputs").and_then(Json::as_object);
    let mut reader = Reader { fetched, is_binary: false, wanted: Vec::new(), mistakes: Mistakes::default() };
    for name in given.keys().filter(|name| inputs.iter().all(|input| input.id != **name)) {
        let known = listed(inputs.iter().map(|input| input.id.as_str()));
        reader.mistakes.add(&below("/inputs", name), "the process has no such input", format!("there are: {known}"));
    }
    let mut values = Record::new();
    for input in inputs {
        let pointer = below("/inputs", &input.id);
        let description = described.and_then(|described| described.get(&input.id));
        match given.get(&input.id).filter(|value| !value.is_null()) {
            Some(value) => {
                if let Some(value) = reader.input(&input.type_, description, value, &pointer) {
                    values.insert(input.id.clone(), value);
                }
            }
            None if input.default.is_none() && is_required(&input.type_, description) => {
                let schema = description.and_then(|description| description.get("schema")).and_then(Json::as_object);
                let mut right = schema.map_or_else(|| format!("write {}", input.type_), schema::expected);
                if let Some(words) = input.label.as_ref().or(input.doc.as_ref()) {
                    right = format!("{right}: {}", words.trim());
                }
                reader.mistakes.add(&pointer, "the input is missing", right);
            }
            None => {}
        }
    }
    (values, reader.mistakes, reader.wanted)
}

/// Either the package or the description may ask for it (18-062r2, `minOccurs`, which is 1 where it is not stated).
fn is_required(type_: &Type, description: Option<&Json>) -> bool {
    let Some(description) = description else { return !allows_null(type_) };
    let least = description.get("minOccurs").and_then(Json::as_u64).unwrap_or(1);
    let has_default = description.get("schema").is_some_and(|schema| schema.get("default").is_some());
    !allows_null(type_) || (least > 0 && !has_default)
}

struct Reader<'a> {
    fetched: &'a References,
    /// Whether a link stands for bytes, which are no value of JSON: it is passed on.
    is_binary: bool,
    wanted: Vec<(String, String)>,
    mistakes: Mistakes,
}

/// A value as the description's schema sees it, and as CWL does.
struct Both {
    /// Without qualification, files as their URLs; `None`: it cannot be checked here.
    plain: Option<Json>,
    cwl: Json,
    media_type: Option<String>,
}

impl Both {
    fn same(value: Json) -> Self {
        Self { plain: Some(value.clone()), cwl: value, media_type: None }
    }
}

impl Reader<'_> {
    /// One input; `None` after reports.
    fn input(&mut self, type_: &Type, description: Option<&Json>, value: &Json, pointer: &str) -> Option<Value> {
        if !guard(value, pointer, &mut self.mistakes) {
            return None;
        }
        let derived;
        let schema = if let Some(schema) = description.and_then(|description| description.get("schema")) {
            schema
        } else {
            derived = schema_of(type_);
            &derived
        };
        self.is_binary = holds_bytes(schema);
        let both = match (description.and_then(|description| occurrences(description, schema)), value) {
            // Several values of the schema (18-062r2, `/req/core/process-execute-input-array`).
            (Some(range), Json::Array(values))
                if !range.is_list || values.iter().all(Json::is_array) && !values.is_empty() =>
            {
                self.several(type_, schema, &range, values, pointer)?
            }
            (Some(range), Json::Array(values)) if values.len() as u64 > range.most => {
                self.mistakes.add(pointer, format!("there are {} values", values.len()), range.right());
                return None;
            }
            (Some(range), one) if !range.is_list && is_array(type_) => {
                self.several(type_, schema, &range, std::slice::from_ref(one), pointer)?
            }
            (_, value) => self.checked(type_, schema, value, pointer)?,
        };
        match serde_json::from_value(both.cwl) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.add(pointer, error.to_string(), "write a File or Directory as CWL defines it");
                None
            }
        }
    }

    fn several(
        &mut self,
        type_: &Type,
        schema: &Json,
        range: &Occurrences,
        values: &[Json],
        pointer: &str,
    ) -> Option<Both> {
        let count = values.len() as u64;
        if count < range.least || count > range.most {
            self.mistakes.add(pointer, format!("there are {count} values"), range.right());
            return None;
        }
        let element = match type_ {
            Type::Array(array) => &array.items,
            Type::Union(members) => members
                .iter()
                .find_map(|member| if let Type::Array(array) = member { Some(&array.items) } else { None })
                .unwrap_or(type_),
            other => other,
        };
        let all: Vec<Option<Both>> = values
            .iter()
            .enumerate()
            .map(|(at, value)| self.checked(element, schema, value, &format!("{pointer}/{at}")))
            .collect();
        Some(listed_both(all.into_iter().collect::<Option<_>>()?))
    }

    /// A value that fits its schema.
    fn checked(&mut self, type_: &Type, schema: &Json, value: &Json, pointer: &str) -> Option<Both> {
        let both = self.value(type_, value, pointer)?;
        if let Some(plain) = &both.plain {
            let mut found = Mistakes::default();
            let given = Checked { value: plain, media_type: both.media_type.as_deref() };
            schema::check(schema, given, pointer, &mut found);
            if !found.is_empty() {
                self.mistakes.extend(found);
                return None;
            }
        }
        Some(both)
    }

    /// A value as its type has it.
    fn value(&mut self, type_: &Type, value: &Json, pointer: &str) -> Option<Both> {
        match (type_, Given::of(value)) {
            (Type::Union(members), _) => self.union(members, value, pointer),
            (Type::File | Type::Directory, given) => self.entry(type_, value, given, pointer),
            // Objects are left alone where anything goes, but for the one that only says what the value is.
            (Type::Any, Given::Qualified(qualified)) => {
                Some(with_media_type(Both::same(qualified.value.clone()), &qualified))
            }
            (Type::Any, Given::Link { .. }) if self.is_binary => {
                Some(Both { plain: None, cwl: value.clone(), media_type: None })
            }
            (Type::Record(record), Given::Link { href, .. }) if is_string_format(record) => {
                Some(Both::same(href.into()))
            }
            (_, Given::Qualified(qualified)) => {
                let pointer = below(pointer, "value");
                self.value(type_, qualified.value, &pointer).map(|both| with_media_type(both, &qualified))
            }
            (_, Given::Link { href, media_type }) => self.followed(type_, href, media_type, pointer),
            (Type::Array(array), Given::Plain(Json::Array(items))) => {
                let all: Vec<Option<Both>> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.value(&array.items, item, &format!("{pointer}/{at}")))
                    .collect();
                Some(listed_both(all.into_iter().collect::<Option<_>>()?))
            }
            (Type::Record(record), Given::Plain(Json::Object(members))) => self.record(record, members, pointer),
            (_, Given::Plain(value)) => Some(Both::same(value.clone())),
        }
    }

    /// The first member of which the value is one.
    fn union(&mut self, members: &[Type], value: &Json, pointer: &str) -> Option<Both> {
        let solid: Vec<&Type> = members.iter().filter(|member| **member != Type::Null).collect();
        if let [only] = solid[..] {
            return self.value(only, value, pointer);
        }
        if value.is_null() && solid.len() < members.len() {
            return Some(Both::same(Json::Null));
        }
        for member in &solid {
            let mut attempt = Reader { wanted: Vec::new(), mistakes: Mistakes::default(), ..*self };
            let Some(both) = attempt.value(member, value, pointer) else { continue };
            let is_one = serde_json::from_value(both.cwl.clone())
                .is_ok_and(|value| weir_cwl::conform::conform(member, value).is_ok());
            if attempt.mistakes.is_empty() && (is_one || !attempt.wanted.is_empty()) {
                self.wanted.extend(attempt.wanted);
                return Some(both);
            }
        }
        // The schema says what would be right.
        Some(Both::same(value.clone()))
    }

    fn record(&mut self, record: &RecordType, members: &Map<String, Json>, pointer: &str) -> Option<Both> {
        let (mut plain, mut cwl) = (Some(Map::new()), Map::new());
        let is_bbox = record.name.as_deref().is_some_and(|name| name.ends_with("ogc.yaml#BBox"));
        for (name, value) in members {
            // The name of the eoap type, which is no field.
            if name == "class" && record.fields.iter().all(|field| field.name != "class") {
                continue;
            }
            let field = record.fields.iter().find(|field| field.name == *name);
            let both = match field {
                Some(_) if is_bbox && name == "crs" => {
                    let symbol = value.as_str().map_or_else(|| value.clone(), |crs| crs_symbol(crs).into());
                    Both { plain: Some(value.clone()), cwl: symbol, media_type: None }
                }
                Some(field) => self.value(&field.type_, value, &below(pointer, name))?,
                None => Both::same(value.clone()),
            };
            plain = plain.zip(both.plain).map(|(mut plain, value)| {
                plain.insert(name.clone(), value);
                plain
            });
            cwl.insert(name.clone(), both.cwl);
        }
        Some(Both { plain: plain.map(Json::Object), cwl: Json::Object(cwl), media_type: None })
    }

    fn entry(&mut self, type_: &Type, value: &Json, given: Given<'_>, pointer: &str) -> Option<Both> {
        let made = if *type_ == Type::File { file(&given, pointer) } else { directory(&given, pointer) };
        match made {
            Ok(entry) => {
                let plain = Some(entry.url.map_or_else(|| given.value(value).clone(), Json::String));
                // What a URL leads to has no media type yet; what stands in the request has been decoded.
                Some(Both { plain: plain.filter(|_| !entry.is_literal), cwl: entry.cwl, media_type: None })
            }
            Err((pointer, what, right)) => {
                self.mistakes.add(&pointer, what, right);
                None
            }
        }
    }

    /// What a link leads to, in place of it.
    fn followed(&mut self, type_: &Type, href: &str, media_type: Option<&str>, pointer: &str) -> Option<Both> {
        let Some(fetched) = self.fetched.get(pointer) else {
            self.wanted.push((pointer.to_owned(), href.to_owned()));
            return Some(Both { plain: None, cwl: Json::Null, media_type: None });
        };
        let is_json =
            media_type.or(fetched.media_type.as_deref()).is_some_and(|media_type| media_type.contains("json"));
        let is_text = matches!(type_, Type::String | Type::Enum(_)) || (*type_ == Type::Any && !is_json);
        let read = if is_text {
            std::str::from_utf8(&fetched.bytes).map(Json::from).map_err(|error| {
                let what = format!("what {href} gives is no text: {error}");
                (what, "refer to a text in UTF-8".to_owned())
            })
        } else {
            serde_json::from_slice(&fetched.bytes).map_err(|error| {
                let what = format!("what {href} gives is no JSON: {error}");
                (what, format!("refer to a JSON document that is {type_}"))
            })
        };
        let value = read.map_err(|(what, right)| self.mistakes.add(pointer, what, right)).ok()?;
        if !guard(&value, pointer, &mut self.mistakes) {
            return None;
        }
        // A document is the value itself: what looks like a link in it is no link.
        Some(Both::same(value))
    }
}

fn with_media_type(both: Both, qualified: &Qualified<'_>) -> Both {
    Both { media_type: both.media_type.or_else(|| qualified.media_type.map(str::to_owned)), ..both }
}

fn listed_both(all: Vec<Both>) -> Both {
    let (plain, cwl): (Vec<_>, Vec<_>) = all.into_iter().map(|both| (both.plain, both.cwl)).unzip();
    let plain: Option<Vec<Json>> = plain.into_iter().collect();
    Both { plain: plain.map(Json::Array), cwl: Json::Array(cwl), media_type: None }
}

/// Whether a schema, or one of its alternatives, is that of encoded bytes.
fn holds_bytes(schema: &Json) -> bool {
    let one_of = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    std::iter::once(schema).chain(one_of).any(|schema| schema.get("contentEncoding").is_some())
}

/// How many values an input takes.
struct Occurrences {
    least: u64,
    most: u64,
    /// Whether the schema is an array itself: then one list is one value and all values together.
    is_list: bool,
}

impl Occurrences {
    /// What would be right.
    fn right(&self) -> String {
        match self.most {
            u64::MAX => format!("write at least {}", self.least),
            most => format!("write {} to {most}", self.least),
        }
    }
}

/// How many values of its schema an input takes, if that may be more than one.
fn occurrences(description: &Json, schema: &Json) -> Option<Occurrences> {
    let most = match description.get("maxOccurs") {
        Some(Json::Number(most)) => most.as_u64().unwrap_or(1),
        Some(Json::String(text)) if text == "unbounded" => u64::MAX,
        _ => 1,
    };
    let is_list = schema.get("type").and_then(Json::as_str) == Some("array");
    let least = description.get("minOccurs").and_then(Json::as_u64).unwrap_or(1);
    (most > 1).then_some(Occurrences { least, most, is_list })
}

fn is_array(type_: &Type) -> bool {
    match type_ {
        Type::Array(_) => true,
        Type::Union(members) => members.iter().any(is_array),
        _ => false,
    }
}

/// The eoap string formats, whose records hold one text.
fn is_string_format(record: &RecordType) -> bool {
    record.name.as_deref().is_some_and(|name| name.contains("string_format.yaml#"))
}

/// The symbol of the eoap schemas for the URI that the standard has.
fn crs_symbol(crs: &str) -> &str {
    match crs {
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84" | "http://www.opengis.net/def/crs/OGC/0/CRS84" => "CRS84",
        "http://www.opengis.net/def/crs/OGC/0/CRS84h" => "CRS84h",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::Deployed;
    use crate::testing::new_process;
    use serde_json::json;

    fn process(inputs: &str) -> ProcessRecord {
        let text = format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nid: tool\nbaseCommand: x\noutputs: []\n\
             requirements:\n  SchemaDefRequirement:\n    types:\n      - $import: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml\n\
             \x20     - $import: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml\ninputs:\n{inputs}"
        );
        let new = new_process("tool", &text);
        ProcessRecord {
            id: new.id,
            description: Arc::new(new.description),
            mutable: true,
            package: new.package,
            deployed: Arc::new(Deployed::default()),
            version: None,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "requests are written where they are read")]
    fn read_as(inputs: &str, given: Json) -> Result<Json, String> {
        read(&process(inputs), given.as_object().unwrap(), &References::new())
            .map(Json::Object)
            .map_err(|mistakes| mistakes.to_string())
    }

    const WATER: &str = "  stac_items: string[]\n  aoi: {type: string, label: area of interest}\n  epsg: {type: string, default: EPSG:4326}\n  bands: {type: 'string[]', default: [green, nir]}\n  scale: float?\n";

    #[test]
    fn the_walkthroughs_inputs_are_taken_as_they_are() {
        let given = json!({
            "stac_items": ["https://x.example/a", "https://x.example/b"], "aoi": "-121.399,39.834,-120.74,40.472",
            "epsg": "EPSG:4326", "bands": ["green", "nir"],
        });
        let mut expected = given.clone();
        expected["scale"] = Json::Null;
        assert_eq!(read_as(WATER, given), Ok(expected));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let given = json!({"stac_items": "https://x.example/a", "bands": ["green", 8], "scale": "2", "aoj": 1});
        insta::assert_snapshot!(read_as(WATER, given).unwrap_err(), @r#"
        /inputs/aoj: the process has no such input; there are: stac_items, aoi, epsg, bands, scale
        /inputs/stac_items: it is the string "https://x.example/a"; write a list, each a string
        /inputs/aoi: the input is missing; write a string: area of interest
        /inputs/bands/1: it is the integer 8; write a string
        /inputs/scale: it is the string "2"; write a number
        "#);
    }

    #[test]
    fn an_input_that_is_null_takes_its_default() {
        let given = json!({"stac_items": [], "aoi": "a", "epsg": null, "scale": null});
        assert_eq!(read_as(WATER, given), Ok(json!({"stac_items": [], "aoi": "a", "scale": null})));
        insta::assert_snapshot!(read_as(WATER, json!({"stac_items": [], "aoi": null})).unwrap_err(), @"/inputs/aoi: the input is missing; write a string: area of interest");
    }

    #[test]
    fn qualified_values_are_unwrapped_at_every_level() {
        let given =
            json!({"stac_items": {"value": [{"value": "a"}, "b"]}, "aoi": {"value": "x", "mediaType": "text/plain"}});
        let read = read_as(WATER, given).unwrap();
        assert_eq!((&read["stac_items"], &read["aoi"]), (&json!(["a", "b"]), &json!("x")));
    }

    #[test]
    fn files_and_directories_come_by_url_in_every_spelling() {
        let inputs = "  item: Directory\n  items: Directory[]?\n  table: File?\n";
        for item in [
            json!("https://x.example/item.json"),
            json!({"href": "https://x.example/item.json", "type": "application/geo+json"}),
            json!({"class": "Directory", "location": "https://x.example/item.json"}),
            json!({"class": "https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI", "value": "https://x.example/item.json"}),
            json!({"type": "Feature", "links": [{"rel": "self", "href": "https://x.example/item.json"}]}),
        ] {
            let read = read_as(inputs, json!({"item": item, "items": [item, item], "table": {"href": "s3://b/t.csv"}}))
                .unwrap();
            let directory = json!({"class": "Directory", "location": "https://x.example/item.json"});
            assert_eq!(read["item"], directory, "{item}");
            assert_eq!(read["items"], json!([directory, directory]));
            assert_eq!(read["table"], json!({"class": "File", "location": "s3://b/t.csv"}));
        }
    }

    #[test]
    fn files_come_by_value_too() {
        let given = json!({"a": {"value": "x,y", "mediaType": "text/csv"}, "b": {"value": "SUkqAP8=", "format": {"mediaType": "image/tiff; application=geotiff", "encoding": "base64"}}});
        let read = read_as("  a: File\n  b: File\n", given).unwrap();
        assert_eq!(read["a"], json!({"class": "File", "basename": "value.csv", "contents": "x,y"}));
        assert_eq!(
            read["b"],
            json!({"class": "File", "location": "data:image/tiff;application=geotiff;base64,SUkqAP8=", "basename": "value.tif"})
        );
    }

    #[test]
    fn nothing_of_the_server_can_be_named() {
        let inputs = "  item: Directory?\n  table: File?\n  any: Any?\n  tables: File[]?\n";
        let given = json!({
            "item": "file:///etc", "table": {"class": "File", "path": "/etc/passwd"}, "any": {"x": [{"class": "File", "location": "/etc/passwd"}]},
            "tables": [{"href": "file:///etc/passwd"}, {"class": "File", "location": "https://x", "secondaryFiles": [{"class": "File", "location": "../x"}]}],
        });
        insta::assert_snapshot!(read_as(inputs, given).unwrap_err(), @r#"
        /inputs/item: it is the string "file:///etc"; write an absolute URL with http, https or s3
        /inputs/table/path: a request cannot name a file of the server; write `location` with a URL instead
        /inputs/any/x/0/location: it is the string "/etc/passwd"; write an absolute URL with http, https or s3
        /inputs/tables/1/secondaryFiles/0/location: it is the string "../x"; write an absolute URL with http, https or s3
        "#);
    }

    #[test]
    fn eoap_types_are_taken_as_objects_and_as_the_standard_has_them() {
        let base = "https://raw.githubusercontent.com/eoap/schemas/main";
        let inputs = format!("  at: {base}/string_format.yaml#URI\n  box: {base}/ogc.yaml#BBox\n");
        let expected = json!({"at": {"value": "https://x"}, "box": {"bbox": [1, 2, 3, 4], "crs": "CRS84"}});
        for (at, crs) in [
            (json!("https://x"), "CRS84"),
            (json!({"href": "https://x"}), "http://www.opengis.net/def/crs/OGC/1.3/CRS84"),
            (json!({"class": format!("{base}/string_format.yaml#URI"), "value": "https://x"}), "CRS84"),
        ] {
            let given =
                json!({"at": at, "box": {"class": format!("{base}/ogc.yaml#BBox"), "bbox": [1, 2, 3, 4], "crs": crs}});
            assert_eq!(read_as(&inputs, given), Ok(expected.clone()));
        }
        let given = json!({"at": "somewhere", "box": {"bbox": [1, 2], "crs": "EPSG:3857"}});
        insta::assert_snapshot!(read_as(&inputs, given).unwrap_err(), @r#"
        /inputs/at: it is the string "somewhere"; write an absolute URL
        /inputs/box/bbox: it is a list of 2; write 4 numbers (minx, miny, maxx, maxy), or 6 with heights
        "#);
    }

    #[test]
    fn of_several_types_the_one_that_fits_is_taken() {
        let inputs = "  x: [File, 'File[]', string]\n  n: [int, string]\n";
        let read = read_as(inputs, json!({"x": [{"href": "https://a"}], "n": "1"})).unwrap();
        assert_eq!(read, json!({"x": [{"class": "File", "location": "https://a"}], "n": "1"}));
        insta::assert_snapshot!(read_as(inputs, json!({"x": {}, "n": 1.5})).unwrap_err(), @"
        /inputs/x: it is an empty object; write an absolute URL, or a GeoJSON Feature, or a list, each an absolute URL, or a GeoJSON Feature, or a string
        /inputs/n: it is the number 1.5; write an integer, or a string
        ");
    }

    #[test]
    fn values_by_reference_are_wanted_and_then_read() {
        let process = process("  bands: string[]\n  n: int\n  text: string\n");
        let given =
            json!({"bands": {"href": "https://a/bands.json"}, "n": {"value": 3}, "text": {"href": "https://a/text"}});
        let given = given.as_object().unwrap();
        let wanted = wanted(&process, given);
        assert_eq!(
            wanted,
            [
                ("/inputs/bands".to_owned(), "https://a/bands.json".to_owned()),
                ("/inputs/text".to_owned(), "https://a/text".to_owned()),
            ]
        );
        let fetched = |bands: &str| {
            let document = |text: &str| Fetched { bytes: text.to_owned().into(), media_type: None };
            References::from([
                ("/inputs/bands".to_owned(), document(bands)),
                ("/inputs/text".to_owned(), document("[x]")),
            ])
        };
        let inputs = read(&process, given, &fetched(r#"["green"]"#)).unwrap();
        assert_eq!(Json::Object(inputs), json!({"bands": ["green"], "n": 3, "text": "[x]"}));
        insta::assert_snapshot!(read(&process, given, &fetched("[8]")).unwrap_err(), @"/inputs/bands/0: it is the integer 8; write a string");
        insta::assert_snapshot!(read(&process, given, &fetched("<html>")).unwrap_err(), @"/inputs/bands: what https://a/bands.json gives is no JSON: expected value at line 1 column 1; refer to a JSON document that is string[]");
    }

    #[test]
    fn a_described_input_with_several_occurrences_takes_a_list() {
        let mut process = process("  bands: string[]\n");
        let corrected = json!({"inputs": {"bands": {"minOccurs": 1, "maxOccurs": 2, "schema": {"type": "string"}}}});
        process.description = Arc::new(corrected.as_object().unwrap().clone());
        let read = |bands: Json| {
            let given = json!({"bands": bands});
            read(&process, given.as_object().unwrap(), &References::new())
                .map(|mut inputs| inputs.remove("bands").unwrap())
                .map_err(|mistakes| mistakes.to_string())
        };
        assert_eq!(read(json!(["green", {"value": "nir"}])), Ok(json!(["green", "nir"])));
        assert_eq!(read(json!("green")), Ok(json!(["green"])));
        insta::assert_snapshot!(read(json!(["a", "b", "c"])).unwrap_err(), @"/inputs/bands: there are 3 values; write 1 to 2");
        insta::assert_snapshot!(read(json!([1])).unwrap_err(), @"/inputs/bands/0: it is the integer 1; write a string");
    }
}
