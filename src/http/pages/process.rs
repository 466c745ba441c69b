//! Pages of processes.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::{Page, example, href, link, links, list, others, prose, schema, text};
use crate::links::{Base, rel};

/// The list of processes.
pub fn processes(base: &Base, document: &Json) -> Page {
    let processes = list(document, "processes");
    let body = html! {
        @if processes.is_empty() { p { "No processes here." } }
        @for process in processes {
            @let (id, title) = (text(process, "id"), text(process, "title"));
            section {
                h2 { a href=(base.url(&format!("processes/{id}"))) { (id) } " " small { (text(process, "version")) } }
                @if title != id && !title.is_empty() { p { strong { (title) } } }
                @if process.get("description").is_some() { p { (prose(text(process, "description"))) } }
                @if let Some(execute) = list(process, "links").iter().find(|link| text(link, "rel") == rel::EXECUTE) {
                    p { (link::anchor(base, execute)) }
                }
            }
        }
        (links(base, document))
    };
    Page::new("Processes", body).below(base, &[]).of(document)
}

/// The description of a process.
pub fn process(base: &Base, document: &Json) -> Page {
    let id = text(document, "id");
    let title = text(document, "title");
    let body = html! {
        p { (prose(text(document, "description"))) }
        (others(document, &["title", "description", "inputs", "outputs", "links"]))
        h2 { "Inputs" }
        (parameters(document.get("inputs"), true))
        h2 { "Outputs" }
        (parameters(document.get("outputs"), false))
        @if let Some(url) = href(document, rel::EXECUTE) {
            h2 id=(link::EXECUTE) { "How to execute it" }
            pre { (example::curl(url, document)) }
            p { "The answer is the new job; its " code { "Location" } " is where its state and, later, its results are." }
        }
        (links(base, document))
    };
    Page::new(if title.is_empty() { id } else { title }, body).below(base, &[("Processes", "processes")]).of(document)
}

fn parameters(parameters: Option<&Json>, are_inputs: bool) -> Markup {
    let parameters: Vec<(&String, &Json)> = parameters.and_then(Json::as_object).into_iter().flatten().collect();
    html! {
        @if parameters.is_empty() { p { "None." } } @else {
            table {
                thead {
                    tr { th { "Name" } th { "Type" } @if are_inputs { th { "Needed" } } th { "What" } }
                }
                tbody {
                    @for (id, parameter) in parameters {
                        tr {
                            td { code { (id) } }
                            td { code { (type_of(parameter)) } }
                            @if are_inputs { td { (needed(parameter)) } }
                            td {
                                (prose(text(parameter, "title")))
                                @if parameter.get("description").is_some() {
                                    br; (prose(text(parameter, "description")))
                                }
                                details { summary { "as JSON" } pre { (format!("{parameter:#}")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// As the package says it, if it says it in a word; else as the schema does.
fn type_of(parameter: &Json) -> String {
    let in_cwl = list(parameter, "metadata").iter().find(|entry| text(entry, "title") == "cwl:type");
    let word = in_cwl.map(|entry| text(entry, "value").trim_end_matches('?'));
    if let Some(word) = word.filter(|word| !word.is_empty() && !word.contains(['{', '"', ' '])) {
        return word.to_owned();
    }
    let type_ = parameter.get("schema").map_or_else(|| "anything".to_owned(), schema::type_of);
    let may_be_many = parameter.get("maxOccurs").is_some_and(|most| *most != json!(1));
    if may_be_many && !type_.ends_with("[]") { format!("{type_}, or a list of these") } else { type_ }
}

/// `required`; `optional, default 3`: the standard's default of `minOccurs` is 1.
fn needed(parameter: &Json) -> String {
    match parameter.pointer("/schema/default") {
        Some(default) => format!("optional, default {}", schema::word(default)),
        None if parameter.get("minOccurs") == Some(&json!(0)) => "optional".to_owned(),
        None => "required".to_owned(),
    }
}
