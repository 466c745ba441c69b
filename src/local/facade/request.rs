//! What a request asks for becomes a job of the engine, pinned as event 0.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use weir_cwl::Package;
use weir_cwl::job::InputObject;
use weir_cwl::stage_out::StageOut;
use weir_cwl::value::EntryRef;
use weir_http::backend::{Asked, BackendError, NewJob, ProcessId, ProcessRecord, Subscriber};
use weir_store::RunId;

use super::processes::package_url;
use super::results::BUCKET;
use crate::spec::{JobSpec, SpecError};

/// What the façade wants to know of a job later; event 0 holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The process.
    pub process: ProcessId,
    /// What is to become of the outputs.
    #[serde(default)]
    pub asked: Asked,
    /// Whom to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Subscriber>,
}

impl Request {
    /// What event 0 says.
    pub fn of(spec: &JobSpec) -> Result<Self, SpecError> {
        Ok(Self::deserialize(spec.request.as_ref().unwrap_or(&Json::Null))?)
    }
}

/// The job that a request asks for. `process` is the deployed one; a built-in process brings its package along. `store` is
/// where results are kept.
pub fn spec(
    job: NewJob,
    process: Option<Arc<ProcessRecord>>,
    id: &RunId,
    store: &Path,
) -> Result<JobSpec, BackendError> {
    let (entry, documents, package) = match (job.package, process) {
        (Some(text), _) => {
            let url = package_url(&job.process);
            let package = weir_cwl::load_text(&url, &text, None, &weir_cwl::load::NoFetch)
                .map_err(|found| BackendError::Internal(found.to_string()))?;
            (url.clone(), [(url, text)].into(), Arc::new(package))
        }
        (None, Some(process)) if job.version.is_some() && job.version != process.version => {
            return Err(BackendError::changed(&job.process));
        }
        (None, Some(process)) => {
            let (entry, documents) = process.deployed.frozen(&package_url(&job.process));
            (entry, documents, Arc::clone(&process.package))
        }
        (None, None) => return Err(BackendError::NotFound(format!("process `{}`", job.process))),
    };
    let inputs = InputObject::parse("weir:inputs", &Json::Object(job.inputs).to_string())
        .and_then(|object| object.inputs(&package))
        .map_err(|found| BackendError::Refused(found.to_string()))?;
    reachable(&inputs.values, &package)?;
    let mut spec = JobSpec::new(entry, documents, inputs.values, store.to_owned());
    spec.job.requirements = inputs.requirements;
    spec.job.stage_out = Some(StageOut { to: format!("s3://{BUCKET}"), id: id.to_string(), lays_out: true });
    let request = Request { process: job.process, asked: job.asked, subscriber: job.subscriber };
    spec.request = Some(serde_json::to_value(request).map_err(|error| BackendError::Internal(error.to_string()))?);
    Ok(spec)
}

/// Where inputs may lie. What stands at an `s3:` URL is staged in, and a `data:` URL holds it.
const SCHEMES: [&str; 4] = ["http://", "https://", "s3://", "data:"];

/// Files are literals or lie elsewhere: a request names no file of this machine (invariant I9).
fn reachable(inputs: &weir_cwl::Record, package: &Package) -> Result<(), BackendError> {
    let mut wrong = None;
    let mut look = |id: &str, value: &weir_cwl::Value| {
        value.for_each_entry(&mut |entry| {
            let place = match entry {
                EntryRef::File(file) => file.location.as_deref().or(file.path.as_deref()),
                EntryRef::Directory(directory) => directory.location.as_deref().or(directory.path.as_deref()),
            };
            if let Some(place) = place.filter(|place| !SCHEMES.iter().any(|scheme| place.starts_with(scheme))) {
                let place = place.strip_prefix("weir:").unwrap_or(place);
                wrong.get_or_insert_with(|| {
                    format!("/inputs/{id}: `{place}` cannot be read; give an http, https, s3 or data URL, or a literal")
                });
            }
        });
    };
    for (id, value) in inputs {
        look(id, value);
    }
    for input in package.processes.iter().flat_map(|process| &process.header().inputs) {
        if let Some(default) = &input.default {
            look(&input.id, default);
        }
    }
    wrong.map_or(Ok(()), |message| Err(BackendError::Refused(message)))
}
