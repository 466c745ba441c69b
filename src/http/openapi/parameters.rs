//! Parameters of requests and headers of answers.

#![expect(clippy::needless_pass_by_value, reason = "schemas are written where they are used")]

use serde_json::{Map, Value as Json, json};

use crate::limits::{PAGE_DEFAULT, PAGE_MAX};

/// A day, or a time of one (RFC 3339, §5.6).
const MOMENT: &str = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\
                      (T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?";

/// `components/parameters`
pub(super) fn all() -> Json {
    let list = [
        path("processID", "Id of a process", json!({"type": "string", "maxLength": 253})),
        path("jobID", "Id of a job", json!({"type": "string", "maxLength": 253})),
        path("outputID", "Id of an output of the process", json!({"type": "string"})),
        path("work", "`{processID}-{jobID}`", json!({"type": "string"})),
        path("file", "Name of a log, or `usage.json`", json!({"type": "string"})),
        query(
            "f",
            "The form of the answer; without it `Accept` decides",
            json!({"type": "string", "enum": ["json", "html"]}),
        ),
        query(
            "limit",
            "How many entries a page has at most",
            json!({"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT}),
        ),
        query(
            "skip",
            "How many entries come before this page; the links `next` and `prev` know",
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 0}),
        ),
        query(
            "w",
            "Id of the workflow in the package that is to become the process; without it the first one",
            json!({"type": "string"}),
        ),
        list_of(
            "type",
            "Only jobs of these types; all are of `process`",
            json!({"type": "string", "enum": ["process"]}),
        ),
        list_of("processIDs", "Only jobs of these processes", json!({"type": "string"})),
        list_of("status", "Only jobs in these states", states()),
        list_of("outputs", "Only these outputs", json!({"type": "string"})),
        query(
            "datetime",
            "Only jobs that were created then: an instant (RFC 3339) or an interval `from/to`, with `..` for an open end",
            json!({"type": "string", "pattern": format!("^({MOMENT}|({MOMENT}|\\.\\.)/({MOMENT}|\\.\\.))$")}),
        ),
        query("minDuration", "Only jobs that took, or run since, at least these seconds", seconds()),
        query("maxDuration", "Only jobs that took, or run since, at most these seconds", seconds()),
        json!({
            "name": "Prefer",
            "in": "header",
            "description": "`respond-async`: do not wait for the end. `wait=SECONDS`: no longer than that. \
                            `return=minimal` or `return=representation`: values raw, or in one document (RFC 7240)",
            "schema": {"type": "string"},
            "example": "respond-async;return=representation",
        }),
    ];
    let key = |parameter: &Json| match parameter["name"].as_str() {
        // The same name as in paths.
        Some("processID") if parameter["in"] == "query" => "processIDs".to_owned(),
        name => name.unwrap_or_default().to_owned(),
    };
    Json::Object(list.into_iter().map(|parameter| (key(&parameter), parameter)).collect::<Map<_, _>>())
}

/// `components/headers`
pub(super) fn headers() -> Json {
    let header = |description: &str, schema: Json| json!({"description": description, "schema": schema});
    json!({
        "Location": header("URL of what was created, or is there", json!({"type": "string", "format": "uri"})),
        "Link": header("Links (RFC 8288)", json!({"type": "string"})),
        "Preference-Applied": header("What of `Prefer` was done (RFC 7240)", json!({"type": "string"})),
        "Retry-After": header("Seconds after which to try again", json!({"type": "integer"})),
        "WWW-Authenticate": header("How to say who one is", json!({"type": "string"})),
    })
}

/// `statusCode.yaml`
pub(super) fn states() -> Json {
    json!({"type": "string", "enum": ["accepted", "running", "successful", "failed", "dismissed"]})
}

/// 18-062r2, `/req/job-list/duration-definition`: whole ones.
fn seconds() -> Json {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
}

fn path(name: &str, description: &str, schema: Json) -> Json {
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
}

fn query(name: &str, description: &str, schema: Json) -> Json {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

/// With commas between values.
fn list_of(name: &str, description: &str, items: Json) -> Json {
    let name = name.strip_suffix('s').filter(|name| *name == "processID").unwrap_or(name);
    let mut parameter = query(name, description, json!({"type": "array", "items": items}));
    parameter["style"] = json!("form");
    parameter["explode"] = json!(false);
    parameter
}
