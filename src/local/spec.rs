//! What a job is asked to do, pinned as event 0 of its journal.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weir_cwl::load::Fetch;
use weir_cwl::{Diagnostics, Package, Record};
use weir_plan::pinned::{PinnedError, PinnedJob};
use weir_plan::{Intent, Policy};

use crate::files::LocalFiles;

/// The version of this format; a journal of another one is refused.
const FORMAT: u32 = 2;

/// A job as it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    /// Version of this format.
    format: u32,
    /// What is to be done.
    pub job: PinnedJob,
    /// Folder of the published outputs, absolute.
    pub outdir: PathBuf,
    /// What whoever accepted the job wants to know of it later; nothing that the engine reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<serde_json::Value>,
}

/// A pinned job that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Written by another version of this program.
    #[error(
        "the job was begun by another version of weir (format {0}, this one writes {FORMAT}); finish it with that one"
    )]
    Format(u64),
    /// Written by another program.
    #[error("event 0 of the journal is not a job of weir: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The package is wrong, or it and the inputs do not fit.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
}

impl JobSpec {
    /// A job that runs the process `entry` of these documents and publishes into `outdir`, everything else by default.
    pub fn new(entry: String, documents: BTreeMap<String, String>, inputs: Record, outdir: PathBuf) -> Self {
        Self { format: FORMAT, job: PinnedJob::new(entry, documents, inputs), outdir, request: None }
    }

    /// Reads the specification that event 0 pins.
    pub fn from_json(spec: &serde_json::Value) -> Result<Self, SpecError> {
        match spec["format"].as_u64() {
            Some(format) if format != u64::from(FORMAT) => Err(SpecError::Format(format)),
            _ => Ok(Self::deserialize(spec)?),
        }
    }

    /// The same job with the sizes of its local input files.
    #[must_use]
    pub fn measured(self) -> Self {
        Self { job: self.job.measured(&mut LocalFiles), ..self }
    }

    /// The intent: package loaded from the pinned texts, inputs checked.
    pub fn intent(&self) -> Result<Intent, SpecError> {
        Ok(self.job.intent(Policy::default())?)
    }
}

/// Pins a package: see [`weir_plan::pinned::pin`]. What is missing is logged.
pub fn pin(entry: &str, fetch: impl Fetch) -> Result<(Package, BTreeMap<String, String>), Diagnostics> {
    let pinned = weir_plan::pinned::pin(entry, fetch)?;
    for warning in &pinned.warnings {
        tracing::warn!("{warning}");
    }
    Ok((pinned.package, pinned.documents))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_another_format_is_refused_by_its_number() {
        let refusal = |text: &str| JobSpec::from_json(&serde_json::from_str(text).unwrap()).unwrap_err().to_string();
        let old = refusal(r#"{"format": 1, "entry": "file:///a", "documents": {}, "inputs": {}}"#);
        assert!(old.starts_with("the job was begun by another version of weir (format 1, this one writes 2)"), "{old}");
        assert!(refusal("{}").starts_with("event 0 of the journal is not a job of weir: missing field"));
    }

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let spec = JobSpec::new("file:///a".to_owned(), BTreeMap::new(), Record::new(), "/out".into());
        assert_eq!(JobSpec::from_json(&serde_json::to_value(&spec).unwrap()).unwrap(), spec);
    }
}
