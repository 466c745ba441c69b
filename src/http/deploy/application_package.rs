//! What was sent, as one of the forms that there are: CWL, or an OGC Application Package (20-044, requirements class
//! "ogcapppkg", `ogcapppkg.yaml`) around it. Pure.
//!
//! `executionUnit` is one unit or an array of units, of which the first that weir can run is run. A unit is a link
//! (`href`), a qualified value (`value` with `mediaType`, or `format.mediaType`), a container (`image`), or CWL itself.

use serde_json::{Map, Value as Json};

use weir_api::media::essence;
use weir_cwl::Diagnostic;
use weir_cwl::json::{self, JsonError};
use weir_cwl::source::{Source, Span};

use super::content::{CWL, Content, is_cwl};
use super::package;
use crate::problem::Problem;

/// What is to be deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The thing that runs.
    pub unit: Unit,
    /// `processDescription`, or the `process` in it.
    pub description: Option<Map<String, Json>>,
    /// The OGC Application Package as it was sent.
    pub application_package: Option<String>,
}

/// An execution unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// A CWL text.
    Cwl(String),
    /// CWL elsewhere.
    Href {
        /// Where.
        url: String,
        /// JSON pointer of it.
        place: String,
    },
    /// A container.
    Container {
        /// The object that has its `image`.
        unit: Map<String, Json>,
        /// JSON pointer of it.
        place: String,
    },
}

impl Sent {
    /// By what `Content-Type` says.
    pub fn parse(content: Content, text: String) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Err(Problem::invalid_parameter("", "empty", "send a CWL document or an OGC Application Package"));
        }
        match content {
            Content::Cwl => Ok(Self::cwl(text)),
            Content::CwlJson => match json::parse(&text) {
                Ok(_) => Ok(Self::cwl(text)),
                Err(error) => Err(no_json(&text, &error)),
            },
            Content::ApplicationPackage => Self::around(object(&text)?, text),
            Content::Json => match object(&text)? {
                object if is_document(&object) && !object.contains_key("executionUnit") => Ok(Self::cwl(text)),
                object => Self::around(object, text),
            },
        }
    }

    fn cwl(text: String) -> Self {
        Self { unit: Unit::Cwl(text), description: None, application_package: None }
    }

    fn around(mut package: Map<String, Json>, text: String) -> Result<Self, Problem> {
        let place = "/executionUnit";
        let unit = match package.get("executionUnit") {
            Some(Json::Array(units)) => first(units)?,
            Some(unit) => unit_of(unit, place)?,
            None => return Err(Problem::invalid_parameter(place, "missing", UNIT)),
        };
        let description = match package.remove("processDescription") {
            None | Some(Json::Null) => None,
            Some(Json::Object(mut description)) => match description.remove("process") {
                Some(Json::Object(process)) => Some(process),
                Some(_) => {
                    return Err(Problem::invalid_parameter(
                        "/processDescription/process",
                        "not an object",
                        DESCRIPTION,
                    ));
                }
                None => Some(description),
            },
            Some(_) => return Err(Problem::invalid_parameter("/processDescription", "not an object", DESCRIPTION)),
        };
        Ok(Self { unit, description, application_package: Some(text) })
    }
}

const UNIT: &str = "write a link {\"href\": …, \"type\": \"application/cwl\"}, a value {\"value\": …, \"mediaType\": \
    \"application/cwl\"}, or a container {\"type\": \"docker\", \"image\": …}";
const DESCRIPTION: &str = "write a process description (18-062r2, process.yaml)";

fn no_json(text: &str, error: &JsonError) -> Problem {
    let source = Source::named(package::name(package::SENT), package::SENT, text.to_owned());
    let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let span = Span { source, line: place(error.line), column: place(error.column), length: 1 };
    package::refused(Diagnostic::error(&span, format!("no valid JSON: {}", error.message)).into())
}

fn object(text: &str) -> Result<Map<String, Json>, Problem> {
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::invalid_parameter(
            "",
            "not a JSON object",
            "send {\"executionUnit\": …}; CWL in YAML is sent as application/cwl+yaml",
        )),
        Err(error) => Err(Problem::invalid_parameter(
            "",
            format_args!("not JSON: {error}"),
            "send {\"executionUnit\": …}; CWL in YAML is sent as application/cwl+yaml",
        )),
    }
}

