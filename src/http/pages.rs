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
mod link;
mod process;
mod schema;
mod value;

pub use api::api;
pub use job::{job, jobs, results};
pub use process::{process, processes};
pub use value::value;

use link::links;
use value::prose;

const STYLE: &str = include_str!("pages/style.css");

/// A whole page.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    /// Label and URL of what it is below, outermost first.
    path: Vec<(String, String)>,
    /// Label and URL of the same as programs read it.
    same: Option<(&'static str, String)>,
    /// Seconds after which a browser asks again.
    refresh: Option<u32>,
    body: Markup,
}

impl Page {
    /// With this title, which is also its heading.
    pub fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), path: Vec::new(), same: None, refresh: None, body }
    }

    /// With a link to the same in JSON.
    #[must_use]
    pub fn of(self, document: &Json) -> Self {
        Self { same: Some(("JSON", link::in_json(document))), ..self }
    }

    /// With a link to the text that it shows.
    #[must_use]
    fn of_text(self, href: &str) -> Self {
        Self { same: Some(("The text alone", href.to_owned())), ..self }
    }

    /// Asked for again by the browser, as long as it is open.
    #[must_use]
    fn refreshed(self, seconds: Option<u32>) -> Self {
        Self { refresh: seconds, ..self }
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
        let Self { title, path, same, refresh, body } = self;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(seconds) = refresh { meta http-equiv="refresh" content=(seconds); }
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        nav { @for (label, url) in &path { a href=(url) { (label) } " / " } }
                        @if let Some((label, url)) = &same { a href=(url) { (label) } }
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

/// A problem; below the landing page of the tenant, if it is one's.
pub fn problem(problem: &Problem, base: Option<&Base>) -> Page {
    let document = problem.document();
    let body = html! {
        @let detail = text(&document, "detail");
        @if detail.contains('\n') { pre { (detail) } } @else { p { (prose(detail)) } }
        (others(&document, &["title", "detail"]))
        @if let Some(base) = base {
            p {
                "From here: "
                a href=(base.url("")) { "Start" } ", " a href=(base.url("processes")) { "Processes" } ", "
                a href=(base.url("jobs")) { "Jobs" }
            }
        }
    };
    let page = Page::new(problem.title.clone(), body);
    match base {
        Some(base) => page.below(base, &[]),
        None => page,
    }
}

/// The landing page.
pub fn landing(base: &Base, document: &Json) -> Page {
    let body = html! {
        p { (text(document, "description")) }
        (links(base, document))
    };
    Page::new(text(document, "title"), body).of(document)
}

/// The declaration of conformance.
pub fn conformance(base: &Base, document: &Json) -> Page {
    let body = html! {
        ul { @for class in list(document, "conformsTo") { li { (value(class)) } } }
        (links(base, document))
    };
    Page::new("Conformance", body).below(base, &[]).of(document)
}

/// The package of a process, as it was deployed.
pub fn package(base: &Base, id: &str, text: &str) -> Page {
    let path = format!("processes/{id}");
    let title = format!("Package of {id}");
    Page::new(title, html! { pre { (text) } }).below(base, &[("Processes", "processes"), (id, &path)]).of(&Json::Null)
}

/// A text of a job: a log, or what it has used.
pub fn log(base: &Base, job: &str, name: &str, text: &str) -> Page {
    let path = format!("jobs/{job}");
    // What is JSON comes as it is; so does all else.
    Page::new(name, html! { pre { (text) } }).below(base, &[("Jobs", "jobs"), (job, &path)]).of_text("?f=json")
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
