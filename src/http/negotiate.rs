//! In which form a resource is answered: `?f=`, else `Accept` (RFC 9110, §12.5.1).

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::pages::Page;
use crate::problem::{PROBLEM_JSON, Problem};

/// Media type of every document.
pub const JSON: &str = "application/json";
/// Media type of every page.
pub const HTML: &str = "text/html; charset=utf-8";

/// Forms that every document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    Json,
    /// `text/html`
    Html,
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(format) = stated(&parts.uri)? {
            return Ok(format);
        }
        // Who takes problems alone wants to know them.
        match choose(accept(&parts.headers).as_deref(), &[JSON, "text/html", PROBLEM_JSON]) {
            Some(0 | 2) => Ok(Self::Json),
            Some(_) => Ok(Self::Html),
            None => Err(Problem::not_acceptable(&[JSON, "text/html"])),
        }
    }
}

/// `None`: nothing that a document has is accepted. For what is also there as what it is: a picture, a log.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(format) => Ok(Some(format)),
            Err(problem) if problem.status == StatusCode::NOT_ACCEPTABLE => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

fn by_name(name: &str) -> Option<Format> {
    match name {
        "json" | JSON => Some(Format::Json),
        "html" | "text/html" => Some(Format::Html),
        _ => None,
    }
}

/// What a client accepts. Several lines are one list (RFC 9110, §5.3).
pub fn accept(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let first = lines.next()?.to_owned();
    Some(lines.fold(first, |all, line| all + ", " + line))
}

/// Of every resource there are several forms, if only of what is wrong with it: caches must know (RFC 9110, §12.5.5).
pub(crate) async fn vary(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// What `?f=` says, if it says something that is known.
pub fn asked_by_query(uri: &Uri) -> Option<Format> {
    query_value(uri, "f").and_then(|name| by_name(&name))
}

/// What `?f=` says; 400 if that is no format.
pub fn stated(uri: &Uri) -> Result<Option<Format>, Problem> {
    let Some(name) = query_value(uri, "f") else { return Ok(None) };
    let format = by_name(&name)
        .ok_or_else(|| Problem::invalid_parameter("f", format_args!("`{name}` is no format"), "write json or html"));
    format.map(Some)
}

fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// A document in the form that was asked for, status 200.
pub fn respond(format: Format, document: &impl Serialize, page: impl FnOnce() -> Page) -> Response {
    if format == Format::Html {
        return page().into_response();
    }
    match serde_json::to_string(document) {
        Ok(text) => ([(CONTENT_TYPE, JSON)], text).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// Which of the offered media types (`type/subtype`, best first) a client likes most; `None`: none of them. No `Accept`
/// likes everything. Parameters other than `q` are not compared.
pub fn choose(accept: Option<&str>, offered: &[&str]) -> Option<usize> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return (!offered.is_empty()).then_some(0);
    };
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::parse).collect();
    let mut best: Option<(usize, u16)> = None;
    for (index, media_type) in offered.iter().enumerate() {
        let quality = quality(&ranges, media_type);
        if quality > best.map_or(0, |(_, best)| best) {
            best = Some((index, quality));
        }
    }
    best.map(|(index, _)| index)
}

/// Quality of a media type in thousandths: of the range that is closest to it.
fn quality(ranges: &[Range<'_>], media_type: &str) -> u16 {
    let media_type = media_type.split(';').next().unwrap_or(media_type).trim();
    let matching = ranges.iter().filter_map(|range| Some((range.closeness(media_type)?, range.quality)));
    matching.max().map_or(0, |(_, quality)| quality)
}

struct Range<'a> {
    name: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let name = parts.next()?.trim();
        let quality = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        // One that is no number is as good as none.
        let quality = quality.and_then(|quality| quality.parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        let quality = (quality * 1000.0).round() as u16;
        (!name.is_empty()).then_some(Self { name, quality })
    }

    /// How closely it names a media type; `None`: not at all.
    fn closeness(&self, media_type: &str) -> Option<u8> {
        if self.name.eq_ignore_ascii_case(media_type) {
            return Some(2);
        }
        let (kind, any) = self.name.split_once('/')?;
        match (kind, any) {
            ("*", "*") => Some(0),
            (_, "*") => media_type.split('/').next()?.eq_ignore_ascii_case(kind).then_some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [&str; 2] = [JSON, "text/html"];

    #[test]
    fn the_best_liked_form_is_chosen() {
        assert_eq!(choose(None, &BOTH), Some(0));
        assert_eq!(choose(Some("*/*"), &BOTH), Some(0));
        assert_eq!(choose(Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), &BOTH), Some(1));
        assert_eq!(choose(Some("text/html;q=0.5, application/json"), &BOTH), Some(0));
        assert_eq!(choose(Some("application/json;q=0, */*"), &BOTH), Some(1));
        assert_eq!(choose(Some("TEXT/*"), &BOTH), Some(1));
        assert_eq!(choose(Some("image/png"), &BOTH), None);
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = ["image/png", "text/html;q=0.5", "application/json;q=0.1"];
        let headers: HeaderMap = lines.into_iter().map(|line| (ACCEPT, HeaderValue::from_static(line))).collect();
        assert_eq!(accept(&headers).as_deref(), Some("image/png, text/html;q=0.5, application/json;q=0.1"));
        assert_eq!(choose(accept(&headers).as_deref(), &BOTH), Some(1));
        assert_eq!(accept(&HeaderMap::new()), None);
    }

    #[test]
    fn the_query_wins_over_the_header() {
        assert_eq!(asked_by_query(&"/jobs?limit=1&f=html".parse().unwrap()), Some(Format::Html));
        assert_eq!(asked_by_query(&"/jobs?f=application%2Fjson".parse().unwrap()), Some(Format::Json));
        assert_eq!(asked_by_query(&"/jobs?f=pdf".parse().unwrap()), None);
        assert_eq!(stated(&"/jobs?f=pdf".parse().unwrap()).unwrap_err().status, 400);
    }
}
