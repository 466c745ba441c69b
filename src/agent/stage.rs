//! Puts an order's files into place before the tool starts.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use weir_api::FailureClass;
use weir_api::agent::{AgentOrder, Content, Placement};

use crate::download::{DownloadError, Source, class_of, download};
use crate::limits::TRANSFERS;

/// Rights of what the tool may only read.
const READ_ONLY: u32 = 0o444;
/// Rights of a file that the tool may change, whichever user it runs as.
const WRITABLE: u32 = 0o666;
/// Rights of a directory in which it may write.
const WRITABLE_FOLDER: u32 = 0o777;
/// The same for temporary files.
const TEMPORARY_FOLDER: u32 = 0o1777;

/// Why the tool's surroundings cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A place that is not the agent's to write to.
    #[error("`{path}` cannot be placed: it must be an absolute path below {root}, without `..`")]
    Outside {
        /// As ordered.
        path: String,
        /// Below which everything must be.
        root: PathBuf,
    },
    /// The source cannot be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
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

impl StageError {
    /// The word for it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Outside { .. } => FailureClass::Unsupported,
            Self::Download(error) => error.class(),
            Self::Io { source, .. } => class_of(source),
        }
    }
}

/// Makes directories and files of `order` below `root`, which this agent alone has written to so far.
pub fn stage(order: &AgentOrder, root: &Path, http: &ureq::Agent) -> Result<(), StageError> {
    let outdir = inside(root, &order.outdir)?;
    make_folder(&outdir, &outdir, Some(WRITABLE_FOLDER))?;
    // A tmpdir of the tool's container alone (`/tmp`) is not ours to make.
    if let Some(tmpdir) = order.tmpdir.as_ref().and_then(|tmpdir| inside(root, tmpdir).ok()) {
        make_folder(&tmpdir, &outdir, Some(TEMPORARY_FOLDER))?;
    }
    for stream in [&order.stdout, &order.stderr].into_iter().flatten() {
        let path = inside(root, &format!("{}/{stream}", order.outdir))?;
        make_parent(&path, &outdir)?;
    }
    let mut last = HashMap::new();
    for (index, placement) in order.placements.iter().enumerate() {
        last.insert(placement.path.as_str(), index);
    }
    let mut downloads = Vec::new();
    for (index, placement) in order.placements.iter().enumerate() {
        let path = inside(root, &placement.path)?;
        if last.get(placement.path.as_str()) != Some(&index) {
            continue;
        }
        make_parent(&path, &outdir)?;
        match &placement.content {
            Content::Directory {} => make_folder(&path, &outdir, placement.writable.then_some(WRITABLE_FOLDER))?,
            Content::Literal(text) => {
                fs::write(&path, text).map_err(|source| io_error("write", &path, source))?;
                set_rights(&path, placement.writable)?;
            }
            Content::Url { url, sha256, size } => {
                let source = Source { url, sha256: sha256.as_deref(), size: *size };
                downloads.push((source, path, placement.writable));
            }
        }
    }
    in_parallel(&downloads, |(source, path, writable)| {
        download(http, *source, path)?;
        set_rights(path, *writable)
    })
}

/// The placed paths outside of the output directory: what a link there may lead to.
pub fn staged_inputs(placements: &[Placement], outdir: &Path) -> HashSet<PathBuf> {
    placements.iter().map(|placement| PathBuf::from(&placement.path)).filter(|path| !path.starts_with(outdir)).collect()
}

/// An ordered path, if it is below `root`.
fn inside(root: &Path, path: &str) -> Result<PathBuf, StageError> {
    let ordered = Path::new(path);
    let is_plain = ordered.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if is_plain && ordered != root && ordered.starts_with(root) && !path.contains('\0') {
        return Ok(ordered.components().collect());
    }
    Err(StageError::Outside { path: path.to_owned(), root: root.to_owned() })
}

fn make_parent(path: &Path, outdir: &Path) -> Result<(), StageError> {
    path.parent().map_or(Ok(()), |parent| make_folder(parent, outdir, None))
}

/// Makes a directory with its parents. Those in the output directory are the tool's to write in.
fn make_folder(path: &Path, outdir: &Path, rights: Option<u32>) -> Result<(), StageError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(path).map_err(|source| io_error("create the folder", path, source))?;
    let chmod = |path: &Path, rights: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(rights))
            .map_err(|source| io_error("set the rights of", path, source))
    };
    for made in missing.into_iter().filter(|made| made.starts_with(outdir)) {
        chmod(made, WRITABLE_FOLDER)?;
    }
    rights.map_or(Ok(()), |rights| chmod(path, rights))
}

fn set_rights(path: &Path, writable: bool) -> Result<(), StageError> {
    let rights = if writable { WRITABLE } else { READ_ONLY };
    fs::set_permissions(path, fs::Permissions::from_mode(rights))
        .map_err(|source| io_error("set the rights of", path, source))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> StageError {
    StageError::Io { doing, path: path.to_owned(), source }
}

/// Does `work` for all of `items`, [`TRANSFERS`] at a time. After the first error nothing new is begun.
pub fn in_parallel<T: Sync, E: Send>(items: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item) {
                next.store(items.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..TRANSFERS.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(path: &str, text: &str, writable: bool) -> Placement {
        Placement { path: path.to_owned(), content: Content::Literal(text.to_owned()), writable }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let root = Path::new("/weir/work");
        assert_eq!(inside(root, "/weir/work/in/1/a").unwrap(), Path::new("/weir/work/in/1/a"));
        for path in
            ["/weir/work", "/weir/work/", "/weir/log", "/weir/work/../log", "in/a", "/etc/passwd", "/weir/worker/a"]
        {
            assert!(matches!(inside(root, path), Err(StageError::Outside { .. })), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_leads_out(path in "(/weir/work|/weir|)(/|\\.|\\.\\.|a|\\x00){0,12}") {
            if let Ok(accepted) = inside(Path::new("/weir/work"), &path) {
                proptest::prop_assert!(accepted.starts_with("/weir/work"));
                proptest::prop_assert!(accepted.components().all(|part| part != Component::ParentDir));
                proptest::prop_assert!(!path.contains('\0'));
            }
        }
    }

    #[test]
    fn the_last_placement_of_a_path_wins_and_rights_follow_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("work");
        let path = |name: &str| root.join(name).to_string_lossy().into_owned();
        let order = AgentOrder {
            outdir: path("out"),
            tmpdir: Some("/tmp".to_owned()),
            placements: vec![
                literal(&path("in/1/a"), "first", false),
                literal(&path("in/1/a"), "second", false),
                literal(&path("out/d/b"), "b", true),
            ],
            ..AgentOrder::default()
        };
        stage(&order, &root, &crate::http::data(None).unwrap()).unwrap();
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::read_to_string(path("in/1/a")).unwrap(), "second");
        assert_eq!((mode("in/1/a"), mode("out/d/b")), (READ_ONLY, WRITABLE));
        assert_eq!((mode("out"), mode("out/d")), (WRITABLE_FOLDER, WRITABLE_FOLDER));
    }

    #[test]
    fn the_first_error_ends_parallel_work() {
        let items: Vec<u32> = (0..1000).collect();
        let done = AtomicUsize::new(0);
        let result = in_parallel(&items, |item| {
            done.fetch_add(1, Ordering::Relaxed);
            if *item == 3 {
                return Err("three");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            Ok(())
        });
        assert_eq!(result, Err("three"));
        assert!(done.into_inner() < items.len(), "everything was done all the same");
        assert!(in_parallel(&[] as &[u32], |_| Err(())).is_ok());
    }
}
