//! One incarnation from its claim to its acknowledged end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use signal_hook::consts::{SIGINT, SIGTERM};
use weir_api::FailureClass;
use weir_api::agent::{
    AgentOrder, Complete, Ending, Exited, ExitedAnswer, Hints, Listing, TerminationMessage, UploadFailure,
    UploadRequest, Uploaded, Usage,
};
use weir_api::limits::REPORT_BYTES_MAX;

use crate::http;
use crate::listing::list;
use crate::log::Log;
use crate::operator::{Operator, OperatorError};
use crate::outdir::OutDir;
use crate::settings::Settings;
use crate::shim::NO_TOOL;
use crate::socket::{LOG, Tool};
use crate::stage::{in_parallel, stage, staged_inputs};
use crate::supervise::{End, Shim, Terminate};
use crate::termination;
use crate::upload::{UploadError, put, upload};

/// Marks a volume in which an agent has started.
const STARTED: &str = "agent.started";
/// Below it everything is the tool's.
const WORK: &str = "work";
/// How long a shim that has nothing to do is waited for, to be told so.
const DISMISS_WAIT: Duration = Duration::from_secs(2);
/// Free bytes below which a volume counts as full.
const DISK_FULL_BYTES: u64 = 1 << 20;
const SIGNALLED: i32 = 128;

/// Why the agent cannot do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// A container of `restartPolicy: Never` starts once; a second start means that the pod's state is lost.
    #[error("an agent has run in this pod before; the incarnation is over and must not start again")]
    StartedBefore,
    /// The shared volume is not usable.
    #[error("cannot {doing} `{path}`: {source}")]
    Volume {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    /// Certificates are wrong.
    #[error(transparent)]
    Certificate(#[from] http::CertificateError),
    /// The operator ends it.
    #[error(transparent)]
    Operator(#[from] OperatorError),
}

/// Runs the incarnation and writes its last words. Superseded is success: nothing was to be done.
pub fn run(settings: &Settings) -> ExitCode {
    let mut report = last_words("");
    let result = serve(settings, &mut report);
    report.agent = match &result {
        Ok(()) => "completed".to_owned(),
        Err(error) => error.to_string(),
    };
    if let Err(error) = &result {
        eprintln!("weir-agent: {error}");
    }
    termination::write(&settings.termination_log, report);
    match result {
        Ok(()) | Err(IncarnationError::Operator(OperatorError::Superseded)) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn last_words(agent: &str) -> TerminationMessage {
    TerminationMessage {
        agent: agent.to_owned(),
        ending: None,
        hints: Hints::default(),
        usage: Usage::default(),
        stderr_tail: None,
    }
}

fn serve(settings: &Settings, report: &mut TerminationMessage) -> Result<(), IncarnationError> {
    let volume = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| IncarnationError::Volume { doing, path, source }
    };
    let started = settings.folder.join(STARTED);
    match File::create_new(&started) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(IncarnationError::StartedBefore),
        other => other.map_err(volume("create", &started))?,
    };
    let log_path = settings.folder.join(LOG);
    let log = Log::create(&log_path).map_err(volume("create the log", &log_path))?;
    let mut shim = Shim::listen(&settings.folder).map_err(volume("listen in", &settings.folder))?;
    let is_running = Arc::new(AtomicBool::new(false));
    heed_signals(settings, shim.terminate(), Arc::clone(&is_running)).map_err(IncarnationError::Signals)?;
    let data = http::data(settings.store_ca.as_ref())?;
    let operator = Operator::new(
        http::operator(settings.ca.as_ref())?,
        settings.operator.clone(),
        settings.token_file.clone(),
        settings.claimant.clone(),
    );

    let order = match operator.claim() {
        Ok(order) => order,
        Err(error) => {
            let code = if error == OperatorError::Superseded { 0 } else { NO_TOOL };
            shim.dismiss(code, error.to_string(), DISMISS_WAIT);
            return Err(error.into());
        }
    };
    let root = settings.folder.join(WORK);
    let begin = Instant::now();
    let staged = stage(&order, &root, &data);
    let stage_in_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut exited = Exited {
        claimant: operator.claimant().clone(),
        ending: Ending::Code(0),
        hints: Hints::default(),
        usage: Usage::default(),
        stderr_tail: None,
        listing: Listing::default(),
        contents: BTreeMap::new(),
        log_bytes: None,
    };
    let outdir = OutDir::new(PathBuf::from(&order.outdir), staged_inputs(&order.placements, Path::new(&order.outdir)));
    if let Err(error) = &staged {
        exited.ending = Ending::Failed { class: error.class(), message: error.to_string() };
        exited.hints.disk_full = error.class() == FailureClass::OutOfDisk;
    } else {
        shim.wait(None);
        is_running.store(true, Ordering::SeqCst);
        let end = shim.run(tool(&order), &log);
        describe(end, &mut exited, &root);
        if matches!(exited.ending, Ending::Code(_)) {
            exited.listing = list(&outdir);
        }
    }
    exited.usage.stage_in_ms = stage_in_ms;
    report.ending = Some(exited.ending.clone());
    report.hints = exited.hints;
    report.usage = exited.usage;
    report.stderr_tail.clone_from(&exited.stderr_tail);
    let handed_in = hand_in(&operator, &data, &order, &outdir, &log, exited);
    if let Err(error) = staged {
        shim.dismiss(NO_TOOL, error.to_string(), DISMISS_WAIT);
    }
    Ok(handed_in?)
}

/// SIGTERM before the tool runs ends the agent, and with it the shim; afterwards it stops the tool, whose end is still
/// reported.
fn heed_signals(settings: &Settings, terminate: Terminate, is_running: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
    let termination_log = settings.termination_log.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if is_running.load(Ordering::SeqCst) {
                terminate.stop();
            } else {
                termination::write(&termination_log, last_words("terminated before the tool was started"));
                #[expect(clippy::exit, reason = "nothing is begun yet, and the main thread may wait for the operator")]
                std::process::exit(SIGNALLED + signal);
            }
        }
    });
    Ok(())
}

