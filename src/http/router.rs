//! From a request to its handler.
//!
//! Everything of a tenant is below `/{tenant}`; each part of the API gives its own `routes()`.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;

use crate::limits::BODY_BYTES;
use crate::problem::{self, Problem};
use crate::{Facade, tenant};

/// Everything that the façade answers.
pub fn router(facade: Arc<Facade>) -> Router {
    let api = Router::new();
    let outside = Router::new();
    Router::new()
        .nest("/{tenant}/ogc-api", api)
        .nest("/{tenant}/temp", outside)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&facade), tenant::admit))
        .fallback(async || Problem::not_found("such resource"))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(problem::render))
        .with_state(facade)
}
