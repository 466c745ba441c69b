//! One worker process and the conversation with it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::de::DeserializeOwned;

use crate::frame::{self, PREFIX, Reply};
use crate::{Request, Sandbox, ScriptError, WorkerCommand, limits};

/// Evaluates requests in a process of its own, which is started when first needed and replaced
/// when it hangs or dies. Blocks the calling thread.
#[derive(Debug)]
pub struct Worker {
    command: WorkerCommand,
    process: Option<Process>,
}

impl Worker {
    /// A worker that will run this command; nothing is started yet.
    pub fn new(command: WorkerCommand) -> Self {
        Self { command, process: None }
    }

    /// Evaluates the requests in order, each in a fresh context. The results have the same order.
    ///
    /// A request that hangs or ends the process fails alone; the rest goes to a new process.
    pub fn evaluate(&mut self, requests: &[Request<'_>]) -> Vec<Reply> {
        let mut results = Vec::with_capacity(requests.len());
        // The request during which a process died. It may have been killed from outside, so the
        // request gets a second process before it is blamed.
        let mut suspect = None;
        while results.len() < requests.len() {
            let Err(broken) = self.converse(requests, &mut results) else { continue };
            let current = results.len();
            self.process = None;
            match broken {
                Broken::Late => results.push(Err(ScriptError::TimeLimit { limit: allowed(&requests[current]) })),
                Broken::Died(how) if suspect == Some(current) => {
                    results.push(Err(ScriptError::WorkerDied { how }));
                }
                Broken::Died(_) => suspect = Some(current),
                Broken::NotStarted(message) => {
                    let error = ScriptError::WorkerUnavailable { message };
                    results.resize(requests.len(), Err(error));
                }
            }
        }
        results
    }

    /// What the running process said of its sandbox; none if no process runs.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.process.as_ref().map(|process| &process.sandbox)
    }

    /// The running process's id, for diagnosis.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// Starts the process unless it runs.
    ///
    /// # Errors
    /// [`ScriptError::WorkerUnavailable`].
    pub fn start(&mut self) -> Result<&Sandbox, ScriptError> {
        match self.process() {
            Ok(process) => Ok(&process.sandbox),
            Err(message) => Err(ScriptError::WorkerUnavailable { message }),
        }
    }

    fn process(&mut self) -> Result<&mut Process, String> {
        let running = self.process.take().and_then(Process::if_alive);
        let process = match running {
            Some(process) => process,
            None => Process::start(&self.command)?,
        };
        Ok(self.process.insert(process))
    }

    /// Sends what is not answered yet and appends the answers to `results`, in order.
    fn converse(&mut self, requests: &[Request<'_>], results: &mut Vec<Reply>) -> Result<(), Broken> {
        let process = self.process().map_err(Broken::NotStarted)?;
        let mut unsent = results.len();
        // For each request between `results.len()` and `unsent`: the refusal, if it was not sent.
        let mut under_way: VecDeque<Option<ScriptError>> = VecDeque::new();
        while results.len() < requests.len() {
            while unsent < requests.len() && process.backlog() < limits::BACKLOG_BYTES {
                under_way.push_back(process.queue(&requests[unsent]).err());
                unsent += 1;
            }
            if let Some(refusal) = under_way.pop_front().flatten() {
                results.push(Err(refusal));
                continue;
            }
            let limit = allowed(&requests[results.len()]) + limits::GRACE;
            results.push(process.receive(Instant::now() + limit)?);
        }
        Ok(())
    }
}

fn allowed(request: &Request<'_>) -> Duration {
    request.time_limit.min(limits::LONGEST_EVALUATION)
}

/// Why a conversation ended early.
enum Broken {
    /// No frame in time.
    Late,
    /// The process ended or does not speak the protocol.
    Died(String),
    /// There is no process to talk to.
    NotStarted(String),
}

/// A running process. Both pipes are non-blocking on our side, so that neither a full nor a silent
/// one can hold us beyond a deadline.
#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Frames for the process; the bytes before `sent` are through.
    outgoing: Vec<u8>,
    sent: usize,
    /// Bytes from the process that are no whole frame yet.
    incoming: Vec<u8>,
    sandbox: Sandbox,
}

