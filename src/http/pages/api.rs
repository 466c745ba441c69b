//! The documentation of the API, made of its OpenAPI document.

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::{Page, list, prose, schema, text};
use crate::links::Base;

/// Every operation with its parameters, bodies and answers; what can go wrong, once; and every schema.
pub fn api(base: &Base, document: &Json) -> Page {
    let members = |pointer: &str| document.pointer(pointer).and_then(Json::as_object).into_iter().flatten();
    let operations = || {
        let methods = members("/paths").flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
        });
        methods.filter(|(_, _, operation)| operation.get("responses").is_some())
    };
    let body = html! {
        p { (prose(document.pointer("/info/description").and_then(Json::as_str).unwrap_or_default())) }
        table class="contents" {
            @for (path, method, operation) in operations() {
                tr {
                    td { (method.to_uppercase()) }
                    td { a href=(format!("#{}", text(operation, "operationId"))) { code { (path) } } }
                    td { (prose(text(operation, "summary"))) }
                }
            }
        }
        p { a href="#errors" { "What can go wrong" } ", " a href="#schemas" { "Schemas" } }
        @for (path, method, operation) in operations() {
            section id=(text(operation, "operationId")) {
                h2 { (method.to_uppercase()) " " code { (path) } }
                (self::operation(document, operation))
            }
        }
        section id="errors" {
            h2 { "What can go wrong" }
            p { "An answer of these states is a problem document (" a href="#schema-exception" { "exception" } ")." }
            dl {
                @for (status, response) in members("/components/responses") {
                    dt id=(format!("error-{status}")) { (status) } dd { (prose(text(response, "description"))) }
                }
            }
        }
        section id="schemas" {
            h2 { "Schemas" }
            @for (name, schema) in members("/components/schemas") {
                details id=(format!("schema-{name}")) {
                    summary { code { (name) } " " (prose(text(schema, "description"))) }
                    pre { (format!("{schema:#}")) }
                }
            }
        }
    };
    let title = document.pointer("/info/title").and_then(Json::as_str).unwrap_or_default();
    Page::new(title, body).below(base, &[]).of(&Json::Null)
}

fn operation(document: &Json, operation: &Json) -> Markup {
    let parameters: Vec<&Json> = list(operation, "parameters").iter().map(|one| resolved(document, one)).collect();
    let content = operation.pointer("/requestBody/content").and_then(Json::as_object);
    html! {
        p { (prose(text(operation, "summary"))) }
        @if operation.get("description").is_some() { p { (prose(text(operation, "description"))) } }
        @if !parameters.is_empty() {
            h3 { "Parameters" }
            dl {
                @for parameter in parameters {
                    dt { code { (text(parameter, "name")) } " " small { (text(parameter, "in")) } }
                    dd {
                        (prose(text(parameter, "description"))) " "
                        small { (schema::line(parameter.get("schema").unwrap_or(&Json::Null))) }
                    }
                }
            }
        }
        @if let Some(content) = content {
            h3 { "Body" }
            (media(Some(content)))
            // Of several each is described below.
            @if content.len() == 1 { @for body in content.values() { (fields(document, body)) } }
        }
        h3 { "Answers" }
        (answers(operation))
    }
}

/// Good answers, and the numbers of the others.
fn answers(operation: &Json) -> Markup {
    let responses = operation.get("responses").and_then(Json::as_object).into_iter().flatten();
    let (problems, good): (Vec<_>, Vec<_>) = responses.partition(|(_, response)| response.get("$ref").is_some());
    html! {
        dl {
            @for (status, response) in good {
                dt { (status) }
                dd {
                    (prose(text(response, "description"))) " "
                    (media(response.get("content").and_then(Json::as_object)))
                }
            }
        }
        p {
            "Errors: "
            @for (index, (status, _)) in problems.iter().enumerate() {
                @if index > 0 { ", " }
                a href=(format!("#error-{status}")) { (status) }
            }
        }
    }
}

/// Media types, each leading to its schema.
fn media(content: Option<&Map<String, Json>>) -> Markup {
    html! {
        @for (index, (media_type, body)) in content.into_iter().flatten().enumerate() {
            @if index > 0 { ", " }
            @match body.get("schema").map(schema::type_of) {
                Some(name) => a href=(format!("#schema-{name}")) { code { (media_type) } },
                None => code { (media_type) },
            }
        }
    }
}

/// The members of a body, and one that fits.
fn fields(document: &Json, body: &Json) -> Markup {
    let schema = resolved(document, body.get("schema").unwrap_or(&Json::Null));
    let members = schema.get("properties").and_then(Json::as_object);
    html! {
        dl {
            @for (name, member) in members.into_iter().flatten() {
                dt { code { (name) } }
                dd { (prose(text(member, "description"))) " " small { (schema::line(member)) } }
            }
        }
        @if let Some(example) = schema.get("example") { pre { (format!("{example:#}")) } }
    }
}

/// What a reference into the document names.
fn resolved<'a>(document: &'a Json, json: &'a Json) -> &'a Json {
    let pointer = json.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(json)
}
