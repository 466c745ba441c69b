//! The façade of a replica: its backend follows the cluster, its server answers.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use weir_fetch::Guarded;
use weir_http::auth::Bearer;
use weir_http::{Facade, callback, router, serve_router};

use super::start::Parts;
use super::{OperatorError, asked, listen};
use crate::facade::Cluster;
use crate::health::Health;
use crate::limits::FACADE_DRAIN_TIME;
use crate::metrics::Metrics;

/// What a request that leads nowhere is counted as.
const NOWHERE: &str = "none";

/// A façade that is served.
pub(super) struct Served {
    /// What must go on as long as the replica lives.
    tasks: JoinSet<&'static str>,
    server: JoinHandle<()>,
}

impl Served {
    /// Serves until `stop`. The replica is not ready before the façade has seen everything.
    pub async fn new(
        parts: &Parts,
        health: &Health,
        leading: watch::Receiver<bool>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, OperatorError> {
        let Parts { services, client, guarded, .. } = parts;
        let settings = &services.settings.facade;
        let listener = listen("the façade", settings.listen).await?;
        let cluster = Cluster::new(Arc::clone(services), client.clone(), guarded.clone(), leading, stop.clone());
        health.facade(Some("it has not seen all processes and jobs yet".to_owned()));
        let mut tasks = JoinSet::new();
        let health = health.clone();
        let watching = cluster.clone().watch(move || health.facade(None));
        tasks.spawn(async move { match watching.await {} });
        let facade = Facade::new(Arc::new(cluster), Arc::new(guarded.clone()), settings.http.clone());
        let facade = match settings.oidc.clone() {
            Some(oidc) => {
                // The provider is whom the operator names, wherever it is: requests have no say in that.
                let provider = Guarded::new(&oidc.fetch_settings()?)?;
                facade.with_bearer(Bearer::new(oidc, Arc::new(provider))?)
            }
            None => facade,
        };
        let facade = Arc::new(facade);
        // Ends when the replica is asked to stop.
        tokio::spawn(callback::run(Arc::clone(&facade)));
        let router = router(facade);
        let router = router.layer(middleware::from_fn_with_state(services.metrics.clone(), observe));
        let until = {
            let mut stop = stop;
            async move {
                asked(&mut stop).await;
                // Whoever balances the load has not heard of it yet.
                sleep(FACADE_DRAIN_TIME).await;
            }
        };
        Ok(Self { tasks, server: tokio::spawn(serve_router(listener, router, until)) })
    }

    /// Why a task that goes on for ever has ended.
    pub async fn ended(&mut self) -> OperatorError {
        let why = match self.tasks.join_next().await {
            Some(Err(error)) => error.to_string(),
            Some(Ok(what)) => what.to_owned(),
            None => "nothing was left to do".to_owned(),
        };
        OperatorError::Ended { what: "the façade", why }
    }

    /// Waits until the requests under way are answered.
    pub async fn stopped(self) {
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the façade's server failed");
        }
    }
}

/// Counts requests by their route.
async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    let response = next.run(request).await;
    let route = response.extensions().get::<MatchedPath>().map_or(NOWHERE, MatchedPath::as_str);
    metrics.answered(method, route, response.status().as_u16(), began.elapsed());
    response
}

/// Clients may send any word: it must not become a label.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
