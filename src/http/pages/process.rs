//! Pages of processes.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{Page, example, href, links, list, others, text, value};
use crate::links::{Base, rel};

/// The list of processes.
pub fn processes(base: &Base, document: &Json) -> Page {
    let processes = list(document, "processes");
    let body = html! {
        @if processes.is_empty() { p { "No processes here." } }
        @for process in processes {
            section {
                h2 { a href=(base.url(&format!("processes/{}", text(process, "id")))) { (text(process, "id")) } }
                @let title = text(process, "title");
                @if title != text(process, "id") { p { (title) } }
                @if process.get("description").is_some() { p { (text(process, "description")) } }
                (others(process, &["id", "title", "description", "links"]))
                ul { @for link in list(process, "links") { li { (value(link)) } } }
            }
        }
        (links(document))
    };
    Page::new("Processes", body).below(base, &[])
}

/// The description of a process.
pub fn process(base: &Base, document: &Json) -> Page {
    let id = text(document, "id");
    let title = text(document, "title");
    let body = html! {
        p { (text(document, "description")) }
        (others(document, &["title", "description", "inputs", "outputs", "links"]))
        h2 { "Inputs" }
        (parameters(document.get("inputs"), true))
        h2 { "Outputs" }
        (parameters(document.get("outputs"), false))
        @if let Some(url) = href(document, rel::EXECUTE) {
            h2 { "How to execute it" }
            pre { (example::curl(url, document)) }
            p { "The answer is the new job; its " code { "Location" } " is where its state and, later, its results are." }
        }
        (links(document))
    };
    Page::new(if title.is_empty() { id } else { title }, body).below(base, &[("Processes", "processes")])
}

fn parameters(parameters: Option<&Json>, are_inputs: bool) -> Markup {
    let parameters: Vec<(&String, &Json)> = parameters.and_then(Json::as_object).into_iter().flatten().collect();
    html! {
        @if parameters.is_empty() { p { "None." } } @else {
            table {
                thead {
                    tr { th { "Name" } th { "What" } @if are_inputs { th { "How many" } } th { "Schema" } }
                }
                tbody {
                    @for (id, parameter) in parameters {
                        tr {
                            td { code { (id) } }
                            td {
                                (text(parameter, "title"))
                                @if parameter.get("description").is_some() { br; (text(parameter, "description")) }
                                (others(parameter, &["title", "description", "schema", "minOccurs", "maxOccurs"]))
                            }
                            @if are_inputs { td { (occurs(parameter)) } }
                            td { (value(parameter.get("schema").unwrap_or(&Json::Null))) }
                        }
                    }
                }
            }
        }
    }
}

/// `1`, `0 to 1`, `1 to unbounded`: the defaults of the standard are 1 and 1.
fn occurs(parameter: &Json) -> String {
    let bound = |name: &str| match parameter.get(name) {
        None => "1".to_owned(),
        Some(Json::String(word)) => word.clone(),
        Some(number) => number.to_string(),
    };
    let (min, max) = (bound("minOccurs"), bound("maxOccurs"));
    if min == max { min } else { format!("{min} to {max}") }
}
