//! Every request has an id, in its answer and in all that is traced of it.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

/// The client's or proxy's, if it is one that can be traced; else a new one.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of an id that is taken over.
const LENGTH_MAX: usize = 64;

/// Traces a request. Neither its query nor its headers: there may be tokens in them.
pub(crate) async fn trace(request: Request, next: Next) -> Response {
    let id = request.headers().get(X_REQUEST_ID).filter(|id| is_traceable(id)).cloned().unwrap_or_else(new);
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    let since = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let (status, milliseconds) = (response.status().as_u16(), since.elapsed().as_millis());
        if response.status().is_server_error() {
            tracing::warn!(status, milliseconds, "answered");
        } else {
            tracing::debug!(status, milliseconds, "answered");
        }
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    }
    .instrument(span)
    .await
}

fn is_traceable(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

fn new() -> HeaderValue {
    let id = uuid::Uuid::new_v4().to_string();
    // Hexadecimal digits and hyphens.
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
}
