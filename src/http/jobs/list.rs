//! The list of jobs (18-062r2, "Job list"), newest first.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::filter::Filter;
use super::status::StatusInfo;
use crate::Facade;
use crate::limits::LISTED_JOB_MEMORY;
use crate::negotiate::{self, Format};
use crate::pages;
use crate::paging::Window;
use crate::problem::Problem;
use crate::results::reading::Reading;
use crate::tenant::Scope;

/// `jobList.yaml`. Written as it stands: a page has up to ten thousand jobs, and nobody looks into it.
#[derive(Serialize)]
struct JobList<'a> {
    jobs: Vec<StatusInfo<'a>>,
    links: Vec<Json>,
}

/// `GET /jobs`. The logs of a job are linked by its own state: here they would be asked for a thousand times.
pub(super) async fn list(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    format: Format,
    window: Window,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let filter = Filter::parse(&pairs)?;
    let now = Timestamp::now();
    let (mut skipped, mut jobs, mut has_more) = (0, Vec::new(), false);
    facade
        .backend
        .jobs(&tenant, &mut |job| {
            if !filter.passes(job, now) {
            } else if skipped < window.skip {
                skipped += 1;
            } else if jobs.len() < window.limit {
                jobs.push(Arc::clone(job));
            } else {
                has_more = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await?;
    let reading = Reading::new(&facade, &tenant);
    reading.take(jobs.len() * LISTED_JOB_MEMORY)?;
    let jobs = jobs.iter().map(|job| StatusInfo::of(&base, job, &[])).collect();
    let list = JobList { jobs, links: window.links(&base, "jobs", has_more) };
    Ok(reading.answer(negotiate::respond(format, &list, || pages::jobs(&base, &json!(list)))))
}
