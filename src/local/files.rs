//! Input files as preparing a tool's inputs looks at them: local ones where they lie, http(s) ones once fetched.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use weir_api::data_url::is_data_url;
use weir_cwl::command::{Kind, Probe};

use crate::fetch::Fetched;
use crate::location::{is_http, local_path};

/// Looks at files of this machine and fetches what lies behind http(s) URLs.
#[derive(Debug)]
pub struct Files<'a> {
    fetched: &'a Fetched,
    ontology: &'a dyn Kinships,
}

/// Tells which file formats are kinds of which; may have to read ontologies first.
pub trait Kinships: std::fmt::Debug {
    /// Whether a file of format `found` serves where `wanted` is asked for.
    fn is_a(&self, found: &str, wanted: &str) -> bool;
}

impl<'a> Files<'a> {
    /// Fetches through `fetched`.
    pub fn new(fetched: &'a Fetched, ontology: &'a dyn Kinships) -> Self {
        Self { fetched, ontology }
    }

    /// The path at which the content of a location can be read.
    pub fn resolve(&self, location: &str) -> Result<PathBuf, String> {
        if is_http(location) || is_data_url(location) {
            return self.fetched.get(location).map_err(|error| error.to_string());
        }
        local_path(location)
            .ok_or_else(|| format!("`{location}` cannot be read here; use a path, a file: URL or an http(s): URL"))
    }
}

impl Probe for Files<'_> {
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
        look(&self.resolve(location)?)
    }

    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = self.resolve(location)?;
        read(&path, limit)
    }

    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
        let path = self.resolve(location)?;
        list(&path)
    }

    fn is_format(&mut self, found: &str, wanted: &str) -> Result<bool, String> {
        Ok(self.ontology.is_a(found, wanted))
    }
}

/// Looks at files of this machine only.
#[derive(Debug)]
pub struct LocalFiles;

impl Probe for LocalFiles {
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
        local_path(location).map_or(Ok(None), |path| look(&path))
    }

    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        read(&local_path(location).ok_or_else(|| format!("`{location}` is not on this machine"))?, limit)
    }

    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
        list(&local_path(location).ok_or_else(|| format!("`{location}` is not on this machine"))?)
    }
}

fn look(path: &Path) -> Result<Option<Kind>, String> {
    match fs::metadata(path) {
        Ok(metadata) if is_stream(&metadata) => {
            Err(format!("`{}` is a pipe or socket, which cannot be read twice; write it to a file", path.display()))
        }
        Ok(metadata) => Ok(Some(kind(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(format!("cannot look at `{}`: {error}", path.display())),
    }
}

/// The first `limit` bytes of a file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(bytes)
}

/// Names and kinds of a folder's members.
fn list(path: &Path) -> Result<Vec<(String, Kind)>, String> {
    let members = members(path).map_err(|error| format!("cannot list `{}`: {error}", path.display()))?;
    Ok(members.into_iter().map(|(path, metadata)| (name(&path), kind(&metadata))).collect())
}

/// The files and folders in a folder, links followed, in the order of their names. Left out is what is no content: links
/// that lead nowhere or to a folder in which they stand, pipes, sockets and devices.
pub(crate) fn members(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut members = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let is_link = entry.file_type()?.is_symlink();
        if metadata.is_file() || (metadata.is_dir() && !(is_link && leads_back(&path))) {
            members.push((path, metadata));
        }
    }
    members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(members)
}

/// Whether a link leads to one of the folders that the way to it passes: following it would never end.
fn leads_back(link: &Path) -> bool {
    let Ok(target) = link.canonicalize() else { return false };
    link.ancestors().skip(1).any(|folder| folder.canonicalize().is_ok_and(|folder| folder == target))
}

/// The last segment; what is not UTF-8 in it is replaced.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn kind(metadata: &Metadata) -> Kind {
    if metadata.is_dir() { Kind::Directory } else { Kind::File(metadata.len()) }
}

/// A pipe or socket can be read once, and blocks for as long as nobody writes to it.
fn is_stream(metadata: &Metadata) -> bool {
    metadata.file_type().is_fifo() || metadata.file_type().is_socket()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_no_content_is_no_member() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::write(root.join("f"), "").unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink(".", root.join("here")).unwrap();
        symlink("../..", root.join("d/e/up")).unwrap();
        symlink("d", root.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let names =
            |path: &str| members(&root.join(path)).unwrap().iter().map(|(path, _)| name(path)).collect::<Vec<_>>();
        assert_eq!(names(""), ["d", "f", "link"]);
        assert_eq!(names("link/e"), Vec::<String>::new());
    }

    #[test]
    fn a_socket_is_no_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let message = LocalFiles.look(path.to_str().unwrap()).unwrap_err();
        assert!(message.contains("is a pipe or socket"), "{message}");
    }
}
