//! What a job is asked to do, pinned: nothing outside of it decides what the job does, so that a job that is taken up again
//! does not depend on documents that have changed since. Each executor keeps it in its event 0.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weir_cwl::command::{Probe, measured};
use weir_cwl::load::{Fetch, FetchError};
use weir_cwl::ontology::Ontology;
use weir_cwl::stage_in::{self, StageInError};
use weir_cwl::stage_out::{self, StageOut};
use weir_cwl::{Diagnostics, Package, Record, Value};

use crate::intent::{Intent, IntentError, OnFailure, Policy};

/// A job as it was asked for, whoever executes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedJob {
    /// Absolute URL of the package; a fragment names the process to run.
    pub entry: String,
    /// Every text that the package is made of, by absolute URL without fragment.
    pub documents: BTreeMap<String, String>,
    /// The input object; locations are absolute.
    pub inputs: Value,
    /// Requirements of the input object, as JSON text; they go before those of the package's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// Where Directory outputs are published as STAC catalogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_out: Option<StageOut>,
    /// Milliseconds from event 0 after which the job is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Counted attempts of one step instance, the first included.
    pub attempts_max: u32,
    /// Whether steps that do not depend on a failed one still run.
    pub continue_on_failure: bool,
    /// Step instances at the same time; `None`: as many as the executor allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Whether tools get the GPUs that they only hint at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hinted_gpus: bool,
}

/// A pinned job that can never run.
#[derive(Debug, thiserror::Error)]
pub enum PinnedError {
    /// The inputs are no input object.
    #[error("the inputs must be an object with a value for each input, got {0}")]
    NoObject(&'static str),
    /// The package is wrong.
    #[error("{0}")]
    Package(Diagnostics),
    /// An input that lies elsewhere cannot be staged in.
    #[error(transparent)]
    StageIn(#[from] StageInError),
    /// The package and the inputs do not fit.
    #[error(transparent)]
    Intent(#[from] IntentError),
}

impl PinnedJob {
    /// A job that runs the process `entry` of these documents, everything else by default.
    pub fn new(entry: String, documents: BTreeMap<String, String>, inputs: Record) -> Self {
        Self {
            entry,
            documents,
            inputs: Value::Record(inputs),
            requirements: None,
            stage_out: None,
            time_limit_ms: None,
            attempts_max: weir_api::limits::ATTEMPTS_MAX,
            continue_on_failure: false,
            parallelism: None,
            hinted_gpus: false,
        }
    }

    /// The same job with the sizes of those of its input files that the probe can see: expressions may ask for them
    /// before a tool is prepared.
    #[must_use]
    pub fn measured(mut self, probe: &mut dyn Probe) -> Self {
        if let Value::Record(inputs) = self.inputs {
            self.inputs = Value::Record(measured(inputs, probe));
        }
        self
    }

    /// Kinships of the file formats that the package names, from those ontologies that were pinned and can be read; see
    /// [`PinnedPackage::warnings`].
    pub fn ontology(&self, package: &Package) -> Ontology {
        let mut ontology = Ontology::default();
        for url in &package.schemas {
            let _unreadable = self.documents.get(url).map(|text| ontology.read(url, text));
        }
        ontology
    }

    /// The intent: package loaded from the pinned texts, with the steps that stage in and out, inputs checked, the rules of `base` where the job states none.
    /// A job never gets more parallelism than `base` has.
    pub fn intent(&self, base: Policy) -> Result<Intent, PinnedError> {
        let mut package = weir_cwl::load(&self.entry, &Pinned(&self.documents)).map_err(PinnedError::Package)?;
        if let Some(requirements) = &self.requirements {
            package = weir_cwl::job::with_requirements(package, requirements).map_err(PinnedError::Package)?;
        }
        if !self.hinted_gpus {
            package = package.without_hinted_gpus();
        }
        let inputs = match self.inputs.clone() {
            Value::Record(inputs) => inputs,
            other => return Err(PinnedError::NoObject(other.type_name())),
        };
        let (mut package, inputs) = stage_in::with_stage_in(package, inputs)?;
        if let Some(stage_out) = &self.stage_out {
            package = stage_out::with_stage_out(package, stage_out).map_err(PinnedError::Package)?;
        }
        let mut policy = base;
        policy.attempts_max = self.attempts_max.max(1);
        policy.time_limit_ms = self.time_limit_ms.or(policy.time_limit_ms);
        if self.continue_on_failure {
            policy.on_failure = OnFailure::Continue;
        }
        if let Some(wanted) = self.parallelism {
            policy.parallelism = wanted.clamp(1, policy.parallelism.max(1));
        }
        Ok(Intent::new(Arc::new(package), inputs, policy)?)
    }
}

/// A package with every text that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedPackage {
    /// The package as it was loaded.
    pub package: Package,
    /// Its texts by absolute URL without fragment.
    pub documents: BTreeMap<String, String>,
    /// Ontologies of `$schemas` that could not be had or read, for the user: formats are compared without them.
    pub warnings: Vec<String>,
}

/// Loads the package at an absolute URL and pins every text that it is made of, the ontologies of `$schemas` among them as
/// far as they can be had: without one, formats that differ do not fit.
pub fn pin(entry: &str, fetch: impl Fetch) -> Result<PinnedPackage, Diagnostics> {
    let recorder = Recorder::new(fetch);
    let package = weir_cwl::load(entry, &recorder)?;
    let mut inputs = package.processes.iter().flat_map(|process| &process.header().inputs);
    let compares_formats = inputs.any(|input| !input.file.format.is_empty());
    let mut warnings = Vec::new();
    for url in package.schemas.iter().filter(|_| compares_formats) {
        let read = match recorder.fetch(url) {
            Ok(text) => Ontology::default().read(url, &text).map_err(|error| error.to_string()),
            Err(error) => Err(format!("the ontology {url} of $schemas cannot be had: {error}")),
        };
        warnings.extend(read.err().map(|message| format!("{message}; formats are compared without it")));
    }
    Ok(PinnedPackage { package, documents: recorder.into_documents(), warnings })
}

/// Gives the pinned texts and nothing else.
struct Pinned<'a>(&'a BTreeMap<String, String>);

impl Fetch for Pinned<'_> {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().ok_or_else(|| FetchError("it is not among the job's pinned documents".to_owned()))
    }
}

