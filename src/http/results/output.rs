//! The outputs of a job, ready to be given.

use serde_json::{Value as Json, json};

use super::collection::{collection, features, item, media_type};
use super::published::Published;
use super::reading::Reading;
use super::shape::Shape;
use super::{Selection, Transmission, ready};
use crate::backend::{JobRecord, Storage};
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
            Self::Value(Json::String(_)) => "text/plain",
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
    let names: Vec<(String, Transmission)> = match &selection.outputs {
        Some(outputs) => outputs.clone(),
        None => values.keys().map(|name| (name.clone(), Transmission::Value)).collect(),
    };
    let published = Published::new(reading, &job.id);
    let storage = facade.backend.storage(tenant);
    let mut outputs = Vec::new();
    for (name, transmission) in names {
        let Some(value) = values.get(&name) else {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            return Err(Problem::no_such_output(&name, &known));
        };
        // Of what is only referred to no more than its kind is needed.
        let published = (transmission == Transmission::Value).then_some(&published);
        let content = content(&name, value, job, published, &storage).await?;
        outputs.push(Output { name, transmission, content });
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
