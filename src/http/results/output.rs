//! The outputs of a job, ready to be given.

use serde_json::{Map, Value as Json, json};

use super::collection::{collection, features, item, media_type};
use super::offer::{TEXT, is_json, is_same, is_text};
use super::published::Published;
use super::reading::Reading;
use super::shape::Shape;
use super::{Selection, Transmission, Wanted, ready};
use crate::backend::{JobRecord, Storage};
use crate::execution::format::base64_bytes;
use crate::negotiate::JSON;
use crate::problem::Problem;

/// Media type of STAC documents.
pub const GEOJSON: &str = "application/geo+json";
/// Media type of bytes of which nothing is known.
const BYTES: &str = "application/octet-stream";

/// One output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its id.
    pub name: String,
    /// How it is to be given.
    pub transmission: Transmission,
    /// What is given.
    pub content: Content,
    /// The media type that the request asked for.
    pub asked: Option<String>,
}

/// An output as it is given by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A text, or bytes.
    Bytes(Vec<u8>),
    /// JSON.
    Json(Json),
    /// The bytes of a published file, at its location.
    File(String),
}

impl Output {
    /// What is given, and its media type.
    pub fn given(self) -> (Given, String) {
        let (media_type, is_item) = (self.media_type(), self.is_item());
        let given = match self.content {
            Content::File { item, .. } if is_item => Given::Json(item),
            Content::File { location, .. } => Given::File(location),
            Content::Value(Json::String(text)) if is_json(&media_type) => Given::Json(text.into()),
            Content::Value(Json::String(text)) => {
                let bytes = if is_text(&media_type) { None } else { base64_bytes(&text) };
                Given::Bytes(bytes.unwrap_or_else(|| text.into_bytes()))
            }
            Content::Value(value) | Content::Features(value) => Given::Json(value),
        };
        (given, media_type)
    }

    /// The media type that was asked for, where the value can have it; else its own. What a file is it says itself, if its
    /// name does.
    pub fn media_type(&self) -> String {
        let own = self.content.media_type();
        let Some(asked) = self.asked.as_deref() else { return own.to_owned() };
        let can_be = match &self.content {
            Content::Value(Json::String(_)) => true,
            Content::Value(_) | Content::Features(_) => is_json(asked),
            Content::File { media_type, .. } => self.is_item() || media_type.is_none_or(|own| is_same(own, asked)),
        };
        if can_be { asked.to_owned() } else { own.to_owned() }
    }

    /// Whether of a file the item that describes it was asked for, and not its bytes.
    fn is_item(&self) -> bool {
        let Content::File { media_type, .. } = &self.content else { return false };
        let is_own = |asked: &str| media_type.is_some_and(|own| is_same(own, asked));
        self.asked.as_deref().is_some_and(|asked| is_json(asked) && !is_own(asked))
    }

    /// Inside of a document; `None`: it can only be linked.
    pub fn inline(self) -> Option<Json> {
        let media_type = self.media_type();
        let is_own = is_same(&media_type, self.content.media_type());
        match &self.content {
            Content::File { .. } if self.asked.is_some() && !self.is_item() => None,
            // JSON is what all of the document is.
            _ if is_own || is_json(&media_type) => Some(qualified(self.content.into_json())),
            _ => Some(json!({"value": self.content.into_json(), "mediaType": media_type})),
        }
    }
}

/// Objects are qualified (`qualifiedInputValue.yaml`), as the reference's clients read them, but for bounding boxes
/// (`inputValueNoObject.yaml`).
fn qualified(value: Json) -> Json {
    match value {
        object @ Json::Object(_) if !is_bbox(&object) => json!({"value": object}),
        other => other,
    }
}

fn is_bbox(object: &Json) -> bool {
    let only = |members: &Map<String, Json>| members.keys().all(|name| matches!(name.as_str(), "bbox" | "crs"));
    object.get("bbox").is_some_and(Json::is_array) && object.as_object().is_some_and(only)
}

/// What an output is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A value that is no file.
    Value(Json),
    /// Items of STAC.
    Features(Json),
    /// A published file: its bytes, or the item that describes it.
    File {
        /// Where it is.
        location: String,
        /// What it is.
        media_type: Option<&'static str>,
        /// The item.
        item: Json,
    },
}

impl Content {
    /// The media type of the value itself.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Value(Json::String(_)) => TEXT,
            Self::Value(_) => JSON,
            Self::Features(_) => GEOJSON,
            Self::File { media_type, .. } => media_type.unwrap_or(BYTES),
        }
    }

    /// As JSON has it.
    pub fn into_json(self) -> Json {
        match self {
            Self::Value(value) | Self::Features(value) | Self::File { item: value, .. } => value,
        }
    }
}