/// Whether an object is a CWL document.
fn is_document(object: &Map<String, Json>) -> bool {
    ["cwlVersion", "$graph", "class"].iter().any(|key| object.contains_key(*key))
}

/// The first unit that can be run; else what is wrong with the first.
fn first(units: &[Json]) -> Result<Unit, Problem> {
    let mut refusal = None;
    for (index, unit) in units.iter().enumerate() {
        match unit_of(unit, &format!("/executionUnit/{index}")) {
            Ok(unit) => return Ok(unit),
            Err(problem) => refusal = refusal.or(Some(problem)),
        }
    }
    Err(refusal.unwrap_or_else(|| Problem::invalid_parameter("/executionUnit", "empty", UNIT)))
}

fn unit_of(unit: &Json, place: &str) -> Result<Unit, Problem> {
    let wrong = |place: &str, what: &str| Err(Problem::invalid_parameter(place, what, UNIT));
    let Some(members) = unit.as_object() else { return wrong(place, "not an object") };
    if is_document(members) {
        return Ok(Unit::Cwl(written(unit)?));
    }
    if let Some(href) = members.get("href") {
        return link(href, members, place);
    }
    let type_ = members.get("type").and_then(Json::as_str).unwrap_or_default();
    let is_container = members.contains_key("image") || matches!(type_, "docker" | "oci");
    match members.get("value") {
        Some(Json::Object(container)) if is_container => {
            Ok(Unit::Container { unit: container.clone(), place: format!("{place}/value") })
        }
        _ if is_container => Ok(Unit::Container { unit: members.clone(), place: place.to_owned() }),
        Some(value) => {
            let media_type = stated(members).map(essence);
            match (value, media_type) {
                (_, Some(other)) if !is_cwl(&other) => {
                    let what = format_args!("`{other}` cannot be run");
                    Err(Problem::invalid_parameter(&format!("{place}/mediaType"), what, format_args!("send {CWL}")))
                }
                (Json::String(text), _) => Ok(Unit::Cwl(text.clone())),
                (Json::Object(_), _) => Ok(Unit::Cwl(written(value)?)),
                _ => wrong(&format!("{place}/value"), "neither a text nor an object"),
            }
        }
        None => wrong(place, "neither a link, nor a value, nor a container"),
    }
}

fn link(href: &Json, members: &Map<String, Json>, place: &str) -> Result<Unit, Problem> {
    let Some(url) = href.as_str().filter(|url| !url.is_empty()) else {
        return Err(Problem::invalid_parameter(&format!("{place}/href"), "not a URL", "write an http or https URL"));
    };
    match stated(members).map(essence) {
        // Servers of CWL documents seldom know that they are.
        Some(other) if !is_cwl(&other) && !is_vague(&other) => {
            let what = format_args!("`{other}` cannot be run");
            Err(Problem::invalid_parameter(&format!("{place}/type"), what, format_args!("link to {CWL}")))
        }
        _ => Ok(Unit::Href { url: url.to_owned(), place: format!("{place}/href") }),
    }
}

fn is_vague(essence: &str) -> bool {
    matches!(
        essence,
        "application/json"
            | "application/yaml"
            | "application/x-yaml"
            | "application/octet-stream"
            | "text/yaml"
            | "text/x-yaml"
            | "text/plain"
    )
}

/// `mediaType`, `format.mediaType` or `type`, in the spellings of the standard's drafts.
fn stated(members: &Map<String, Json>) -> Option<&str> {
    let of_format = || members.get("format").and_then(|format| format.get("mediaType"));
    members.get("mediaType").or_else(of_format).or_else(|| members.get("type")).and_then(Json::as_str)
}

