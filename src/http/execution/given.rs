//! The ways in which a request gives a value (18-062r2, `inlineOrRefData.yaml`).

use serde_json::{Map, Value as Json};

/// A value of a request, by the way it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Given<'a> {
    /// The value itself.
    Plain(&'a Json),
    /// With what it is.
    Qualified(Qualified<'a>),
    /// By reference: `link.yaml`.
    Link {
        /// Where it is.
        href: &'a str,
        /// `type`
        media_type: Option<&'a str>,
    },
}

/// `{value, mediaType, encoding, schema}`, or `{value, format: {mediaType, encoding, schema}}` as the official suite
/// writes it, or `{class: …#URI, value}` of the eoap schemas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Qualified<'a> {
    /// The value.
    pub value: &'a Json,
    /// Its media type.
    pub media_type: Option<&'a str>,
    /// Its encoding: `base64`.
    pub encoding: Option<&'a str>,
}

impl<'a> Given<'a> {
    /// Objects that have other members than the standard's are values themselves.
    pub fn of(json: &'a Json) -> Self {
        let Some(members) = json.as_object() else { return Self::Plain(json) };
        let has_only = |known: &[&str]| members.keys().all(|name| known.contains(&name.as_str()));
        match (members.get("value"), members.get("href").and_then(Json::as_str)) {
            (Some(value), None)
                if has_only(&["value", "mediaType", "encoding", "schema", "format", "class"]) && !is_file(members) =>
            {
                Self::Qualified(Qualified {
                    value,
                    media_type: stated(members, "mediaType"),
                    encoding: stated(members, "encoding"),
                })
            }
            (None, Some(href)) if no_link(members).is_none() => {
                let media_type = members.get("type").and_then(Json::as_str).or_else(|| stated(members, "mediaType"));
                Self::Link { href, media_type }
            }
            _ => Self::Plain(json),
        }
    }

    /// The value itself, of which `whole` is what was given.
    pub fn value(&self, whole: &'a Json) -> &'a Json {
        match self {
            Self::Plain(value) => value,
            Self::Qualified(qualified) => qualified.value,
            Self::Link { .. } => whole,
        }
    }
}

/// Members of links: `link.yaml`, those of later versions of the standard, the `class` of the eoap schemas, and the `format`
/// with which the official suite states the type.
const LINK: [&str; 13] = [
    "href",
    "rel",
    "type",
    "hreflang",
    "title",
    "length",
    "class",
    "method",
    "schema",
    "templated",
    "profile",
    "format",
    "mediaType",
];

/// The member by which an object is no link that can be followed, and what would be right; `None`: it is one, if it has an
/// `href`.
pub fn no_link(members: &Map<String, Json>) -> Option<(&str, &'static str)> {
    let is_wrong = |(name, value): (&String, &Json)| match name.as_str() {
        "method" => (!value.as_str().is_some_and(|method| method.eq_ignore_ascii_case("GET"))).then_some("write GET"),
        "templated" => (*value != Json::Bool(false)).then_some("write the URL itself"),
        known if LINK.contains(&known) => None,
        _ => Some("a link has only href, rel, type, hreflang, title, method, schema, templated and profile"),
    };
    members.iter().find_map(|member| Some((member.0.as_str(), is_wrong(member)?)))
}

fn is_file(members: &Map<String, Json>) -> bool {
    matches!(members.get("class").and_then(Json::as_str), Some("File" | "Directory"))
}

fn stated<'a>(members: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    let format = members.get("format").and_then(Json::as_object);
    members.get(name).or_else(|| format.and_then(|format| format.get(name))).and_then(Json::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_of_qualified_values_are_known() {
        for qualified in [
            json!({"value": "eA==", "mediaType": "image/tiff", "encoding": "base64"}),
            json!({"value": "eA==", "format": {"mediaType": "image/tiff", "encoding": "base64"}}),
        ] {
            let Given::Qualified(qualified) = Given::of(&qualified) else { panic!("{qualified}") };
            assert_eq!((qualified.media_type, qualified.encoding), (Some("image/tiff"), Some("base64")));
        }
        let uri = json!({"class": "https://x/string_format.yaml#URI", "value": "https://a"});
        assert!(matches!(Given::of(&uri), Given::Qualified(Qualified { media_type: None, .. })));
        assert_eq!(Given::of(&uri).value(&uri), "https://a");
    }

    #[test]
    fn links_are_told_from_objects_that_only_look_alike() {
        let link = json!({"href": "https://a", "type": "image/tiff"});
        assert_eq!(Given::of(&link), Given::Link { href: "https://a", media_type: Some("image/tiff") });
        let link = json!({"href": "https://a", "format": {"mediaType": "image/tiff"}});
        assert_eq!(Given::of(&link), Given::Link { href: "https://a", media_type: Some("image/tiff") });
        let whole = json!({"href": "https://a", "method": "get", "schema": {}, "templated": false, "profile": "p",
            "title": "A", "hreflang": "en", "rel": "item"});
        assert_eq!(Given::of(&whole), Given::Link { href: "https://a", media_type: None });
        for plain in [
            json!({"href": "a", "bands": []}),
            json!({"href": "a", "method": "POST"}),
            json!({"href": "a{?b}", "templated": true}),
            json!({"value": 1, "unit": "m"}),
            json!({"bbox": []}),
            json!("x"),
        ] {
            assert_eq!(Given::of(&plain), Given::Plain(&plain));
        }
    }
}
