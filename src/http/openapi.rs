//! The definition of the API: OpenAPI 3.0, complete in itself (18-062r2, requirements class "OpenAPI Specification 3.0").
//!
//! [`operations`] is the table of everything that is answered; a test asks the router for all of it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value as Json, json};

use crate::links::Base;
use crate::negotiate::{self, Format, HTML, JSON};
use crate::problem::{PROBLEM_JSON, Problem};
use crate::{Facade, auth, pages};

#[cfg(test)]
mod answers;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod members;
mod operations;
mod parameters;
mod schemas;
#[cfg(test)]
mod site;
#[cfg(test)]
mod walk;

use operations::{Answer, OPERATIONS, Operation};

/// Media type of OpenAPI documents (18-062r2, `/req/oas30/oas-definition-1`).
pub const OPENAPI_JSON: &str = "application/vnd.oai.openapi+json;version=3.0";

/// `GET /api`
pub fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/api", get(definition))
}

async fn definition(
    State(facade): State<Arc<Facade>>,
    base: Base,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media_type = match negotiate::stated(&uri)? {
        Some(Format::Json) => OPENAPI_JSON,
        Some(Format::Html) => HTML,
        None => {
            let offered = [OPENAPI_JSON, JSON, HTML];
            let chosen = negotiate::choose(negotiate::accept(&headers).as_deref(), &offered);
            chosen.map(|chosen| offered[chosen]).ok_or_else(|| Problem::not_acceptable(&offered))?
        }
    };
    let mut document = document(&json!([{"url": base.url("")}]), &base.outside(""));
    if let Some(bearer) = &facade.bearer {
        document["security"] = json!([{auth::SECURITY_SCHEME: []}]);
        document["components"]["securitySchemes"][auth::SECURITY_SCHEME] = bearer.security_scheme();
    }
    let body = if media_type == HTML { pages::api(&base, &document).into_string() } else { document.to_string() };
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// The definition as it is checked in: of any tenant of any server.
pub fn definition_text() -> String {
    let tenant = json!({"default": "acme", "description": "Whose processes and jobs"});
    let server = |path: &str| json!({"url": path, "variables": {"tenant": tenant}});
    let mut document = document(&json!([server("/{tenant}/ogc-api")]), "/{tenant}");
    for item in document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut()) {
        if let Some(servers) = item.get_mut("servers") {
            *servers = json!([server("/{tenant}")]);
        }
    }
    format!("{document:#}\n")
}

/// The definition: `servers` of the API, and the URL of what the tenant has beside it.
fn document(servers: &Json, outside: &str) -> Json {
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "weir: OGC API - Processes",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs Earth-observation application packages: OGC API - Processes, Part 1 (18-062r2) and \
                            Part 2 (20-044).",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": servers,
        // Whether a token is asked for is the operator's choice.
        "security": [{}, {auth::SECURITY_SCHEME: []}],
        "tags": [
            {"name": "capabilities", "description": "What this server offers"},
            {"name": "processes", "description": "What can be executed"},
            {"name": "deployment", "description": "Deploy, replace and undeploy processes"},
            {"name": "jobs", "description": "Executions of processes"},
            {"name": "results", "description": "What executions have made, and what they have said"},
        ],
        "paths": paths(outside),
        "components": {
            "schemas": schemas::all(),
            "parameters": parameters::all(),
            "headers": parameters::headers(),
            "responses": problems(),
            "securitySchemes": {
                auth::SECURITY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the operator's OpenID Connect provider; asked for if it is so configured",
                },
            },
        },
    })
}

fn paths(outside: &str) -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path).or_insert_with(|| {
            if operation.is_outside { json!({"servers": [{"url": outside.trim_end_matches('/')}]}) } else { json!({}) }
        });
        item[operation.method] = described(operation);
    }
    Json::Object(paths)
}

