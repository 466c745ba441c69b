//! Files and Directories of a request as CWL has them: by URL, or with what is in them.

use serde_json::{Map, Value as Json, json};

use super::format::{base64_bytes, base64_text};
use super::given::{Given, Qualified, no_link};
use super::mistake::{Mistakes, below, shown};
use crate::limits::CONTENTS_BYTES;

/// Schemes that a job fetches from. Everything else would be this machine's own.
const SCHEMES: [&str; 3] = ["http://", "https://", "s3://"];

/// What is right for a location.
fn right_for(location: &Json) -> &'static str {
    let is_here = |location: &str| location.starts_with('/') || location.to_ascii_lowercase().starts_with("file:");
    if location.as_str().is_some_and(is_here) {
        "a request cannot name files of the server; serve the folder, as by `python3 -m http.server`, start weir with \
         `--allow-fetch 127.0.0.1`, and write the URL, which begins with http://127.0.0.1:8000/"
    } else {
        "write an absolute URL with http, https or s3"
    }
}

/// A File or Directory of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it is, as the schema sees it.
    pub url: Option<String>,
    /// Whether it is made of what stands in the request.
    pub is_literal: bool,
    /// The CWL object.
    pub cwl: Json,
}

/// Pointer, what is there, what would be right.
type Wrong = (String, String, String);

/// A File: a URL, a link, a CWL File, or contents.
pub fn file(given: &Given<'_>, pointer: &str) -> Result<Entry, Wrong> {
    if let Some(wrong) = strange_link(given, pointer) {
        return Err(wrong);
    }
    match given {
        Given::Link { href, .. } => by_url("File", href, &below(pointer, "href")),
        Given::Plain(Json::String(url)) => by_url("File", url, pointer),
        Given::Plain(Json::Object(members)) if is_class(members, "File") => Ok(as_it_is(members)),
        Given::Qualified(qualified) => match qualified.value {
            Json::String(url) if is_reference(qualified, url) => by_url("File", url, &below(pointer, "value")),
            _ => contents(qualified, pointer),
        },
        Given::Plain(document @ Json::Object(members)) if members.contains_key("type") => {
            let qualified = Qualified { value: document, media_type: Some("application/geo+json"), encoding: None };
            contents(&qualified, pointer)
        }
        Given::Plain(other) => Err(wrong(other, pointer, "write the file's URL, or {\"href\": \"https://…\"}")),
    }
}

/// A Directory: the URL of a STAC document or folder, a link, a CWL Directory, or a STAC document that says where it is.
pub fn directory(given: &Given<'_>, pointer: &str) -> Result<Entry, Wrong> {
    if let Some(wrong) = strange_link(given, pointer) {
        return Err(wrong);
    }
    let (value, pointer) = match given {
        Given::Link { href, .. } => return by_url("Directory", href, &below(pointer, "href")),
        Given::Plain(value) => (*value, pointer.to_owned()),
        Given::Qualified(qualified) => (qualified.value, below(pointer, "value")),
    };
    match value {
        Json::String(url) => by_url("Directory", url, &pointer),
        Json::Object(members) if is_class(members, "Directory") => Ok(as_it_is(members)),
        Json::Object(members) if members.contains_key("type") => {
            let what = "the STAC document has no link `self` that says where it is";
            let url =
                self_link(members).ok_or_else(|| (pointer.clone(), what.to_owned(), "write its URL".to_owned()))?;
            by_url("Directory", url, &below(&pointer, "links"))
        }
        other => Err(wrong(other, &pointer, "write the URL of a STAC item, or {\"href\": \"https://…\"}")),
    }
}

/// Refuses locations of this machine, in Files and Directories at any depth, also in values of which nothing is known
/// (invariant I9).
pub fn guard(value: &Json, pointer: &str, mistakes: &mut Mistakes) -> bool {
    match value {
        Json::Array(items) => {
            let guarded = items.iter().enumerate().map(|(at, item)| guard(item, &format!("{pointer}/{at}"), mistakes));
            guarded.fold(true, |all, one| all & one)
        }
        Json::Object(members) => {
            let mut is_right = true;
            if is_class(members, "File") || is_class(members, "Directory") {
                let location = members.get("location").filter(|location| !location.is_null());
                if let Some(location) = location.filter(|location| !location.as_str().is_some_and(is_fetchable)) {
                    mistakes.add(
                        &below(pointer, "location"),
                        format!("it is {}", shown(location)),
                        right_for(location),
                    );
                    is_right = false;
                }
                if members.get("path").is_some_and(|path| !path.is_null()) {
                    let right = "write `location` with a URL instead";
                    mistakes.add(&below(pointer, "path"), "a request cannot name a file of the server", right);
                    is_right = false;
                }
            }
            let guarded = members.iter().map(|(name, member)| guard(member, &below(pointer, name), mistakes));
            guarded.fold(is_right, |all, one| all & one)
        }
        _ => true,
    }
}

