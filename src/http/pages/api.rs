//! The documentation of the API, made of its OpenAPI document.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{Page, list, text, value};
use crate::links::Base;

/// Every operation with its parameters, bodies and answers, and every schema.
pub fn api(base: &Base, document: &Json) -> Page {
    let members = |name: &str| document.get(name).and_then(Json::as_object).into_iter().flatten();
    let schemas = document.pointer("/components/schemas").and_then(Json::as_object).into_iter().flatten();
    let body = html! {
        p { (document.pointer("/info/description").and_then(Json::as_str).unwrap_or_default()) }
        p { a href=(base.url("api")) type=(crate::openapi::OPENAPI_JSON) { "The same as OpenAPI 3.0 document" } }
        @for (path, item) in members("paths") {
            section {
                h2 { code { (path) } }
                @for (method, operation) in item.as_object().into_iter().flatten() {
                    @if operation.get("responses").is_some() { (self::operation(document, method, operation)) }
                }
            }
        }
        h2 { "Schemas" }
        @for (name, schema) in schemas {
            h3 id=(format!("schema-{name}")) { (name) }
            (value(schema))
        }
    };
    Page::new(document.pointer("/info/title").and_then(Json::as_str).unwrap_or_default(), body).below(base, &[])
}

fn operation(document: &Json, method: &str, operation: &Json) -> Markup {
    let parameters: Vec<&Json> = list(operation, "parameters").iter().map(|one| resolved(document, one)).collect();
    let responses = operation.get("responses").and_then(Json::as_object).into_iter().flatten();
    html! {
        h3 { (method.to_uppercase()) " · " (text(operation, "summary")) }
        @if operation.get("description").is_some() { p { (text(operation, "description")) } }
        @if !parameters.is_empty() {
            dl {
                @for parameter in parameters {
                    dt { code { (text(parameter, "name")) } " " small { (text(parameter, "in")) } }
                    dd { (text(parameter, "description")) " " (value(parameter.get("schema").unwrap_or(&Json::Null))) }
                }
            }
        }
        @if let Some(content) = operation.pointer("/requestBody/content").and_then(Json::as_object) {
            p { "Body: " @for (media_type, _) in content { code { (media_type) } " " } }
        }
        dl {
            @for (status, response) in responses {
                @let response = resolved(document, response);
                @let content = response.get("content").and_then(Json::as_object);
                dt { (status) }
                dd {
                    (text(response, "description")) " "
                    @for (media_type, _) in content.into_iter().flatten() { code { (media_type) } " " }
                }
            }
        }
    }
}

/// What a reference into the document names.
fn resolved<'a>(document: &'a Json, json: &'a Json) -> &'a Json {
    let pointer = json.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(json)
}
