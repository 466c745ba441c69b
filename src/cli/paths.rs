//! Paths as people read them.

use std::path::Path;

/// A path below the working directory is shown relative to it.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}
