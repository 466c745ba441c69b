//! Requests to the router, without a network.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::HOST;
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value as Json;
use tower::ServiceExt as _;

use super::{Memory, World};
use crate::{Facade, Settings, router};

/// Sends requests to one façade.
#[derive(Clone)]
pub struct Client {
    router: Router,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// Of a façade over this backend, with default settings, in an empty world.
    pub fn new(memory: &Arc<Memory>) -> Self {
        Self::of(Facade::new(Arc::clone(memory) as _, World::new(), Settings::default()))
    }

    /// Of this façade.
    pub fn of(facade: Facade) -> Self {
        Self { router: router(Arc::new(facade)) }
    }

    /// `GET`, with `Accept: application/json`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("accept", "application/json")], "").await
    }

    /// Any request, to the host `weir.test`.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (parts, body) = self.ask(method, path, headers, body).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_else(|error| panic!("{error}"));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The same, but nothing of the answer's body is taken.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(HOST, "weir.test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap_or_else(|error| panic!("{error}"));
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

impl Answer {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
