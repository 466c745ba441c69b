//! `cwl-runner [--outdir=DIR] [--quiet] PROCESS [JOB]`: the contract of the official conformance suite. stdout holds the
//! output object and nothing else; exit 33 says that something is not supported.

use std::process::ExitCode;

use anyhow::{Context, Result};
use weir_local::spec::pin;
use weir_local::{JobSpec, LocalBackend, Settings};

use super::documents::{self, Documents};
use super::progress::Display;
use super::{CwlRunnerArgs, execution, findings, inputs, summary};

/// Runs one process in a state directory of its own, which is removed at the end.
pub fn run(args: &CwlRunnerArgs) -> Result<ExitCode> {
    let entry = documents::reference(&args.process)?;
    let (package, texts) = pin(&entry, Documents)?;
    if let Some(refused) = findings::tell(&package)? {
        return Ok(refused);
    }
    let inputs = inputs::read(args.job.as_deref(), &[], &package)?;
    findings::show(&inputs.warnings);
    let state = tempfile::Builder::new().prefix("weir-").tempdir().context("cannot create a temporary folder")?;
    let mut settings = Settings::for_this_machine().context("cannot look at this machine")?;
    state.path().clone_into(&mut settings.state_dir);
    // The whole state directory goes at the end.
    settings.keep_attempts = true;
    let backend = LocalBackend::open(settings)?;
    let id = execution::new_id(None)?;
    let mut spec = JobSpec::new(entry, texts, inputs.values, execution::absolute(&args.outdir)?);
    spec.job.requirements = inputs.requirements;
    let finished = execution::run(&backend, &id, Some(&spec), &mut Display::new(args.quiet))?;
    summary::print_outputs(&finished);
    Ok(execution::exit_code(&finished))
}
