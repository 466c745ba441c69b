//! Where the things of a run stand in the state directory: the store's keys as paths.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weir_plan::Incarnation;
use weir_store::JobKeys;

/// The folder of one run. Absolute and without symbolic links, so that it can be compared with what the kernel says.
#[derive(Debug, Clone)]
pub struct JobFolder {
    root: PathBuf,
}

impl JobFolder {
    /// The folder of a run below an absolute state directory.
    pub fn new(state_dir: &Path, keys: &JobKeys) -> Self {
        Self { root: state_dir.join(keys.root().as_ref()) }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the journal.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Folder of all incarnations.
    pub fn attempts(&self) -> PathBuf {
        self.root.join("att")
    }

    /// Folder of one incarnation: `in`, `out`, `tmp`.
    pub fn incarnation(&self, incarnation: Incarnation) -> PathBuf {
        self.root.join("att").join(incarnation.0.to_string())
    }

    /// Folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Log of this name, without suffix.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// What was fetched over http(s).
    pub fn fetched(&self) -> PathBuf {
        self.root.join("fetched")
    }

    /// Calrissian's usage report with measured values.
    pub fn usage(&self) -> PathBuf {
        self.root.join("usage.json")
    }

    /// The published output object.
    pub fn results(&self) -> PathBuf {
        self.root.join("results.json")
    }
}

/// Removes what a writer of the journal that was killed half way left there: `<segment>#<n>`, which `object_store` writes
/// before it links the segment's name to it. Nobody reads one. Only for who holds the lock of the run; somebody who submits
/// the same run once more at this moment learns that it exists whether or not their draft does.
pub fn remove_drafts(journal: &Path) -> io::Result<()> {
    for member in fs::read_dir(journal)? {
        let member = member?;
        if member.file_name().as_encoded_bytes().contains(&b'#') {
            fs::remove_file(member.path())?;
        }
    }
    Ok(())
}

/// Removes a folder with everything in it, also where a tool took its own write permission away.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for member in fs::read_dir(path).into_iter().flatten().flatten() {
        open_up(&member.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_of_the_journal_are_removed_and_segments_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0000000000", "0000000000#1", "0000000007#12", "pack-0000000000-0000000255", "pack-0-1#1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_drafts(folder.path()).unwrap();
        let members = fs::read_dir(folder.path()).unwrap().map(|member| member.unwrap().file_name());
        let mut left: Vec<_> = members.collect();
        left.sort();
        assert_eq!(left, ["0000000000", "pack-0000000000-0000000255"]);
    }
}
