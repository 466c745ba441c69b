//! Bodies of requests: whole, in time, and within their limits, before any handler sees them.
//!
//! What a body takes is taken as it comes: whoever sends nothing holds nothing. The text is the smaller part of it, so its
//! values count as well ([`crate::limits::NODE_MEMORY`]).

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::Facade;
use crate::limits::{
    BODY_BYTES, BODY_DEPTH, BODY_TIME, BYTE_MEMORY, JSON_NODES, NODE_MEMORY, UNREAD_BYTES, UNREAD_TIME,
};
use crate::places::{Full, Taken};
use crate::problem::Problem;
use crate::tenant::Scope;

/// The memory that a request's body takes; free again when the request is answered, or earlier ([`Held::give_back`]).
#[derive(Debug, Clone)]
pub(crate) struct Held(Arc<Mutex<Taken>>);

impl Held {
    /// What came of the body is somebody else's by now, or gone.
    pub fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).give_back();
    }
}

/// Reads the body of a request that may have one. Its tenant has been let in.
pub(crate) async fn read(State(facade): State<Arc<Facade>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Scope { tenant, .. } = match Scope::from_request_parts(&mut parts, &()).await {
        Ok(scope) => scope,
        Err(problem) => return problem.into_response(),
    };
    if http_body::Body::size_hint(&body).lower() > BODY_BYTES as u64 {
        return Problem::too_large("the body", BODY_BYTES).into_response();
    }
    let (mut chunks, mut taken) = (body.into_data_stream(), facade.rooms.bodies.none(&tenant));
    match timeout(BODY_TIME, whole(&mut chunks, &parts.headers, &mut taken)).await {
        Ok(Ok(bytes)) => {
            let held = Held(Arc::new(Mutex::new(taken)));
            parts.extensions.insert(held.clone());
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            held.give_back();
            response
        }
        Ok(Err(problem)) => {
            drop(taken);
            rest(&mut chunks).await;
            problem.into_response()
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", BODY_TIME.as_secs());
            Problem::timed_out(detail).into_response()
        }
    }
}

/// Lets a client whose request is refused before its body was looked at finish sending a small one: whoever is cut off
/// sees a broken connection instead of the answer.
pub(crate) async fn discard(body: Body) {
    if http_body::Body::size_hint(&body).upper().is_some_and(|size| size <= UNREAD_BYTES) {
        rest(&mut body.into_data_stream()).await;
    }
}

/// Reads what is still sent of a body, and forgets it.
async fn rest(chunks: &mut BodyDataStream) {
    let mut left = BODY_BYTES;
    let all = async {
        while let Some(Ok(chunk)) = chunks.next().await
            && chunk.len() <= left
        {
            left -= chunk.len();
        }
    };
    let _too_slow = timeout(UNREAD_TIME, all).await;
}

async fn whole(chunks: &mut BodyDataStream, headers: &HeaderMap, taken: &mut Taken) -> Result<Bytes, Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("json");
    // Where nothing is said, an execution takes it for JSON.
    let mut shape = media_type.to_ascii_lowercase().contains("json").then(Shape::default);
    let mut all = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::invalid_parameter("", error, "send it whole"))?;
        if all.len() + chunk.len() > BODY_BYTES {
            return Err(Problem::too_large("the body", BODY_BYTES));
        }
        let nodes = shape.as_mut().map_or(Ok(0), |shape| shape.read(&chunk))?;
        taken.more(chunk.len() * BYTE_MEMORY + nodes * NODE_MEMORY).map_err(no_room)?;
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

fn no_room(full: Full) -> Problem {
    Problem::unavailable(match full {
        Full::Tenant => {
            "the requests of this tenant together have as much in them as they may; send one after the other"
        }
        Full::All => "more is being sent than there is room for",
    })
}

