//! The launcher: one small process per weir process that starts the tools, waits for them and measures them.
//!
//! Why a process of its own: when weir is killed, its end of the pipe closes, and the launcher kills every tool and
//! everything that these have started (it is their subreaper, so that nothing escapes by forking twice), then ends. Also
//! a tool's peak memory as the kernel reports it begins with that of the process that starts it, so this one is small.
//!
//! The program is weir's own, started again under the name [`ARG0`]. Requests are JSON lines on its standard input,
//! [`Reply`]s are JSON lines on its standard output.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group, set_child_subreaper, waitid,
    waitpid,
};
use serde::{Deserialize, Serialize};
use wait4::Wait4;

use crate::folder::remove_tree;

/// The name by which the program knows that it is to be the launcher.
pub const ARG0: &str = "weir-launcher";

/// How often a start is tried while somebody still has the program open for writing.
const BUSY_TRIES: u32 = 20;
/// Wait between these tries.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Wait between two looks at what still lives, at the end.
const REAP_WAIT: Duration = Duration::from_millis(2);
/// Looks at most: a process that survives SIGKILL for 10 s hangs in the kernel, and nobody can end it.
const REAP_TRIES: u32 = 5_000;

/// What weir asks of the launcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Start a tool.
    Start {
        /// Chosen by weir, never used twice.
        id: u64,
        /// What to start.
        tool: Box<Tool>,
    },
    /// SIGTERM to the tool's process group now, SIGKILL after the grace.
    Stop {
        /// Which.
        id: u64,
        /// Milliseconds between the two; 0 means SIGKILL at once.
        grace_ms: u64,
    },
    /// Remove this folder when everything is over: nobody waits for it.
    Remove {
        /// Absolute.
        folder: PathBuf,
    },
}

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// What the program sees as its own name.
    pub arg0: String,
    /// Arguments after the name.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Read as standard input; nothing if `None`.
    pub stdin: Option<PathBuf>,
    /// Where standard output goes.
    pub stdout: Sink,
    /// Where standard error goes.
    pub stderr: Sink,
}

/// Where an output of a tool goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sink {
    /// A file of its own; what stood in it is gone.
    File(PathBuf),
    /// Appended to a file.
    Append(PathBuf),
}

/// What the launcher tells weir.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// The tool runs no more.
    Exited {
        /// Which.
        id: u64,
        /// How it ended.
        exit: Exit,
    },
    /// The tool could not be started.
    NotStarted {
        /// Which.
        id: u64,
        /// The operating system's error number, if it was one.
        errno: Option<i32>,
        /// What was being done, and why it failed.
        message: String,
    },
}

/// How a tool ended and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// CPU seconds, user and system, of the tool and of its descendants that it waited for.
    pub cpu_seconds: f64,
    /// Peak resident memory in bytes of the largest of these processes (`ru_maxrss`).
    pub memory_peak_bytes: u64,
    /// Wall time in seconds.
    pub wall_seconds: f64,
}

/// Whether this process was started to be the launcher.
pub fn called_as_launcher() -> bool {
    std::env::args_os().next().is_some_and(|name| name == ARG0)
}

/// The launcher's whole life: serves requests until its standard input ends, then kills what still runs.
pub fn launcher_main() -> ExitCode {
    // Without the subreaper a tool's daemon would escape to init: better not to run tools at all.
    if set_child_subreaper(Some(rustix::process::getpid())).is_err() {
        return ExitCode::FAILURE;
    }
    let running = Arc::new(Running::default());
    let mut discarded = Vec::new();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Request::Start { id, tool }) => {
                running.lock().insert(id, Stand::Asked);
                let running = Arc::clone(&running);
                std::thread::spawn(move || reply(&running.run(id, &tool)));
            }
            Ok(Request::Stop { id, grace_ms }) => running.stop(id, Duration::from_millis(grace_ms)),
            Ok(Request::Remove { folder }) => discarded.push(folder),
            // Only weir writes here; a line that is none of its requests means that both are not the same program.
            Err(_) => break,
        }
    }
    running.kill_everything();
    for folder in discarded {
        // Nobody is left to be told; what remains is in nobody's way.
        let _ = remove_tree(&folder);
    }
    ExitCode::SUCCESS
}