/// Writes down every text that passes, so that it can be pinned.
struct Recorder<F> {
    inner: F,
    seen: Mutex<BTreeMap<String, String>>,
}

impl<F: Fetch> Recorder<F> {
    fn new(inner: F) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    fn into_documents(self) -> BTreeMap<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "cwlVersion: v1.2\nclass: Workflow\nid: w\ninputs: {a: string}\noutputs: {}\n\
        steps: {s: {run: t.cwl, in: {a: a}, out: []}}\n";
    const TOOL: &str =
        "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {a: string}\noutputs: {}\n";

    struct Web;

    impl Fetch for Web {
        fn fetch(&self, url: &str) -> Result<String, FetchError> {
            match url {
                "https://example.org/w.cwl" => Ok(PACKAGE.to_owned()),
                "https://example.org/t.cwl" => Ok(TOOL.to_owned()),
                _ => Err(FetchError("no such page".to_owned())),
            }
        }
    }

    fn job(inputs: &str) -> PinnedJob {
        let entry = "https://example.org/w.cwl".to_owned();
        let documents = pin(&entry, Web).unwrap().documents;
        let mut job = PinnedJob::new(entry, documents, Record::new());
        job.inputs = weir_cwl::json::parse(inputs).unwrap();
        job
    }

    #[test]
    fn a_pinned_job_needs_nothing_from_outside() {
        let text = serde_json::to_string(&job(r#"{"a": "x"}"#)).unwrap();
        let read: PinnedJob = serde_json::from_str(&text).unwrap();
        let intent = read.intent(Policy::default()).unwrap();
        assert_eq!(intent.places().len(), 2);
    }

    #[test]
    fn a_job_may_ask_for_less_than_its_executor_gives_and_not_for_more() {
        let base = || Policy { parallelism: 10, ..Policy::default() };
        let parallelism = |wanted| {
            let job = PinnedJob { parallelism: wanted, ..job(r#"{"a": "x"}"#) };
            job.intent(base()).unwrap().policy().parallelism
        };
        assert_eq!([None, Some(0), Some(3), Some(99)].map(parallelism), [10, 1, 3, 10]);
    }

    #[test]
    fn gpus_that_are_only_hinted_at_are_the_jobs_choice_for_good() {
        let mut job = job(r#"{"a": "x"}"#);
        let tool = job.documents.get_mut("https://example.org/t.cwl").unwrap();
        tool.push_str("hints: {'http://commonwl.org/cwltool#CUDARequirement': {cudaDeviceCountMin: 2}}\n");
        let gpus = |job: &PinnedJob| {
            let read: PinnedJob = serde_json::from_str(&serde_json::to_string(job).unwrap()).unwrap();
            let intent = read.intent(Policy::default()).unwrap();
            intent.foreseeable.iter().flatten().map(|resources| resources.gpus).sum::<u64>()
        };
        assert_eq!(gpus(&job), 0);
        job.hinted_gpus = true;
        assert_eq!(gpus(&job), 2);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let refusal = |inputs| job(inputs).intent(Policy::default()).unwrap_err().to_string();
        insta::assert_snapshot!(refusal("[]"), @"the inputs must be an object with a value for each input, got array");
        insta::assert_snapshot!(refusal("{}"), @"input `a` of `w` is missing; give it a value of type string");
        let mut lacking = job(r#"{"a": "x"}"#);
        lacking.documents.remove("https://example.org/t.cwl");
        let message = lacking.intent(Policy::default()).unwrap_err().to_string();
        assert!(message.contains("it is not among the job's pinned documents"), "{message}");
    }
}