/// How a JSON text is built, as far as it has come. Of a text that is no JSON it says nothing.
#[derive(Debug, Default)]
struct Shape {
    depth: usize,
    nodes: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Shape {
    /// Values and names that the next bytes begin, at most. A refusal if arrays and objects are nested too deeply, or there
    /// are too many values.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Problem> {
        let before = self.nodes;
        for byte in bytes {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'[' | b'{' => {
                    self.depth += 1;
                    self.nodes += 1;
                    if self.depth > BODY_DEPTH {
                        let what = format_args!("nested more than {BODY_DEPTH} levels deep");
                        return Err(Problem::invalid_parameter("", what, "send a flatter document"));
                    }
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b',' | b':' => self.nodes += 1,
                _ => {}
            }
        }
        if self.nodes > JSON_NODES {
            return Err(Problem::too_many_values(JSON_NODES));
        }
        Ok(self.nodes - before)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::limits::{BODIES_MEMORY_OF_TENANT, BODY_BYTES};
    use crate::testing::{Client, Memory};

    const PATH: &str = "/acme/ogc-api/processes/none/execution";
    const JSON: [(&str, &str); 2] = [("content-type", "application/json"), ("accept", "application/json")];

    async fn post(body: Body) -> u16 {
        Client::new(&Memory::acme()).send("POST", PATH, &JSON, body).await.status
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

    /// 16 MiB of text would be 8 million values, which take more than a gigabyte.
    #[tokio::test]
    async fn a_body_of_millions_of_values_is_refused_before_they_are_made() {
        let values = format!("{{\"inputs\": {{\"mixedInput\": [0{}]}}}}", ",0".repeat(JSON_NODES));
        assert_eq!(post(Body::from(values.clone())).await, 413);
        // Without a word on what it is, it is taken for JSON.
        let answer = Client::new(&Memory::acme()).send("POST", PATH, &[], Body::from(values)).await;
        assert_eq!(answer.status, 413);
    }

    #[test]
    fn the_largest_body_that_is_taken_fits_what_one_tenant_may_take() {
        const { assert!(BODY_BYTES * BYTE_MEMORY + JSON_NODES * NODE_MEMORY <= BODIES_MEMORY_OF_TENANT) };
    }

    /// Requests that are answered when the sender goes.
    fn idle(client: &Client, path: &'static str, count: usize, headers: &'static [(&str, &str)]) {
        for _ in 0..count {
            let client = client.clone();
            tokio::spawn(async move {
                let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
                client.send("POST", path, headers, body).await
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_nothing_takes_nothing() {
        let client = Client::new(&Memory::acme());
        idle(&client, PATH, 1000, &JSON);
        tokio::task::yield_now().await;
        assert_eq!(client.send("POST", PATH, &JSON, "{}").await.status, 404);
    }

    #[tokio::test(start_paused = true)]
    async fn one_tenant_does_not_take_all_room_i9() {
        let client = Client::new(&Memory::new(&["acme", "other"]));
        for _ in 0..40 {
            let client = client.clone();
            tokio::spawn(async move {
                let beginning = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 8 << 20]))]);
                let body = Body::from_stream(beginning.chain(stream::pending()));
                client.send("POST", PATH, &JSON, body).await
            });
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let answer = client.send("POST", PATH, &JSON, vec![b' '; 8 << 20]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text());
        let other = "/other/ogc-api/processes/none/execution";
        assert_eq!(client.send("POST", other, &JSON, vec![b' '; 1 << 20]).await.status, 404);
    }

    #[test]
    fn depth_and_values_are_counted_outside_of_strings_wherever_a_text_is_cut() {
        let text = br#"["[[[[\"[[[,,:", {"a[": "]", "b": [1, 2]}]"#;
        for at in 0..text.len() {
            let mut shape = Shape::default();
            let nodes = shape.read(&text[..at]).unwrap() + shape.read(&text[at..]).unwrap();
            assert_eq!((nodes, shape.depth), (8, 0), "{at}");
        }
        let deep = "[".repeat(BODY_DEPTH);
        assert!(Shape::default().read(deep.as_bytes()).is_ok());
        assert!(Shape::default().read(format!("{deep}[").as_bytes()).is_err());
    }
}