/// The outputs that are selected, in the order of the selection.
pub async fn contents(reading: &Reading<'_>, job: &JobRecord, selection: &Selection) -> Result<Vec<Output>, Problem> {
    ready(job)?;
    let Reading { facade, tenant, .. } = reading;
    let values = facade.backend.results(tenant, &job.id).await?;
    values.values().try_for_each(|value| reading.take_value(value))?;
    let wanted: Vec<Wanted> = match &selection.outputs {
        Some(outputs) => outputs.clone(),
        None => values.keys().map(|name| Wanted::plain(name)).collect(),
    };
    let published = Published::new(reading, &job.id);
    let storage = facade.backend.storage(tenant);
    let mut outputs = Vec::new();
    for Wanted { name, transmission, media_type: asked } in wanted {
        let Some(value) = values.get(&name) else {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            return Err(Problem::no_such_output(&name, &known));
        };
        // Of what is only referred to no more than its kind is needed.
        let published = (transmission == Transmission::Value).then_some(&published);
        let content = content(&name, value, job, published, &storage).await?;
        outputs.push(Output { name, transmission, content, asked });
    }
    Ok(outputs)
}

async fn content(
    name: &str,
    value: &Json,
    job: &JobRecord,
    published: Option<&Published<'_>>,
    storage: &Storage,
) -> Result<Content, Problem> {
    let id = job.id.as_str();
    let finished = job.finished.unwrap_or(job.updated);
    Ok(match Shape::of(value) {
        Shape::Catalogs(catalogs) => match published {
            None => Content::Features(Json::Null),
            Some(published) => match features(published, &catalogs).await? {
                Some(features) => Content::Features(collection(features, id, storage)),
                // A text that only looks like a catalog of ours.
                None => Content::Value(value.clone()),
            },
        },
        Shape::Entry(entry) => {
            let item = item(name, entry, id, finished, storage);
            let location = entry.get("location").and_then(Json::as_str).unwrap_or_default().to_owned();
            match entry.get("class").and_then(Json::as_str) {
                Some("File") => Content::File { location, media_type: media_type(entry), item },
                _ => Content::Features(item),
            }
        }
        Shape::Entries(entries) => {
            let numbered = entries.into_iter().zip(1..);
            let items = numbered.map(|(entry, number)| item(&format!("{name}_{number}"), entry, id, finished, storage));
            Content::Features(json!({"type": "FeatureCollection", "features": items.collect::<Vec<_>>(), "id": id}))
        }
        Shape::Value(value) => Content::Value(value.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(content: Content, asked: Option<&str>) -> Output {
        let (transmission, asked) = (Transmission::Value, asked.map(str::to_owned));
        Output { name: "o".into(), transmission, content, asked }
    }

    fn file(media_type: Option<&'static str>) -> Content {
        Content::File { location: "s3://r/1/o/f".into(), media_type, item: json!({"type": "Feature"}) }
    }

    #[test]
    fn a_file_is_its_bytes_or_the_item_that_describes_it() {
        let bytes = |media_type: &str| (Given::File("s3://r/1/o/f".into()), media_type.to_owned());
        let item = |media_type: &str| (Given::Json(json!({"type": "Feature"})), media_type.to_owned());
        let given = |own, asked| output(file(own), asked).given();
        assert_eq!(given(Some("image/tiff"), None), bytes("image/tiff"));
        assert_eq!(
            given(Some("image/tiff"), Some("image/tiff; application=geotiff")),
            bytes("image/tiff; application=geotiff")
        );
        assert_eq!(given(Some("image/tiff"), Some("image/png")), bytes("image/tiff"), "it says itself what it is");
        assert_eq!(given(None, Some("text/csv")), bytes("text/csv"));
        assert_eq!(given(Some("image/tiff"), Some(GEOJSON)), item(GEOJSON));
        assert_eq!(given(Some("application/json"), Some(JSON)), bytes(JSON));
        let inline = |asked| output(file(Some("image/tiff")), asked).inline();
        assert_eq!(inline(None), Some(json!({"value": {"type": "Feature"}})));
        assert_eq!(inline(Some(GEOJSON)), inline(None));
        assert_eq!(inline(Some("image/tiff")), None, "bytes are linked");
    }

    #[test]
    fn a_value_has_the_media_type_that_is_asked_for_if_it_can() {
        let given = |value: Json, asked| output(Content::Value(value), Some(asked)).given();
        assert_eq!(given(json!("a"), "text/plain"), (Given::Bytes(b"a".into()), "text/plain".to_owned()));
        assert_eq!(given(json!("a"), JSON), (Given::Json(json!("a")), JSON.to_owned()));
        assert_eq!(given(json!("SUkqAA=="), "image/tiff"), (Given::Bytes(b"II*\0".into()), "image/tiff".to_owned()));
        assert_eq!(given(json!(5), "text/plain"), (Given::Json(json!(5)), JSON.to_owned()));
        let inline = |value: Json, asked| output(Content::Value(value), Some(asked)).inline();
        assert_eq!(inline(json!("a"), "text/plain"), Some(json!("a")));
        assert_eq!(inline(json!("a,b"), "text/csv"), Some(json!({"value": "a,b", "mediaType": "text/csv"})));
    }
}
