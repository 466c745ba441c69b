//! Puts a work order's files into place before its tool starts.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use weir_cwl::command::{Content, Placement};

use crate::files::Files;

/// Why something cannot be put into place.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The source cannot be had.
    #[error("{0}")]
    Source(String),
    /// The file system failed.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Puts everything into place, in order. What a tool may not change is linked; what it may change is copied, or linked
/// too under `InplaceUpdateRequirement`.
pub fn materialise(placements: &[Placement], in_place_update: bool, files: &Files<'_>) -> Result<(), StageError> {
    for placement in placements {
        let path = Path::new(&placement.path);
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        match &placement.content {
            Content::Directory => make_folder(path)?,
            Content::Literal(text) => fs::write(path, text).map_err(|source| io_error("write", path, source))?,
            Content::Link(location) => {
                let source = files.resolve(location).map_err(StageError::Source)?;
                if placement.writable && in_place_update {
                    make_writable(&source);
                }
                if placement.writable && !in_place_update {
                    copy(&source, path)?;
                } else {
                    // A name that is taken twice: the later placement wins, as a later entry of a listing does.
                    let _ = fs::remove_file(path);
                    symlink(&source, path).map_err(|error| io_error("link", path, error))?;
                }
            }
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), StageError> {
    fs::create_dir_all(path).map_err(|source| io_error("create the folder", path, source))
}

/// A copy that the tool may change. Links are followed.
fn copy(source: &Path, target: &Path) -> Result<(), StageError> {
    let look = |path: &Path| fs::metadata(path).map_err(|error| io_error("look at", path, error));
    if !look(source)?.is_dir() {
        fs::copy(source, target).map_err(|error| io_error("copy", source, error))?;
        make_writable(target);
        return Ok(());
    }
    make_folder(target)?;
    let members = fs::read_dir(source).map_err(|error| io_error("list", source, error))?;
    for member in members {
        let member = member.map_err(|error| io_error("list", source, error))?;
        copy(&member.path(), &target.join(member.file_name()))?;
    }
    Ok(())
}

/// Best effort: where it fails, the tool's own message says so.
fn make_writable(path: &Path) {
    if let Ok(metadata) = fs::metadata(path) {
        let mode = metadata.permissions().mode();
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o200));
    }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> StageError {
    StageError::Io { doing, path: path.to_owned(), source }
}
