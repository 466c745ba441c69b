//! The embedded backend: accepts jobs and runs them on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::ObjectStore;
use tokio::sync::watch;
use weir_plan::{Event, Recorded, Timestamp};
use weir_script::{Pool, Scripts, WorkerCommand};
use weir_store::{JobKeys, Journal, JournalError, RunId, Tenant};

use crate::attempt::now;
use crate::folder::{JobFolder, remove_drafts};
use crate::lock::{LockError, RunLock};
use crate::machine::Machine;
use crate::process::Launcher;
use crate::run::{Control, Finished, Observer, Run};
use crate::settings::Settings;
use crate::spec::{JobSpec, SpecError};

/// Why a job could not be accepted or its run had to be given up. A job that fails is no error: see [`Finished`].
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The state directory is unusable.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the state directory `{path}`: {source}")]
    Store {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: object_store::Error,
    },
    /// The journal failed, or another process has taken the job over.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The outputs are there and cannot be put into the output folder for now. The job is not over: resumed within its time
    /// limit, it publishes them and runs nothing again.
    #[error("the outputs cannot be published: {0}; mend that and resume the job: nothing runs again")]
    Publish(crate::publish::PublishError),
    /// Somebody does not want to wait for the outputs to be put into the output folder. The job is not over, as above.
    #[error(
        "interrupted while the outputs were being published; resume the job to go on with that: nothing runs again"
    )]
    Interrupted,
    /// Another process runs the job.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is already a job of this id.
    #[error("there is already a job `{0}`; resume it, or choose another id")]
    Exists(RunId),
    /// There is no such job.
    #[error("there is no job `{0}` in `{1}`")]
    Unknown(RunId, PathBuf),
    /// The job itself is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The journal does not fit the package.
    #[error(transparent)]
    Fold(#[from] weir_plan::FoldError),
    /// A defect of weir.
    #[error("a task of weir failed: {0}")]
    Task(String),
}

/// Runs jobs as child processes; state in one directory.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    settings: Arc<Settings>,
    store: Arc<dyn ObjectStore>,
    scripts: Scripts,
    tools: Arc<Tools>,
}

/// The launcher of tools, started when first needed and again if it was killed; and what there is for them.
#[derive(Debug)]
pub struct Tools {
    program: PathBuf,
    launcher: Mutex<Option<Arc<Launcher>>>,
    /// What they may use together.
    pub machine: Machine,
}

impl Tools {
    /// The running launcher. Must be called in a tokio runtime.
    pub fn launcher(&self) -> io::Result<Arc<Launcher>> {
        let mut slot = self.launcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(launcher) = slot.as_ref().filter(|launcher| !launcher.is_lost()) {
            return Ok(Arc::clone(launcher));
        }
        let launcher = Arc::new(Launcher::start(&self.program)?);
        *slot = Some(Arc::clone(&launcher));
        Ok(launcher)
    }
}

