//! Schemas of bodies, after those of 18-062r2 and 20-044. Nothing is referred to outside of this document.

use serde_json::{Map, Value as Json, json};

use super::parameters::states;

/// `components/schemas`
pub(super) fn all() -> Json {
    let parts = [capabilities(), processes(), packages(), executions(), jobs(), other()];
    let members =
        parts.into_iter().filter_map(|part| if let Json::Object(members) = part { Some(members) } else { None });
    Json::Object(members.flatten().collect::<Map<_, _>>())
}

fn schema(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn many(name: &str) -> Json {
    json!({"type": "array", "items": schema(name)})
}

fn string() -> Json {
    json!({"type": "string"})
}

fn strings() -> Json {
    json!({"type": "array", "items": string()})
}

fn time() -> Json {
    json!({"type": "string", "format": "date-time"})
}

fn map_of(name: &str) -> Json {
    json!({"type": "object", "additionalProperties": schema(name)})
}

fn capabilities() -> Json {
    json!({
        "link": {
            "type": "object",
            "required": ["href"],
            "properties": {"href": string(), "rel": string(), "type": string(), "hreflang": string(), "title": string()},
        },
        "landingPage": {
            "type": "object",
            "required": ["links"],
            "properties": {"title": string(), "description": string(), "links": many("link")},
        },
        "confClasses": {
            "type": "object",
            "required": ["conformsTo"],
            "properties": {"conformsTo": strings(), "links": many("link")},
        },
    })
}

fn processes() -> Json {
    let summary = json!({
        "id": string(),
        "title": string(),
        "description": string(),
        "version": string(),
        "keywords": strings(),
        "metadata": {"type": "array", "items": {"type": "object"}},
        "mutable": {"type": "boolean"},
        "jobControlOptions": {
            "type": "array",
            "items": {"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]},
        },
        "outputTransmission": {"type": "array", "items": {"type": "string", "enum": ["value", "reference"]}},
        "links": many("link"),
    });
    let mut process = summary.clone();
    process["inputs"] = map_of("inputDescription");
    process["outputs"] = map_of("outputDescription");
    let required = json!(["id", "version", "mutable", "links"]);
    json!({
        "processSummary": {"type": "object", "required": required, "properties": summary},
        "process": {"type": "object", "required": required, "properties": process},
        "processList": {
            "type": "object",
            "required": ["processes", "links"],
            "properties": {"processes": many("processSummary"), "links": many("link")},
        },
        "inputDescription": {
            "type": "object",
            "required": ["schema"],
            "properties": {
                "title": string(),
                "description": string(),
                "schema": {"type": "object", "description": "A schema of OpenAPI 3.0"},
                "minOccurs": {"type": "integer", "minimum": 0, "default": 1},
                "maxOccurs": {
                    "oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "enum": ["unbounded"]}],
                    "default": 1,
                },
            },
        },
        "outputDescription": {
            "type": "object",
            "required": ["schema"],
            "properties": {
                "title": string(),
                "description": string(),
                "schema": {"type": "object", "description": "A schema of OpenAPI 3.0"},
            },
        },
    })
}

fn packages() -> Json {
    json!({
        "cwlText": {"type": "string", "description": "A CWL document in YAML or JSON"},
        "cwl": {"type": "object", "description": "A CWL document in JSON", "required": ["cwlVersion"]},
        "ogcapppkg": {
            "type": "object",
            "description": "20-044, ogcapppkg.yaml",
            "required": ["executionUnit"],
            "properties": {
                "processDescription": {"type": "object", "description": "Corrects the description that the package gives"},
                "executionUnit": {
                    "description": "A link to a CWL document, such a document, a container image, or an array of these",
                    "anyOf": [schema("executionUnit"), {"type": "array", "items": schema("executionUnit"), "minItems": 1}],
                },
            },
        },
        "executionUnit": {
            "type": "object",
            "anyOf": [{"required": ["href"]}, {"required": ["value"]}, {"required": ["image"]}, {"required": ["cwlVersion"]}],
            "properties": {
                "href": {"type": "string", "format": "uri"},
                "value": {"anyOf": [{"type": "object"}, {"type": "string"}]},
                "image": string(),
                "type": string(),
                "mediaType": string(),
            },
        },
        "package": {
            "description": "What the body is, is seen by its members",
            "anyOf": [schema("ogcapppkg"), schema("cwl")],
        },
    })
}

fn executions() -> Json {
    let format = json!({"type": "object", "properties": {"mediaType": string()}});
    json!({
        "execute": {
            "type": "object",
            "properties": {
                "inputs": {
                    "type": "object",
                    "description": "By id: a value, `{value, …}`, `{href, …}`, or an array of these, as the process \
                                    describes its inputs",
                    "additionalProperties": {},
                },
                "outputs": map_of("output"),
                "response": {
                    "type": "string",
                    "enum": ["raw", "document"],
                    "description": "Without it a synchronous execution answers `raw`, and the results of an asynchronous \
                                    one are a `document`",
                },
                "subscriber": schema("subscriber"),
            },
            "example": {"inputs": {"echoInput": "text"}},
        },
        "output": {
            "type": "object",
            "properties": {
                "format": format,
                "transmissionMode": {"type": "string", "enum": ["value", "reference"], "default": "value"},
            },
        },
        "subscriber": {
            "type": "object",
            "description": "Whom to tell: each URL gets a POST",
            "properties": {
                "successUri": {"type": "string", "format": "uri"},
                "inProgressUri": {"type": "string", "format": "uri"},
                "failedUri": {"type": "string", "format": "uri"},
            },
        },
        "results": {
            "type": "object",
            "description": "By id of the output: a value, `{value, …}` or `{href, …}`",
            "additionalProperties": {},
        },
    })
}

fn jobs() -> Json {
    json!({
        "statusInfo": {
            "type": "object",
            "required": ["jobID", "status", "type"],
            "properties": {
                "jobID": string(),
                "id": string(),
                "processID": string(),
                "type": {"type": "string", "enum": ["process"]},
                "status": states(),
                "message": {
                    "type": "string",
                    "description": "Of a failed job why it failed, and below that, save in lists, the last lines of its tool's standard error",
                },
                "progress": {"type": "integer", "minimum": 0, "maximum": 100},
                "created": time(),
                "started": time(),
                "finished": time(),
                "updated": time(),
                "links": many("link"),
            },
        },
        "jobList": {
            "type": "object",
            "required": ["jobs", "links"],
            "properties": {"jobs": many("statusInfo"), "links": many("link")},
        },
    })
}

fn other() -> Json {
    json!({
        "exception": {
            "type": "object",
            "description": "RFC 7807",
            "required": ["type"],
            "properties": {
                "type": string(),
                "title": string(),
                "status": {"type": "integer"},
                "detail": string(),
                "instance": string(),
            },
        },
        "page": {"type": "string", "description": "The same for people"},
        "bytes": {"type": "string", "format": "binary"},
        "anything": {},
        "openapi": {"type": "object", "required": ["openapi", "info", "paths"]},
    })
}