fn tool(order: &AgentOrder) -> Tool {
    let in_outdir = |name: &String| format!("{}/{name}", order.outdir);
    Tool {
        argv: order.argv.clone(),
        env: order.env.clone(),
        cwd: order.outdir.clone(),
        stdin: order.stdin.clone(),
        stdout: order.stdout.as_ref().map(in_outdir),
        stderr: order.stderr.as_ref().map(in_outdir),
        time_limit_ms: order.time_limit_seconds.map(|seconds| seconds.saturating_mul(1000)),
        deny_network: order.deny_network,
    }
}

/// Writes into the report how the tool ended.
fn describe(end: End, exited: &mut Exited, root: &Path) {
    match end {
        End::Exited(exit) => {
            exited.ending = match (exit.code, exit.signal) {
                (Some(code), _) => Ending::Code(code),
                (None, Some(signal)) => Ending::Signal(signal),
                (None, None) => {
                    let message = "the tool ended without an exit code".to_owned();
                    Ending::Failed { class: FailureClass::Platform, message }
                }
            };
            exited.hints = Hints {
                time_limit: exit.timed_out,
                oom_kills: exit.oom_kills,
                disk_full: is_full(root),
                terminated: exit.terminated,
            };
            exited.usage = Usage {
                cpu_seconds: exit.cpu_seconds,
                memory_peak_bytes: exit.memory_peak_bytes,
                cgroup_peak_bytes: exit.cgroup_peak_bytes,
                started_ms: exit.started_ms,
                finished_ms: exit.finished_ms,
                stage_in_ms: 0,
            };
            exited.stderr_tail = exit.stderr_tail;
        }
        End::NotStarted { errno, message } => {
            let class = errno.map_or(FailureClass::ToolFailed, |errno| {
                match io::Error::from_raw_os_error(errno).kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureClass::OutOfDisk,
                    // No program, not executable, for another machine: the next try ends the same way.
                    _ => FailureClass::ToolFailed,
                }
            });
            exited.ending = Ending::Failed { class, message };
        }
        End::Lost => {
            let message = "the connection to the tool's container is lost".to_owned();
            exited.ending = Ending::Failed { class: FailureClass::Disrupted, message };
        }
    }
}

