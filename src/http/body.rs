//! Bodies of requests: whole, in time, and within their limits, before any handler sees them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{BODIES_BYTES, BODY_BYTES, BODY_DEPTH, BODY_TIME};
use crate::problem::Problem;

/// Bytes that the bodies of all requests together may have.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_BYTES)))
    }
}

/// Reads the body of a request that may have one. The room that it takes is free again when the request is answered.
pub(crate) async fn read(State(Room(room)): State<Room>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let size = match http_body::Body::size_hint(&body).upper() {
        Some(size) if size > BODY_BYTES as u64 => return Problem::too_large("the body", BODY_BYTES).into_response(),
        Some(size) => u32::try_from(size).unwrap_or(u32::MAX),
        None => u32::try_from(BODY_BYTES).unwrap_or(u32::MAX),
    };
    let Ok(mut taken) = room.try_acquire_many(size) else {
        return Problem::unavailable("more is being sent than there is room for").into_response();
    };
    match whole(body).await.and_then(|bytes| check_depth(&parts.headers, &bytes).map(|()| bytes)) {
        Ok(bytes) => {
            // One whose length was not said has taken too much.
            drop(taken.split((size as usize).saturating_sub(bytes.len())));
            next.run(Request::from_parts(parts, Body::from(bytes))).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn whole(body: Body) -> Result<Bytes, Problem> {
    match timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large("the body", BODY_BYTES)),
        Ok(Err(error)) => Err(Problem::invalid_parameter("", error, "send it whole")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", BODY_TIME.as_secs());
            Err(Problem::timed_out(detail))
        }
    }
}

fn check_depth(headers: &HeaderMap, bytes: &[u8]) -> Result<(), Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.contains("json") && is_deeper(bytes, BODY_DEPTH) {
        let what = format_args!("nested more than {BODY_DEPTH} levels deep");
        return Err(Problem::invalid_parameter("", what, "send a flatter document"));
    }
    Ok(())
}

/// Whether arrays and objects of a JSON text are nested deeper than that. Of a text that is no JSON nothing is said.
fn is_deeper(json: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::testing::{Client, Memory};

    async fn post(body: Body) -> u16 {
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        let path = "/acme/ogc-api/processes/none/execution";
        Client::new(&Memory::acme()).send("POST", path, &headers, body).await.status
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let beginning = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        assert_eq!(post(Body::from_stream(beginning.chain(stream::pending()))).await, 408);
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_refused_at_its_limit() {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20]))).take(20);
        assert_eq!(post(Body::from_stream(chunks)).await, 413);
    }

    #[tokio::test]
    async fn a_body_that_is_nested_too_deeply_is_refused() {
        let deep = "[".repeat(BODY_DEPTH + 1) + &"]".repeat(BODY_DEPTH + 1);
        assert_eq!(post(Body::from(deep)).await, 400);
        assert_eq!(post(Body::from("{}")).await, 404);
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(is_deeper(b"[[[1]]]", 2));
        assert!(!is_deeper(b"[[1], [2], [{}]]", 3));
        assert!(!is_deeper(br#"["[[[[\"[[[", {"a[": "]"}]"#, 2));
    }
}
