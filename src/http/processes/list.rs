//! The list of processes (18-062r2, `/req/core/process-list`).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value as Json, json};

use super::summary;
use crate::negotiate::{self, Format};
use crate::paging::Window;
use crate::problem::Problem;
use crate::tenant::Scope;
use crate::{Facade, pages};

pub(super) fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/processes", get(list))
}

async fn list(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    window: Window,
    format: Format,
) -> Result<Response, Problem> {
    let (ids, has_more) = window.cut(facade.process_ids(&tenant).await?);
    let processes = facade.processes(&tenant, &ids).await?;
    let summaries: Vec<Json> =
        processes.iter().map(|process| summary(&process.id, &process.description, process.mutable, &base)).collect();
    let document = json!({"processes": summaries, "links": window.links(&base, "processes", has_more)});
    Ok(negotiate::respond(format, &document, || pages::processes(&base, &document)))
}
