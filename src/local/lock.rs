//! One executor a run: a lock on a file that the kernel releases when its holder dies.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// A child that a killed weir was just starting holds the lock for so long at most, on a busy machine.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const WAIT: Duration = Duration::from_millis(10);

/// Holds a run for this process.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl Drop for RunLock {
    /// Said explicitly: a child process that is just being started shares the open file until it is replaced by its program.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
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
    /// Takes the lock of the run whose folder is `folder`. Blocks for `PATIENCE` at most. Close-on-exec, so no tool keeps
    /// it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let file = File::options().create(true).append(true).open(&path).map_err(io)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(WAIT),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held(path)),
                Err(error) => return Err(io(error.into())),
            }
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
