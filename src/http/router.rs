//! From a request to its handler.
//!
//! Everything of a tenant is below `/{tenant}`; each part of the API gives its own `routes()`. Layers, from the outside:
//! the request gets its id, problems are written, CORS and OPTIONS, a slash at the end of the path is cut off; then the
//! route, and before its handler the tenant, and the body: of whoever is not let in nothing is read. From then on time runs.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::Uri;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::limits::ANSWER_TIME;
use crate::problem::{self, Problem};
use crate::{
    Facade, body, browser, conformance, cors, deploy, execution, jobs, landing, negotiate, openapi, processes,
    request_id, tenant,
};

/// Everything that the façade answers.
pub fn router(facade: Arc<Facade>) -> Router {
    let routes = routes(Arc::clone(&facade));
    // Around the routes as a whole: only there `Allow` of what has no such method is known.
    let whole = async move |request: Request| -> Response {
        match routes.oneshot(without_last_slash(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    Router::new()
        .fallback(whole)
        // Bodies have been read by then, within their limit.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(facade, cors::answer))
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::map_response(negotiate::vary))
        .layer(middleware::map_response(browser::guard))
        .layer(middleware::from_fn(request_id::trace))
}

fn routes(facade: Arc<Facade>) -> Router {
    let api = Router::new()
        .merge(landing::routes())
        .merge(conformance::routes())
        .merge(openapi::routes())
        .merge(processes::routes())
        .merge(deploy::routes())
        .merge(execution::routes())
        .merge(jobs::routes());
    Router::new()
        .nest("/{tenant}/ogc-api", api)
        .nest("/{tenant}", jobs::outside())
        .route_layer(middleware::from_fn(in_time))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&facade), body::read))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&facade), tenant::admit))
        .route_layer(middleware::from_fn(name_route))
        .fallback(tenant::nothing_here)
        .with_state(facade)
}

/// Nobody waits for ever, whatever a handler waits for (invariant I6).
async fn in_time(request: Request, next: Next) -> Response {
    timeout(ANSWER_TIME, next.run(request)).await.unwrap_or_else(|_| {
        let seconds = ANSWER_TIME.as_secs();
        let detail =
            format!("there was no answer within {seconds} s; what was asked for may have been done all the same");
        Problem::unavailable(detail).into_response()
    })
}

/// Says in the answer's extensions which route it was: for those who count.
async fn name_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// `/acme/ogc-api/` is `/acme/ogc-api`.
fn without_last_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let Some(shorter) = path.strip_suffix('/').filter(|shorter| !shorter.is_empty()) else { return request };
    let target = match uri.query() {
        Some(query) => format!("{shorter}?{query}"),
        None => shorter.to_owned(),
    };
    if let Ok(target) = target.parse::<Uri>() {
        *request.uri_mut() = target;
    }
    request
}

#[cfg(test)]
mod tests;
