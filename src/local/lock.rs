//! One executor a run: a lock on a file that the kernel releases when its holder dies.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Holds a run for this process.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Why a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process runs it.
    #[error("another weir process is running this job (it holds `{0}`); wait for it or stop it")]
    Held(PathBuf),
    /// The file system failed.
    #[error("cannot lock `{path}`: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl RunLock {
    /// Takes the lock of the run whose folder is `folder`, without waiting. Close-on-exec, so no tool keeps it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let file = File::options().create(true).append(true).open(&path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held(path)),
            Err(error) => Err(io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_held_once_and_free_again_after_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::take(folder.path()).unwrap();
        assert!(matches!(RunLock::take(folder.path()), Err(LockError::Held(_))));
        drop(first);
        RunLock::take(folder.path()).unwrap();
    }
}
