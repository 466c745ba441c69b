//! Weir's side of the launcher: starts it once, sends it tools, and hears how they ended.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::oneshot;

use crate::launcher::{ARG0, Exit, Reply, Request, Tool};

/// Why a tool has no exit status.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProcessError {
    /// The operating system refused to start it.
    #[error("{message}")]
    NotStarted {
        /// Its error number.
        errno: Option<i32>,
        /// What was being done, and why it failed.
        message: String,
    },
    /// The launcher is gone; its tools were killed with it, or will be by a sweep.
    #[error("the launcher of tools has ended")]
    LauncherLost,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Exit, ProcessError>>>>>;

/// A running launcher. It ends, and every tool with it, when this is dropped or this process dies.
#[derive(Debug)]
pub struct Launcher {
    requests: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
    lost: Arc<AtomicBool>,
}

/// A tool that was handed to the launcher.
#[derive(Debug)]
pub struct Running {
    /// By which [`Launcher::stop`] knows it.
    pub id: u64,
    end: oneshot::Receiver<Result<Exit, ProcessError>>,
}

impl Launcher {
    /// Starts `program` as the launcher: it must call [`crate::launcher::launcher_main`] when its name is [`ARG0`].
    pub fn start(program: &PathBuf) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg0(ARG0)
            .env_clear()
            .current_dir("/")
            // Ctrl-C in a terminal goes to the whole foreground group; the launcher must outlive it to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("the launcher has no pipes");
        let requests = child.stdin.take().ok_or_else(missing)?;
        let replies = child.stdout.take().ok_or_else(missing)?;
        let waiting = Waiting::default();
        let heard = Arc::clone(&waiting);
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::clone(&lost);
        tokio::spawn(async move {
            let mut lines = BufReader::new(replies).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let (id, end) = match serde_json::from_str(&line) {
                    Ok(Reply::Exited { id, exit }) => (id, Ok(exit)),
                    Ok(Reply::NotStarted { id, errno, message }) => {
                        (id, Err(ProcessError::NotStarted { errno, message }))
                    }
                    Err(_) => break,
                };
                if let Some(waiter) = heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
                    // Nobody waits for a tool whose job was given up.
                    let _ = waiter.send(end);
                }
            }
            is_lost.store(true, Ordering::SeqCst);
            // Dropping the senders tells every waiter that the launcher is lost.
            heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let _ = child.wait().await;
        });
        Ok(Self { requests: tokio::sync::Mutex::new(requests), waiting, next: AtomicU64::new(1), lost })
    }

    /// Whether the launcher has ended, though it was not asked to.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Hands a tool over. Returns before it has started.
    pub async fn run(&self, tool: Tool) -> Result<Running, ProcessError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, end) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let sent = self.send(&Request::Start { id, tool: Box::new(tool) }).await;
        if sent.is_err() {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            return Err(ProcessError::LauncherLost);
        }
        Ok(Running { id, end })
    }

    /// Ends a tool's process group: SIGTERM, after the grace SIGKILL. Its end is reported as usual.
    pub async fn stop(&self, id: u64, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // A launcher that is gone has killed its tools.
        let _ = self.send(&Request::Stop { id, grace_ms }).await;
    }

    /// Leaves a folder to the launcher: it is removed once this process has ended or has let go of the launcher.
    pub async fn discard(&self, folder: PathBuf) -> io::Result<()> {
        self.send(&Request::Remove { folder }).await
    }

    async fn send(&self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let mut pipe = self.requests.lock().await;
        pipe.write_all(&line).await?;
        pipe.flush().await
    }
}

impl Running {
    /// Waits for the end. May be dropped and called again.
    pub async fn wait(&mut self) -> Result<Exit, ProcessError> {
        (&mut self.end).await.unwrap_or(Err(ProcessError::LauncherLost))
    }
}
