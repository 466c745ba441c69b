//! A tool's output directory on this machine, as collecting outputs looks at it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use weir_cwl::command::Kind;
use weir_cwl::output::{Found, OutputDirectory};
use weir_cwl::uri;

use crate::files;

/// Symbolic links followed on the way to one file; as many as the kernel follows.
const LINKS_MAX: u32 = 40;

/// The output directory of one incarnation.
#[derive(Debug)]
pub struct OutDir {
    /// Absolute, without symbolic links.
    root: PathBuf,
    /// Where fetched inputs lie: links into it are links to inputs that have no path of their own.
    fetched: PathBuf,
}

impl OutDir {
    /// The directory `root`; `fetched` is where the run keeps what it fetched.
    pub fn new(root: PathBuf, fetched: PathBuf) -> Self {
        Self { root, fetched }
    }

    /// Where a relative path leads, link by link: an absolute path, of which the part below the first link that leads out
    /// of the directory is not followed further.
    fn follow(&self, relative: &str) -> PathBuf {
        let mut pending: Vec<PathBuf> = Path::new(relative).iter().rev().map(PathBuf::from).collect();
        let mut at = self.root.clone();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part.as_os_str() == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            match fs::read_link(&next) {
                Ok(target) if links < LINKS_MAX && next.starts_with(&self.root) => {
                    links += 1;
                    let target = normalised(&at.join(target));
                    match target.strip_prefix(&self.root) {
                        Ok(inside) => {
                            pending.extend(inside.iter().rev().map(PathBuf::from));
                            at.clone_from(&self.root);
                        }
                        Err(_) => at = target,
                    }
                }
                _ => at = next,
            }
        }
        at
    }
}

/// Without `.` and `..`, by the text alone.
fn normalised(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

impl OutputDirectory for OutDir {
    fn list(&mut self, directory: &str) -> Result<Vec<String>, String> {
        let path = self.root.join(directory);
        let members = files::members(&path).map_err(|error| format!("cannot list `{}`: {error}", path.display()))?;
        Ok(members.iter().map(|(path, _)| files::name(path)).collect())
    }

    fn look(&mut self, path: &str) -> Result<Option<Found>, String> {
        let plain = self.root.join(path);
        let metadata = match fs::metadata(&plain) {
            Ok(metadata) => metadata,
            // Nothing, a dangling link, or a link to itself.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(format!("cannot look at `{}`: {error}", plain.display()));
            }
            Err(_) => return Ok(None),
        };
        // Reading a pipe or device need not end.
        if !metadata.is_file() && !metadata.is_dir() {
            return Ok(None);
        }
        let kind = if metadata.is_dir() { Kind::Directory } else { Kind::File(metadata.len()) };
        let target = self.follow(path);
        let location = |path: &Path| uri::from_path(&path.to_string_lossy());
        Ok(Some(if target.starts_with(&self.root) {
            Found { kind, location: location(&plain), elsewhere: None }
        } else if target.starts_with(&self.fetched) {
            Found { kind, location: location(&target), elsewhere: None }
        } else {
            Found { kind, location: location(&target), elsewhere: Some(target.to_string_lossy().into_owned()) }
        }))
    }

    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        files::read(&self.root.join(path), limit)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_inside_are_files_and_links_outside_say_where_they_lead() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("out");
        fs::create_dir_all(root.join("d")).unwrap();
        fs::write(root.join("d/a"), "water").unwrap();
        fs::create_dir_all(base.join("other/x")).unwrap();
        fs::write(base.join("other/x/b"), "").unwrap();
        symlink("d/a", root.join("inside")).unwrap();
        symlink(root.join("d"), root.join("absolute")).unwrap();
        symlink("../other", root.join("outside")).unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let mut outdir = OutDir::new(root.clone(), base.join("fetched"));
        let mut elsewhere = |path: &str| outdir.look(path).unwrap().map(|found| (found.kind, found.elsewhere));
        assert_eq!(elsewhere("inside"), Some((Kind::File(5), None)));
        assert_eq!(elsewhere("absolute/a"), Some((Kind::File(5), None)));
        let outside = base.join("other/x/b").to_string_lossy().into_owned();
        assert_eq!(elsewhere("outside/x/b"), Some((Kind::File(0), Some(outside))));
        assert_eq!(elsewhere("dangling"), None);
        assert_eq!(elsewhere("loop"), None);
    }
}
