//! `weir-agent install DIR`: puts the shim where the tool's container finds it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Name of the shim beside the agent's own program.
const SHIM: &str = "weir-shim";
/// Its name in the shared volume.
pub const INSTALLED: &str = "shim";

/// Copies the shim into `folder`, executable for everyone. It appears whole or not at all; doing it again does no harm,
/// also while it runs.
pub fn install(folder: &Path) -> io::Result<()> {
    // Where /proc is hidden, the name by which the container runtime has started it.
    let own = std::env::current_exe().or_else(|error| std::env::args_os().next().map(PathBuf::from).ok_or(error))?;
    copy(&own.with_file_name(SHIM), &folder.join(INSTALLED))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let part = to.with_extension(format!("part-{}", std::process::id()));
    let copied = fs::copy(from, &part)
        .and_then(|_| fs::set_permissions(&part, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&part, to));
    if copied.is_err() {
        let _ = fs::remove_file(&part);
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_done_again_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("shim"));
        fs::write(&from, "program").unwrap();
        copy(&from, &to).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(copy(Path::new("/nothing"), &to).is_err());
        assert_eq!(fs::read_to_string(&to).unwrap(), "program");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
