//! What shim and agent say to each other: JSON lines on the Unix socket `agent.sock` in the shared volume. The shim
//! connects; the agent takes one connection, ever.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::MESSAGE_BYTES_MAX;

/// Name of the socket in the shared volume.
pub const SOCKET: &str = "agent.sock";
/// Name of the log in the shared volume. The agent makes it, the shim appends.
pub const LOG: &str = "log";

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToShim {
    /// Run this; said once at most.
    Start(Box<Tool>),
    /// End the tool: SIGTERM, SIGKILL after a grace.
    Stop {},
    /// There is nothing to run: say why, and end.
    Leave {
        /// Exit code.
        code: u8,
        /// For the container's log.
        message: String,
    },
}

/// A process to be started in the shim's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Program and arguments. A program without a slash is looked up in PATH.
    pub argv: Vec<String>,
    /// Laid in this order over the shim's own environment, which is the image's.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute.
    pub cwd: String,
    /// Read as standard input; nothing if `None`.
    pub stdin: Option<String>,
    /// Absolute path of the file for standard output; log and container log if `None`.
    pub stdout: Option<String>,
    /// The same for standard error.
    pub stderr: Option<String>,
    /// Milliseconds that it may run.
    pub time_limit_ms: Option<u64>,
    /// Whether it is kept from the network.
    pub deny_network: bool,
}

/// From the shim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromShim {
    /// The first message.
    Hello {
        /// User id of the tool's container.
        uid: u32,
        /// Group id.
        gid: u32,
    },
    /// The tool is over, and all its processes.
    Exited(ToolExit),
    /// The tool could not be started.
    NotStarted {
        /// The operating system's error number, if it was one.
        errno: Option<i32>,
        /// What was being done, and why it failed.
        message: String,
    },
}

/// How a tool ended and what it used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolExit {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Whether it was stopped for its time limit.
    pub timed_out: bool,
    /// Whether it was asked to end while it ran: SIGTERM from outside, or [`ToShim::Stop`].
    pub terminated: bool,
    /// CPU seconds of the tool and all its descendants.
    pub cpu_seconds: f64,
    /// `ru_maxrss` of the largest of them, in bytes.
    pub memory_peak_bytes: u64,
    /// Peak of the cgroup in bytes.
    pub cgroup_peak_bytes: Option<u64>,
    /// By how much the cgroup's count of processes killed for memory has grown.
    pub oom_kills: u64,
    /// Milliseconds since the Unix epoch at its start.
    pub started_ms: u64,
    /// The same at its end.
    pub finished_ms: u64,
    /// End of its standard error.
    pub stderr_tail: Option<String>,
}

/// Sends one message.
pub fn send<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Waits for one message; `None` if the other side is gone.
pub fn receive<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(MESSAGE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return if (line.len() as u64) < MESSAGE_BYTES_MAX {
            Ok(None)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"))
        };
    }
    Ok(Some(serde_json::from_slice(&line)?))
}
