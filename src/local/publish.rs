//! Publishing: the final outputs are put into the job's output folder, as cwltool does, and described with size, checksum
//! and their new locations (CWL v1.2 Command Line Tool Description, "File").
//!
//! Names do not depend on what is on the disk, and every file appears whole: publishing again after a kill gives the same
//! tree.

use std::collections::HashMap;
use std::fs::{self, File as FsFile, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};
use weir_api::data_url::{self, is_data_url};
use weir_api::limits::DOCUMENT_DEPTH_MAX;
use weir_cwl::uri;
use weir_cwl::{Directory, Entry, File, Package, Record};
use weir_store::Tenant;

use crate::files;
use crate::folder::JobFolder;
use crate::location::local_path;
use crate::spec::JobSpec;

/// Why the outputs cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
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
    /// A name that would leave the output folder.
    #[error("output `{0}` has no name that a file can have")]
    Name(String),
    /// What is to be published cannot be.
    #[error("{0}")]
    Refused(String),
    /// Folders in folders without end.
    #[error("`{0}` is nested deeper than {DOCUMENT_DEPTH_MAX} folders")]
    TooDeep(PathBuf),
}

/// A job whose outputs are to be published.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// As it was asked for.
    pub spec: &'a JobSpec,
    /// Its package, stage-out steps added.
    pub package: &'a Package,
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// Its own files.
    pub folder: &'a JobFolder,
}

/// Puts final outputs where they are to be found.
pub trait Publisher: std::fmt::Debug + Send + Sync {
    /// Publishes the output object and gives it with the locations of what was published. Blocks. After a kill it is
    /// called again with the same object and must give the same result.
    fn publish(&self, job: &Publication<'_>, outputs: Record) -> Result<Record, PublishError>;
}

/// Publishes into the job's output folder.
#[derive(Debug, Clone, Copy)]
pub struct IntoFolder;

impl Publisher for IntoFolder {
    fn publish(&self, job: &Publication<'_>, outputs: Record) -> Result<Record, PublishError> {
        publish(outputs, &job.spec.outdir, job.folder.root())
    }
}

/// Puts the Files and Directories of `outputs` into `folder` and returns the object with their new locations, paths, sizes
/// and checksums. `owned` is the folder of the run's own files: these are hard-linked, all others copied.
pub fn publish(outputs: Record, folder: &Path, owned: &Path) -> Result<Record, PublishError> {
    fs::create_dir_all(folder).map_err(|source| io_error("create the folder", folder, source))?;
    let metadata = fs::metadata(folder).map_err(|source| io_error("look at", folder, source))?;
    let folder_id = (metadata.dev(), metadata.ino());
    let mut placing = Placing { owned, folder: folder_id, taken: HashMap::new() };
    outputs
        .into_iter()
        .map(|(name, value)| {
            let value = value.map_entries(&mut |entry| placing.place(entry, folder))?;
            Ok((name, value))
        })
        .collect()
}

fn described_file(path: &Path, metadata: &Metadata) -> Result<Entry, PublishError> {
    let checksum = Some(checksum(path)?);
    let size = Some(metadata.len());
    let (location, path, basename) = names(path);
    Ok(Entry::File(File { location, path, basename, size, checksum, ..File::default() }))
}

fn described_folder(path: &Path, listing: Vec<Entry>) -> Entry {
    let (location, path, basename) = names(path);
    Entry::Directory(Directory { location, path, basename, listing: Some(listing), ..Directory::default() })
}

/// SHA-1 as CWL spells it.
pub fn checksum(path: &Path) -> Result<String, PublishError> {
    let mut hash = Sha1::new();
    let mut read = || -> io::Result<()> {
        let mut file = FsFile::open(path)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                length => hash.update(&buffer[..length]),
            }
        }
    };
    read().map_err(|source| io_error("read", path, source))?;
    Ok(format!("sha1${}", hex::encode(hash.finalize())))
}

