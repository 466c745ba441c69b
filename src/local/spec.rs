//! What a job is asked to do, pinned as event 0 of its journal: nothing outside of it decides what the job does, so that a
//! resumed job does not depend on files that have changed since.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weir_cwl::command::measured;
use weir_cwl::load::{Fetch, FetchError, NoFetch};
use weir_cwl::ontology::Ontology;
use weir_cwl::stage_out::{self, StageOut};
use weir_cwl::{Diagnostics, Package, Record, Value};
use weir_plan::{Intent, IntentError, OnFailure, Policy};

use crate::files::LocalFiles;

/// The version of this format; a journal of another one is refused.
const FORMAT: u32 = 1;

/// A job as it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    /// Version of this format.
    format: u32,
    /// Absolute URL of the package; a fragment names the process to run.
    pub entry: String,
    /// Every text that the package is made of, by absolute URL without fragment.
    pub documents: BTreeMap<String, String>,
    /// The input object; locations are absolute.
    pub inputs: Value,
    /// Folder of the published outputs, absolute.
    pub outdir: PathBuf,
    /// Requirements of the input object, as JSON text; they go before those of the package's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// Where Directory outputs are published as STAC catalogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_out: Option<StageOut>,
    /// Milliseconds after which the job is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Counted attempts of one step instance, the first included.
    pub attempts_max: u32,
    /// Whether steps that do not depend on a failed one still run.
    pub continue_on_failure: bool,
}

/// A pinned job that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Written by another program.
    #[error("event 0 of the journal is not a job of this version of weir: {0}")]
    Unreadable(String),
    /// The package is wrong.
    #[error("{0}")]
    Package(Diagnostics),
    /// The package and the inputs do not fit.
    #[error(transparent)]
    Intent(#[from] IntentError),
}

impl JobSpec {
    /// A job that runs the process `entry` of these documents and publishes into `outdir`, everything else by default.
    pub fn new(entry: String, documents: BTreeMap<String, String>, inputs: Record, outdir: PathBuf) -> Self {
        Self {
            format: FORMAT,
            entry,
            documents,
            inputs: Value::Record(inputs),
            outdir,
            requirements: None,
            stage_out: None,
            time_limit_ms: None,
            attempts_max: weir_api::limits::ATTEMPTS_MAX,
            continue_on_failure: false,
        }
    }

    /// Reads the specification that event 0 pins.
    pub fn from_json(spec: &serde_json::Value) -> Result<Self, SpecError> {
        let unreadable = |reason: String| SpecError::Unreadable(reason);
        let spec = Self::deserialize(spec).map_err(|error| unreadable(error.to_string()))?;
        if spec.format == FORMAT { Ok(spec) } else { Err(unreadable(format!("format {}", spec.format))) }
    }

    /// The same job with the sizes of its local input files, which expressions may ask for before a tool is prepared.
    #[must_use]
    pub fn measured(mut self) -> Self {
        if let Value::Record(inputs) = self.inputs {
            self.inputs = Value::Record(measured(inputs, &mut LocalFiles));
        }
        self
    }

    /// Kinships of the file formats that the package names.
    pub fn ontology(&self, package: &Package) -> Ontology {
        let mut ontology = Ontology::default();
        for url in &package.schemas {
            if let Some(Err(error)) = self.documents.get(url).map(|text| ontology.read(url, text)) {
                tracing::warn!(%error, "formats are compared without it");
            }
        }
        ontology
    }

    /// The intent: package loaded from the pinned texts, inputs checked.
    pub fn intent(&self) -> Result<Intent, SpecError> {
        let mut package = weir_cwl::load(&self.entry, &Pinned(&self.documents)).map_err(SpecError::Package)?;
        if let Some(requirements) = &self.requirements {
            package = weir_cwl::job::with_requirements(package, requirements).map_err(SpecError::Package)?;
        }
        if let Some(stage_out) = &self.stage_out {
            let tool = weir_cwl::load_text(stage_out::TOOL_URL, stage_out.tool(), None, &NoFetch)
                .map_err(SpecError::Package)?;
            package = stage_out::with_stage_out(package, &tool, stage_out);
        }
        let Value::Record(inputs) = self.inputs.clone() else {
            return Err(SpecError::Unreadable("the input object is no object".to_owned()));
        };
        let policy = Policy {
            attempts_max: self.attempts_max,
            time_limit_ms: self.time_limit_ms,
            on_failure: if self.continue_on_failure { OnFailure::Continue } else { OnFailure::Stop },
            ..Policy::default()
        };
        Ok(Intent::new(Arc::new(package), inputs, policy)?)
    }
}

/// Loads the package at an absolute URL and pins every text that it is made of, the ontologies of `$schemas` among them as
/// far as they can be had: without one, formats that differ do not fit.
pub fn pin(entry: &str, fetch: impl Fetch) -> Result<(Package, BTreeMap<String, String>), Diagnostics> {
    let recorder = Recorder::new(fetch);
    let package = weir_cwl::load(entry, &recorder)?;
    let mut inputs = package.processes.iter().flat_map(|process| &process.header().inputs);
    let compares_formats = inputs.any(|input| !input.file.format.is_empty());
    for url in package.schemas.iter().filter(|_| compares_formats) {
        if let Err(error) = recorder.fetch(url) {
            tracing::warn!(url, %error, "an ontology of $schemas cannot be read");
        }
    }
    Ok((package, recorder.into_documents()))
}

/// Gives the pinned texts and nothing else.
struct Pinned<'a>(&'a BTreeMap<String, String>);

impl Fetch for Pinned<'_> {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().ok_or_else(|| FetchError("it is not among the job's pinned documents".to_owned()))
    }
}

/// Writes down every text that passes, so that it can be pinned.
#[derive(Debug)]
pub struct Recorder<F> {
    inner: F,
    seen: Mutex<BTreeMap<String, String>>,
}

impl<F: Fetch> Recorder<F> {
    /// Fetches through `inner`.
    pub fn new(inner: F) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// The texts by URL.
    pub fn into_documents(self) -> BTreeMap<String, String> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Fetch> Fetch for Recorder<F> {
    fn name(&self, url: &str) -> Option<String> {
        self.inner.name(url)
    }

    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        let text = self.inner.fetch(url)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), text.clone());
        Ok(text)
    }
}
