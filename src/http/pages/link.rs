//! Links of a document as a page has them: to what a browser shows.
//!
//! A browser likes HTML best: what links to a resource of ours opens its page, where one link leads to the same in JSON. What
//! is for programs alone says `f=json`.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{list, text};
use crate::links::{Base, rel};
use crate::openapi::OPENAPI_JSON;

/// Where a page shows how a process is executed.
pub(super) const EXECUTE: &str = "execute";
/// Where a page shows why a job failed.
pub(super) const FAILURE: &str = "failure";

/// All links of a document but those to itself; of several to one place the first.
pub(super) fn links(base: &Base, document: &Json) -> Markup {
    let all = list(document, "links");
    let is_again = |at: usize| all[..at].iter().any(|one| one["href"] == all[at]["href"]);
    let links: Vec<&Json> =
        (0..all.len()).filter(|at| !is_itself(base, &all[*at]) && !is_again(*at)).map(|at| &all[at]).collect();
    html! {
        @if !links.is_empty() {
            h2 { "Links" }
            ul { @for link in links { li { (anchor(base, link)) } } }
        }
    }
}

/// The same document in JSON.
pub(super) fn in_json(document: &Json) -> String {
    let itself = list(document, "links").iter().find(|link| matches!(text(link, "rel"), "self" | "monitor"));
    with_format(itself.map_or("", |link| text(link, "href")))
}

/// A link of the standard's `link.yaml`; one to a place of somebody else with all that it says.
pub(super) fn anchor(base: &Base, link: &Json) -> Markup {
    if !is_own(base, link) {
        return super::value(link);
    }
    let href = text(link, "href");
    let href = match (text(link, "rel"), text(link, "type")) {
        (rel::EXECUTE, _) => format!("{}#{EXECUTE}", href.trim_end_matches("/execution")),
        (rel::EXCEPTIONS, _) => format!("#{FAILURE}"),
        (_, OPENAPI_JSON) => with_format(href),
        _ => href.to_owned(),
    };
    html! { a href=(href) rel=[link.get("rel").and_then(Json::as_str)] { (text(link, "title")) } }
}

/// Whether the page is what the link leads to, in this or another form.
fn is_itself(base: &Base, link: &Json) -> bool {
    is_own(base, link) && matches!(text(link, "rel"), "self" | "alternate" | "monitor")
}

fn is_own(base: &Base, link: &Json) -> bool {
    text(link, "href").strip_prefix(&base.url("")).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        || text(link, "href").starts_with(&base.outside("temp/"))
}

fn with_format(href: &str) -> String {
    format!("{href}{}f=json", if href.contains('?') { '&' } else { '?' })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Base {
        Base::new(&"http://h".parse().unwrap(), &"acme".parse().unwrap())
    }

    #[test]
    fn links_open_pages_and_say_json_where_there_is_nothing_else() {
        let base = base();
        let of = |path: &str, rel: &str, media_type: &str| {
            anchor(&base, &base.link(path, rel, media_type, "T")).into_string()
        };
        assert_eq!(of("jobs", "up", "application/json"), r#"<a href="http://h/acme/ogc-api/jobs" rel="up">T</a>"#);
        assert_eq!(
            of("api", "service-desc", OPENAPI_JSON),
            r#"<a href="http://h/acme/ogc-api/api?f=json" rel="service-desc">T</a>"#
        );
        let execution = of("processes/p/execution", rel::EXECUTE, "application/json");
        assert!(execution.contains(r#"href="http://h/acme/ogc-api/processes/p#execute""#), "{execution}");
    }

    #[test]
    fn a_page_does_not_link_to_itself_and_shows_what_others_link_to() {
        let base = base();
        let others = json!({"href": "https://x.example", "rel": "self", "title": "Theirs"});
        let mut own = base.self_and_alternate("jobs?limit=5");
        own.push(others);
        let document = json!({"links": own});
        let shown = links(&base, &document).into_string();
        assert!(shown.contains("https://x.example") && !shown.contains("http://h"), "{shown}");
        assert_eq!(in_json(&document), "http://h/acme/ogc-api/jobs?limit=5&f=json");
        assert_eq!(in_json(&json!({})), "?f=json");
    }
}
