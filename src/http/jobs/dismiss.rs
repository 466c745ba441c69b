//! The end of a job (18-062r2, "Dismiss").

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::status::StatusInfo;
use crate::Facade;
use crate::backend::BackendError;
use crate::negotiate::{self, Format};
use crate::pages;
use crate::problem::Problem;
use crate::tenant::{JobInPath, Scope};

/// `DELETE /jobs/{jobID}`: a job that is not over ends and stays in the list; one that is over leaves it. Published
/// results stay in both cases.
pub(super) async fn dismiss(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    JobInPath(id): JobInPath,
    format: Format,
) -> Result<Response, Problem> {
    let gone = |error| match error {
        BackendError::NotFound(_) => Problem::no_such_job(id.as_str()),
        other => other.into(),
    };
    let job = facade.backend.job(&tenant, &id).await?.ok_or_else(|| Problem::no_such_job(id.as_str()))?;
    let job = if job.phase.is_final() {
        facade.backend.remove(&tenant, &id).await.map_err(gone)?;
        job
    } else {
        facade.backend.dismiss(&tenant, &id).await.map_err(gone)?
    };
    let document = json!(StatusInfo::dismissed(&base, &job));
    Ok(negotiate::respond(format, &document, || pages::job(&base, &document, &job)))
}
