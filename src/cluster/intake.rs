//! A ProcessJob becomes a [`ClusterJob`]: validated once, pinned as event 0. Nothing reads the object's spec after that.
//!
//! [`accept`] fetches what the job names (its Process's frozen package, or its own with all imports; inputs in the store);
//! [`pin`] decides, without any I/O. Everything that is wrong is an [`IntakeError`] with a reason and a message.

#[cfg(test)]
pub(crate) mod fixture;
pub mod images;
pub mod inputs;
pub mod malformed;
pub mod pod_template;
pub mod refusal;

use kube::ResourceExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use weir_api::kubernetes::conditions::READY;
use weir_api::kubernetes::{Process, ProcessJob, ProcessJobSpec};
use weir_api::limits::{ATTEMPTS_MAX, DOCUMENT_BYTES_MAX};
use weir_cwl::stage_out::StageOut;
use weir_plan::PinnedJob;
use weir_store::Tenant;

use crate::context::Services;
use crate::limits::{ATTEMPTS_ASKED_MAX, INLINE_INPUTS_BYTES_MAX};
use crate::process::resolve::{Resolved, Source, resolve};
use crate::settings::Settings;
use crate::spec::{ClusterJob, FORMAT};
use inputs::InputText;
pub use refusal::IntakeError;
use weir_fetch::Guarded;

/// Below the tenant's prefix, where `inputsRef` may point to: never into journals or packages.
const INPUTS_PREFIX: &str = "inputs/";

/// Where the façade puts inputs that are too large for an object. Once the job is accepted nobody needs them.
pub const OWN_INPUTS: &str = "inputs/http/";

/// A job that wants to be run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// The object.
    pub job: &'a ProcessJob,
    /// The Process that its `processRef` names, if there is one. One whose package is stated is not asked for.
    pub process: Option<&'a Process>,
}

/// A job that will be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Event 0.
    pub job: ClusterJob,
    /// What is ignored or doubtful: worth telling, no reason to refuse.
    pub warnings: Vec<String>,
}

/// Everything that a job names, at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// The package.
    pub package: Resolved,
    /// The inputs.
    pub inputs: InputText,
    /// What the Process gives where the job gives nothing.
    pub defaults: Option<InputText>,
}

/// Fetches what the job names and decides about it.
pub async fn accept(services: &Services, guarded: &Guarded, request: Request<'_>) -> Result<Accepted, IntakeError> {
    // What can be refused without fetching is.
    let violations = pod_template_violations(&request.job.spec, &services.settings);
    if !violations.is_empty() {
        return Err(IntakeError::NotAllowed(violations.join("\n")));
    }
    let gathered = gather(guarded, services.store.as_ref(), request).await?;
    pin(&services.settings, request, gathered)
}

