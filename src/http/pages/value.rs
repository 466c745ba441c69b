//! Any JSON value as HTML.

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

/// Lists and tables of all that a value holds. Links of the standard's `link.yaml` and web addresses are `<a>`.
pub fn value(json: &Json) -> Markup {
    match json {
        Json::Null => html! { code { "null" } },
        Json::Bool(_) | Json::Number(_) => html! { code { (json.to_string()) } },
        Json::String(text) => text_or_link(text),
        Json::Array(items) if items.iter().all(is_plain) && items.len() <= 16 => html! {
            @for (index, item) in items.iter().enumerate() { @if index > 0 { ", " } (value(item)) }
        },
        Json::Array(items) => html! { ul { @for item in items { li { (value(item)) } } } },
        Json::Object(members) if members.get("href").is_some_and(Json::is_string) => link(members),
        Json::Object(members) => html! {
            dl { @for (key, member) in members { dt { (key) } dd { (value(member)) } } }
        },
    }
}

/// A sentence: what stands between backticks is code.
pub(super) fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    html! {
        @if parts.len().is_multiple_of(2) { (text) }
        @else {
            @for (index, part) in parts.iter().enumerate() { @if index % 2 == 1 { code { (part) } } @else { (part) } }
        }
    }
}

fn is_plain(json: &Json) -> bool {
    !json.is_array() && !json.is_object()
}

fn text_or_link(text: &str) -> Markup {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    html! {
        @if is_web && !text.contains(char::is_whitespace) { a href=(text) { (text) } }
        @else if text.contains('\n') { pre { (text) } }
        @else { (text) }
    }
}

/// A link of the standard's `link.yaml`, with all that it says.
fn link(members: &Map<String, Json>) -> Markup {
    let text = |name: &str| members.get(name).and_then(Json::as_str);
    let href = text("href").unwrap_or_default();
    // `javascript:` and the like are shown, not offered.
    let is_safe = ["http://", "https://", "s3://"].iter().any(|scheme| href.starts_with(scheme));
    let label = text("title").unwrap_or(href);
    let rest: Vec<(&String, &Json)> =
        members.iter().filter(|(key, _)| !matches!(key.as_str(), "href" | "title" | "rel" | "type")).collect();
    html! {
        @if is_safe { a href=(href) rel=[text("rel")] type=[text("type")] { (label) } } @else { (label) " " code { (href) } }
        @if let Some(rel) = text("rel") { " " small { (rel) } }
        @if let Some(media_type) = text("type") { " " small { (media_type) } }
        @for (key, member) in rest { dl { dt { (key) } dd { (value(member)) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_between_backticks_are_code() {
        assert_eq!(prose("a `<b>` c").into_string(), "a <code>&lt;b&gt;</code> c");
        assert_eq!(prose("one ` alone").into_string(), "one ` alone");
    }
}
