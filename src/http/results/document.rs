//! The document form of results (18-062r2, `results.yaml`): every output in one JSON object.

use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};

use super::output::{Content, contents};
use super::reading::Reading;
use super::{Selection, Transmission, reference};
use crate::backend::JobRecord;
use crate::links::Base;
use crate::negotiate::JSON;
use crate::problem::Problem;

/// The document.
pub async fn document(
    reading: &Reading<'_>,
    base: &Base,
    job: &JobRecord,
    selection: &Selection,
) -> Result<Json, Problem> {
    let mut document = Map::new();
    for output in contents(reading, job, selection).await? {
        let value = match output.transmission {
            Transmission::Reference => json!({
                "href": reference(base, job, &output.name),
                "type": output.content.media_type(),
            }),
            Transmission::Value => inline(output.content),
        };
        document.insert(output.name, value);
    }
    Ok(Json::Object(document))
}

/// A value inside the document: objects are qualified (`qualifiedInputValue.yaml`), as the reference's clients read them,
/// but for bounding boxes (`inputValueNoObject.yaml`).
fn inline(content: Content) -> Json {
    match content.into_json() {
        object @ Json::Object(_) if !is_bbox(&object) => json!({"value": object}),
        other => other,
    }
}

fn is_bbox(object: &Json) -> bool {
    let only = |members: &Map<String, Json>| members.keys().all(|name| matches!(name.as_str(), "bbox" | "crs"));
    object.get("bbox").is_some_and(Json::is_array) && object.as_object().is_some_and(only)
}

/// The document as an answer.
pub fn answer(document: &Json) -> Response {
    ([(axum::http::header::CONTENT_TYPE, JSON)], document.to_string()).into_response()
}
