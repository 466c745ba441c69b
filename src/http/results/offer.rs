//! The media types in which an output can be had (18-062r2, `output.yaml`: `format`), by its schema.

use serde_json::Value as Json;
use weir_api::media::essence;

use super::output::GEOJSON;
use crate::negotiate::JSON;

/// Texts that are no documents.
pub const TEXT: &str = "text/plain";

/// What an output is offered in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// In this order, the default first.
    pub media_types: Vec<String>,
    /// Whether other ones may be right: what a File holds is often said nowhere before it is there.
    pub is_open: bool,
}

impl Offer {
    /// By the schema of a description.
    pub fn of(schema: &Json) -> Self {
        let mut offer = Self::default();
        offer.look(schema);
        offer
    }

    /// Whether an output can be had so.
    pub fn has(&self, media_type: &str) -> bool {
        is_media_type(media_type)
            && (self.is_open || self.media_types.iter().any(|offered| is_same(offered, media_type)))
    }

    fn look(&mut self, schema: &Json) {
        let text = |keyword: &str| schema.get(keyword).and_then(Json::as_str);
        if let Some(stated) = text("contentMediaType") {
            return self.add(stated);
        }
        let parts: Vec<&Json> = ["oneOf", "anyOf", "allOf"]
            .into_iter()
            .flat_map(|keyword| schema.get(keyword).and_then(Json::as_array).into_iter().flatten())
            .collect();
        for part in &parts {
            self.look(part);
        }
        match (text("type"), text("format")) {
            (_, Some("geojson-feature-collection")) => {
                // A folder: its documents are all that there is of it.
                self.is_open = false;
                self.add(GEOJSON);
                self.add(JSON);
            }
            (_, Some("geojson-feature" | "geojson-geometry")) => {
                self.add(GEOJSON);
                self.add(JSON);
            }
            (Some("string"), Some("uri")) => self.is_open = true,
            (Some("string"), _) => {
                self.add(TEXT);
                self.add(JSON);
            }
            (Some("array"), _) => {
                let items = schema.get("items").map(Self::of).unwrap_or_default();
                if items.media_types.iter().any(|item| item == GEOJSON) {
                    self.add(GEOJSON);
                }
                self.add(JSON);
            }
            (None, None) => self.is_open |= parts.is_empty(),
            (..) => self.add(JSON),
        }
    }

    fn add(&mut self, media_type: &str) {
        if !self.media_types.iter().any(|known| known == media_type) {
            self.media_types.push(media_type.to_owned());
        }
    }
}

/// The media type that a request asks for, and the pointer to it in the output's part of the request. Drafts of 2.0 have
/// no `format` around it.
pub fn asked(output: &Json) -> Option<(&'static str, &Json)> {
    [("/format/mediaType", output.pointer("/format/mediaType")), ("/mediaType", output.get("mediaType"))]
        .into_iter()
        .find_map(|(pointer, media_type)| Some((pointer, media_type.filter(|media_type| !media_type.is_null())?)))
}

/// Without regard to case, blanks and parameters that only one of both states.
pub fn is_same(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.to_ascii_lowercase().replace([' ', '"'], "");
    let (one, other) = (bare(one), bare(other));
    one == other || (essence(&one) == essence(&other) && (!one.contains(';') || !other.contains(';')))
}

/// Whether documents of the type are JSON (RFC 6839, §3.1).
pub fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence == JSON || essence.ends_with("+json")
}

/// Whether documents of the type are texts as they stand; JSON holds others in base64.
pub fn is_text(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence.starts_with("text/") || essence.ends_with("+xml") || essence == "application/xml" || is_json(&essence)
}

/// Whether a text is a media type that can stand in a header (RFC 9110, §8.3.1).
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    essence.trim().split_once('/').is_some_and(|(type_, subtype)| is_token(type_) && is_token(subtype))
        && parameters.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_cwl::Type;
    use weir_cwl::description::schema;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "schemas are written where they are read")]
    fn offered(schema: Json) -> (Vec<String>, bool) {
        let Offer { media_types, is_open } = Offer::of(&schema);
        (media_types, is_open)
    }

    #[test]
    fn schemas_say_what_an_output_is_offered_in() {
        let types = |types: &[&str]| types.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(offered(schema(&Type::String)), (types(&["text/plain", "application/json"]), false));
        assert_eq!(offered(schema(&Type::Int)), (types(&["application/json"]), false));
        assert_eq!(offered(schema(&Type::File)), (types(&[GEOJSON, "application/json"]), true));
        assert!(!offered(schema(&Type::Directory)).1);
        assert!(Offer::of(&schema(&Type::Directory)).has(GEOJSON) && offered(schema(&Type::Any)).1);
        let image =
            |media_type: &str| json!({"type": "string", "contentEncoding": "binary", "contentMediaType": media_type});
        let images = json!({"oneOf": [image("image/tiff; application=geotiff"), image("image/jp2")]});
        assert_eq!(offered(images.clone()), (types(&["image/tiff; application=geotiff", "image/jp2"]), false));
        assert!(Offer::of(&images).has("image/tiff") && !Offer::of(&images).has("image/png"));
        let files = json!({"type": "array", "items": schema(&Type::File)});
        assert_eq!(offered(files), (types(&[GEOJSON, "application/json"]), false));
        let bbox = json!({"allOf": [{"format": "ogc-bbox"}, {"type": "object", "required": ["bbox"]}]});
        assert_eq!(offered(bbox), (types(&["application/json"]), false));
    }

    #[test]
    fn what_is_no_media_type_is_never_offered() {
        let any = Offer { is_open: true, ..Offer::default() };
        assert!(any.has("image/tiff; application=geotiff; profile=cloud-optimized"));
        for wrong in ["", "image", "image/", "image/tiff\r\nx: y", "a b/c", "text/plain; a=\r\n", "*/*"] {
            assert!(!any.has(wrong), "{wrong:?}");
        }
    }
}
