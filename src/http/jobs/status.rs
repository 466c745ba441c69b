//! The state of a job (18-062r2, §7.12, `statusInfo.yaml`).

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};
use weir_api::Phase;

use crate::Facade;
use crate::backend::{JobFailure, JobRecord, TextRecord};
use crate::limits::MESSAGE_STDERR_BYTES;
use crate::links::{Base, Link, rel};
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

/// `statusInfo.yaml` of one job, with the id in both spellings, `jobID` (1.0) and `id` (2.0).
pub fn status_info(base: &Base, job: &JobRecord, texts: &[TextRecord]) -> Json {
    json!(StatusInfo { message: whole_message(job), ..StatusInfo::of(base, job, texts) })
}

/// `statusInfo.yaml`, to be written.
#[derive(Debug, Serialize)]
pub(super) struct StatusInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(rename = "jobID")]
    job_id: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    type_: &'static str,
    #[serde(rename = "processID")]
    process_id: &'a str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    updated: String,
    status: String,
    message: Cow<'a, str>,
    links: Vec<Link<'static>>,
}

impl<'a> StatusInfo<'a> {
    /// Of a job with these texts, as a list shows it: why it failed, without what its tool wrote.
    pub(super) fn of(base: &Base, job: &'a JobRecord, texts: &[TextRecord]) -> Self {
        Self {
            progress: matches!(job.phase, Phase::Running | Phase::Failed).then(|| job.progress.min(100)),
            job_id: job.id.as_str(),
            id: job.id.as_str(),
            type_: "process",
            process_id: job.process.as_str(),
            created: time(job.created),
            started: started(job).map(time),
            finished: job.finished.map(time),
            updated: time(job.updated),
            status: job.phase.to_string(),
            message: message(job),
            links: links(base, job, texts),
        }
    }

    /// What the operation DELETE answers: the job, dismissed, and where the others are (water-bodies: the reference's body,
    /// whose title of the link stays although the list is of all processes). Of one that had ended before it could be
    /// dismissed, how it ended.
    pub(super) fn ended(base: &Base, job: &'a JobRecord, end: &End) -> Self {
        let (phase, message) = match end {
            End::Dismissed => (Phase::Dismissed, plain_message(Phase::Dismissed).into()),
            End::Before => (job.phase, whole_message(job)),
            End::Removed { results: Some(place) } => {
                (Phase::Dismissed, format!("The job is removed; its results stay at {place}").into())
            }
            End::Removed { results: None } => (Phase::Dismissed, "The job is removed".into()),
        };
        let (href, title) = (base.url("jobs"), "The job list for the current process".into());
        Self {
            progress: None,
            status: phase.to_string(),
            message,
            links: vec![Link { href, rel: "parent", media_type: JSON, title }],
            ..Self::of(base, job, &[])
        }
    }
}

/// A workflow without steps is successful without any start: it has run all the same.
pub(super) fn started(job: &JobRecord) -> Option<Timestamp> {
    job.started.or_else(|| (job.phase == Phase::Successful).then_some(job.created))
}

/// RFC 3339 with milliseconds.
pub fn time(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

fn message(job: &JobRecord) -> Cow<'_, str> {
    match (&job.failure, &job.message) {
        (Some(JobFailure { class, message, .. }), _) if message.contains(class.as_str()) => message.into(),
        (Some(JobFailure { class, message, .. }), _) => format!("{class}: {message}").into(),
        (None, Some(message)) => message.into(),
        (None, None) => plain_message(job.phase).into(),
    }
}

/// The message, and below it the last lines that the tool of a failed job wrote to its standard error.
fn whole_message(job: &JobRecord) -> Cow<'_, str> {
    let message = message(job);
    let stderr = job.failure.as_ref().and_then(|failure| failure.stderr.as_deref()).unwrap_or_default();
    match last_lines(stderr.trim_end(), MESSAGE_STDERR_BYTES) {
        "" => message,
        lines => format!("{message}\n{lines}").into(),
    }
}

/// The whole lines at the end of a text that so many bytes hold; of a longer last line its end.
fn last_lines(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let cut = text.len() - bytes;
    // The byte before may be the end of a line.
    match text.as_bytes()[cut - 1..].iter().position(|byte| *byte == b'\n') {
        Some(end) => &text[cut + end..],
        None => &text[text.ceil_char_boundary(cut)..],
    }
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

fn links(base: &Base, job: &JobRecord, texts: &[TextRecord]) -> Vec<Link<'static>> {
    let path = format!("jobs/{}", job.id);
    let link = |path: &str, rel, title: &'static str| Link {
        href: base.url(path),
        rel,
        media_type: JSON,
        title: title.into(),
    };
    let mut links = vec![link(&path, "monitor", "Status location")];
    match job.phase {
        Phase::Successful => links.push(link(&format!("{path}/results"), rel::RESULTS, "Result location")),
        Phase::Failed => links.push(link(&format!("{path}/results"), rel::EXCEPTIONS, "Why it failed")),
        Phase::Accepted | Phase::Running | Phase::Dismissed => {}
    }
    links.extend(texts.iter().map(|text| {
        let what = if text.media_type == JSON { "Report" } else { "Tool log" };
        let href = base.outside(&format!("temp/{}-{}/{}", job.process, job.id, text.name));
        Link { href, rel: "related", media_type: text.media_type, title: format!("{what} {}", text.name).into() }
    }));
    links
}

/// What has become of a job by DELETE.
pub(super) enum End {
    /// Its steps stop; it stays in the list.
    Dismissed,
    /// It had ended before it could be dismissed, or ends with its results.
    Before,
    /// It was over, and is no longer in the list.
    Removed {
        /// Where the store has what it published, if it did.
        results: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_whole_and_of_a_long_line_its_end_is_kept() {
        assert_eq!(last_lines("one\ntwo", 7), "one\ntwo");
        assert_eq!(last_lines("one\ntwo", 6), "two");
        assert_eq!(last_lines("one\ntwo", 3), "two");
        assert_eq!(last_lines("one\ntwo", 2), "wo");
        assert_eq!(last_lines("dürr", 3), "rr", "no half letters");
        assert_eq!(last_lines("", 3), "");
    }
}
