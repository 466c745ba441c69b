//! `weir run`: package and inputs become a job, the job runs, its end is told.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use weir_cwl::stage_out::StageOut;
use weir_cwl::{Record, Value};
use weir_local::spec::pin;
use weir_local::{JobSpec, LocalBackend};
use weir_store::RunId;

use super::documents::{self, Documents};
use super::progress::Display;
use super::{ExecutionArgs, RunArgs, execution, findings, inputs, paths, summary, telemetry};

/// Folder of the outputs of jobs that do not say otherwise.
const RESULTS: &str = "weir-results";

/// Runs a package, or goes on with an interrupted job.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    if args.execution.resume.is_some() {
        if args.package.is_some() {
            bail!("--resume takes everything from the interrupted job: leave the package and the inputs out");
        }
        return resume(&args.execution);
    }
    let package = args.package.as_deref().context("name a package to run")?;
    start(package, args.inputs.as_deref(), &args.input, &args.execution, None)
}

/// Starts a new job. `by_hand` is shown at the end as the command that does the same.
pub fn start(
    package: &str,
    inputs_file: Option<&std::path::Path>,
    assignments: &[String],
    args: &ExecutionArgs,
    by_hand: Option<&str>,
) -> Result<ExitCode> {
    let entry = documents::reference(package)?;
    let (loaded, texts) = pin(&entry, Documents)?;
    if let Some(refused) = findings::tell(&loaded)? {
        return Ok(refused);
    }
    let inputs = inputs::read(inputs_file, assignments, &loaded)?;
    findings::show(&inputs.warnings);
    present(&inputs.values)?;
    let id = execution::new_id(args.job_id.as_deref())?;
    let outdir = match &args.outdir {
        Some(outdir) => {
            make_folder(outdir)?;
            outdir.clone()
        }
        None => std::path::Path::new(RESULTS).join(id.as_str()),
    };
    let mut spec = JobSpec::new(entry, texts, inputs.values, execution::absolute(&outdir)?);
    spec.job.requirements = inputs.requirements;
    spec.job.time_limit_ms = args.time_limit.map(|seconds| seconds * 1000);
    spec.job.stage_out = args.stage_out.as_deref().map(|to| stage_out(to, &id)).transpose()?;
    let backend = LocalBackend::open(execution::settings(args)?)?;
    finish(&backend, &id, Some(&spec), args, by_hand)
}

fn resume(args: &ExecutionArgs) -> Result<ExitCode> {
    let backend = LocalBackend::open(execution::settings(args)?)?;
    let id = execution::id_to_resume(args.resume.as_deref().unwrap_or_default(), &backend)?;
    finish(&backend, &id, None, args, None)
}

fn finish(
    backend: &LocalBackend,
    id: &RunId,
    spec: Option<&JobSpec>,
    args: &ExecutionArgs,
    by_hand: Option<&str>,
) -> Result<ExitCode> {
    let mut display = Display::new(args.quiet || args.json);
    telemetry::for_people(display.bars());
    let ended = execution::run(backend, id, spec, &mut display);
    display.end();
    let finished = ended?;
    if args.json {
        summary::print_json(id, &finished);
    } else if args.quiet {
        summary::print_outputs(&finished);
    } else {
        summary::print(id, &finished, by_hand);
    }
    Ok(execution::exit_code(&finished))
}

/// Looks whether every file and folder of this machine is there, so that a wrong path is told now and not when the step
/// that reads it starts.
fn present(values: &Record) -> Result<()> {
    let checked = Value::Record(values.clone()).map_entries(&mut |entry| {
        let path = entry.location().and_then(weir_cwl::uri::to_path);
        match path.filter(|path| !std::path::Path::new(path).exists()) {
            Some(path) => bail!("there is no input {}", paths::shown(path.as_ref())),
            None => Ok(entry),
        }
    });
    checked.map(drop)
}

/// Makes the folder that the outputs were asked into: that it cannot be made is told before the first step, not after
/// the last one.
fn make_folder(folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", paths::shown(folder)))
}

/// A directory becomes absolute: the step runs in a folder of its own.
fn stage_out(to: &str, id: &RunId) -> Result<StageOut> {
    let to = match to.split_once("://") {
        Some(("s3", _)) => to.to_owned(),
        Some((scheme, _)) => bail!("--stage-out {to}: weir publishes to directories and s3://, not to {scheme}://"),
        None => {
            let directory = execution::absolute(std::path::Path::new(to))?;
            make_folder(&directory)?;
            directory.to_str().with_context(|| format!("the path {} is not UTF-8", directory.display()))?.to_owned()
        }
    };
    Ok(StageOut { to, id: id.as_str().to_owned(), lays_out: false })
}
