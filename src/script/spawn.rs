//! Starting worker processes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;

/// The name (`argv[0]`) under which a program starts itself again as a worker.
pub const ARG0: &str = "weir-script-worker";

/// Whether this process was started as a worker and must call
/// [`worker_main`](crate::worker_main) first of all.
pub fn called_as_worker() -> bool {
    std::env::args_os().next().is_some_and(|name| name == OsStr::new(ARG0))
}

/// The program that is started as a worker. It must call [`worker_main`](crate::worker_main).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// Path of the program.
    pub program: PathBuf,
    /// Its name, `argv[0]`.
    pub arg0: OsString,
    /// Further arguments.
    pub args: Vec<OsString>,
}

impl WorkerCommand {
    /// This very program, named [`ARG0`].
    ///
    /// # Errors
    /// If the system does not tell where the program lies.
    pub fn this_program() -> io::Result<Self> {
        // The link leads to the running file even after an upgrade has replaced or removed it.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() { link.to_owned() } else { std::env::current_exe()? };
        Ok(Self { program, arg0: ARG0.into(), args: Vec::new() })
    }

    /// Starts the process: pipes for input and output, nothing else of ours.
    pub(crate) fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg0(&self.arg0)
            .args(&self.args)
            .env_clear()
            // `Date` shows the same hours everywhere, and no zone file is looked for.
            .env("TZ", "UTC0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = |_| io::Error::other("the thread that starts workers has ended");
        SPAWNER.send((command, answer)).map_err(|_| gone(mpsc::RecvError))?;
        answered.recv().map_err(gone)?
    }
}

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// A worker asks the kernel to die with its parent, and for the kernel that is the *thread* that
/// started it (prctl(2), `PR_SET_PDEATHSIG`). So one thread, which never ends, starts them all.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, queue) = mpsc::channel::<Order>();
    let start_all = move || {
        for (mut command, answer) in queue {
            // Whoever asked may have gone; then the pipes close and the worker ends.
            let _ = answer.send(command.spawn());
        }
    };
    // If the thread cannot be started its queue is dropped, and every order says so.
    let _ = thread::Builder::new().name("script-spawner".into()).spawn(start_all);
    orders
});
