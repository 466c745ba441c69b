//! Where things stand in the directory of `weir serve --local DIR`, and how they get there.
//!
//! ```text
//! DIR/lock                                   one weir at a time
//! DIR/keys.json                              who reads the results by S3: a key pair for each tenant
//! DIR/store/                                 the S3 server's objects: bucket `results`
//! DIR/tenants/<tenant>/processes/<id>.json   a deployed process
//! DIR/tenants/<tenant>/jobs/<jobID>/         journal, logs, usage.json, results.json, told.json
//! DIR/tenants/<tenant>/finished.jsonl        what lists show of finished jobs; made again from the journals if lost
//! DIR/tenants/<tenant>/removed/              what is being removed
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use weir_http::backend::{ProcessId, Tenant};
use weir_store::blob::Sha256Hex;

/// Bytes of a process id that is a file name as it stands; a longer one is cut and told by its digest.
const READABLE_MAX: usize = 200;

/// The directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The directory at an absolute path.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The S3 server's directory.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Folder of all tenants; the state directory of the engine.
    pub fn tenants(&self) -> PathBuf {
        self.root.join("tenants")
    }

    /// Folder of the deployed processes.
    pub fn processes(&self, tenant: &Tenant) -> PathBuf {
        self.tenants().join(tenant.as_str()).join("processes")
    }

    /// Folder of the jobs.
    pub fn jobs(&self, tenant: &Tenant) -> PathBuf {
        self.tenants().join(tenant.as_str()).join("jobs")
    }

    /// Index of the finished jobs.
    pub fn finished(&self, tenant: &Tenant) -> PathBuf {
        self.tenants().join(tenant.as_str()).join("finished.jsonl")
    }

    /// Folder of what is being removed.
    pub fn removed(&self, tenant: &Tenant) -> PathBuf {
        self.tenants().join(tenant.as_str()).join("removed")
    }
}

/// The file of a process. Ids hold no `~` and no slash, so no two share a file and none leaves the folder.
pub fn process_file(id: &ProcessId) -> String {
    let id = id.as_str();
    if id.len() <= READABLE_MAX {
        return format!("{id}.json");
    }
    let digest = Sha256Hex::of(id.as_bytes());
    format!("{}~{}.json", &id[..READABLE_MAX / 2], &digest.as_str()[..32])
}

/// Writes a file so that it is there whole or not at all; with `fsync` also after a power failure. One writer at a time.
pub fn write_whole(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    if fsync {
        file.sync_all()?;
    }
    fs::rename(&part, path)?;
    sync_parent(path, fsync)
}

/// Makes what was created, renamed or removed at `path` durable.
pub fn sync_parent(path: &Path, fsync: bool) -> io::Result<()> {
    match path.parent() {
        Some(folder) if fsync => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_file_of_its_own() {
        let file = |id: &str| process_file(&id.parse().unwrap());
        assert_eq!(file("water-bodies"), "water-bodies.json");
        assert_eq!(file("urn:ogc:x_1.0"), "urn:ogc:x_1.0.json");
        let (one, other) = (file(&format!("{}1", "a".repeat(252))), file(&format!("{}2", "a".repeat(252))));
        assert!(one != other && one.len() < 255 && !one.contains('/'), "{one}");
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told.json");
        for text in ["[1, 2, 3]", "[]"] {
            write_whole(&path, text.as_bytes(), true).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