fn is_full(path: &Path) -> bool {
    statvfs(path).is_ok_and(|volume| volume.f_bavail.saturating_mul(volume.f_frsize) < DISK_FULL_BYTES)
}

/// Reports the end, uploads what is asked for, and completes.
fn hand_in(
    operator: &Operator,
    data: &ureq::Agent,
    order: &AgentOrder,
    outdir: &OutDir,
    log: &Log,
    mut exited: Exited,
) -> Result<(), OperatorError> {
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| store_log(data, order, log));
        let mut storing = Some(storing);
        let mut log_bytes = move || storing.take().and_then(|storing| storing.join().ok()).flatten();
        let mut stored = None;
        // After a failure nothing is urgent, and the pod may be taken away as soon as it is reported.
        if exited.ending != Ending::Code(0) {
            stored = log_bytes();
        }
        exited.log_bytes = stored;
        loop {
            let answer = match operator.exited(&exited) {
                Err(OperatorError::TooLong(bytes)) => {
                    abridge(&mut exited, bytes);
                    continue;
                }
                answer => answer?,
            };
            match answer {
                ExitedAnswer::Read { files } => {
                    let read = |file: &weir_api::agent::ReadRequest| {
                        (file.path.clone(), outdir.contents(&file.path, file.bytes_max))
                    };
                    exited.contents.extend(files.iter().map(read));
                }
                ExitedAnswer::Upload { files } => {
                    let (uploaded, failure) = match upload_all(data, outdir, &files) {
                        Ok(uploaded) => (uploaded, None),
                        Err(error) => {
                            (Vec::new(), Some(UploadFailure { class: error.class(), message: error.to_string() }))
                        }
                    };
                    let claimant = operator.claimant().clone();
                    let log_bytes = stored.or_else(&mut log_bytes);
                    let complete = Complete { claimant, exited, uploaded, failure, log_bytes };
                    match operator.complete(&complete) {
                        Err(OperatorError::TooLong(bytes)) => {
                            exited = complete.exited;
                            abridge(&mut exited, bytes);
                        }
                        answer => return answer,
                    }
                }
                ExitedAnswer::Done {} => return Ok(()),
                ExitedAnswer::Superseded {} => return Err(OperatorError::Superseded),
            }
        }
    })
}

/// Leaves out of a report what makes it too long for the operator: how the tool ended is told in any case, and its outputs
/// fail for good.
fn abridge(exited: &mut Exited, bytes: usize) {
    let entries = exited.listing.entries.len();
    let incomplete = format!(
        "the report of {entries} entries, with what had to be read of them, has {bytes} bytes, and {REPORT_BYTES_MAX} are \
         taken; write fewer files, pack them into an archive, or make cwl.output.json smaller"
    );
    exited.listing = Listing { entries: Vec::new(), incomplete: Some(incomplete) };
    exited.contents.clear();
}

fn upload_all(data: &ureq::Agent, outdir: &OutDir, files: &[UploadRequest]) -> Result<Vec<Uploaded>, UploadError> {
    let uploaded = Mutex::new(Vec::with_capacity(files.len()));
    in_parallel(files, |file| {
        let done = upload(data, outdir, file)?;
        uploaded.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        Ok(())
    })?;
    let mut uploaded = uploaded.into_inner().unwrap_or_else(PoisonError::into_inner);
    uploaded.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(uploaded)
}

/// Stores the log; its bytes. A log that cannot be stored fails nothing.
fn store_log(data: &ureq::Agent, order: &AgentOrder, log: &Log) -> Option<u64> {
    match put(data, LOG, order.log.as_ref()?, || log.read()) {
        Ok(stored) => Some(stored.size),
        Err(error) => {
            eprintln!("weir-agent: the log is not stored: {error}");
            None
        }
    }
}