impl Process {
    fn start(command: &WorkerCommand) -> Result<Self, String> {
        let program = command.program.display();
        let failed = |error: io::Error| format!("{program}: {error}");
        let mut child = command.spawn().map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{program} has no pipes"));
        };
        let mut process = Self {
            child,
            input,
            output,
            outgoing: Vec::new(),
            sent: 0,
            incoming: Vec::new(),
            sandbox: Sandbox { missing: Vec::new() },
        };
        rustix::io::ioctl_fionbio(&process.input, true).map_err(|errno| failed(errno.into()))?;
        rustix::io::ioctl_fionbio(&process.output, true).map_err(|errno| failed(errno.into()))?;
        let hello = process.receive(Instant::now() + limits::START);
        process.sandbox = hello.map_err(|broken| match broken {
            Broken::Late => format!("{program} said nothing for {} s", limits::START.as_secs()),
            Broken::Died(how) | Broken::NotStarted(how) => {
                format!("{program} did not answer as a worker: {how}")
            }
        })?;
        Ok(process)
    }

    /// The process, unless it has ended since it was last used.
    fn if_alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    fn backlog(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Puts a request behind those that wait.
    fn queue(&mut self, request: &Request<'_>) -> Result<(), ScriptError> {
        let raw = request.library.iter().map(String::len).sum::<usize>()
            + [request.source, request.inputs, request.self_, request.runtime].map(str::len).iter().sum::<usize>();
        if raw > limits::REQUEST_BYTES {
            return Err(ScriptError::RequestTooLarge { bytes: raw });
        }
        let frame = frame::encode(request).map_err(|_| ScriptError::RequestTooLarge { bytes: raw })?;
        self.outgoing.drain(..self.sent);
        self.sent = 0;
        self.outgoing.extend_from_slice(&frame);
        Ok(())
    }

    /// The next message, while sending what waits.
    fn receive<M: DeserializeOwned>(&mut self, deadline: Instant) -> Result<M, Broken> {
        loop {
            if let Some(json) = self.take_frame().map_err(|error| self.ended(&error))? {
                return serde_json::from_slice(&json)
                    .map_err(|error| Broken::Died(format!("it sent an unreadable answer: {error}")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Broken::Late);
            }
            self.exchange(left).map_err(|error| self.ended(&error))?;
        }
    }

    fn take_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((prefix, rest)) = self.incoming.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = frame::length(*prefix)?;
        if rest.len() < length {
            return Ok(None);
        }
        let mut json: Vec<u8> = self.incoming.drain(..PREFIX + length).collect();
        json.drain(..PREFIX);
        Ok(Some(json))
    }

    /// Waits until bytes can go one way or the other, and moves them.
    fn exchange(&mut self, at_most: Duration) -> io::Result<()> {
        let mut ends = [PollFd::new(&self.output, PollFlags::IN), PollFd::new(&self.input, PollFlags::OUT)];
        let watched = if self.sent < self.outgoing.len() { 2 } else { 1 };
        let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
        match rustix::event::poll(&mut ends[..watched], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        let [readable, writable] = ends.map(|end| !end.revents().is_empty());
        if readable {
            let mut chunk = [0; 16 << 10];
            match self.output.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(error) if passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if writable {
            match self.input.write(&self.outgoing[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if passing(&error) => {}
                // Its last answers may still lie in the other pipe, whose end then tells.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.sent = self.outgoing.len();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Words for the end of the process, which is over after this.
    fn ended(&mut self, error: &io::Error) -> Broken {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Broken::Died(error.to_string());
        }
        // Its output is closed: it is ending or up to no good.
        let _ = self.child.kill();
        Broken::Died(match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        })
    }
}

fn passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: the process is ours and may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
