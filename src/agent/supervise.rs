//! The agent's end of the socket: waits for the shim, hands it the tool, hears how it ended.

use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::limits::LOG_WATCH;
use crate::log::Log;
use crate::socket::{FromShim, SOCKET, ToShim, Tool, ToolExit, receive, send};

/// What the agent hears while it waits for the tool.
#[derive(Debug)]
enum Event {
    Connected(UnixStream),
    Message(FromShim),
    Lost,
    Terminated,
}

/// The shim of this pod, connected or not yet.
#[derive(Debug)]
pub struct Shim {
    heard: Receiver<Event>,
    stream: Option<UnixStream>,
    events: Sender<Event>,
}

/// Tells a [`Shim`] that the pod is asked to end.
#[derive(Debug, Clone)]
pub struct Terminate(Sender<Event>);

impl Terminate {
    /// The tool is to be stopped.
    pub fn stop(&self) {
        // If nobody listens any more, the tool is over.
        let _ = self.0.send(Event::Terminated);
    }
}

/// How the shim's work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The tool ran.
    Exited(ToolExit),
    /// The tool could not be started.
    NotStarted {
        /// The operating system's error number.
        errno: Option<i32>,
        /// What failed.
        message: String,
    },
    /// The connection broke: the shim was killed.
    Lost,
}

impl Shim {
    /// Begins to listen in the shared volume. One connection is taken, ever: the tool cannot pose as its shim.
    pub fn listen(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        let (events, heard) = channel();
        let teller = events.clone();
        std::thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            drop(listener);
            let _ = fs::remove_file(path);
            let Ok(writer) = stream.try_clone() else { return };
            let mut reader = BufReader::new(stream);
            if !matches!(receive(&mut reader), Ok(Some(FromShim::Hello { .. }))) {
                let _ = teller.send(Event::Lost);
                return;
            }
            let _ = teller.send(Event::Connected(writer));
            while let Ok(Some(message)) = receive(&mut reader) {
                let _ = teller.send(Event::Message(message));
            }
            let _ = teller.send(Event::Lost);
        });
        Ok(Self { heard, stream: None, events })
    }

    /// By which others can have the tool stopped.
    pub fn terminate(&self) -> Terminate {
        Terminate(self.events.clone())
    }

    /// Waits for the shim, for at most `patience`; whether it is there. Without a limit this takes as long as the pull of
    /// the tool's image.
    pub fn wait(&mut self, patience: Option<Duration>) -> bool {
        let begin = Instant::now();
        while self.stream.is_none() {
            let event = match patience {
                Some(patience) => self.heard.recv_timeout(patience.saturating_sub(begin.elapsed())).ok(),
                None => self.heard.recv().ok(),
            };
            match event {
                Some(Event::Connected(stream)) => self.stream = Some(stream),
                Some(Event::Message(_) | Event::Terminated) => {}
                Some(Event::Lost) | None => return false,
            }
        }
        true
    }

    /// Runs the tool to its end. The shim must have been waited for.
    pub fn run(&mut self, tool: Tool, log: &Log) -> End {
        let Some(stream) = &self.stream else { return End::Lost };
        if send(stream, &ToShim::Start(Box::new(tool))).is_err() {
            return End::Lost;
        }
        loop {
            match self.heard.recv_timeout(LOG_WATCH) {
                Ok(Event::Message(FromShim::Exited(exit))) => return End::Exited(exit),
                Ok(Event::Message(FromShim::NotStarted { errno, message })) => {
                    return End::NotStarted { errno, message };
                }
                Ok(Event::Message(FromShim::Hello { .. }) | Event::Connected(_)) => {}
                Ok(Event::Terminated) => {
                    let _ = send(stream, &ToShim::Stop {});
                }
                Ok(Event::Lost) | Err(RecvTimeoutError::Disconnected) => return End::Lost,
                // Where the file system knows no holes, the log is cut at the end only.
                Err(RecvTimeoutError::Timeout) => drop(log.punch()),
            }
        }
    }

    /// Tells the shim to end without a tool, if it is there by now or within `patience`.
    pub fn dismiss(&mut self, code: u8, message: String, patience: Duration) {
        if self.wait(Some(patience))
            && let Some(stream) = &self.stream
        {
            let _ = send(stream, &ToShim::Leave { code, message });
        }
    }
}
