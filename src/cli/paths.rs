//! Paths as people type and read them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A path as an absolute one, whether it exists or not.
#[cfg(feature = "embedded")]
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

/// A path below the working directory is shown relative to it.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}
