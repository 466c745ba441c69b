//! One incarnation from its claim to its outcome: prepare, start, wait, collect.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use weir_api::FailureClass;
use weir_cwl::ontology::Ontology;
use weir_cwl::output::{OutputError, collect};
use weir_cwl::value::EntryRef;
use weir_cwl::{Entry, Process, Record};
use weir_plan::action::{Launch, words_of_kill};
use weir_plan::event::{Failure, Usage};
use weir_plan::{Intent, Outcome, Timestamp};
use weir_script::Scripts;

use crate::backend::Tools;
use crate::fetch::Fetched;
use crate::files::{Files, Kinships};
use crate::folder::{JobFolder, remove_tree};
use crate::launcher::{Exit, Sink};
use crate::log;
use crate::order::{Prepared, Refusal, prepare};
use crate::outdir::OutDir;
use crate::process::ProcessError;
use crate::settings::Settings;
use crate::spec::JobSpec;
use crate::sweep::sweep;

/// How often the log of a running tool is looked at for its size.
const LOG_WATCH: Duration = Duration::from_secs(2);
/// The exit code by which a shell says that its child was killed by SIGKILL.
const SHELL_KILLED: i32 = 128 + SIGKILL;
const SIGKILL: i32 = 9;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

/// What the incarnations of a run share.
#[derive(Debug)]
pub struct Context {
    /// The machine.
    pub settings: Arc<Settings>,
    /// The job.
    pub intent: Arc<Intent>,
    /// Where its things stand.
    pub folder: JobFolder,
    /// What it fetched.
    pub fetched: Fetched,
    /// Evaluates JavaScript.
    pub scripts: Scripts,
    /// Starts tools.
    pub tools: Arc<Tools>,
    /// The kernel's count of processes killed for memory, when last looked at.
    pub oom_kills: AtomicU64,
    /// The job as it was pinned.
    pub spec: JobSpec,
    /// Kinships of formats, read when first asked for.
    pub ontology: OnceLock<Ontology>,
}

impl Context {
    /// Input files as this job sees them.
    pub fn files(&self) -> Files<'_> {
        Files::new(&self.fetched, self)
    }
}

impl Kinships for Context {
    fn is_a(&self, found: &str, wanted: &str) -> bool {
        self.ontology.get_or_init(|| self.spec.job.ontology(self.intent.package())).is_a(found, wanted)
    }
}

/// An order to end an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub class: FailureClass,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// Milliseconds since the Unix epoch, now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Processes killed by the kernel for memory since it started.
pub fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Runs one incarnation to its end.
pub async fn run(context: Arc<Context>, launch: Arc<Launch>, mut stop: watch::Receiver<Option<Stop>>) -> Outcome {
    let started = now();
    let attempt = Attempt { context, launch, started };
    let preparing = {
        let attempt = attempt.clone();
        tokio::task::spawn_blocking(move || prepare(&attempt.context, &attempt.launch))
    };
    let prepared = tokio::select! {
        biased;
        // Fetching may take hours. What is still prepared then is in a folder that nobody reads.
        Stop { class, .. } = stopped(&mut stop) => return attempt.failed(class, words_of_kill(class), None),
        prepared = preparing => prepared,
    };
    let prepared = match prepared {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(refusal)) => return attempt.refused(refusal),
        Err(_) => return attempt.failed(FailureClass::Platform, "preparing it failed inside weir", None),
    };
    let resources = attempt.launch.resources;
    let share = tokio::select! {
        biased;
        Stop { class, .. } = stopped(&mut stop) => return attempt.failed(class, words_of_kill(class), None),
        share = attempt.context.tools.machine.take(resources) => share,
    };
    let _share = match share {
        Ok(share) => share,
        Err(error) => return attempt.failed(FailureClass::Unschedulable, &error.to_string(), None),
    };
    let (end, reason) = attempt.execute(&prepared, &mut stop).await;
    let collected = tokio::task::spawn_blocking(move || attempt.conclude(&prepared, end, reason)).await;
    collected.unwrap_or_else(|_| Outcome {
        outputs: None,
        failure: Some(failure(FailureClass::Platform, "collecting its outputs failed inside weir".to_owned())),
        exit_code: None,
        usage: Usage { started, finished: now(), ..Usage::default() },
    })
}

/// Waits for an order to end the incarnation.
async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stop.wait_for(Option::is_some).await.ok().and_then(|order| *order) {
        Some(order) => order,
        // Nobody is left to give one.
        None => std::future::pending().await,
    }
}

