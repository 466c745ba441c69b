//! The raw form of results: the values themselves (18-062r2, `/req/core/process-execute-sync-raw-*`).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LINK, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value as Json;

use super::multipart::{self, Part};
use super::offer::TEXT;
use super::output::{Content, Given, Output, contents};
use super::published::Published;
use super::reading::Reading;
use super::{Selection, Transmission, reference};
use crate::backend::{ByteStream, JobRecord};
use crate::links::Base;
use crate::problem::Problem;

/// One value: itself, and nothing of null. Several: a part each. Only references: 204 and a `Link` each.
pub async fn answer(
    reading: &Reading<'_>,
    base: &Base,
    job: &JobRecord,
    selection: &Selection,
) -> Result<Response, Problem> {
    let outputs = contents(reading, job, selection).await?;
    give(reading, base, job, outputs).await
}

/// These outputs.
pub async fn give(
    reading: &Reading<'_>,
    base: &Base,
    job: &JobRecord,
    outputs: Vec<Output>,
) -> Result<Response, Problem> {
    if outputs.iter().all(|output| output.transmission == Transmission::Reference) {
        return Ok(references(base, job, &outputs));
    }
    if let [Output { content: Content::Value(Json::Null), .. }] = outputs[..] {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let published = Published::new(reading, &job.id);
    let mut parts = Vec::new();
    for output in outputs {
        let (name, transmission) = (output.name.clone(), output.transmission);
        let (given, media_type) = output.given();
        let media_type = if matches!(given, Given::File(_)) { media_type } else { with_charset(media_type) };
        let part = match transmission {
            Transmission::Value => Part { body: body(&published, given).await?, media_type, location: None, name },
            Transmission::Reference => {
                let location = Some(reference(base, job, &name));
                Part { body: stream::empty().boxed(), media_type, location, name }
            }
        };
        parts.push(part);
    }
    let mut parts = parts.into_iter();
    Ok(match (parts.next(), parts.next()) {
        (Some(only), None) => one(only),
        (first, second) => {
            let boundary = format!("weir-{}", uuid::Uuid::new_v4().simple());
            multipart::answer(&boundary, first.into_iter().chain(second).chain(parts).collect())
        }
    })
}

/// Texts of our own are UTF-8.
fn with_charset(media_type: String) -> String {
    if media_type == TEXT { format!("{TEXT}; charset=utf-8") } else { media_type }
}

async fn body(published: &Published<'_>, given: Given) -> Result<ByteStream, Problem> {
    let bytes = match given {
        Given::File(location) => return Ok(published.stream(&location).await?),
        Given::Bytes(bytes) => bytes,
        Given::Json(value) => value.to_string().into_bytes(),
    };
    Ok(stream::iter([Ok(Bytes::from(bytes))]).boxed())
}

fn one(part: Part) -> Response {
    let media_type = HeaderValue::from_str(&part.media_type);
    let mut response = Body::from_stream(part.body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    // A tool made it: no browser may guess that it is a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `/req/core/process-execute-sync-raw-ref`.
fn references(base: &Base, job: &JobRecord, outputs: &[Output]) -> Response {
    let mut headers = HeaderMap::new();
    for output in outputs {
        let href = reference(base, job, &output.name);
        let media_type = output.media_type().replace('"', "");
        let link =
            format!("<{href}>; rel=\"item\"; type=\"{media_type}\"; title=\"{}\"", multipart::plain(&output.name));
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.append(LINK, link);
        }
    }
    (StatusCode::NO_CONTENT, headers).into_response()
}