impl LocalBackend {
    /// Opens the state directory, creating it if it does not exist.
    pub fn open(mut settings: Settings) -> Result<Self, BackendError> {
        let path = settings.state_dir.clone();
        let io = |doing: &'static str| {
            let path = path.clone();
            move |source| BackendError::Io { doing, path, source }
        };
        fs::create_dir_all(&path).map_err(io("create the state directory"))?;
        // Compared with what the kernel says of processes and links: absolute, without symbolic links.
        settings.state_dir = path.canonicalize().map_err(io("find the state directory"))?;
        let store = weir_store::directory(&settings.state_dir, settings.fsync)
            .map_err(|source| BackendError::Store { path: settings.state_dir.clone(), source })?;
        let worker = WorkerCommand {
            program: settings.program.clone(),
            arg0: weir_script::ARG0.into(),
            ..WorkerCommand::this_program().map_err(io("find this program for"))?
        };
        let machine = Machine::new(settings.cores, settings.ram_mib, settings.gpus);
        let tools = Arc::new(Tools { program: settings.program.clone(), launcher: Mutex::default(), machine });
        Ok(Self { settings: Arc::new(settings), store, scripts: Scripts(Pool::new(&worker)), tools })
    }

    /// The same state directory and machine for the jobs of another tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: Tenant) -> Self {
        let settings = Settings { tenant, ..Settings::clone(&self.settings) };
        Self { settings: Arc::new(settings), ..self.clone() }
    }

    /// The settings, paths made absolute.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folder of a run: logs, `usage.json`, `results.json`.
    pub fn folder(&self, run: &RunId) -> JobFolder {
        JobFolder::new(&self.settings.state_dir, &self.keys(run))
    }

    /// The jobs in the state directory, each with the time of its last change.
    pub fn runs(&self) -> Vec<(RunId, SystemTime)> {
        let jobs = self.settings.state_dir.join(self.settings.tenant.as_str()).join("jobs");
        let folders = fs::read_dir(jobs).into_iter().flatten().flatten();
        folders
            .filter_map(|folder| {
                let id = folder.file_name().to_str()?.parse().ok()?;
                let journal = self.folder(&id).journal();
                Some((id, fs::metadata(journal).ok()?.modified().ok()?))
            })
            .collect()
    }

    /// The events of a job, whether it runs or not.
    pub async fn journal(&self, run: &RunId) -> Result<Vec<Recorded>, BackendError> {
        Ok(weir_store::journal::read(self.store.as_ref(), &self.keys(run)).await?)
    }

    /// Accepts a job: validates it and makes it durable as event 0 (invariant I4). Runs nothing. Gives the time of event
    /// 0.
    pub async fn submit(&self, run: &RunId, spec: &JobSpec) -> Result<Timestamp, BackendError> {
        spec.intent()?;
        check_writable(&spec.outdir)?;
        let spec = spec.clone().measured();
        let (mut journal, events) = Journal::open(Arc::clone(&self.store), self.keys(run)).await?;
        if !events.is_empty() {
            return Err(BackendError::Exists(run.clone()));
        }
        let spec = serde_json::to_value(spec).map_err(SpecError::from)?;
        let at = now();
        match journal.append(&[Recorded { at, event: Event::Accepted { spec } }]).await {
            Err(JournalError::Superseded { .. }) => Err(BackendError::Exists(run.clone())),
            other => Ok(other.map(|()| at)?),
        }
    }

    /// Runs an accepted job to its end, from wherever an earlier run was interrupted (invariant I1). A job that is over
    /// gives its end again. Only one process can run a job at a time.
    ///
    /// `observer` sees every batch of events once it is durable. Must be called in a tokio runtime.
    pub async fn run(
        &self,
        run: &RunId,
        control: watch::Receiver<Control>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, BackendError> {
        let folder = self.folder(run);
        if !folder.root().is_dir() {
            return Err(BackendError::Unknown(run.clone(), self.settings.state_dir.clone()));
        }
        let root = folder.root().to_owned();
        let lock = tokio::task::spawn_blocking(move || RunLock::take(&root)).await;
        let _lock = lock.map_err(|error| BackendError::Task(error.to_string()))??;
        let (journal, events) = Journal::open(Arc::clone(&self.store), self.keys(run)).await?;
        let Some(Event::Accepted { spec }) = events.first().map(|recorded| &recorded.event) else {
            return Err(BackendError::Unknown(run.clone(), self.settings.state_dir.clone()));
        };
        if let Err(error) = remove_drafts(&folder.journal()) {
            tracing::warn!(%error, "drafts of the journal could not be removed");
        }
        let spec = JobSpec::from_json(spec)?;
        let run = Run::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.tools),
            self.scripts.clone(),
            spec,
            folder,
            journal,
            &events,
        )?;
        run.run_to_end(control, observer).await
    }

    fn keys(&self, run: &RunId) -> JobKeys {
        JobKeys::new(self.settings.tenant.clone(), run.clone())
    }
}

/// Whether outputs can be published in a folder, which need not exist yet: better said before the work than after it.
fn check_writable(outdir: &Path) -> Result<(), BackendError> {
    let Some(existing) = outdir.ancestors().find(|folder| folder.symlink_metadata().is_ok()) else { return Ok(()) };
    let io = |source| BackendError::Io { doing: "publish in", path: outdir.to_owned(), source };
    if !fs::metadata(existing).map_err(io)?.is_dir() {
        return Err(io(io::ErrorKind::NotADirectory.into()));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(existing, access).map_err(|errno| io(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_folder_that_cannot_be_is_refused_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("new/folder")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let message = check_writable(&folder.path().join("file/folder")).unwrap_err().to_string();
        assert!(message.contains("file/folder") && message.contains("not a directory"), "{message}");
    }
}