#[derive(Debug, Clone)]
struct Attempt {
    context: Arc<Context>,
    launch: Arc<Launch>,
    started: Timestamp,
}

impl Attempt {
    /// Runs the tool. The second value says why it was stopped, if it was.
    async fn execute(
        &self,
        prepared: &Prepared,
        stop: &mut watch::Receiver<Option<Stop>>,
    ) -> (Result<Exit, ProcessError>, Option<FailureClass>) {
        let launcher = match self.context.tools.launcher() {
            Ok(launcher) => launcher,
            Err(error) => {
                let message = format!("cannot start the launcher of tools: {error}");
                return (Err(ProcessError::NotStarted { errno: error.raw_os_error(), message }), None);
            }
        };
        let mut running = match launcher.run(prepared.process.clone()).await {
            Ok(running) => running,
            Err(error) => return (Err(error), None),
        };
        let limit = tokio::time::sleep(prepared.time_limit.unwrap_or(Duration::from_secs(u64::from(u32::MAX))));
        tokio::pin!(limit);
        let mut watch_log = tokio::time::interval(LOG_WATCH);
        watch_log.tick().await;
        let mut reason = None;
        loop {
            tokio::select! {
                end = running.wait() => return (end, reason),
                () = &mut limit, if reason.is_none() && prepared.time_limit.is_some() => {
                    reason = Some(FailureClass::TimeLimit);
                    launcher.stop(running.id, self.context.settings.grace).await;
                }
                Ok(()) = stop.changed() => {
                    let order = *stop.borrow_and_update();
                    if let Some(Stop { class, grace }) = order {
                        reason.get_or_insert(class);
                        launcher.stop(running.id, grace).await;
                    }
                }
                // A log that cannot be shortened now is cut at the end.
                _ = watch_log.tick() => drop(log::punch(&prepared.log)),
            }
        }
    }

    /// From the tool's end to the outcome. Blocks.
    fn conclude(&self, prepared: &Prepared, end: Result<Exit, ProcessError>, stopped: Option<FailureClass>) -> Outcome {
        if let Err(error) = log::finish(&prepared.log) {
            tracing::warn!(log = %prepared.log.display(), %error, "the log could not be cut to its limit");
        }
        let folder = self.context.folder.incarnation(self.launch.incarnation);
        let mut outcome = match end {
            Err(ProcessError::LauncherLost) => {
                sweep(&folder);
                self.failed(FailureClass::Disrupted, "the launcher of tools was killed", None)
            }
            Err(ProcessError::NotStarted { errno, message }) => {
                let class = match errno {
                    Some(ENOSPC) => FailureClass::OutOfDisk,
                    Some(ENOENT) => FailureClass::ToolFailed,
                    _ => FailureClass::Platform,
                };
                // A program whose interpreter is missing, or that is for another machine, will not start next time.
                let class = if message.starts_with("starting ") && class == FailureClass::Platform {
                    FailureClass::ToolFailed
                } else {
                    class
                };
                self.failed(class, &message, None)
            }
            Ok(exit) => self.exited(prepared, exit, stopped, &folder),
        };
        if let Some(failure) = &mut outcome.failure
            && failure.class != FailureClass::Dismissed
        {
            failure.stderr_tail = match &prepared.process.stderr {
                Sink::File(path) => log::tail(path, 0),
                Sink::Append(path) if *path != prepared.log => log::tail(path, 0),
                Sink::Append(path) => log::tail(path, prepared.log_start),
            };
        }
        let tmp = folder.join("tmp");
        // Most tools leave it empty, and on some file systems removing a folder takes longer than the tool ran.
        let is_empty = fs::read_dir(&tmp).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty && let Err(error) = remove_tree(&tmp) {
            tracing::warn!(path = %tmp.display(), %error, "temporary files could not be removed");
        }
        outcome
    }

