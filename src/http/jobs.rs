//! Jobs (18-062r2, §7.12 to §7.14): their list, their state, their results, their end; and beside the API their texts.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::Facade;

pub mod dismiss;
pub mod filter;
pub mod list;
pub mod results;
pub mod status;
pub mod texts;

/// `GET /jobs`, `GET` and `DELETE /jobs/{jobID}`, `GET /jobs/{jobID}/results` and one output of them.
pub fn routes() -> Router<Arc<Facade>> {
    Router::new()
        .route("/jobs", get(list::list))
        .route("/jobs/{jobID}", get(status::status).delete(dismiss::dismiss))
        .route("/jobs/{jobID}/results", get(results::results))
        .route("/jobs/{jobID}/results/{outputID}", get(results::output))
}

/// `GET /temp/{work}/{file}`, beside the API.
pub fn outside() -> Router<Arc<Facade>> {
    Router::new().route("/temp/{work}/{file}", get(texts::text))
}

#[cfg(test)]
mod tests;
