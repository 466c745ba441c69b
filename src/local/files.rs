//! Input files as preparing a tool's inputs looks at them: local ones where they lie, http(s) ones once fetched.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

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
        if is_http(location) {
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
        Ok(metadata) => Ok(Some(kind(&metadata))),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
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
