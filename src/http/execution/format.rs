//! Formats of strings and objects: JSON Schema's, and the short codes of 18-062r2 ("ogc-process-description", `format`).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::Value as Json;

use super::mistake::{Mistakes, below, shown};

/// Base64 as people and their tools write it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a base64 text (RFC 4648, §4), which may have line ends.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    if text.contains(['\n', '\r', ' ']) {
        return BASE64.decode(text.replace(['\n', '\r', ' '], "")).ok();
    }
    BASE64.decode(text).ok()
}

/// Whether a text is base64.
pub fn is_base64(text: &str) -> bool {
    base64_bytes(text).is_some()
}

/// Bytes as base64.
pub fn base64_text(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Checks a string of a format. What is not known restricts nothing.
pub fn check_string(format: &str, text: &str, pointer: &str, mistakes: &mut Mistakes) {
    let is_right = match format {
        "uri" | "iri" => has_scheme(text) && !text.contains(char::is_whitespace),
        "uri-reference" | "iri-reference" => !text.contains(char::is_whitespace),
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => text.parse::<jiff::Span>().is_ok(),
        "email" | "idn-email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
        "uuid" => is_uuid(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "ogc-bbox" | "geojson-feature-collection" | "geojson-feature" | "geojson-geometry" => false,
        _ => true,
    };
    if !is_right {
        let right = in_words(format).unwrap_or("a value of that format");
        mistakes.add(pointer, format!("it is {}", shown(&text.into())), format!("write {right}"));
    }
}

/// Checks an object of a format.
pub fn check_object(format: &str, value: &Json, pointer: &str, mistakes: &mut Mistakes) {
    match format {
        "ogc-bbox" => check_bbox(value, pointer, mistakes),
        "geojson-feature-collection" => check_type(value, &["FeatureCollection"], pointer, mistakes),
        "geojson-feature" => check_type(value, &["Feature"], pointer, mistakes),
        "geojson-geometry" => check_type(value, &GEOMETRIES, pointer, mistakes),
        _ => {}
    }
}

/// Checks a value against a schema that a description only refers to. One that is not known restricts nothing.
pub fn check_reference(reference: &str, value: &Json, pointer: &str, mistakes: &mut Mistakes) {
    match Known::of(reference) {
        Some(Known::BoundingBox) => check_bbox(value, pointer, mistakes),
        Some(Known::Item) => check_type(value, &["Feature"], pointer, mistakes),
        Some(Known::Features) => check_type(value, &["FeatureCollection"], pointer, mistakes),
        Some(Known::Collection) => check_type(value, &["Collection"], pointer, mistakes),
        None => {}
    }
}

/// A format in words.
pub fn in_words(format: &str) -> Option<&'static str> {
    Some(match format {
        "uri" | "iri" => "an absolute URL",
        "uri-reference" | "iri-reference" => "a URL",
        "date-time" => "a time like 2024-10-22T04:18:54Z",
        "date" => "a date like 2024-10-22",
        "duration" => "a duration like PT1H30M",
        "email" | "idn-email" => "an address like user@example.org",
        "uuid" => "a UUID",
        "ipv4" => "an IPv4 address",
        "ipv6" => "an IPv6 address",
        "ogc-bbox" => "a bounding box like {\"bbox\": [minx, miny, maxx, maxy]}",
        "geojson-feature-collection" => "a GeoJSON FeatureCollection",
        "geojson-feature" => "a GeoJSON Feature",
        "geojson-geometry" => "a GeoJSON geometry",
        _ => return None,
    })
}

/// A schema that a description only refers to, in words.
pub fn reference_in_words(reference: &str) -> &'static str {
    match Known::of(reference) {
        Some(Known::BoundingBox) => "a bounding box like {\"bbox\": [minx, miny, maxx, maxy]}",
        Some(Known::Item) => "a STAC item",
        Some(Known::Features) => "a GeoJSON FeatureCollection",
        Some(Known::Collection) => "a STAC collection",
        None => "a value of the schema that the description names",
    }
}