fn described(operation: &Operation) -> Json {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": responses(operation),
    });
    if !operation.parameters.is_empty() {
        let parameters = operation.parameters.iter().map(|name| reference("parameters", name));
        described["parameters"] = parameters.collect();
    }
    if !operation.bodies.is_empty() {
        described["requestBody"] = json!({"required": true, "content": content(operation.bodies)});
    }
    if operation.id == operations::EXECUTE {
        described["callbacks"] = callbacks();
    }
    described
}

fn responses(operation: &Operation) -> Json {
    let answers = operation.answers.iter().map(|answer| (answer.status.to_string(), answered(answer)));
    let problems =
        operation.problems.iter().map(|status| (status.to_string(), reference("responses", &status.to_string())));
    Json::Object(answers.chain(problems).collect())
}

fn answered(answer: &Answer) -> Json {
    let mut answered = json!({"description": answer.description});
    if !answer.headers.is_empty() {
        let headers = answer.headers.iter().map(|name| ((*name).to_owned(), reference("headers", name)));
        answered["headers"] = Json::Object(headers.collect());
    }
    if !answer.content.is_empty() {
        answered["content"] = content(answer.content);
    }
    answered
}

/// Media types with the names of their schemas.
fn content(content: &[(&str, &str)]) -> Json {
    let media = |schema: &str| json!({"schema": reference("schemas", schema)});
    Json::Object(content.iter().map(|(media_type, schema)| ((*media_type).to_owned(), media(schema))).collect())
}

fn reference(kind: &str, name: &str) -> Json {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// What goes wrong, by status.
const PROBLEMS: [(u16, &str); 13] = [
    (400, "Something in the request is not as it should be; `detail` says where, and what would be right"),
    (401, "A token is required, and none or no valid one was sent"),
    (403, "This is not allowed"),
    (404, "There is no such tenant, resource or result"),
    (406, "It is not there in any form that the client accepts"),
    (408, "The request did not arrive in time"),
    (409, "There is one already"),
    (413, "More than is taken here"),
    (415, "The media type of the body is not understood"),
    (429, "Too many jobs that are not over, or too many packages at a time; `Retry-After` says when to try again"),
    (500, "The execution failed, or weir has a defect"),
    (501, "The process needs what this backend does not have"),
    (503, "Something that is needed cannot be reached now; `Retry-After` says when to try again"),
];

fn problems() -> Json {
    let forms = [(PROBLEM_JSON, "exception"), (JSON, "exception"), ("text/html", "page")];
    let problem = |&(status, description): &(u16, &str)| {
        // Whoever takes JSON or a page is never told that there is nothing to take.
        let forms = if status == 406 { &forms[..1] } else { &forms[..] };
        let mut problem = json!({"description": description, "content": content(forms)});
        let headers: &[&str] = match status {
            401 => &["WWW-Authenticate"],
            409 => &["Location"],
            429 | 503 => &["Retry-After"],
            _ => &[],
        };
        if !headers.is_empty() {
            let headers = headers.iter().map(|name| ((*name).to_owned(), reference("headers", name)));
            problem["headers"] = Json::Object(headers.collect());
        }
        (status.to_string(), problem)
    };
    Json::Object(PROBLEMS.iter().map(problem).collect())
}

/// What is told to the subscriber of an execution (18-062r2, requirements class "Callback").
fn callbacks() -> Json {
    let told = |uri: &str, id: &str, schema: &str, summary: &str| {
        json!({
            format!("{{$request.body#/subscriber/{uri}}}"): {
                "post": {
                    "operationId": id,
                    "summary": summary,
                    "requestBody": {"content": content(&[(JSON, schema)])},
                    "responses": {"200": {"description": "Received"}},
                },
            },
        })
    };
    json!({
        "succeeded": told("successUri", "succeeded", "results", "The results of the job"),
        "inProgress": told("inProgressUri", "inProgress", "statusInfo", "The job runs"),
        "failed": told("failedUri", "failed", "statusInfo", "The job has failed"),
    })
}
