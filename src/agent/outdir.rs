//! The tool's output directory as the agent may look at it. The tool had it for itself and may have put links anywhere;
//! the agent has a token that the tool must not see. So the agent never lets the kernel follow a link: it resolves them
//! itself, and opens what it reads one directory at a time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use weir_api::agent::{Contents, LinkTarget};
use weir_api::limits::OUTPUT_OBJECT_BYTES_MAX;

use crate::limits::LINKS_MAX;

/// How everything is opened: never through a link, never inherited.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An output directory, after the tool's end.
#[derive(Debug)]
pub struct OutDir {
    root: PathBuf,
    /// Held open from before the tool starts: whatever the tool puts at `root`, this is the directory.
    folder: Option<OwnedFd>,
    staged: HashSet<PathBuf>,
}

impl OutDir {
    /// The directory at the absolute path `root`, which must be there if anything is to be read; `staged` are the paths of
    /// placed inputs. To be made before the tool starts.
    pub fn new(root: PathBuf, staged: HashSet<PathBuf>) -> Self {
        let folder = rustix::fs::open(&root, FLAGS | OFlags::DIRECTORY, Mode::empty()).ok();
        Self { root, folder, staged }
    }

    /// Its absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path relative to the directory leads, link by link. `None` if links lead in a circle.
    pub fn resolve(&self, relative: &str) -> Option<LinkTarget> {
        let mut pending: Vec<PathBuf> = Path::new(relative).iter().rev().map(PathBuf::from).collect();
        let mut at = self.root.clone();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part.as_os_str() == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            // What is outside is not looked at: it is the tool's container's, or not the tool's business.
            match if next.starts_with(&self.root) { fs::read_link(&next).ok() } else { None } {
                Some(_) if links >= LINKS_MAX => return None,
                Some(target) => {
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
                None => at = next,
            }
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Some(if let Ok(inside) = at.strip_prefix(&self.root) {
            LinkTarget::Inside(text(inside))
        } else if at.ancestors().any(|path| self.staged.contains(path)) {
            LinkTarget::Staged(text(&at))
        } else {
            LinkTarget::Outside(text(&at))
        })
    }

    /// Opens a regular file for reading; links within the directory are followed.
    pub fn open(&self, relative: &str) -> io::Result<File> {
        let refused = |message: &str| io::Error::new(io::ErrorKind::PermissionDenied, message.to_owned());
        let target = match self.resolve(relative) {
            Some(LinkTarget::Inside(target)) => target,
            Some(_) => return Err(refused("it is not in the output directory")),
            None => return Err(refused("its symbolic links lead in a circle")),
        };
        let Some(root) = &self.folder else { return Err(refused("there is no output directory")) };
        let mut folder = root.try_clone()?;
        let mut parts = Path::new(&target).components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else { return Err(refused("it is not in the output directory")) };
            if parts.peek().is_some() {
                folder = openat(&folder, name, FLAGS | OFlags::DIRECTORY, Mode::empty())?;
                continue;
            }
            // NONBLOCK: opening a pipe must not wait for a writer.
            let file = File::from(openat(&folder, name, FLAGS | OFlags::NONBLOCK, Mode::empty())?);
            return if file.metadata()?.is_file() { Ok(file) } else { Err(refused("it is not a regular file")) };
        }
        Err(refused("it is a directory"))
    }

    /// The first bytes of a file, for the operator.
    pub fn contents(&self, relative: &str, bytes_max: u64) -> Contents {
        let read = || {
            let mut bytes = Vec::new();
            self.open(relative)?.take(bytes_max.min(OUTPUT_OBJECT_BYTES_MAX)).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        match read().map(String::from_utf8) {
            Ok(Ok(text)) => Contents::Text(text),
            Ok(Err(error)) => Contents::Hex(hex::encode(error.into_bytes())),
            Err(error) => Contents::Unreadable(format!("cannot read `{relative}`: {error}")),
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_resolved_and_nothing_outside_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("out");
        fs::create_dir_all(root.join("d")).unwrap();
        fs::create_dir_all(base.join("in/1")).unwrap();
        fs::write(root.join("d/a"), "water").unwrap();
        fs::write(base.join("token"), "secret").unwrap();
        fs::write(base.join("in/1/scene"), "").unwrap();
        for (target, name) in [
            ("d/a", "inside"),
            ("../token", "outside"),
            ("..", "parent"),
            ("loop", "loop"),
            ("../in/1/scene", "staged"),
            ("inside", "twice"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        symlink(root.join("d"), root.join("absolute")).unwrap();
        let outdir = OutDir::new(root, HashSet::from([base.join("in/1/scene")]));
        let inside = |path: &str| Some(LinkTarget::Inside(path.to_owned()));
        let outside = |path: &str| Some(LinkTarget::Outside(base.join(path).to_string_lossy().into_owned()));
        assert_eq!(outdir.resolve("inside"), inside("d/a"));
        assert_eq!(outdir.resolve("twice"), inside("d/a"));
        assert_eq!(outdir.resolve("absolute/a"), inside("d/a"));
        assert_eq!(outdir.resolve("outside"), outside("token"));
        assert_eq!(outdir.resolve("parent/token"), outside("token"));
        assert_eq!(outdir.resolve("../token"), outside("token"));
        assert_eq!(outdir.resolve("loop"), None);
        assert!(matches!(outdir.resolve("staged"), Some(LinkTarget::Staged(_))));
        assert_eq!(outdir.contents("twice", 3), Contents::Text("wat".to_owned()));
        for path in ["outside", "parent/token", "../token", "loop", "d", "", "nothing"] {
            assert!(matches!(outdir.contents(path, 10), Contents::Unreadable(_)), "{path}");
        }
        fs::write(outdir.root().join("binary"), [0xff, 0]).unwrap();
        assert_eq!(outdir.contents("binary", 10), Contents::Hex("ff00".to_owned()));
        fs::rename(outdir.root(), base.join("moved")).unwrap();
        symlink(&base, outdir.root()).unwrap();
        assert!(matches!(outdir.contents("token", 10), Contents::Unreadable(_)));
    }
}
