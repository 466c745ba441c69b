//! The state of a job (18-062r2, §7.12, `statusInfo.yaml`).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use weir_api::Phase;

use crate::Facade;
use crate::backend::{JobFailure, JobRecord, TextRecord};
use crate::links::{Base, link, rel};
use crate::negotiate::{self, Format, JSON};
use crate::pages;
use crate::problem::Problem;
use crate::tenant::{JobInPath, Scope};

/// `GET /jobs/{jobID}`
pub(super) async fn status(
    State(facade): State<Arc<Facade>>,
    Scope { tenant, base }: Scope,
    JobInPath(id): JobInPath,
    format: Format,
) -> Result<Response, Problem> {
    let job = facade.backend.job(&tenant, &id).await?.ok_or_else(|| Problem::no_such_job(id.as_str()))?;
    // What is not started has written nothing.
    let texts = if job.phase == Phase::Accepted { Vec::new() } else { facade.backend.texts(&tenant, &id).await? };
    let document = status_info(&base, &job, &texts);
    Ok(negotiate::respond(format, &document, || pages::job(&base, &document, &job)))
}

/// `statusInfo.yaml`, with the id in both spellings, `jobID` (1.0) and `id` (2.0).
pub fn status_info(base: &Base, job: &JobRecord, texts: &[TextRecord]) -> Json {
    let mut info = Map::new();
    if matches!(job.phase, Phase::Running | Phase::Failed) {
        info.insert("progress".into(), job.progress.min(100).into());
    }
    describe(&mut info, job, job.phase);
    info.insert("message".into(), message(job).into());
    info.insert("links".into(), links(base, job, texts).into());
    Json::Object(info)
}

/// What every account of a job has.
pub(super) fn describe(info: &mut Map<String, Json>, job: &JobRecord, phase: Phase) {
    info.insert("jobID".into(), job.id.as_str().into());
    info.insert("id".into(), job.id.as_str().into());
    info.insert("type".into(), "process".into());
    info.insert("processID".into(), job.process.as_str().into());
    info.insert("created".into(), time(job.created).into());
    for (name, moment) in [("started", started(job)), ("finished", job.finished)] {
        if let Some(moment) = moment {
            info.insert(name.into(), time(moment).into());
        }
    }
    info.insert("updated".into(), time(job.updated).into());
    info.insert("status".into(), phase.to_string().into());
}

/// A workflow without steps is successful without any start: it has run all the same.
pub(super) fn started(job: &JobRecord) -> Option<Timestamp> {
    job.started.or_else(|| (job.phase == Phase::Successful).then_some(job.created))
}

/// RFC 3339 with milliseconds.
pub fn time(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

fn message(job: &JobRecord) -> String {
    let failure = job.failure.as_ref().map(|JobFailure { class, message, .. }| {
        if message.contains(class.as_str()) { message.clone() } else { format!("{class}: {message}") }
    });
    failure.or_else(|| job.message.clone()).unwrap_or_else(|| plain_message(job.phase).to_owned())
}

/// What is said of a job of which nothing more is known.
const fn plain_message(phase: Phase) -> &'static str {
    match phase {
        Phase::Accepted => "The job is accepted and will start soon",
        Phase::Running => "The job is running",
        Phase::Successful => "The job is successful",
        Phase::Failed => "The job has failed",
        Phase::Dismissed => "The job is dismissed",
    }
}

fn links(base: &Base, job: &JobRecord, texts: &[TextRecord]) -> Vec<Json> {
    let path = format!("jobs/{}", job.id);
    let results = format!("{path}/results");
    let mut links = vec![base.link(&path, "monitor", JSON, "Status location")];
    match job.phase {
        Phase::Successful => links.push(base.link(&results, rel::RESULTS, JSON, "Result location")),
        Phase::Failed => links.push(base.link(&results, rel::EXCEPTIONS, JSON, "Why it failed")),
        Phase::Accepted | Phase::Running | Phase::Dismissed => {}
    }
    links.extend(texts.iter().map(|text| {
        let what = if text.media_type == JSON { "Report" } else { "Tool log" };
        let href = base.outside(&format!("temp/{}-{}/{}", job.process, job.id, text.name));
        link(&href, "related", text.media_type, &format!("{what} {}", text.name))
    }));
    links
}

/// What has become of a job by DELETE.
pub(super) enum End {
    /// Its steps stop; it stays in the list.
    Dismissed,
    /// It had ended before it could be dismissed.
    Before,
    /// It was over, and is no longer in the list.
    Removed {
        /// Where the store has what it published, if it did.
        results: Option<String>,
    },
}

/// What the operation DELETE answers: the job, dismissed, and where the others are (water-bodies: the reference's body, whose
/// title of the link stays although the list is of all processes). Of one that had ended before it could be dismissed, how it
/// ended.
pub(super) fn dismissed(base: &Base, job: &JobRecord, end: &End) -> Json {
    let mut info = Map::new();
    let (phase, message) = match end {
        End::Dismissed => (Phase::Dismissed, plain_message(Phase::Dismissed).to_owned()),
        End::Before => (job.phase, message(job)),
        End::Removed { results: Some(place) } => {
            (Phase::Dismissed, format!("The job is removed; its results stay at {place}"))
        }
        End::Removed { results: None } => (Phase::Dismissed, "The job is removed".to_owned()),
    };
    describe(&mut info, job, phase);
    info.insert("message".into(), message.into());
    info.insert("links".into(), json!([base.link("jobs", "parent", JSON, "The job list for the current process")]));
    Json::Object(info)
}