/// Of what can only be meant as a link, and is none that can be followed: its own text is not what is in the file.
fn strange_link(given: &Given<'_>, pointer: &str) -> Option<Wrong> {
    let Given::Plain(Json::Object(members)) = given else { return None };
    let is_meant = members.get("href").is_some_and(Json::is_string) && !members.contains_key("value");
    if !is_meant || is_class(members, "File") || is_class(members, "Directory") {
        return None;
    }
    let (name, right) = no_link(members)?;
    Some((below(pointer, name), format!("it is {}", shown(&members[name])), right.to_owned()))
}

fn by_url(class: &str, url: &str, pointer: &str) -> Result<Entry, Wrong> {
    if !is_fetchable(url) {
        let url = url.into();
        return Err(wrong(&url, pointer, right_for(&url)));
    }
    Ok(Entry { url: Some(url.to_owned()), is_literal: false, cwl: json!({"class": class, "location": url}) })
}

fn as_it_is(members: &Map<String, Json>) -> Entry {
    let url = members.get("location").and_then(Json::as_str).map(str::to_owned);
    Entry { is_literal: url.is_none(), url, cwl: Json::Object(members.clone()) }
}

/// A file made of a value: text as it is, base64 decoded, anything else as JSON.
fn contents(qualified: &Qualified<'_>, pointer: &str) -> Result<Entry, Wrong> {
    let pointer = below(pointer, "value");
    let bytes = match qualified.value {
        Json::String(text) if is_base64(qualified) => base64_bytes(text)
            .ok_or_else(|| wrong(qualified.value, &pointer, "write the bytes in base64 (RFC 4648)"))?,
        Json::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let media_type = qualified.media_type.unwrap_or("application/octet-stream");
    let name = format!("value{}", weir_api::media::ending(media_type));
    let cwl = match String::from_utf8(bytes) {
        Ok(text) if text.len() <= CONTENTS_BYTES => json!({"class": "File", "basename": name, "contents": text}),
        bytes => {
            let bytes = bytes.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
            let media_type = media_type.replace(' ', "");
            let location = format!("data:{media_type};base64,{}", base64_text(&bytes));
            json!({"class": "File", "basename": name, "location": location})
        }
    };
    Ok(Entry { url: None, is_literal: true, cwl })
}

fn is_base64(qualified: &Qualified<'_>) -> bool {
    qualified.encoding.is_some_and(|encoding| matches!(encoding.to_ascii_lowercase().as_str(), "base64" | "binary"))
}

/// A text of which nothing is said, and which is a URL: the pattern tester writes `{class: …#URI, value}`.
fn is_reference(qualified: &Qualified<'_>, text: &str) -> bool {
    qualified.media_type.is_none() && qualified.encoding.is_none() && is_fetchable(text)
}

fn is_fetchable(url: &str) -> bool {
    let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    let scheme = SCHEMES.into_iter().find(|scheme| lower.starts_with(scheme));
    scheme.is_some_and(|scheme| url.len() > scheme.len())
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_class(members: &Map<String, Json>, class: &str) -> bool {
    members.get("class").and_then(Json::as_str) == Some(class)
}

fn self_link(members: &Map<String, Json>) -> Option<&str> {
    let links = members.get("links")?.as_array()?;
    links.iter().find(|link| link.get("rel").and_then(Json::as_str) == Some("self"))?.get("href")?.as_str()
}

fn wrong(value: &Json, pointer: &str, right: &str) -> Wrong {
    (pointer.to_owned(), format!("it is {}", shown(value)), right.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Json) -> [Result<Json, String>; 2] {
        [file, directory].map(|read| {
            let entry = read(&Given::of(value), "/inputs/a");
            entry
                .map(|entry| entry.cwl["location"].clone())
                .map_err(|(place, what, right)| format!("{place}: {what}; {right}"))
        })
    }

    #[test]
    fn a_link_is_followed_whatever_it_says_of_its_target() {
        for more in [json!({}), json!({"method": "GET"}), json!({"schema": {}, "title": "A", "hreflang": "en"})] {
            let mut link = json!({"href": "https://x/a.tif", "type": "image/tiff"});
            link.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(read(&link), [Ok("https://x/a.tif".into()), Ok("https://x/a.tif".into())], "{link}");
        }
    }

    #[test]
    fn a_link_that_cannot_be_followed_is_no_file_of_its_own_text() {
        let refused = [
            json!({"href": "https://x/a.tif", "type": "image/tiff", "method": "POST", "body": {}}),
            json!({"href": "https://x/{a}", "type": "image/tiff", "templated": true}),
            json!({"href": "https://x/a.tif", "type": "image/tiff", "auth": "me"}),
        ]
        .map(|link| {
            let [file, directory] = read(&link);
            assert_eq!(file, directory);
            file.unwrap_err()
        });
        insta::assert_snapshot!(refused.join("\n"), @r#"
        /inputs/a/method: it is the string "POST"; write GET
        /inputs/a/templated: it is true; write the URL itself
        /inputs/a/auth: it is the string "me"; a link has only href, rel, type, hreflang, title, method, schema, templated and profile
        "#);
    }
}