fn reply(reply: &Reply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    let mut out = io::stdout().lock();
    // If weir is gone, the end of the standard input says so.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// The tools that are not over. The lock is held while one is started and while one is reaped, so that nobody signals or
/// reaps a process id that has changed its owner.
#[derive(Debug, Default)]
struct Running {
    tools: Mutex<Tools>,
}

type Tools = HashMap<u64, Stand>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It is about to be started.
    Asked,
    /// Likewise, but it was stopped before: its first signal is SIGKILL.
    Stopped,
    Runs(Pid),
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Tools> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, id: u64, tool: &Tool) -> Reply {
        let started = std::time::Instant::now();
        let child = {
            let mut tools = self.lock();
            match start(tool) {
                Ok(child) => {
                    let pid = Pid::from_child(&child);
                    if tools.insert(id, Stand::Runs(pid)) == Some(Stand::Stopped) {
                        let _ = kill_process_group(pid, Signal::KILL);
                    }
                    child
                }
                Err((doing, error)) => {
                    tools.remove(&id);
                    let message = format!("{doing}: {error}");
                    return Reply::NotStarted { id, errno: error.raw_os_error(), message };
                }
            }
        };
        let pid = Pid::from_child(&child);
        // Wait without reaping: until the group is dead its id must not be free for others.
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
        }
        let mut tools = self.lock();
        let _ = kill_process_group(pid, Signal::KILL);
        tools.remove(&id);
        let used = child.wait4();
        let wall_seconds = started.elapsed().as_secs_f64();
        end_strays(&tools, &tool.cwd);
        drop(tools);
        match used {
            Ok(used) => Reply::Exited {
                id,
                exit: Exit {
                    code: used.status.code(),
                    signal: used.status.signal(),
                    cpu_seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
                    memory_peak_bytes: used.rusage.maxrss,
                    wall_seconds,
                },
            },
            Err(error) => {
                let message = format!("waiting for `{}`: {error}", tool.program.display());
                Reply::NotStarted { id, errno: error.raw_os_error(), message }
            }
        }
    }

    fn stop(self: &Arc<Self>, id: u64, grace: Duration) {
        let signal = if grace.is_zero() { Signal::KILL } else { Signal::TERM };
        match self.lock().get_mut(&id) {
            Some(Stand::Runs(pid)) => drop(kill_process_group(*pid, signal)),
            Some(stand) => *stand = Stand::Stopped,
            None => {}
        }
        if !grace.is_zero() {
            let running = Arc::clone(self);
            std::thread::spawn(move || {
                std::thread::sleep(grace);
                running.stop(id, Duration::ZERO);
            });
        }
    }

    /// Kills and reaps until this process has no descendant left. Holds the lock for good: nothing starts any more.
    fn kill_everything(&self) {
        let tools = self.lock();
        for stand in tools.values() {
            if let Stand::Runs(pid) = stand {
                let _ = kill_process_group(*pid, Signal::KILL);
            }
        }
        for _ in 0..REAP_TRIES {
            let children = children();
            if children.is_empty() {
                break;
            }
            for pid in children {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            std::thread::sleep(REAP_WAIT);
        }
        // Kept locked while the process ends: a request that is still being served must not start its tool now.
        std::mem::forget(tools);
    }
}

/// Starts a tool in a process group of its own; the error says what was being done.
fn start(tool: &Tool) -> Result<Child, (String, io::Error)> {
    let stdin = match &tool.stdin {
        None => Stdio::null(),
        Some(path) => {
            File::open(path).map_err(|error| (format!("opening `{}` as stdin", path.display()), error))?.into()
        }
    };
    let sink = |sink: &Sink| -> Result<Stdio, (String, io::Error)> {
        let (path, file) = match sink {
            Sink::File(path) => (path, File::create(path)),
            Sink::Append(path) => (path, File::options().append(true).create(true).open(path)),
        };
        Ok(file.map_err(|error| (format!("opening `{}` for output", path.display()), error))?.into())
    };
    let mut command = Command::new(&tool.program);
    command.arg0(&tool.arg0).args(&tool.args).env_clear().envs(tool.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&tool.cwd).process_group(0);
    command.stdin(stdin).stdout(sink(&tool.stdout)?).stderr(sink(&tool.stderr)?);
    let mut tries = 0;
    loop {
        tries += 1;
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                std::thread::sleep(BUSY_WAIT);
            }
            Err(error) => return Err((format!("starting `{}`", tool.program.display()), error)),
        }
    }
}

/// Ends what was left to this process by tools that are over: zombies are reaped, and what still lives is killed if its
/// `HOME` is `home`, the working directory of the tool that has just ended. The children of what is killed are left to
/// this process in their turn.
fn end_strays(tools: &Tools, home: &Path) {
    let mut found = true;
    while found {
        found = false;
        for pid in children() {
            if tools.values().any(|tool| *tool == Stand::Runs(pid)) {
                continue;
            }
            if has_home(pid, home) {
                found |= kill_process(pid, Signal::KILL).is_ok();
                let _ = waitpid(Some(pid), WaitOptions::empty());
            } else {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
}

/// The direct children of this process, whichever thread started them.
fn children() -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut pids = Vec::new();
    for list in lists {
        pids.extend(list.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw));
    }
    pids
}

/// Whether the process was started with this `HOME`.
fn has_home(pid: Pid, home: &Path) -> bool {
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    let home = home.as_os_str().as_encoded_bytes();
    environ.split(|byte| *byte == 0).any(|entry| entry.strip_prefix(b"HOME=") == Some(home))
}