enum Known {
    BoundingBox,
    Item,
    Features,
    Collection,
}

impl Known {
    fn of(reference: &str) -> Option<Self> {
        let name = reference.rsplit('/').next()?.split('.').next()?;
        match name.to_ascii_lowercase().as_str() {
            "bbox" => Some(Self::BoundingBox),
            "item" | "feature" => Some(Self::Item),
            "featurecollection" => Some(Self::Features),
            "collection" => Some(Self::Collection),
            _ => None,
        }
    }
}

const GEOMETRIES: [&str; 7] =
    ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"];

fn check_type(value: &Json, types: &[&str], pointer: &str, mistakes: &mut Mistakes) {
    match value.get("type") {
        Some(Json::String(type_)) if types.contains(&type_.as_str()) => {}
        Some(type_) => {
            let right = format!("write {}", types.join(" or "));
            mistakes.add(&below(pointer, "type"), format!("it is {}", shown(type_)), right);
        }
        None => {
            mistakes.add(pointer, format!("it is {}", shown(value)), format!("write a GeoJSON {}", types.join(" or ")));
        }
    }
}

/// 18-062r2, `bbox.yaml`. The coordinate system may be any: the process knows which ones it takes.
fn check_bbox(value: &Json, pointer: &str, mistakes: &mut Mistakes) {
    let Some(members) = value.as_object() else {
        let right = "write a bounding box like {\"bbox\": [minx, miny, maxx, maxy]}";
        return mistakes.add(pointer, format!("it is {}", shown(value)), right);
    };
    if let Some(crs) = members.get("crs").filter(|crs| !crs.is_string() && !crs.is_null()) {
        let right = "write the URI of a coordinate system, or leave it out for CRS84";
        mistakes.add(&below(pointer, "crs"), format!("it is {}", shown(crs)), right);
    }
    let pointer = below(pointer, "bbox");
    let right = "write 4 numbers (minx, miny, maxx, maxy), or 6 with heights";
    match members.get("bbox") {
        Some(Json::Array(numbers)) if matches!(numbers.len(), 4 | 6) && numbers.iter().all(Json::is_number) => {}
        Some(other) => mistakes.add(&pointer, format!("it is {}", shown(other)), right),
        None => mistakes.add(&pointer, "it is missing", right),
    }
}

/// Whether a text begins with a scheme (RFC 3986, §3.1).
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_inner)
            && !rest.is_empty()
    })
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(format: &str, text: &str) -> bool {
        let mut mistakes = Mistakes::default();
        check_string(format, text, "", &mut mistakes);
        mistakes.is_empty()
    }

    #[test]
    fn strings_of_known_formats_are_told_from_others() {
        for (format, text) in [
            ("uri", "s3://bucket/key"),
            ("date-time", "2024-10-22T04:18:54.378Z"),
            ("date-time", "2024-10-22T04:18:54+02:00"),
            ("date", "2024-10-22"),
            ("duration", "P3DT2H"),
            ("email", "a@b.example"),
            ("uuid", "bfafdb8e-902c-11ef-a29c-8e55bd0a3308"),
            ("hostname", "anything that is not looked at"),
        ] {
            assert!(is_right(format, text), "{format} {text}");
        }
        for (format, text) in [
            ("uri", "item.json"),
            ("uri", "http://a b"),
            ("date-time", "2024-10-22"),
            ("date", "2024-13-01"),
            ("email", "a"),
            ("uuid", "bfafdb8e902c11efa29c8e55bd0a3308"),
            ("ogc-bbox", "1,2,3,4"),
        ] {
            assert!(!is_right(format, text), "{format} {text}");
        }
    }

    #[test]
    fn base64_may_have_line_ends_and_no_padding() {
        for text in ["SUkqAA==", "SUkqAA", "SUkq\r\nAA==", ""] {
            assert!(is_base64(text), "{text:?}");
        }
        assert!(!is_base64("äöü") && !is_base64("SUk*"));
        assert_eq!(base64_bytes(&base64_text(b"II*\0")).as_deref(), Some(&b"II*\0"[..]));
    }
}
