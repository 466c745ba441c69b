//! STAC results as the platforms of OGC 20-089r1 answer them: one feature collection of the items of the published
//! catalog, with the `storage:*` fields of STAC's storage extension at their assets.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use weir_cwl::uri;

use super::published::Published;
use crate::backend::Storage;
use crate::jobs::status::time;
use crate::limits::RESULT_ITEMS_MAX;
use crate::problem::Problem;

/// The items of published catalogs; `None`: the job has published none of these.
pub async fn features(published: &Published<'_>, catalogs: &[String]) -> Result<Option<Vec<Json>>, Problem> {
    let mut features = Vec::new();
    let mut is_published = false;
    for catalog in catalogs {
        let Some(document) = published.document(catalog).await? else { continue };
        is_published = true;
        // The first collection has the items; without one the catalog itself.
        let first = linked(catalog, &document, "child").into_iter().next();
        let collection = match first {
            Some(url) => published.document(&url).await?.map(|document| (url, document)),
            None => None,
        };
        let (url, document) = collection.unwrap_or_else(|| (catalog.clone(), document));
        let items = linked(&url, &document, "item");
        if features.len() + items.len() > RESULT_ITEMS_MAX {
            let what = format!("there are more than {RESULT_ITEMS_MAX} items; read them from {catalog}");
            return Err(Problem::new(
                axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                crate::problem::types::NO_APPLICABLE_CODE,
                "Too large to be given inline",
                what,
            ));
        }
        features.extend(published.documents(items).await?.into_iter().map(|(_, item)| item));
    }
    Ok(is_published.then_some(features))
}

/// Absolute URLs of a document's links of a relation.
fn linked(url: &str, document: &Json, relation: &str) -> Vec<String> {
    let links = document.get("links").and_then(Json::as_array).into_iter().flatten();
    links
        .filter(|link| link.get("rel").and_then(Json::as_str) == Some(relation))
        .filter_map(|link| Some(uri::join(url, link.get("href")?.as_str()?)))
        .collect()
}

/// The feature collection of a job.
pub fn collection(features: Vec<Json>, job: &str, storage: &Storage) -> Json {
    let features: Vec<Json> = features.into_iter().map(|item| with_storage(item, job, storage)).collect();
    json!({"type": "FeatureCollection", "features": features, "id": job})
}

/// An item as a result: of the job's collection, and its assets say where they lie.
fn with_storage(mut item: Json, job: &str, storage: &Storage) -> Json {
    let Some(members) = item.as_object_mut() else { return item };
    members.insert("collection".into(), job.into());
    for asset in members.get_mut("assets").and_then(Json::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Some(asset) = asset.as_object_mut() {
            add_storage(asset, storage);
        }
    }
    item
}

fn add_storage(asset: &mut Map<String, Json>, storage: &Storage) {
    let roles = asset.shift_remove("roles");
    asset.insert("storage:platform".into(), storage.platform.as_str().into());
    asset.insert("storage:requester_pays".into(), false.into());
    asset.insert("storage:tier".into(), storage.tier.as_str().into());
    asset.insert("storage:region".into(), storage.region.as_str().into());
    if let Some(endpoint) = &storage.endpoint {
        asset.insert("storage:endpoint".into(), endpoint.as_str().into());
    }
    if let Some(roles) = roles {
        asset.insert("roles".into(), roles);
    }
}

/// A File or Directory as a minimal item: no place on Earth, one asset `data`.
pub fn item(id: &str, entry: &Json, job: &str, finished: Timestamp, storage: &Storage) -> Json {
    let location = entry.get("location").and_then(Json::as_str).unwrap_or_default();
    let mut asset = Map::new();
    asset.insert("href".into(), location.into());
    if let Some(media_type) = media_type(entry) {
        asset.insert("type".into(), media_type.into());
    }
    asset.insert("roles".into(), json!(["data"]));
    add_storage(&mut asset, storage);
    json!({
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": id,
        "properties": {"datetime": time(finished)},
        "geometry": null,
        "links": [],
        "assets": {"data": asset},
        "stac_extensions": [],
        "collection": job,
    })
}

/// The media type of a File, by its name's ending.
pub fn media_type(entry: &Json) -> Option<&'static str> {
    if entry.get("class").and_then(Json::as_str) != Some("File") {
        return None;
    }
    let name = entry.get("basename").or_else(|| entry.get("location")).and_then(Json::as_str)?;
    weir_api::media::type_of(name)
}
