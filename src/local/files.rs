//! Input files as preparing a tool's inputs looks at them: local ones where they lie, http(s) ones once fetched.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use weir_cwl::command::{Kind, Probe};

use crate::fetch::{FetchError, Fetched};
use crate::location::{is_http, local_path};

/// Looks at files of this machine and fetches what lies behind http(s) URLs.
#[derive(Debug)]
pub struct Files<'a> {
    fetched: &'a Fetched,
    /// Why the last fetch failed, for the failure's class.
    pub refused: Option<FetchError>,
}

impl<'a> Files<'a> {
    /// Fetches through `fetched`.
    pub fn new(fetched: &'a Fetched) -> Self {
        Self { fetched, refused: None }
    }

    /// The path at which the content of a location can be read.
    pub fn resolve(&mut self, location: &str) -> Result<PathBuf, String> {
        if is_http(location) {
            return self.fetched.get(location).map_err(|error| {
                let message = error.to_string();
                self.refused = Some(error);
                message
            });
        }
        local_path(location)
            .ok_or_else(|| format!("`{location}` cannot be read here; use a path, a file: URL or an http(s): URL"))
    }
}

impl Probe for Files<'_> {
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
        let path = self.resolve(location)?;
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(kind(&metadata))),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(format!("cannot look at `{}`: {error}", path.display())),
        }
    }

    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        let path = self.resolve(location)?;
        read(&path, limit)
    }

    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
        let path = self.resolve(location)?;
        list(&path)
    }
}

/// The first `limit` bytes of a file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(bytes)
}

/// Names and kinds of a folder's members; links that lead nowhere are left out.
fn list(path: &Path) -> Result<Vec<(String, Kind)>, String> {
    let failed = |error: std::io::Error| format!("cannot list `{}`: {error}", path.display());
    let mut members = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        members.push((entry.file_name().to_string_lossy().into_owned(), kind(&metadata)));
    }
    Ok(members)
}

fn kind(metadata: &fs::Metadata) -> Kind {
    if metadata.is_dir() { Kind::Directory } else { Kind::File(metadata.len()) }
}
