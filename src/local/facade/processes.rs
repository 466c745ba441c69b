//! Deployed processes of one tenant: a file each, and all of them in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use weir_cwl::load::{Fetch, FetchError, NoFetch};
use weir_cwl::{Diagnostics, Package};
use weir_http::backend::{BackendError, Deployed, NewProcess, ProcessId, ProcessRecord};

use super::layout::{process_file, sync_parent, write_whole};
use super::limits::PROCESSES_MAX;

/// The version of the file's format.
const FORMAT: u32 = 1;

/// The file of a process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    format: u32,
    id: ProcessId,
    deployed: Deployed,
    description: Map<String, Json>,
}

/// A file that holds no process.
#[derive(Debug, thiserror::Error)]
enum StoredError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no process of this weir: {0}")]
    Format(#[from] serde_json::Error),
    #[error("belongs to the process `{0}`")]
    Name(ProcessId),
    #[error("has format {0}; this weir writes {FORMAT}")]
    Version(u32),
    #[error("holds a package that cannot be loaded: {0}")]
    Package(Diagnostics),
}

/// The processes of one tenant.
#[derive(Debug)]
pub struct Processes {
    folder: PathBuf,
    fsync: bool,
    by_id: RwLock<BTreeMap<ProcessId, Arc<ProcessRecord>>>,
    /// Held while a file and the memory are being changed.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Processes {
    /// Reads the folder, which need not exist. A file that cannot be read is told of and left alone (invariant I11).
    /// Blocks.
    pub fn open(folder: PathBuf, fsync: bool) -> Self {
        let mut by_id = BTreeMap::new();
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")) {
            match read(&path) {
                Ok(process) => drop(by_id.insert(process.id.clone(), process)),
                Err(error) => tracing::error!("the file {} {error}; the process is not there", path.display()),
            }
        }
        Self { folder, fsync, by_id: RwLock::new(by_id), changing: Arc::default() }
    }

    /// All of them, in order.
    pub fn ids(&self) -> Vec<ProcessId> {
        self.read().keys().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, id: &ProcessId) -> Option<Arc<ProcessRecord>> {
        self.read().get(id).cloned()
    }

    /// Deploys or replaces: durable when this returns.
    pub async fn put(self: &Arc<Self>, process: NewProcess, replaces: bool) -> Result<(), BackendError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        match (self.read().contains_key(&process.id), replaces) {
            (true, false) => return Err(BackendError::Exists(named(&process.id))),
            (false, true) => return Err(BackendError::NotFound(named(&process.id))),
            (false, false) if self.read().len() >= PROCESSES_MAX => {
                let message = format!("a tenant has {PROCESSES_MAX} processes at most; undeploy one first");
                return Err(BackendError::Refused(message));
            }
            _ => {}
        }
        let own = Arc::clone(self);
        // A client that does not wait for the answer ends this future and not the writing: nobody else may change anything
        // until that is done.
        let done = tokio::task::spawn_blocking(move || {
            let _changing = changing;
            own.store(process)
        });
        done.await.map_err(|error| BackendError::Internal(error.to_string()))?
    }

    /// Undeploys: durable when this returns.
    pub async fn remove(&self, id: &ProcessId) -> Result<(), BackendError> {
        let _changing = self.changing.lock().await;
        if !self.read().contains_key(id) {
            return Err(BackendError::NotFound(named(id)));
        }
        let path = self.folder.join(process_file(id));
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed.and_then(|()| sync_parent(&path, self.fsync)).map_err(|error| unwritable(&path, &error))?;
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    fn store(&self, process: NewProcess) -> Result<(), BackendError> {
        let NewProcess { id, deployed, description, package } = process;
        let stored = Stored { format: FORMAT, id: id.clone(), deployed, description };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| BackendError::Internal(error.to_string()))?;
        let path = self.folder.join(process_file(&id));
        fs::create_dir_all(&self.folder)
            .and_then(|()| sync_parent(&self.folder, self.fsync))
            .and_then(|()| write_whole(&path, &text, self.fsync))
            .map_err(|error| unwritable(&path, &error))?;
        let process = deployed_process(stored, package);
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, process);
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ProcessId, Arc<ProcessRecord>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a package text without a place of its own is called.
pub fn package_url(id: &ProcessId) -> String {
    format!("weir:processes/{id}/package.cwl")
}

/// Gives the texts of a package.
struct Texts<'a>(&'a BTreeMap<String, String>);

impl Fetch for Texts<'_> {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().map_or_else(|| NoFetch.fetch(url), Ok)
    }
}

fn read(path: &Path) -> Result<Arc<ProcessRecord>, StoredError> {
    let stored: Stored = serde_json::from_slice(&fs::read(path)?)?;
    if stored.format != FORMAT {
        return Err(StoredError::Version(stored.format));
    }
    if path.file_name().is_none_or(|name| name != process_file(&stored.id).as_str()) {
        return Err(StoredError::Name(stored.id));
    }
    let (entry, documents) = stored.deployed.frozen(&package_url(&stored.id));
    let package = weir_cwl::load(&entry, &Texts(&documents)).map_err(StoredError::Package)?;
    Ok(deployed_process(stored, Arc::new(package)))
}

fn deployed_process(stored: Stored, package: Arc<Package>) -> Arc<ProcessRecord> {
    let Stored { id, deployed, description, .. } = stored;
    let (description, deployed) = (Arc::new(description), Arc::new(deployed));
    // Nobody remembers it longer than this process runs.
    let version = Some(uuid::Uuid::new_v4().to_string());
    Arc::new(ProcessRecord { id, description, mutable: true, package, deployed, version })
}

fn named(id: &ProcessId) -> String {
    format!("process `{id}`")
}

fn unwritable(path: &Path, error: &io::Error) -> BackendError {
    BackendError::Unavailable(format!("cannot change `{}`: {error}", path.display()))
}