/// The job, from what it names. Pure.
pub fn pin(settings: &Settings, request: Request<'_>, gathered: Gathered) -> Result<Accepted, IntakeError> {
    let Request { tenant, job, .. } = request;
    let spec = &job.spec;
    let name = job.metadata.name.clone().ok_or(IntakeError::Malformed("name"))?;
    let namespace = job.metadata.namespace.clone().ok_or(IntakeError::Malformed("namespace"))?;
    let uid = job.metadata.uid.clone().ok_or(IntakeError::Malformed("uid"))?;
    let Gathered { package: Resolved { package, stored, digest, mut warnings }, inputs, defaults } = gathered;

    let mut refused = pod_template_violations(spec, settings);
    refused.extend(images::violations(&package, &settings.pods));
    if !refused.is_empty() {
        return Err(IntakeError::NotAllowed(refused.join("\n")));
    }
    let unreachable = inputs::unreachable_defaults(&package);
    if !unreachable.is_empty() {
        return Err(IntakeError::NotAllowed(unreachable.join("\n")));
    }
    let inputs = inputs::checked(defaults.as_ref(), &inputs, &package).map_err(IntakeError::Inputs)?;
    warnings.extend(inputs.warnings.0.iter().map(|one| {
        let help = one.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{}{help}", one.message)
    }));

    let result_id = if is_uuid(&name) { name.clone() } else { uid.clone() };
    let results_bucket = settings.results_bucket.replace("{tenant}", tenant.as_str());
    let pinned = PinnedJob {
        requirements: inputs.requirements,
        stage_out: Some(StageOut { to: format!("s3://{results_bucket}"), id: result_id.clone(), lays_out: true }),
        time_limit_ms: spec
            .timeout_seconds
            .map(|seconds| within("timeoutSeconds", seconds, 1, i64::MAX))
            .transpose()?
            .map(|seconds| seconds.saturating_mul(1000)),
        attempts_max: attempts(spec)?,
        continue_on_failure: spec.retry.as_ref().is_some_and(|retry| retry.continue_on_failure),
        parallelism: spec
            .parallelism
            .map(|steps| within("parallelism", steps.into(), 1, i32::MAX.into()))
            .transpose()?
            .map(|steps| u32::try_from(steps).unwrap_or(u32::MAX)),
        hinted_gpus: settings.hinted_gpus,
        ..PinnedJob::new(stored.entry, stored.documents, inputs.values)
    };
    let pod_template = spec.pod_template.clone().unwrap_or_default();
    let job = ClusterJob {
        format: FORMAT,
        namespace,
        name,
        uid,
        result_id,
        results_bucket,
        digest,
        pod_template,
        job: pinned,
    };
    // What the planner would refuse is refused now.
    job.intent(settings)?;
    Ok(Accepted { job, warnings })
}

fn pod_template_violations(spec: &ProcessJobSpec, settings: &Settings) -> Vec<String> {
    spec.pod_template.as_ref().map_or_else(Vec::new, |template| pod_template::violations(template, &settings.pods))
}

fn attempts(spec: &ProcessJobSpec) -> Result<u32, IntakeError> {
    let Some(asked) = spec.retry.as_ref().and_then(|retry| retry.attempts) else { return Ok(ATTEMPTS_MAX) };
    let attempts = within("retry.attempts", asked.into(), 1, ATTEMPTS_ASKED_MAX)?;
    Ok(u32::try_from(attempts).unwrap_or(ATTEMPTS_MAX))
}

/// The definition of the resource says the same; an object may be older than it.
fn within(field: &str, value: i64, min: i64, max: i64) -> Result<u64, IntakeError> {
    let inside = u64::try_from(value).ok().filter(|_| (min..=max).contains(&value));
    inside.ok_or_else(|| {
        let wanted = if max >= i32::MAX.into() { format!("at least {min}") } else { format!("{min} to {max}") };
        IntakeError::Spec(format!("spec.{field} is {value}; it must be {wanted}"))
    })
}

/// As `uuidgen` writes it: other spellings of the same id would be other keys.
pub(crate) fn is_uuid(name: &str) -> bool {
    uuid::Uuid::try_parse(name).is_ok_and(|id| id.hyphenated().to_string() == name)
}

/// Fetches what the job names.
async fn gather(guarded: &Guarded, store: &dyn ObjectStore, request: Request<'_>) -> Result<Gathered, IntakeError> {
    let Request { tenant, job, process } = request;
    let spec = &job.spec;
    let inputs = match (&spec.inputs, &spec.inputs_ref) {
        (Some(_), Some(_)) => {
            return Err(IntakeError::Spec("state at most one of spec.inputs and spec.inputsRef".to_owned()));
        }
        (Some(inputs), None) => inline_inputs(inputs)?,
        (None, Some(key)) => stored_inputs(store, tenant, key).await?,
        (None, None) => inline_inputs(&serde_json::Value::Object(serde_json::Map::new()))?,
    };
    match (&spec.process_ref, &spec.process) {
        (None, Some(own)) => {
            let url = format!("weir:processjobs/{}/package.cwl", job.name_any());
            let source = Source::Text { url, text: own.inline.clone() };
            let package = resolve(guarded, store, tenant, &source, own.workflow.as_deref()).await?;
            Ok(Gathered { package, inputs, defaults: None })
        }
        (Some(_), None) if let Some(digest) = &spec.package_digest => {
            let source = Source::Digest(digest.clone());
            let package = resolve(guarded, store, tenant, &source, None).await?;
            Ok(Gathered { package, inputs, defaults: None })
        }
        (Some(name), None) => {
            let process = process.ok_or_else(|| IntakeError::NoProcess(name.clone()))?;
            let (digest, entry) = ready(process)?;
            let source = Source::Digest(digest.to_owned());
            let package = resolve(guarded, store, tenant, &source, entry).await?;
            Ok(Gathered { package, inputs, defaults: inputs::defaults(process) })
        }
        _ => Err(IntakeError::Spec("state exactly one of spec.processRef and spec.process".to_owned())),
    }
}

