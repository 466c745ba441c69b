//! Executing a process (18-062r2, §7.11): POST …/processes/{processID}/execution.
//!
//! The way of a request: [`prefer`], [`request`] -> [`mod@reference`] -> [`inputs`] ([`given`], [`mod@file`], [`schema`],
//! [`mod@format`]) -> a job -> its state, or the wait for its results.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use serde_json::Value as Json;
use tokio::time::timeout;
use weir_api::media::essence;

use crate::Facade;
use crate::backend::{Asked, BackendError, JobRecord, NewJob, ProcessRecord, ResponseForm, Subscriber};
use crate::body::Held;
use crate::jobs::status::status_info;
use crate::limits::SYNC_TIME;
use crate::links::Base;
use crate::names::Tenant;
use crate::negotiate::JSON;
use crate::problem::Problem;
use crate::results::{self, Selection};
use crate::tenant::{ProcessInPath, Scope};

pub mod file;
pub mod format;
pub mod given;
pub mod inputs;
pub mod mistake;
mod pattern;
pub mod prefer;
pub mod reference;
pub mod request;
pub mod schema;

use mistake::Mistakes;
use prefer::{Mode, Prefer};

/// `Preference-Applied` (RFC 7240, §3).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// `POST /processes/{processID}/execution`
pub fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/processes/{processID}/execution", post(execute))
}

async fn execute(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    ProcessInPath(id): ProcessInPath,
    Extension(held): Extension<Held>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let process = facade.process_to_run(&tenant, &id).await?;
    let prefer = Prefer::parse(&headers);
    let document = document(&headers, &body)?;
    drop(body);
    let (job, mode) = order(&facade, &process, &prefer, &base, document).await?;
    // The answer of a sync execution without a word on its form is raw, of an async one a document: clients of both kinds
    // rely on it. It is kept with the job, so that its results look the same later.
    let response = job.asked.response.unwrap_or(ResponseForm::Document);
    let created = facade.backend.create(&tenant, job).await.map_err(|error| match error {
        BackendError::NotFound(_) => Problem::no_such_process(id.as_str()),
        other => other.into(),
    })?;
    // The wait that may follow holds nothing of the request.
    held.give_back();
    let applied = prefer.applied(mode, response);
    let mut answer = match mode {
        Mode::Async => accepted(&base, &created),
        Mode::Sync => {
            let time = prefer.wait().map_or(SYNC_TIME, |seconds| SYNC_TIME.min(Duration::from_secs(seconds.into())));
            let Some(results) = waited(&facade, &tenant, &base, &created, time).await? else {
                let now = facade.backend.job(&tenant, &created.id).await.ok().flatten();
                return Ok(accepted(&base, &now.unwrap_or(created)));
            };
            results
        }
    };
    if let Some(value) = applied.and_then(|applied| HeaderValue::from_str(&applied).ok()) {
        answer.headers_mut().insert(PREFERENCE_APPLIED, value);
    }
    Ok(answer)
}

/// The results of a job that has been created, or why there are none: a problem of this job. `None`: they cannot be had
/// now, because it takes longer than a connection should be silent, or something is away. The client is given the job then:
/// whoever is told to try again makes another one.
async fn waited(
    facade: &Facade,
    tenant: &Tenant,
    base: &Base,
    created: &JobRecord,
    time: Duration,
) -> Result<Option<Response>, Problem> {
    let answer = match timeout(time, facade.backend.finished(tenant, &created.id)).await {
        Err(_) => return Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(None)) => Err(Problem::no_such_job(created.id.as_str())),
        Ok(Ok(Some(job))) => results::answer(facade, tenant, base, &job, &Selection::of(&job.asked)).await,
    };
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => Ok(None),
        Err(problem) => Err(problem.about(place(base, created))),
    }
}

fn document(headers: &HeaderMap, body: &[u8]) -> Result<Json, Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(media_type) = media_type {
        let essence = essence(media_type);
        if essence != JSON && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            return Err(Problem::unsupported_media_type(Some(media_type), &[JSON]));
        }
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid_parameter("", error, "send an execute request in JSON: {\"inputs\": {…}}"))
}

/// The job that a request asks for, or everything that is wrong with the request.
async fn order(
    facade: &Facade,
    process: &ProcessRecord,
    prefer: &Prefer,
    base: &Base,
    body: Json,
) -> Result<(NewJob, Mode), Problem> {
    let mut mistakes = Mistakes::default();
    let request = request::parse(body, &process.description, &mut mistakes);
    let references = reference::follow(facade, process, &request.inputs, &mut mistakes).await;
    let inputs = inputs::read(process, &request.inputs, &references).unwrap_or_else(|found| {
        mistakes.extend(found);
        serde_json::Map::new()
    });
    let inputs = mistakes.or(inputs)?;
    let mode = prefer::decide(&process.description, request.mode.or_else(|| prefer.mode()));
    let stated = request.response.or_else(|| prefer.response());
    let response = if mode == Mode::Sync { Some(stated.unwrap_or(ResponseForm::Raw)) } else { stated };
    let package = facade.built_in(&process.id).map(|built_in| built_in.deployed.cwl.clone());
    let asked = Asked { outputs: request.outputs, response };
    // Known now, and not any more when there is something to tell.
    let origin = Some(base.origin().clone());
    let subscriber = request.subscriber.map(|subscriber| Subscriber { origin, ..subscriber });
    let (id, version) = (process.id.clone(), process.version.clone());
    let job = NewJob { process: id, version, package, inputs, asked, subscriber };
    Ok((job, mode))
}

/// 201 with the job's place and state (18-062r2, `/req/core/process-execute-success-async`).
fn accepted(base: &Base, job: &JobRecord) -> Response {
    let body = status_info(base, job, &[]).to_string();
    let headers = [(LOCATION, place(base, job)), (CONTENT_TYPE, JSON.to_owned())];
    (StatusCode::CREATED, headers, body).into_response()
}

/// The URL of a job.
fn place(base: &Base, job: &JobRecord) -> String {
    base.url(&format!("jobs/{}", job.id))
}

#[cfg(test)]
mod tests;
