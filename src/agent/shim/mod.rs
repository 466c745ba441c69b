//! The program in the tool's container: waits for the agent's order, runs the tool, tells how it ended.
//!
//! It works in any image (static, no shell, no name lookups, no writes but to the shared volume) and as any user. One
//! thread decides: signals, messages and deadlines come to it as events, and nobody else signals or reaps a process, so
//! that no process id is used after it has changed its owner.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::limits::{AGENT_POLL, AGENT_WAIT, STOP_GRACE};
use crate::socket::{FromShim, LOG, SOCKET, ToShim, Tool, receive, send};

mod cgroup;
mod network;
mod output;
mod process;
mod program;
mod repair;

use process::Process;

/// Exit code of a shim that has no tool's exit code to pass on.
pub const NO_TOOL: u8 = 125;
/// Exit code when the program cannot be executed, as shells have it.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code when there is no such program.
const NOT_FOUND: u8 = 127;
const ENOENT: i32 = 2;

/// What the deciding thread hears.
enum Event {
    Message(ToShim),
    AgentLost,
    Signal(i32),
}

/// The shim's whole life. `folder` is the shared volume.
pub fn main(folder: &Path) -> ExitCode {
    match serve(folder) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            say(&message);
            ExitCode::from(NO_TOOL)
        }
    }
}

/// Tells something in the container's log.
fn say(message: &str) {
    eprintln!("weir-shim: {message}");
}

fn serve(folder: &Path) -> Result<u8, String> {
    let (events, heard) = channel();
    listen_to_signals(events.clone()).map_err(|error| format!("cannot listen to signals: {error}"))?;
    // Without it a tool's daemon would escape; as process 1 of its container the shim gets orphans anyway.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o002));
    let stream = match connect(&folder.join(SOCKET), &heard) {
        Ok(stream) => stream,
        Err(Waiting::Signal(signal)) => return Ok(code_of_signal(signal)),
        Err(Waiting::Failed(message)) => return Err(message),
    };
    let hello = FromShim::Hello { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() };
    send(&stream, &hello).map_err(|error| format!("cannot greet the agent: {error}"))?;
    listen_to_agent(&stream, events).map_err(|error| format!("cannot listen to the agent: {error}"))?;
    loop {
        match heard.recv() {
            Ok(Event::Message(ToShim::Start(tool))) => return run(&tool, folder, &stream, &heard),
            Ok(Event::Message(ToShim::Leave { code, message })) => {
                say(&message);
                return Ok(code);
            }
            Ok(Event::Signal(SIGCHLD)) => {}
            Ok(Event::Signal(signal)) => return Ok(code_of_signal(signal)),
            Ok(Event::Message(ToShim::Stop {}) | Event::AgentLost) | Err(_) => {
                return Err("the agent left without an order".to_owned());
            }
        }
    }
}

/// How a shell tells that a signal ended a process.
fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

fn listen_to_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn listen_to_agent(stream: &UnixStream, events: Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    std::thread::spawn(move || {
        while let Ok(Some(message)) = receive(&mut reader) {
            if events.send(Event::Message(message)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::AgentLost);
    });
    Ok(())
}

enum Waiting {
    Signal(i32),
    Failed(String),
}

/// Waits for the agent to listen; a signal ends the wait.
fn connect(path: &Path, heard: &Receiver<Event>) -> Result<UnixStream, Waiting> {
    let begin = Instant::now();
    loop {
        let error = match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        if begin.elapsed() > AGENT_WAIT {
            let waited = AGENT_WAIT.as_secs();
            return Err(Waiting::Failed(format!("no agent at `{}` after {waited} s: {error}", path.display())));
        }
        match heard.recv_timeout(AGENT_POLL) {
            Ok(Event::Signal(signal)) if signal != SIGCHLD => return Err(Waiting::Signal(signal)),
            _ => {}
        }
    }
}

/// Runs the tool; the result is the exit code that shows how it ended.
fn run(tool: &Tool, folder: &Path, stream: &UnixStream, heard: &Receiver<Event>) -> Result<u8, String> {
    let mut process = match Process::start(tool, &folder.join(LOG)) {
        Ok(process) => process,
        Err(process::StartError { doing, source }) => {
            let message = format!("{doing}: {source}");
            say(&message);
            let errno = source.raw_os_error();
            let is_missing = source.kind() == io::ErrorKind::NotFound || errno == Some(ENOENT);
            send(stream, &FromShim::NotStarted { errno, message })
                .map_err(|error| format!("cannot reach the agent: {error}"))?;
            return Ok(if is_missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let mut time_limit = tool.time_limit_ms.map(|limit| Instant::now() + Duration::from_millis(limit));
    let mut kill_at: Option<Instant> = None;
    let (mut timed_out, mut terminated, mut lost) = (false, false, false);
    // A signal may have come before there was a process to hear of.
    while !process.reap() {
        let deadline = [time_limit, kill_at].into_iter().flatten().min();
        let event = match deadline {
            Some(deadline) => heard.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            // Reaped at the loop's head.
            Ok(Event::Signal(SIGCHLD)) => {}
            Ok(Event::Signal(signal)) => {
                terminated |= signal == SIGTERM;
                if let Some(signal) = Signal::from_named_raw(signal) {
                    process.signal(signal);
                }
            }
            Ok(Event::Message(ToShim::Stop {})) => {
                terminated = true;
                process.signal(Signal::TERM);
                kill_at.get_or_insert(Instant::now() + STOP_GRACE);
            }
            Ok(Event::Message(_)) => {}
            Ok(Event::AgentLost) | Err(RecvTimeoutError::Disconnected) => {
                lost = true;
                process.signal(Signal::KILL);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                if time_limit.is_some_and(|limit| limit <= now) {
                    time_limit = None;
                    timed_out = true;
                    process.signal(Signal::TERM);
                    kill_at.get_or_insert(now + STOP_GRACE);
                }
                if kill_at.is_some_and(|kill| kill <= now) {
                    process.signal(Signal::KILL);
                    kill_at = None;
                }
            }
        }
    }
    let mut exit = process.finish(tool);
    exit.timed_out = timed_out;
    exit.terminated = terminated;
    if lost {
        return Err("the agent is gone, so the tool was killed".to_owned());
    }
    repair::group_access(Path::new(&tool.cwd));
    let code = match (exit.code, exit.signal) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => code_of_signal(signal),
        (None, None) => NO_TOOL,
    };
    send(stream, &FromShim::Exited(exit)).map_err(|error| format!("cannot report to the agent: {error}"))?;
    Ok(code)
}
