//! Liveness, readiness and metrics over HTTP: `/healthz`, `/readyz`, `/metrics`.
//!
//! * `/healthz`: this process answers and does its work. A replica that cannot reach store or API server is alive: being
//!   restarted would not help it.
//! * `/readyz`: the store and the API server were reached, and the façade has seen what there is. One that does not lead is ready as well. Not asked for at the
//!   store and the API server again: a replica at rest makes no requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::limits::{HEALTH_CONNECTION_TIME, HEALTH_CONNECTIONS};
use crate::metrics::{self, Metrics};

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is wrong with this replica, as far as others are to know. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Condition>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    /// What each thing that must be reached says; `None`: fine.
    store: Option<String>,
    api_server: Option<String>,
    /// Why the façade cannot answer yet; `None`: it can, or is not served at all.
    facade: Option<String>,
    /// Why this process is about to end.
    ending: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Of a replica that has reached nothing yet.
    pub fn new() -> Self {
        let not_yet = || Some("not reached yet".to_owned());
        let (store, api_server) = (not_yet(), not_yet());
        Self(Arc::new(watch::Sender::new(Condition { store, api_server, facade: None, ending: None })))
    }

    /// Whether the store is reached, and if not why.
    pub fn store(&self, trouble: Option<String>) {
        self.0.send_modify(|condition| condition.store = trouble);
    }

    /// Whether the API server is reached, and if not why.
    pub fn api_server(&self, trouble: Option<String>) {
        self.0.send_modify(|condition| condition.api_server = trouble);
    }

    /// Whether the façade can answer, and if not why.
    pub fn facade(&self, trouble: Option<String>) {
        self.0.send_modify(|condition| condition.facade = trouble);
    }

    /// This process ends: neither alive nor ready from now on.
    pub fn ends(&self, why: &str) {
        self.0.send_modify(|condition| condition.ending = Some(why.to_owned()));
    }

    fn alive(&self) -> Result<(), String> {
        self.0.borrow().ending.clone().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Result<(), String> {
        let Condition { store, api_server, facade, ending } = self.0.borrow().clone();
        let named = |name: &str, trouble: Option<String>| trouble.map(|trouble| format!("{name}: {trouble}"));
        let troubles = [("store", store), ("API server", api_server), ("façade", facade), ("ending", ending)];
        let troubles = troubles.map(|(name, trouble)| named(name, trouble));
        let troubles: Vec<String> = troubles.into_iter().flatten().collect();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }
}

/// What answers requests.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|State((health, _)): State<(Health, Metrics)>| async move { verdict(health.alive()) }))
        .route("/readyz", get(|State((health, _)): State<(Health, Metrics)>| async move { verdict(health.ready()) }))
        .route(
            "/metrics",
            get(|State((_, metrics)): State<(Health, Metrics)>| async move {
                ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text())
            }),
        )
        .with_state((health, metrics))
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Serves for as long as it is polled, [`HEALTH_CONNECTIONS`] at a time.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(HEALTH_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to health and metrics");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let _place = place;
            within(HEALTH_CONNECTION_TIME, connection).await;
        });
    }
}

/// Whoever keeps a connection longer than that makes a new one.
async fn within<E: std::fmt::Display>(time: Duration, connection: impl Future<Output = Result<(), E>>) {
    if let Ok(Err(error)) = timeout(time, connection).await {
        tracing::debug!(%error, "a connection to health and metrics broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(health: &Health, path: &str) -> (u16, String) {
        let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
        let response = router(health.clone(), Metrics::new()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_replica_is_ready_once_store_and_api_server_were_reached() {
        let health = Health::new();
        assert_eq!(ask(&health, "/healthz").await.0, 200);
        let (status, why) = ask(&health, "/readyz").await;
        assert_eq!((status, why.as_str()), (503, "store: not reached yet; API server: not reached yet\n"));
        health.store(None);
        health.api_server(Some("connection refused".to_owned()));
        assert_eq!(ask(&health, "/readyz").await, (503, "API server: connection refused\n".to_owned()));
        health.api_server(None);
        health.facade(Some("not all jobs were seen yet".to_owned()));
        assert_eq!(ask(&health, "/readyz").await, (503, "façade: not all jobs were seen yet\n".to_owned()));
        health.facade(None);
        assert_eq!(ask(&health, "/readyz").await.0, 200);
    }

    #[tokio::test]
    async fn a_replica_that_ends_is_neither_alive_nor_ready() {
        let health = Health::new();
        health.store(None);
        health.api_server(None);
        health.ends("the controller has ended");
        assert_eq!(ask(&health, "/healthz").await.0, 503);
        assert_eq!(ask(&health, "/readyz").await, (503, "ending: the controller has ended\n".to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_served_over_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, router(Health::new(), Metrics::new())));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, asked).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("weir_leader 0"), "{answer}");
        server.abort();
    }
}