struct Placing<'a> {
    owned: &'a Path,
    /// Device and inode of the output folder.
    folder: (u64, u64),
    /// Targets given away, and what stands there: equal sources share a target.
    taken: HashMap<PathBuf, Source>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Path(PathBuf),
    Literal(usize),
}

impl Placing<'_> {
    fn place(&mut self, entry: Entry, folder: &Path) -> Result<Entry, PublishError> {
        let name = entry.name().unwrap_or_else(|| "literal".to_owned());
        if name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(PublishError::Name(name));
        }
        let source = match entry.location().map(local_path) {
            Some(None) if entry.location().is_some_and(is_data_url) => None,
            // Something on the network stays there.
            Some(None) => return Ok(entry),
            Some(Some(path)) => Some(path),
            None => entry.path().map(PathBuf::from),
        };
        let key = source.clone().map_or(Source::Literal(self.taken.len()), Source::Path);
        let target = self.target(folder, &name, key);
        match entry {
            Entry::File(file) => self.place_file(file, source.as_deref(), &target, folder).map(Entry::File),
            Entry::Directory(directory) => {
                self.place_directory(directory, source.as_deref(), &target).map(Entry::Directory)
            }
        }
    }

    /// The target of a name: `name`, or `name_2`, `name_3` … if other things have taken it.
    fn target(&mut self, folder: &Path, name: &str, source: Source) -> PathBuf {
        let mut target = folder.join(name);
        let mut number = 1;
        while self.taken.get(&target).is_some_and(|taken| *taken != source) {
            number += 1;
            target = folder.join(format!("{name}_{number}"));
        }
        self.taken.insert(target.clone(), source);
        target
    }

    fn place_file(
        &mut self,
        file: File,
        source: Option<&Path>,
        target: &Path,
        folder: &Path,
    ) -> Result<File, PublishError> {
        let known = if let Some(source) = source {
            self.link(source, target)?;
            file.checksum
        } else {
            let bytes = data_url::literal_bytes(file.location.as_deref(), file.contents.as_deref())
                .ok_or_else(|| PublishError::Refused("a data URL of an output is no valid one".to_owned()))?;
            replace(target, |part| fs::write(part, &bytes))?;
            None
        };
        let metadata = fs::metadata(target).map_err(|source| io_error("look at", target, source))?;
        let checksum = known.map_or_else(|| checksum(target), Ok)?;
        let secondary_files =
            file.secondary_files.into_iter().map(|entry| self.place(entry, folder)).collect::<Result<_, _>>()?;
        let (location, path, basename) = names(target);
        let (size, checksum) = (Some(metadata.len()), Some(checksum));
        Ok(File { location, path, basename, size, checksum, secondary_files, ..file })
    }

    fn place_directory(
        &mut self,
        directory: Directory,
        source: Option<&Path>,
        target: &Path,
    ) -> Result<Directory, PublishError> {
        fs::create_dir_all(target).map_err(|source| io_error("create the folder", target, source))?;
        let listing = if let Some(source) = source {
            self.link_directory(source, target, 0)?
        } else {
            let listing = directory.listing.unwrap_or_default();
            listing.into_iter().map(|entry| self.place(entry, target)).collect::<Result<_, _>>()?
        };
        let (location, path, basename) = names(target);
        Ok(Directory { location, path, basename, listing: Some(listing), ..directory })
    }

    /// Publishes the members of a folder and lists them; what else stands in the target is none of the job's.
    fn link_directory(&self, source: &Path, target: &Path, depth: usize) -> Result<Vec<Entry>, PublishError> {
        let mut listing = Vec::new();
        for (member, metadata) in members(source, depth)? {
            let Some(name) = member.file_name() else { continue };
            let target = target.join(name);
            if (metadata.dev(), metadata.ino()) == self.folder {
                // An input folder in which the outputs are published does not hold itself.
                continue;
            }
            listing.push(if metadata.is_dir() {
                fs::create_dir_all(&target).map_err(|source| io_error("create the folder", &target, source))?;
                described_folder(&target, self.link_directory(&member, &target, depth + 1)?)
            } else {
                self.link(&member, &target)?;
                described_file(&target, &metadata)?
            });
        }
        Ok(listing)
    }

    /// A hard link where the run owns the file and the file systems allow it, else a copy. The publication is the user's:
    /// writable.
    fn link(&self, source: &Path, target: &Path) -> Result<(), PublishError> {
        let source = fs::canonicalize(source).map_err(|error| io_error("find", source, error))?;
        let before = fs::metadata(&source).map_err(|error| io_error("look at", &source, error))?;
        // A tool may have made its output by linking an input: that one is not given away.
        let owned = source.starts_with(self.owned) && before.nlink() == 1;
        let same = fs::symlink_metadata(target).is_ok_and(|t| t.ino() == before.ino() && t.dev() == before.dev());
        if !same {
            replace(target, |part| match owned.then(|| fs::hard_link(&source, part)) {
                Some(Ok(())) => Ok(()),
                // Another run's: a copy onto it would empty what it is linked to.
                Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                Some(Err(_)) | None => fs::copy(&source, part).map(|_| ()),
            })?;
        }
        let mode = before.permissions().mode();
        if mode & 0o200 == 0 {
            let writable = Permissions::from_mode(mode | 0o200);
            fs::set_permissions(target, writable).map_err(|error| io_error("make writable", target, error))?;
        }
        Ok(())
    }
}

