//! Results (18-062r2, §7.11.2.4 and §7.13), of sync and async executions alike.
//!
//! One direction: the CWL output object -> [`shape`] -> [`output`] ([`published`] documents, [`collection`]) -> [`raw`] or
//! [`document`]. Whatever is given by reference is at `…/jobs/{jobID}/results/{outputID}`.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value as Json;
use weir_api::{FailureClass, Phase};

use crate::Facade;
use crate::backend::{Asked, JobFailure, JobRecord, ResponseForm};
use crate::links::Base;
use crate::names::Tenant;
use crate::problem::{Problem, types};
use reading::Reading;

pub mod collection;
pub mod document;
pub mod multipart;
pub mod offer;
pub mod output;
pub mod published;
pub mod raw;
pub mod reading;
pub mod shape;

/// How an output is given (18-062r2, `transmissionMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transmission {
    /// Inline.
    Value,
    /// As a link.
    Reference,
}

/// An output that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its id.
    pub name: String,
    /// How it is to be given.
    pub transmission: Transmission,
    /// The media type that it is to have; `None`: its own.
    pub media_type: Option<String>,
}

impl Wanted {
    /// By value, as it is.
    fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), transmission: Transmission::Value, media_type: None }
    }
}

/// Which outputs are given, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In this order; `None`: all, by value.
    pub outputs: Option<Vec<Wanted>>,
    /// The form of the answer.
    pub form: ResponseForm,
}

impl Selection {
    /// As the execution asked for. Without a word on the form it was asynchronous: a document.
    pub fn of(asked: &Asked) -> Self {
        let transmission = |output: &Json| match output.get("transmissionMode").and_then(Json::as_str) {
            Some("reference") => Transmission::Reference,
            _ => Transmission::Value,
        };
        let outputs = asked.outputs.as_ref().filter(|outputs| !outputs.is_empty());
        let wanted = |(name, output): (&String, &Json)| Wanted {
            name: name.clone(),
            transmission: transmission(output),
            media_type: offer::asked(output).and_then(|(_, asked)| asked.as_str()).map(str::to_owned),
        };
        let outputs = outputs.map(|outputs| outputs.iter().map(wanted).collect());
        Self { outputs, form: asked.response.unwrap_or(ResponseForm::Document) }
    }

    /// One output by value and raw, in the media type that was asked for.
    pub fn only(asked: &Asked, output: &str) -> Self {
        let mut selection = Self { form: ResponseForm::Raw, ..Self::of(asked) };
        selection.narrow(&[output]);
        for wanted in selection.outputs.iter_mut().flatten() {
            wanted.transmission = Transmission::Value;
        }
        selection
    }

    /// Of these only, each as it was asked for.
    pub fn narrow(&mut self, names: &[&str]) {
        let before = self.outputs.take().unwrap_or_default();
        let of = |name: &&str| {
            let known = before.iter().find(|known| known.name == **name);
            known.cloned().unwrap_or_else(|| Wanted::plain(name))
        };
        self.outputs = Some(names.iter().map(of).collect());
    }
}

/// The results of a job that is successful; otherwise why there are none.
pub async fn answer(
    facade: &Facade,
    tenant: &Tenant,
    base: &Base,
    job: &JobRecord,
    selection: &Selection,
) -> Result<Response, Problem> {
    let reading = Reading::new(facade, tenant);
    match selection.form {
        ResponseForm::Raw => {
            let response = raw::answer(&reading, base, job, selection).await?;
            Ok(reading.answer(response))
        }
        ResponseForm::Document => {
            let document = document::document(&reading, base, job, selection).await?;
            Ok(reading.answer(document::answer(&document)))
        }
    }
}

/// Where an output is by itself.
fn reference(base: &Base, job: &JobRecord, output: &str) -> String {
    base.url(&format!("jobs/{}/results/{}", job.id, weir_cwl::uri::encode_path(output)))
}

/// Whether there are results: `/req/core/job-results-exception/results-not-ready`, `/req/core/job-results-failed`.
pub fn ready(job: &JobRecord) -> Result<(), Problem> {
    match job.phase {
        Phase::Successful => Ok(()),
        Phase::Failed => Err(failed(job)),
        Phase::Accepted | Phase::Running => Err(Problem::result_not_ready(job.id.as_str(), &job.phase.to_string())),
        Phase::Dismissed => Err(Problem::dismissed(job.id.as_str())),
    }
}

/// Why a job failed, as a problem whose type is the failure's class.
fn failed(job: &JobRecord) -> Problem {
    let Some(JobFailure { class, message, step, exit_code, stderr }) = &job.failure else {
        let message = job.message.as_deref().unwrap_or("the job has failed");
        return Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            types::NO_APPLICABLE_CODE,
            "The job has failed",
            message,
        );
    };
    let (type_, status) = class_of(class);
    let mut detail = message.clone();
    if let Some(step) = step.as_ref().filter(|step| !message.contains(step.as_str())) {
        detail = format!("step `{step}`: {detail}");
    }
    if let Some(code) = exit_code.filter(|code| !message.contains(&format!("exit code {code}"))) {
        detail = format!("{detail} (exit code {code})");
    }
    if let Some(stderr) = stderr {
        detail = format!("{detail}\n{stderr}");
    }
    Problem::new(status, type_, "The job has failed", detail)
}

/// The word of a class, and the status that fits it: whether another request could do better.
fn class_of(class: &str) -> (&'static str, StatusCode) {
    use FailureClass as Class;
    let internal = StatusCode::INTERNAL_SERVER_ERROR;
    let known = serde_json::from_value::<Class>(class.into());
    match known {
        Ok(Class::ToolFailed) => ("ToolFailed", internal),
        Ok(Class::ToolFailedTemporarily) => ("ToolFailedTemporarily", internal),
        Ok(Class::OutputInvalid) => ("OutputInvalid", internal),
        Ok(Class::OutOfMemory) => ("OutOfMemory", internal),
        Ok(Class::OutOfDisk) => ("OutOfDisk", internal),
        Ok(Class::Disrupted) => ("Disrupted", internal),
        Ok(Class::Platform) => ("Platform", internal),
        Ok(Class::ImageUnavailable) => ("ImageUnavailable", internal),
        Ok(Class::Unschedulable) => ("Unschedulable", internal),
        Ok(Class::QuotaExceeded) => ("QuotaExceeded", internal),
        Ok(Class::Rejected) => ("Rejected", internal),
        Ok(Class::Expression) => ("Expression", internal),
        Ok(Class::TimeLimit) => ("TimeLimit", internal),
        Ok(Class::Dismissed) => ("Dismissed", internal),
        // The request named what cannot be fetched.
        Ok(Class::StageIn) => ("StageIn", StatusCode::BAD_REQUEST),
        Ok(Class::Unsupported) => ("Unsupported", StatusCode::NOT_IMPLEMENTED),
        Err(_) => (types::NO_APPLICABLE_CODE, internal),
    }
}
