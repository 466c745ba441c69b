//! The description of a process (18-062r2, `/req/core/process`).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::description;
use crate::negotiate::{self, Format};
use crate::problem::Problem;
use crate::tenant::{ProcessInPath, Scope};
use crate::{Facade, pages};

pub(super) fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/processes/{processID}", get(describe))
}

async fn describe(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    ProcessInPath(id): ProcessInPath,
    format: Format,
) -> Result<Response, Problem> {
    let process = facade.process(&tenant, &id).await?;
    let document = description(&process, &base);
    Ok(negotiate::respond(format, &document, || pages::process(&base, &document)))
}
