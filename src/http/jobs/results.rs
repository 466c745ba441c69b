//! The results of a job (18-062r2, §7.13).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::Value as Json;

use crate::Facade;
use crate::backend::JobRecord;
use crate::links::Base;
use crate::names::{JobId, Tenant};
use crate::negotiate::{self, Format, JSON};
use crate::pages;
use crate::problem::Problem;
use crate::results::output::{Content, Output, contents};
use crate::results::reading::Reading;
use crate::results::{self, Selection, document, raw};
use crate::tenant::{JobInPath, Scope};

/// `GET /jobs/{jobID}/results`: as the execution asked for, `?outputs=a,b` only these. A page shows the document.
pub(super) async fn results(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    JobInPath(id): JobInPath,
    format: Option<Format>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let job = job(&facade, &tenant, &id).await?;
    let mut selection = Selection::of(&job.asked);
    let outputs: Vec<&str> = pairs
        .iter()
        .filter(|(name, _)| name == "outputs")
        .flat_map(|(_, value)| value.split(',').map(str::trim).filter(|output| !output.is_empty()))
        .collect();
    if !outputs.is_empty() {
        selection.narrow(&outputs);
    }
    let reading = Reading::new(&facade, &tenant);
    if matches!(format, Some(Format::Html)) {
        return page(reading, &base, &job, &selection).await;
    }
    results::answer(&facade, &tenant, &base, &job, &selection).await
}

/// `GET /jobs/{jobID}/results/{outputID}`: the value itself (draft of 2.0). A text is JSON for whoever likes that better.
pub(super) async fn output(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    JobInPath(id): JobInPath,
    Path(segments): Path<Vec<(String, String)>>,
    format: Option<Format>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let output = segments.iter().find(|(key, _)| key == "outputID").map_or("", |(_, value)| value.as_str());
    let job = job(&facade, &tenant, &id).await?;
    let selection = Selection::only(&job.asked, output);
    let reading = Reading::new(&facade, &tenant);
    if matches!(format, Some(Format::Html)) {
        return page(reading, &base, &job, &selection).await;
    }
    let outputs = contents(&reading, &job, &selection).await?;
    let response = match (&outputs[..], format) {
        ([Output { content: Content::Value(text @ Json::String(_)), .. }], Some(Format::Json))
            if likes_json(&headers, &uri) =>
        {
            document::answer(text)
        }
        _ => raw::give(&reading, &base, &job, outputs).await?,
    };
    Ok(reading.answer(response))
}

async fn page(reading: Reading<'_>, base: &Base, job: &JobRecord, selection: &Selection) -> Result<Response, Problem> {
    let document = document::document(&reading, base, job, selection).await?;
    let page = negotiate::respond(Format::Html, &document, || pages::results(base, job.id.as_str(), &document));
    Ok(reading.answer(page))
}

fn likes_json(headers: &HeaderMap, uri: &Uri) -> bool {
    let accept = negotiate::accept(headers);
    negotiate::asked_by_query(uri).is_some() || negotiate::choose(accept.as_deref(), &["text/plain", JSON]) == Some(1)
}

async fn job(facade: &Facade, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, Problem> {
    facade.backend.job_now(tenant, id).await?.ok_or_else(|| Problem::no_such_job(id.as_str()))
}