    fn exited(&self, prepared: &Prepared, exit: Exit, stopped: Option<FailureClass>, folder: &Path) -> Outcome {
        let codes = &prepared.order;
        let mut outcome = match (stopped, exit.code) {
            (Some(FailureClass::TimeLimit), _) => {
                let seconds = prepared.time_limit.unwrap_or_default().as_secs();
                let message = format!("the tool ran longer than its ToolTimeLimit of {seconds} s");
                self.failed(FailureClass::TimeLimit, &message, None)
            }
            (Some(class), _) => self.failed(class, words_of_kill(class), None),
            (None, Some(code)) if codes.success_codes.contains(&code) => self.collected(prepared, code, folder),
            (None, Some(code)) if codes.temporary_fail_codes.contains(&code) => {
                let message = format!("the tool ended with exit code {code}, one of its temporaryFailCodes");
                self.failed(FailureClass::ToolFailedTemporarily, &message, Some(code))
            }
            (None, code) => {
                let killed = exit.signal == Some(SIGKILL) || code == Some(SHELL_KILLED);
                if killed && self.oom_killed() {
                    let ram = self.launch.resources.ram_mib;
                    let message = format!("the kernel killed the tool for want of memory (it asked for {ram} MiB)");
                    self.failed(FailureClass::OutOfMemory, &message, code)
                } else {
                    let how = match (code, exit.signal) {
                        (Some(code), _) => format!("ended with exit code {code}"),
                        (None, Some(signal)) => format!("was killed by signal {signal}"),
                        (None, None) => "ended without an exit code".to_owned(),
                    };
                    self.failed(FailureClass::ToolFailed, &format!("the tool {how}"), code)
                }
            }
        };
        outcome.exit_code = exit.code;
        outcome.usage.cpu_seconds = exit.cpu_seconds;
        outcome.usage.memory_peak_bytes = exit.memory_peak_bytes;
        outcome
    }

    fn oom_killed(&self) -> bool {
        let kills = oom_kills();
        self.context.oom_kills.swap(kills, Ordering::Relaxed) < kills
    }

    fn collected(&self, prepared: &Prepared, code: i32, folder: &Path) -> Outcome {
        let Process::CommandLineTool(tool) = &self.context.intent.package().processes[self.launch.tool.0] else {
            return self.failed(FailureClass::Unsupported, "only a CommandLineTool has outputs to collect", None);
        };
        let mut runtime = prepared.runtime.clone();
        runtime.exit_code = Some(code);
        let out = folder.join("out");
        let mut outdir = OutDir::new(out.clone(), self.context.folder.fetched());
        let mut scripts = self.context.scripts.clone();
        let effective = &self.launch.requirements;
        match collect(tool, effective, &prepared.order, &runtime, &mut outdir, &mut scripts) {
            Ok(outputs) => {
                protect(&out);
                let mut usage = self.usage();
                usage.output_bytes = bytes_of(&outputs);
                Outcome { outputs: Some(outputs), failure: None, exit_code: Some(code), usage }
            }
            Err(error) => {
                let class = match &error {
                    OutputError::Expression { .. } => FailureClass::Expression,
                    _ => FailureClass::OutputInvalid,
                };
                self.failed(class, &error.to_string(), Some(code))
            }
        }
    }

    fn refused(&self, Refusal { class, message }: Refusal) -> Outcome {
        self.failed(class, &message, None)
    }

    fn failed(&self, class: FailureClass, message: &str, exit_code: Option<i32>) -> Outcome {
        let mut failure = failure(class, format!("step `{}`: {message}", self.launch.instance));
        failure.instance = Some(self.launch.instance.clone());
        failure.exit_code = exit_code;
        Outcome { outputs: None, failure: Some(failure), exit_code, usage: self.usage() }
    }

    fn usage(&self) -> Usage {
        Usage { started: self.started, finished: now(), ..Usage::default() }
    }
}

fn failure(class: FailureClass, message: String) -> Failure {
    Failure { class, message, instance: None, exit_code: None, stderr_tail: None }
}

/// Bytes of the files that the output object names; members of directories that were not listed are not counted.
fn bytes_of(outputs: &Record) -> u64 {
    fn entry(found: EntryRef<'_>) -> u64 {
        let all = |children: &[Entry]| children.iter().map(|child| entry(child.as_ref())).sum::<u64>();
        match found {
            EntryRef::File(file) => file.size.unwrap_or(0) + all(&file.secondary_files),
            EntryRef::Directory(directory) => all(directory.listing.as_deref().unwrap_or_default()),
        }
    }
    let mut total = 0;
    for value in outputs.values() {
        value.for_each_entry(&mut |found| total += entry(found));
    }
    total
}

/// Takes write permission from what a tool left behind, so that no later step changes it by mistake. Best effort.
fn protect(folder: &Path) {
    for member in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are not followed: what they lead to is not the tool's own.
        let Ok(metadata) = member.metadata() else { continue };
        if metadata.is_dir() {
            protect(&member.path());
        } else if metadata.is_file() && metadata.nlink() == 1 {
            // A second name may be an input's.
            let mode = metadata.permissions().mode();
            let _ = fs::set_permissions(member.path(), fs::Permissions::from_mode(mode & !0o222));
        }
    }
}
