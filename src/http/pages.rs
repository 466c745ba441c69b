//! HTML of every resource: all that the JSON says and every link as an `<a>` (18-062r2, `/req/html/content`). Plain HTML5,
//! readable without JavaScript and without anything from elsewhere.
//!
//! Pages are made of the JSON that would be answered, so neither says more than the other.

use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value as Json;

use crate::links::Base;
use crate::negotiate::HTML;
use crate::problem::Problem;

mod api;
mod example;
mod job;
mod process;
mod value;

pub use api::api;
pub use job::{job, jobs, results};
pub use process::{process, processes};
pub use value::value;

const STYLE: &str = include_str!("pages/style.css");

/// A whole page.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    /// Label and URL of what it is below, outermost first.
    path: Vec<(String, String)>,
    body: Markup,
}

impl Page {
    /// With this title, which is also its heading.
    pub fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), path: Vec::new(), body }
    }

    /// Below the landing page and these: label and path of each, outermost first.
    #[must_use]
    pub fn below(mut self, base: &Base, path: &[(&str, &str)]) -> Self {
        let start = [("Start", "")];
        self.path = start.iter().chain(path).map(|(label, path)| ((*label).to_owned(), base.url(path))).collect();
        self
    }

    /// Status 200, `text/html`.
    pub fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, HTML), (VARY, "Accept")];
        (headers, self.into_string()).into_response()
    }

    /// HTML5.
    pub fn into_string(self) -> String {
        let Self { title, path, body } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if !path.is_empty() {
                        header {
                            nav { @for (label, url) in &path { a href=(url) { (label) } " / " } }
                        }
                    }
                    main {
                        h1 { (title) }
                        (body)
                    }
                }
            }
        }
        .into_string()
    }
}

/// Any document: all of its members.
pub fn document(title: &str, json: &Json) -> Page {
    Page::new(title, value(json))
}

/// A problem.
pub fn problem(problem: &Problem) -> Page {
    document(&problem.title, &problem.document())
}

/// The landing page.
pub fn landing(_: &Base, document: &Json) -> Page {
    let body = html! {
        p { (text(document, "description")) }
        (links(document))
    };
    Page::new(text(document, "title"), body)
}

/// The declaration of conformance.
pub fn conformance(base: &Base, document: &Json) -> Page {
    let body = html! {
        ul { @for class in list(document, "conformsTo") { li { (value(class)) } } }
        (links(document))
    };
    Page::new("Conformance", body).below(base, &[])
}

/// The package of a process, as it was deployed.
pub fn package(base: &Base, id: &str, text: &str) -> Page {
    let path = format!("processes/{id}");
    let title = format!("Package of {id}");
    Page::new(title, html! { pre { (text) } }).below(base, &[("Processes", "processes"), (id, &path)])
}

/// A text of a job: a log, or what it has used.
pub fn log(base: &Base, job: &str, name: &str, text: &str) -> Page {
    let path = format!("jobs/{job}");
    Page::new(name, html! { pre { (text) } }).below(base, &[("Jobs", "jobs"), (job, &path)])
}

/// Every link of a document.
fn links(document: &Json) -> Markup {
    let links = list(document, "links");
    html! {
        @if !links.is_empty() {
            h2 { "Links" }
            ul { @for link in links { li { (value(link)) } } }
        }
    }
}

/// Members of a document other than these, if there are any.
fn others(document: &Json, shown: &[&str]) -> Markup {
    let members = document.as_object().into_iter().flatten();
    let members: Vec<(&String, &Json)> = members.filter(|(key, _)| !shown.contains(&key.as_str())).collect();
    html! {
        @if !members.is_empty() {
            dl { @for (key, member) in members { dt { (key) } dd { (value(member)) } } }
        }
    }
}

fn text<'a>(document: &'a Json, name: &str) -> &'a str {
    document.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn list<'a>(document: &'a Json, name: &str) -> &'a [Json] {
    document.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The first link of a relation.
fn href<'a>(document: &'a Json, rel: &str) -> Option<&'a str> {
    list(document, "links").iter().find(|link| text(link, "rel") == rel).map(|link| text(link, "href"))
}
