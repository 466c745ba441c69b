//! The tool's process: start, signal, reap, measure.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, wait, waitid,
};

use super::output::{Copying, tail_of, text};
use super::{cgroup, network, program};
use crate::limits::DRAIN_WAIT;
use crate::now_ms;
use crate::socket::{Tool, ToolExit};

/// How often a start is tried while somebody still has the program open for writing.
const BUSY_TRIES: u32 = 20;
/// Wait between these tries.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Wait between two looks at what still lives, at the end.
const REAP_WAIT: Duration = Duration::from_millis(2);
/// Looks at most, 2 s: what survives SIGKILL that long hangs in the kernel and ends with the container.
const REAP_TRIES: u32 = 1_000;

/// Bytes of one argument: the kernel's limit (`MAX_ARG_STRLEN`, 32 pages).
const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// A tool that could not be started.
#[derive(Debug)]
pub(super) struct StartError {
    /// What was being done, to what.
    pub(super) doing: String,
    /// Why it failed.
    pub(super) source: io::Error,
}

/// A running tool, leader of its own process group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    status: Option<ExitStatus>,
    stdout: Option<Copying>,
    stderr: Option<Copying>,
    memory: cgroup::Memory,
    started_ms: u64,
}

impl Process {
    /// Starts the tool. Streams without a file of their own are copied to `log` and to the shim's own streams.
    pub(super) fn start(tool: &Tool, log: &Path) -> Result<Self, StartError> {
        let (mut command, what) = command(tool)?;
        let memory = cgroup::Memory::now();
        let started_ms = now_ms();
        let mut child = spawn(&mut command, tool.deny_network)
            .map_err(|source| StartError { doing: what, source: with_advice(source, tool) })?;
        // The child has its own copies of these descriptors; ours would keep the pipes open.
        drop(command);
        let pid = Pid::from_child(&child);
        let log = || File::options().append(true).open(log).ok();
        let own = |own: io::Result<std::os::fd::OwnedFd>| own.ok().map(File::from);
        let stdout =
            child.stdout.take().map(|from| Copying::start(from, log(), own(io::stdout().as_fd().try_clone_to_owned())));
        let stderr =
            child.stderr.take().map(|from| Copying::start(from, log(), own(io::stderr().as_fd().try_clone_to_owned())));
        Ok(Self { pid, status: None, stdout, stderr, memory, started_ms })
    }

    /// Signals the tool and every process of its group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Reaps whatever has ended; whether the tool has.
    pub(super) fn reap(&mut self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if self.status.is_none() && matches!(waitid(WaitId::Pid(self.pid), look), Ok(Some(_))) {
            // Before it is reaped: its id, and so the group's, cannot belong to others yet.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                self.status = Some(ExitStatus::from_raw(status.as_raw()));
            }
        }
        self.status.is_some()
    }

    /// After the tool's end: ends what it has left running, takes the rest of its output, and measures.
    pub(super) fn finish(mut self, tool: &Tool) -> ToolExit {
        end_strays();
        let deadline = Instant::now() + DRAIN_WAIT;
        let [_, stderr] = [self.stdout.take(), self.stderr.take()].map(|stream| stream.map(|it| it.finish(deadline)));
        let stderr = stderr.or_else(|| tail_of(Path::new(tool.stderr.as_deref()?)));
        let used = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        #[expect(clippy::cast_precision_loss, reason = "seconds far below 2^53")]
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let memory = cgroup::Memory::now();
        ToolExit {
            code: self.status.and_then(|status| status.code()),
            signal: self.status.and_then(|status| status.signal()),
            cpu_seconds: used.map_or(0.0, |used| seconds(used.user_time()) + seconds(used.system_time())),
            // The kernel counts in KiB.
            memory_peak_bytes: used.map_or(0, |used| u64::try_from(used.max_rss()).unwrap_or(0) << 10),
            cgroup_peak_bytes: memory.peak_bytes,
            oom_kills: memory.oom_kills.saturating_sub(self.memory.oom_kills),
            started_ms: self.started_ms,
            finished_ms: now_ms(),
            stderr_tail: stderr.as_deref().and_then(text),
            ..ToolExit::default()
        }
    }
}

/// Kills and reaps until the shim has no descendant left.
fn end_strays() {
    for _ in 0..REAP_TRIES {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let strays = children();
        if strays.is_empty() {
            return;
        }
        for stray in strays {
            let _ = kill_process(stray, Signal::KILL);
        }
        std::thread::sleep(REAP_WAIT);
    }
}

/// The direct children of this process, whichever thread started them. Empty where the kernel does not tell: there the
/// end of the container ends them.
fn children() -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut pids = Vec::new();
    for list in lists {
        pids.extend(list.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw));
    }
    pids
}

/// The command, and how to call what is about to be done with it.
fn command(tool: &Tool) -> Result<(Command, String), StartError> {
    let Some((name, args)) = tool.argv.split_first() else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the command line is empty");
        return Err(StartError { doing: "starting the tool".to_owned(), source });
    };
    let doing = format!("starting `{name}`");
    let path = program::search_path(&tool.env, std::env::var("PATH").ok());
    let program = match program::find(name, &path, Path::new(&tool.cwd)) {
        Ok(program) => program,
        Err(source) => return Err(StartError { doing, source }),
    };
    let env: BTreeMap<&str, &str> = tool.env.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut command = Command::new(program);
    command.arg0(name).args(args).env("PATH", path).envs(env).current_dir(&tool.cwd).process_group(0);
    let (stdout, stderr) = sinks(tool)?;
    command.stdin(source(tool)?).stdout(stdout).stderr(stderr);
    Ok((command, doing))
}

fn source(tool: &Tool) -> Result<Stdio, StartError> {
    let Some(path) = &tool.stdin else { return Ok(Stdio::null()) };
    let file = File::open(path).map_err(|source| StartError { doing: format!("opening `{path}` as stdin"), source })?;
    Ok(file.into())
}

fn sinks(tool: &Tool) -> Result<(Stdio, Stdio), StartError> {
    let open = |path: &String| {
        let mut options = File::options();
        // Appending, because both streams may write into one file.
        options.append(true).create(true);
        let emptied = fs::write(path, "").and_then(|()| options.open(path));
        emptied.map_err(|source| StartError { doing: format!("opening `{path}` for output"), source })
    };
    let stdout = tool.stdout.as_ref().map(open).transpose()?;
    let stderr = match (&stdout, &tool.stderr) {
        (Some(file), Some(path)) if tool.stdout.as_ref() == Some(path) => Some(
            file.try_clone().map_err(|source| StartError { doing: format!("opening `{path}` for output"), source })?,
        ),
        (_, path) => path.as_ref().map(open).transpose()?,
    };
    let stdio = |file: Option<File>| file.map_or_else(Stdio::piped, Stdio::from);
    Ok((stdio(stdout), stdio(stderr)))
}

/// Says of a command line that the kernel takes for too long what would be right.
fn with_advice(error: io::Error, tool: &Tool) -> io::Error {
    if error.kind() != io::ErrorKind::ArgumentListTooLong {
        return error;
    }
    let longest = tool.argv.iter().map(String::len).max().unwrap_or(0);
    let message = format!(
        "{error}: its longest argument has {longest} bytes, the kernel takes {ARGUMENT_BYTES_MAX}; pass the value in a file"
    );
    io::Error::new(error.kind(), message)
}

fn spawn(command: &mut Command, deny_network: bool) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        tries += 1;
        let child = if deny_network { network::spawn_without(command) } else { command.spawn() };
        match child {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                std::thread::sleep(BUSY_WAIT);
            }
            other => return other,
        }
    }
}
