//! A state directory, packages as text, and a way to run jobs in this or in another process.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;

use tokio::sync::watch;
use weir_cwl::{Record, Value, json};
use weir_local::{BackendError, Control, Finished, JobSpec, LocalBackend, Settings};
use weir_store::RunId;

/// The name under which this program runs one job: `<state dir> <run id>`.
pub const RUNNER: &str = "weir-test-runner";

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(libtest_mimic::Trial::test(stringify!($name), || { $name(); Ok::<(), libtest_mimic::Failed>(()) })),*]
    };
}
pub(crate) use trials;

/// A folder of its own for each test.
pub struct Fixture {
    folder: tempfile::TempDir,
    pub backend: LocalBackend,
    runtime: tokio::runtime::Runtime,
}

pub fn settings(state_dir: PathBuf) -> Settings {
    let mut settings = Settings::for_this_machine().unwrap();
    settings.state_dir = state_dir;
    settings.cores = 4.0;
    settings.grace = std::time::Duration::from_millis(500);
    settings
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path().join("state"));
        change(&mut settings);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let backend = LocalBackend::open(settings).unwrap();
        Self { folder, backend, runtime }
    }

    /// weir ends, its files stay.
    pub fn end(self) -> tempfile::TempDir {
        self.folder
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn outdir(&self) -> PathBuf {
        self.path().join("results")
    }

    pub fn spec(&self, package: &str, inputs: &str) -> JobSpec {
        let url = "file:///package.cwl".to_owned();
        let Value::Record(inputs) = json::parse(inputs).unwrap().recognise().unwrap() else { panic!("inputs") };
        JobSpec::new(url.clone(), BTreeMap::from([(url, package.to_owned())]), inputs, self.outdir())
    }

    pub fn submit(&self, package: &str, inputs: &str) -> RunId {
        let run = RunId::generate();
        let spec = self.spec(package, inputs);
        self.runtime.block_on(self.backend.submit(&run, &spec)).unwrap();
        run
    }

    pub fn run(&self, package: &str, inputs: &str) -> Finished {
        let run = self.submit(package, inputs);
        self.resume(&run).unwrap()
    }

    /// Runs a job as it is specified.
    pub fn run_spec(&self, spec: &JobSpec) -> Finished {
        let run = RunId::generate();
        self.runtime.block_on(self.backend.submit(&run, spec)).unwrap();
        self.resume(&run).unwrap()
    }

    pub fn resume(&self, run: &RunId) -> Result<Finished, BackendError> {
        let (_control, receiver) = watch::channel(Control::Run);
        self.obey(run, receiver)
    }

    pub fn obey(&self, run: &RunId, control: watch::Receiver<Control>) -> Result<Finished, BackendError> {
        self.runtime.block_on(self.backend.run(run, control, &mut ()))
    }

    /// Runs with an order that is given once `when` is there.
    pub fn run_and_order(&self, package: &str, inputs: &str, when: &Path, order: Control) -> Finished {
        let run = self.submit(package, inputs);
        let (control, receiver) = watch::channel(Control::Run);
        let when = when.to_owned();
        let control = Arc::new(control);
        let sender = Arc::clone(&control);
        std::thread::spawn(move || {
            while !when.exists() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            sender.send_replace(order);
        });
        self.runtime.block_on(self.backend.run(&run, receiver, &mut ())).unwrap()
    }

    /// The events of a run as JSON lines.
    pub fn journal(&self, run: &RunId) -> Vec<weir_plan::Recorded> {
        let store = weir_store::directory(&self.backend.settings().state_dir, false).unwrap();
        let keys = weir_store::JobKeys::new("local".parse().unwrap(), run.clone());
        self.runtime.block_on(weir_store::journal::read(store.as_ref(), &keys)).unwrap()
    }

    /// Runs the job in a process of its own.
    pub fn run_elsewhere(&self, run: &RunId) -> Child {
        Command::new("/proc/self/exe")
            .arg0(RUNNER)
            .arg(&self.backend.settings().state_dir)
            .arg(run.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

pub fn text(outputs: &Record, name: &str) -> String {
    let Value::File(file) = &outputs[name] else { panic!("{name} is {:?}", outputs[name]) };
    std::fs::read_to_string(file.path.as_ref().unwrap()).unwrap()
}

/// Processes whose home is below `folder`, by their command lines.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let wanted = format!("HOME={}", folder.display());
        if String::from_utf8_lossy(&environ).split('\0').any(|variable| variable.starts_with(&wanted)) {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}

/// Another process that runs one job; ends with 0 when the job is successful.
pub fn runner_main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (state, run) = (arguments.next().unwrap(), arguments.next().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let finished = runtime.block_on(async {
        let backend = LocalBackend::open(settings(state.into())).unwrap();
        let (_control, receiver) = watch::channel(Control::Run);
        backend.run(&run.parse().unwrap(), receiver, &mut ()).await
    });
    match finished {
        Ok(finished) if finished.phase == weir_api::Phase::Successful => ExitCode::SUCCESS,
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}