/// The frozen package of a Process that is ready as it stands, and the process to run in it.
fn ready(process: &Process) -> Result<(&str, Option<&str>), IntakeError> {
    let not_ready = |message: &str| {
        let (name, message) = (process.name_any(), message.to_owned());
        Err(IntakeError::ProcessNotReady { name, message })
    };
    let Some(status) =
        process.status.as_ref().filter(|status| status.observed_generation == process.metadata.generation)
    else {
        return not_ready("its package has not been looked at yet");
    };
    match status.conditions.iter().find(|condition| condition.type_ == READY) {
        Some(condition) if condition.status == "True" => match &status.digest {
            Some(digest) => Ok((digest, process.spec.workflow.as_deref())),
            None => not_ready("its status names no digest"),
        },
        Some(condition) => not_ready(&condition.message),
        None => not_ready("its package has not been looked at yet"),
    }
}

fn inline_inputs(inputs: &serde_json::Value) -> Result<InputText, IntakeError> {
    let text = format!("{inputs:#}");
    let bytes = inputs.to_string().len();
    if bytes > INLINE_INPUTS_BYTES_MAX {
        return Err(IntakeError::Spec(format!(
            "spec.inputs has {bytes} bytes as JSON; more than {INLINE_INPUTS_BYTES_MAX} belong into the store: name their key in spec.inputsRef"
        )));
    }
    Ok(InputText { name: "spec.inputs".to_owned(), text, has_lines: false })
}

/// Inputs that stand in the tenant's own part of the store (invariant I9).
async fn stored_inputs(store: &dyn ObjectStore, tenant: &Tenant, reference: &str) -> Result<InputText, IntakeError> {
    let path =
        reference.starts_with(INPUTS_PREFIX).then(|| Path::parse(format!("{tenant}/{reference}")).ok()).flatten();
    let Some(path) = path else {
        return Err(IntakeError::Spec(format!(
            "spec.inputsRef: `{reference}` is no key of an input object: it begins with `{INPUTS_PREFIX}` and has no empty, `.` or `..` part"
        )));
    };
    let failed = |source| match source {
        object_store::Error::NotFound { .. } => {
            IntakeError::Inputs(format!("spec.inputsRef: there is no object `{path}` in the store"))
        }
        source => IntakeError::InputsStore { key: path.to_string(), source },
    };
    let found = store.get(&path).await.map_err(failed)?;
    if found.meta.size > DOCUMENT_BYTES_MAX as u64 {
        return Err(IntakeError::Inputs(format!(
            "spec.inputsRef: `{path}` has {} bytes; input objects may have {DOCUMENT_BYTES_MAX}",
            found.meta.size
        )));
    }
    let bytes = found.bytes().await.map_err(failed)?;
    match String::from_utf8(bytes.into()) {
        Ok(text) => Ok(InputText { name: reference.to_owned(), text, has_lines: true }),
        Err(_) => Err(IntakeError::Inputs(format!("spec.inputsRef: `{path}` is no text in UTF-8"))),
    }
}

#[cfg(test)]
mod tests;