/// Makes a file beside its target and renames it into place. A file that stood there is replaced; where it fails, nothing
/// is left.
fn replace(target: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), PublishError> {
    // Always the same for a target, so that a later try removes what a kill left; short, whatever the target's name.
    let name = target.file_name().unwrap_or_default().as_encoded_bytes();
    let part = target.with_file_name(format!(".weir-{}.part", hex::encode(Sha1::digest(name))));
    let _ = fs::remove_file(&part);
    make(&part).and_then(|()| fs::rename(&part, target)).map_err(|source| {
        let _ = fs::remove_file(&part);
        io_error("write", target, source)
    })
}

/// The members of a folder that lies so many folders below the one that is published.
fn members(folder: &Path, depth: usize) -> Result<Vec<(PathBuf, Metadata)>, PublishError> {
    if depth >= DOCUMENT_DEPTH_MAX {
        return Err(PublishError::TooDeep(folder.to_owned()));
    }
    files::members(folder).map_err(|source| io_error("list", folder, source))
}

/// Location, path and basename of what stands at `path`.
fn names(path: &Path) -> (Option<String>, Option<String>, Option<String>) {
    let text = path.to_string_lossy();
    let basename = path.file_name().map(|name| name.to_string_lossy().into_owned());
    (Some(uri::from_path(&text)), Some(text.into_owned()), basename)
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> PublishError {
    PublishError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use weir_cwl::Value;

    use super::*;

    fn file(path: &Path) -> Value {
        Value::File(Box::new(File { location: names(path).0, ..File::default() }))
    }

    #[test]
    fn outputs_get_names_of_their_own_and_a_second_time_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (owned, target) = (root.join("run"), root.join("results"));
        for (path, text) in [("1/a.txt", "one"), ("2/a.txt", "two"), ("3/d/x/y.txt", "deep")] {
            let path = owned.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let directory = Directory { location: names(&owned.join("3/d")).0, ..Directory::default() };
        let literal = File { basename: Some("l".into()), contents: Some("lit".into()), ..File::default() };
        let location = Some("data:image/tiff;base64,SUkqAA==".into());
        let inline = File { basename: Some("i.tif".into()), location, ..File::default() };
        let outputs = Record::from_iter([
            ("one".to_owned(), file(&owned.join("1/a.txt"))),
            ("two".to_owned(), Value::Array(vec![file(&owned.join("2/a.txt")), file(&owned.join("1/a.txt"))])),
            ("tree".to_owned(), Value::Directory(Box::new(directory))),
            ("literal".to_owned(), Value::File(Box::new(literal))),
            ("inline".to_owned(), Value::File(Box::new(inline))),
            ("number".to_owned(), Value::Number(weir_cwl::Number::Int(1))),
        ]);
        let first = publish(outputs.clone(), &target, &owned).unwrap();
        assert_eq!(publish(outputs, &target, &owned).unwrap(), first);
        let text = |name: &str| fs::read_to_string(target.join(name)).unwrap();
        assert_eq!((text("a.txt"), text("a.txt_2"), text("d/x/y.txt")), ("one".into(), "two".into(), "deep".into()));
        assert_eq!((text("l"), text("i.tif")), ("lit".into(), "II*\0".into()));
        assert_eq!(fs::read_dir(&target).unwrap().count(), 5);
        let Value::File(one) = &first["one"] else { panic!() };
        assert_eq!(one.size, Some(3));
        assert_eq!(one.checksum.as_deref(), Some("sha1$fe05bcdcdc4928012781a5f1a2a77cbb5398e106"));
        assert_eq!(one.path.as_deref(), target.join("a.txt").to_str());
    }

    fn directory(path: &Path) -> Record {
        let directory = Directory { location: names(path).0, ..Directory::default() };
        Record::from_iter([("d".to_owned(), Value::Directory(Box::new(directory)))])
    }

    #[test]
    fn a_folder_is_published_without_what_is_no_content_and_without_the_output_folder_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let target = root.join("results");
        fs::create_dir_all(&target).unwrap();
        fs::write(root.join("f"), "water").unwrap();
        std::os::unix::fs::symlink("nothing", root.join("dangling")).unwrap();
        std::os::unix::fs::symlink(".", root.join("loop")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let published = target.join(root.file_name().unwrap());
        fs::create_dir(&published).unwrap();
        fs::write(published.join("stranger"), "").unwrap();
        let outputs = publish(directory(&root), &target, Path::new("/nowhere")).unwrap();
        let Value::Directory(listed) = &outputs["d"] else { panic!() };
        assert_eq!(listed.listing.as_ref().unwrap().iter().map(Entry::name).collect::<Vec<_>>(), [Some("f".into())]);
        assert_eq!(members(&published, 0).unwrap().len(), 2);
        assert_eq!(fs::read_to_string(published.join("f")).unwrap(), "water");
    }

    #[test]
    fn a_folder_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("d").join("x/".repeat(200))).unwrap();
        let error = publish(directory(&root.join("d")), &root.join("results"), &root).unwrap_err();
        assert!(matches!(error, PublishError::TooDeep(_)), "{error}");
    }

    #[test]
    fn any_name_can_be_published_and_a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (long, target) = (root.join("n".repeat(255)), root.join("results"));
        fs::write(&long, "water").unwrap();
        publish(Record::from_iter([("o".to_owned(), file(&long))]), &target, &root).unwrap();
        fs::create_dir(target.join("taken")).unwrap();
        fs::write(root.join("taken"), "").unwrap();
        publish(Record::from_iter([("o".to_owned(), file(&root.join("taken")))]), &target, &root).unwrap_err();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
    }

    #[test]
    fn what_a_tool_linked_from_elsewhere_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let owned = root.join("run");
        fs::create_dir(&owned).unwrap();
        fs::write(root.join("input"), "water").unwrap();
        fs::hard_link(root.join("input"), owned.join("o")).unwrap();
        publish(Record::from_iter([("o".to_owned(), file(&owned.join("o")))]), &root.join("results"), &owned).unwrap();
        fs::write(root.join("results/o"), "fire").unwrap();
        assert_eq!(fs::read_to_string(root.join("input")).unwrap(), "water");
    }
}
