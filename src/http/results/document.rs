//! The document form of results (18-062r2, `results.yaml`): every output in one JSON object.

use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};

use super::output::contents;
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
        let (name, link) = (
            output.name.clone(),
            json!({
                "href": reference(base, job, &output.name),
                "type": output.media_type(),
            }),
        );
        let value = match output.transmission {
            Transmission::Reference => link,
            Transmission::Value => output.inline().unwrap_or(link),
        };
        document.insert(name, value);
    }
    Ok(Json::Object(document))
}

/// The document as an answer.
pub fn answer(document: &Json) -> Response {
    ([(axum::http::header::CONTENT_TYPE, JSON)], document.to_string()).into_response()
}
