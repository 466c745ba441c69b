//! One job on the embedded backend, from its specification to its end: signals, progress, exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use weir_api::{FailureClass, Phase};
use weir_local::{Control, Finished, JobSpec, LocalBackend, Settings};
use weir_store::RunId;

use super::progress::Display;
use super::{ExecutionArgs, exit, paths};

/// The settings of the backend that these options ask for.
pub fn settings(args: &ExecutionArgs) -> Result<Settings> {
    let mut settings = this_machine(&args.map_image)?;
    settings.state_dir.clone_from(&args.state_dir);
    settings.parallelism = args.parallelism;
    settings.keep_attempts = args.keep_work;
    settings.preserved_environment.clone_from(&args.preserve_environment);
    Ok(settings)
}

/// This machine's settings, with images mapped to commands (`IMAGE=COMMAND`).
pub fn this_machine(images: &[String]) -> Result<Settings> {
    let mut settings = Settings::for_this_machine().context("cannot look at this machine")?;
    for mapping in images {
        let Some((image, command)) = mapping.split_once('=') else {
            bail!("--map-image {mapping}: write it as IMAGE=COMMAND");
        };
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            bail!("--map-image {mapping}: the command is empty");
        }
        settings.images.insert(image, words);
    }
    Ok(settings)
}

/// The id that was asked for, or a new UUID.
pub fn new_id(asked: Option<&str>) -> Result<RunId> {
    let id = asked.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    RunId::from_str(&id).map_err(|error| anyhow::anyhow!("--job-id: {error}"))
}

/// Accepts the job unless it was accepted before (`spec` is `None`), and runs it to its end.
pub fn run(backend: &LocalBackend, id: &RunId, spec: Option<&JobSpec>, display: &mut Display) -> Result<Finished> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let finished = runtime.block_on(async {
        if let Some(spec) = spec {
            backend.submit(id, spec).await?;
        }
        display.begin(id, spec.is_none());
        let (orders, control) = watch::channel(Control::Run);
        let signals = tokio::spawn(obey_signals(orders));
        let finished = backend.run(id, control, display).await;
        signals.abort();
        Ok(finished?)
    });
    // A cancelled job may still be fetching: nobody waits for that.
    runtime.shutdown_background();
    finished
}

/// The first Ctrl-C or SIGTERM cancels the job cleanly, the second one at once.
async fn obey_signals(orders: watch::Sender<Control>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    for order in [Control::Cancel, Control::Now] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if order == Control::Cancel {
            eprintln!("\nCancelling; press Ctrl-C again to end at once.");
        }
        let _ = orders.send(order);
    }
    std::future::pending::<()>().await;
}

/// The exit code of a job's end.
pub fn exit_code(finished: &Finished) -> ExitCode {
    match (finished.phase, finished.failure.as_ref().map(|failure| failure.class)) {
        (Phase::Successful, _) => ExitCode::SUCCESS,
        (_, Some(FailureClass::Unsupported)) => ExitCode::from(exit::UNSUPPORTED),
        (Phase::Dismissed, _) => ExitCode::from(exit::CANCELLED),
        _ => ExitCode::from(exit::FAILURE),
    }
}

/// The id to resume: the one that was given, or the job that was worked on last.
pub fn id_to_resume(asked: &str, backend: &LocalBackend) -> Result<RunId> {
    let latest = if asked.is_empty() {
        backend.runs().into_iter().max_by_key(|(_, changed)| *changed)
    } else {
        backend.runs().into_iter().find(|(id, _)| id.as_str() == asked)
    };
    let state = paths::shown(&backend.settings().state_dir);
    match latest {
        Some((id, _)) => Ok(id),
        None if asked.is_empty() => bail!("there is no job to resume in {state}"),
        None => bail!("--resume: there is no job `{asked}` in {state}"),
    }
}

/// A path as an absolute one, whether it exists or not.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}