fn written(document: &Json) -> Result<String, Problem> {
    serde_json::to_string_pretty(document).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "cwlVersion: v1.2\nclass: Workflow\n";

    fn unit(unit: &Json) -> Result<Unit, String> {
        let package = json!({"executionUnit": unit}).to_string();
        Sent::parse(Content::ApplicationPackage, package).map(|sent| sent.unit).map_err(|problem| problem.detail)
    }

    #[test]
    fn a_unit_is_a_value_in_any_spelling() {
        for value in [
            json!({"value": TEXT, "mediaType": "application/cwl"}),
            json!({"value": TEXT, "format": {"mediaType": "application/cwl+yaml"}}),
            json!({"value": TEXT, "type": "application/cwl"}),
            json!({"value": TEXT}),
            json!([{"value": TEXT, "mediaType": "application/cwl"}, {"value": "other", "mediaType": "application/cwl"}]),
            json!([{"value": "print()", "mediaType": "text/x-python"}, {"value": TEXT, "mediaType": "application/cwl"}]),
        ] {
            assert_eq!(unit(&value), Ok(Unit::Cwl(TEXT.to_owned())), "{value}");
        }
        let document = json!({"cwlVersion": "v1.2", "class": "Workflow"});
        for value in [json!({"value": document, "mediaType": "application/cwl+json"}), document.clone()] {
            let Ok(Unit::Cwl(text)) = unit(&value) else { panic!("{value}") };
            assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), document);
        }
    }

    #[test]
    fn a_unit_is_a_link_alone_or_in_an_array() {
        let link = json!({"href": "https://example.org/a.cwl", "type": "application/cwl"});
        let url = "https://example.org/a.cwl".to_owned();
        assert_eq!(unit(&link), Ok(Unit::Href { url: url.clone(), place: "/executionUnit/href".to_owned() }));
        assert_eq!(unit(&json!([link])), Ok(Unit::Href { url, place: "/executionUnit/0/href".to_owned() }));
    }

    #[test]
    fn a_unit_is_a_container_in_both_spellings() {
        for (container, place) in [
            (json!({"type": "docker", "image": "a"}), "/executionUnit"),
            (json!({"type": "docker", "value": {"image": "a"}}), "/executionUnit/value"),
            (json!({"image": "a"}), "/executionUnit"),
        ] {
            let Ok(Unit::Container { unit, place: found }) = unit(&container) else { panic!("{container}") };
            assert_eq!((unit["image"].as_str(), found.as_str()), (Some("a"), place));
        }
    }

    #[test]
    fn what_is_none_of_these_is_refused_at_its_place() {
        let refused = [
            json!("a.cwl"),
            json!([]),
            json!({}),
            json!({"href": 1}),
            json!({"href": "https://example.org/a.py", "type": "text/x-python"}),
            json!({"value": "print()", "mediaType": "text/x-python"}),
            json!({"value": 1, "mediaType": "application/cwl"}),
        ]
        .map(|value| unit(&value).unwrap_err().split("; ").next().unwrap_or_default().to_owned());
        insta::assert_snapshot!(refused.join("\n"), @"
        /executionUnit: not an object
        /executionUnit: empty
        /executionUnit: neither a link, nor a value, nor a container
        /executionUnit/href: not a URL
        /executionUnit/type: `text/x-python` cannot be run
        /executionUnit/mediaType: `text/x-python` cannot be run
        /executionUnit/value: neither a text nor an object
        ");
        let no_json = Sent::parse(Content::ApplicationPackage, "{\n  a".to_owned()).unwrap_err();
        insta::assert_snapshot!(no_json.detail, @r#"the body: not JSON: key must be a string at line 2 column 3; send {"executionUnit": …}; CWL in YAML is sent as application/cwl+yaml"#);
        assert_eq!(Sent::parse(Content::Cwl, " \n".to_owned()).unwrap_err().status, 400);
    }

    #[test]
    fn the_description_stands_in_process_or_alone() {
        for description in [json!({"process": {"id": "a"}}), json!({"id": "a"})] {
            let package = json!({"executionUnit": {"value": TEXT}, "processDescription": description}).to_string();
            let sent = Sent::parse(Content::Json, package.clone()).unwrap();
            assert_eq!(sent.description.unwrap()["id"], "a");
            assert_eq!(sent.application_package, Some(package));
        }
    }

    #[test]
    fn cwl_in_json_is_json() {
        assert!(Sent::parse(Content::CwlJson, "{\"class\": \"Workflow\"}".to_owned()).is_ok());
        let refusal = Sent::parse(Content::CwlJson, TEXT.to_owned()).unwrap_err();
        assert!(refusal.detail.starts_with("package.cwl:1:1: error: no valid JSON"), "{}", refusal.detail);
    }

    #[test]
    fn json_may_be_cwl_too() {
        let text = r#"{"cwlVersion": "v1.2", "class": "Workflow"}"#.to_owned();
        assert_eq!(Sent::parse(Content::Json, text.clone()).unwrap(), Sent::cwl(text));
    }
}
