//! Objects on a disk: written aside, made durable, then made visible by one rename.
//!
//! ```text
//! <root>/lock                     held by the one server of this directory
//! <root>/buckets/<bucket>/<key>   objects (key.rs, object.rs)
//! <root>/staging/<random>         what is being written; swept at start
//! <root>/uploads/<id>/            multipart uploads (multipart.rs)
//! ```
//!
//! With `fsync` an answer is given only once file and folder are on the disk. All functions here block.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};

use super::key;
use super::object::{Attributes, Object};

/// Locks of keys: two keys share one now and then, which costs a wait and nothing else.
const LOCKS: usize = 64;

/// How often a rename is tried whose folder others remove, each time just emptied, before it happens.
const FOLDER_TRIES: usize = 100;

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The bucket does not exist.
    #[error("the bucket `{0}` does not exist")]
    NoSuchBucket(String),
    /// The bucket exists.
    #[error("the bucket `{0}` exists already")]
    BucketExists(String),
    /// The bucket holds objects.
    #[error("the bucket `{0}` is not empty")]
    BucketNotEmpty(String),
    /// The object does not exist.
    #[error("the key `{0}` does not exist")]
    NoSuchKey(String),
    /// The request's condition does not hold.
    #[error("the condition of the request does not hold for `{0}`")]
    Precondition(String),
    /// The upload does not exist, was completed, or was aborted.
    #[error("the multipart upload `{0}` does not exist")]
    NoSuchUpload(String),
    /// A part that a completion names is not there, or is another one.
    #[error("part {0} is missing or its ETag differs")]
    InvalidPart(i32),
    /// Parts are named out of order.
    #[error("the parts must be named in ascending order")]
    InvalidPartOrder,
    /// A part other than the last one is too small.
    #[error("part {0} has less than 5 MiB and is not the last one")]
    PartTooSmall(i32),
    /// The object would be too large.
    #[error("an object has at most {0} bytes")]
    TooLarge(u64),
    /// A key that cannot be.
    #[error("a key has 1 to {} bytes and no NUL character", key::BYTES)]
    InvalidKey,
    /// The disk failed, or a file on it is damaged.
    #[error("cannot {doing}: {reason}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        reason: io::Error,
    },
}

/// Wraps an I/O error with what was being done.
pub fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError::Io { doing, reason: source }
}

/// What must hold of the present object for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// There is none (`If-None-Match: *`).
    Absent,
    /// There is one (`If-Match: *`).
    Present,
    /// There is one with this ETag (`If-Match`).
    Etag(String),
    /// There is none with this ETag (`If-None-Match`).
    NotEtag(String),
}

/// The directory of a store, opened by the one process that may write to it.
#[derive(Debug)]
pub struct Disk {
    pub(super) root: PathBuf,
    fsync: bool,
    locks: [Mutex<()>; LOCKS],
    /// Written to while folders are created and made durable. Whoever renamed something into a folder waits for it, so
    /// that nothing is acknowledged in a folder whose own name is not durable yet.
    folders: RwLock<()>,
    /// Its lock ends with it.
    _lock: File,
}

impl Disk {
    /// Opens the store in `root`, creates what is missing and sweeps what a crash left behind.
    pub fn open(root: &Path, fsync: bool) -> Result<Self, DiskError> {
        for folder in ["buckets", "staging", "uploads"] {
            fs::create_dir_all(root.join(folder)).map_err(io_error("create the store's folders"))?;
        }
        let lock = File::create(root.join("lock")).map_err(io_error("open the store's lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| DiskError::Io {
            doing: "lock the store, which another process seems to serve",
            reason: errno.into(),
        })?;
        let root = fs::canonicalize(root).map_err(io_error("find the store"))?;
        let locks = [const { Mutex::new(()) }; LOCKS];
        let disk = Self { root, fsync, locks, folders: RwLock::new(()), _lock: lock };
        let mut swept = 0;
        for entry in fs::read_dir(disk.root.join("staging")).map_err(io_error("read the staging folder"))? {
            let entry = entry.map_err(io_error("read the staging folder"))?;
            fs::remove_file(entry.path()).map_err(io_error("sweep the staging folder"))?;
            swept += 1;
        }
        if swept > 0 {
            tracing::info!(swept, "removed unfinished writes");
        }
        disk.sync_folder(&disk.root)?;
        Ok(disk)
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), DiskError> {
        match fs::create_dir(self.bucket_path(bucket)) {
            Ok(()) => self.sync_folder(&self.root.join("buckets")),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DiskError::BucketExists(bucket.to_owned()))
            }
            Err(error) => Err(io_error("create a bucket")(error)),
        }
    }

    /// Removes an empty bucket.
    pub fn delete_bucket(&self, bucket: &str) -> Result<(), DiskError> {
        match fs::remove_dir(self.bucket_path(bucket)) {
            Ok(()) => self.sync_folder(&self.root.join("buckets")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DiskError::NoSuchBucket(bucket.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(DiskError::BucketNotEmpty(bucket.to_owned()))
            }
            Err(error) => Err(io_error("remove a bucket")(error)),
        }
    }

    /// Refuses a bucket that does not exist.
    pub fn check_bucket(&self, bucket: &str) -> Result<(), DiskError> {
        let exists = self.bucket_path(bucket).try_exists().map_err(io_error("find a bucket"))?;
        if exists { Ok(()) } else { Err(DiskError::NoSuchBucket(bucket.to_owned())) }
    }

    /// The buckets by name, with the time of creation as far as the file system knows it.
    pub fn buckets(&self) -> Result<Vec<(String, std::time::SystemTime)>, DiskError> {
        let read = || -> io::Result<Vec<_>> {
            let mut buckets = Vec::new();
            for entry in fs::read_dir(self.root.join("buckets"))? {
                let entry = entry?;
                let data = entry.metadata()?;
                if let (true, Ok(name)) = (data.is_dir(), entry.file_name().into_string()) {
                    buckets.push((name, data.created().or_else(|_| data.modified())?));
                }
            }
            buckets.sort();
            Ok(buckets)
        };
        read().map_err(io_error("list the buckets"))
    }

    /// Opens an object.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Object, DiskError> {
        match Object::open(&self.object_path(bucket, key)?) {
            Ok(object) => Ok(object),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_bucket(bucket)?;
                Err(DiskError::NoSuchKey(key.to_owned()))
            }
            Err(error) => Err(io_error("read an object")(error)),
        }
    }

    /// Begins to write an object.
    pub fn draft(&self, sums: ChecksumHasher) -> Result<Draft, DiskError> {
        let path = self.root.join("staging").join(uuid::Uuid::new_v4().simple().to_string());
        let file = File::create_new(&path).map_err(io_error("create a staging file"))?;
        Ok(Draft { staged: Staged { path }, file, md5: Md5::new(), sums, size: 0 })
    }

    /// Writes attributes behind a draft's bytes and makes it durable, though not visible.
    pub fn finish(&self, mut draft: Draft, attributes: &Attributes) -> Result<Staged, DiskError> {
        attributes.write(&mut draft.file).map_err(io_error("write an object's attributes"))?;
        if self.fsync {
            draft.file.sync_all().map_err(io_error("flush an object"))?;
        }
        Ok(draft.staged)
    }

    /// Makes a finished draft the object of `key`, durably, if `condition` holds. All or nothing.
    pub fn commit(&self, staged: &Staged, bucket: &str, key: &str, condition: &Condition) -> Result<(), DiskError> {
        let target = self.object_path(bucket, key)?;
        let guard = self.lock(&target);
        match condition {
            Condition::None | Condition::Absent => {}
            Condition::Present | Condition::Etag(_) | Condition::NotEtag(_) => {
                let present = match self.get(bucket, key) {
                    Ok(object) => Some(object.attributes.etag),
                    Err(DiskError::NoSuchKey(key)) if *condition == Condition::Present => {
                        return Err(DiskError::Precondition(key));
                    }
                    // As S3 does: 404 for If-Match on a key that does not exist.
                    Err(DiskError::NoSuchKey(_)) if matches!(condition, Condition::NotEtag(_)) => None,
                    Err(error) => return Err(error),
                };
                let holds = match condition {
                    Condition::Etag(etag) => present.as_ref() == Some(etag),
                    Condition::NotEtag(etag) => present.as_ref() != Some(etag),
                    _ => true,
                };
                if !holds {
                    return Err(DiskError::Precondition(key.to_owned()));
                }
            }
        }
        self.place(&staged.path, &target, &self.bucket_path(bucket), *condition == Condition::Absent).map_err(
            |error| match error.kind() {
                io::ErrorKind::AlreadyExists => DiskError::Precondition(key.to_owned()),
                io::ErrorKind::NotFound => DiskError::NoSuchBucket(bucket.to_owned()),
                _ => io_error("make an object visible")(error),
            },
        )?;
        drop(guard);
        self.sync_parent(&target)
    }

    /// Removes an object. One that does not exist is removed already, unless a condition names it.
    pub fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), DiskError> {
        let target = self.object_path(bucket, key)?;
        self.check_bucket(bucket)?;
        let guard = self.lock(&target);
        if let Condition::Etag(etag) = condition
            && self.get(bucket, key)?.attributes.etag != *etag
        {
            return Err(DiskError::Precondition(key.to_owned()));
        }
        match fs::remove_file(&target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("remove an object")(error)),
        }
        drop(guard);
        // Folders go with their last object; one that is not empty stops this.
        let bucket = self.bucket_path(bucket);
        let mut folder = target.parent().unwrap_or(&bucket);
        while folder != bucket && fs::remove_dir(folder).is_ok() {
            folder = folder.parent().unwrap_or(&bucket);
        }
        match self.sync_folder(folder) {
            // Another deletion removed it meanwhile and flushes what is above.
            Err(DiskError::Io { reason: source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.sync_folder(&bucket)
            }
            done => done,
        }
    }

    /// A second name for an object's file, as a finished draft: what a copy is when nothing of it changes. `None` if the
    /// file system cannot do it.
    pub fn link(&self, bucket: &str, key: &str) -> Result<Option<Staged>, DiskError> {
        let path = self.root.join("staging").join(uuid::Uuid::new_v4().simple().to_string());
        match fs::hard_link(self.object_path(bucket, key)?, &path) {
            Ok(()) => Ok(Some(Staged { path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DiskError::NoSuchKey(key.to_owned())),
            Err(_) => Ok(None),
        }
    }

    /// Renames `from` to `to` and creates the folders between `base` and it. `base` itself is never created.
    pub(super) fn place(&self, from: &Path, to: &Path, base: &Path, exclusive: bool) -> io::Result<()> {
        let mut tries = 0;
        loop {
            let renamed = if exclusive { rename_new(from, to) } else { fs::rename(from, to) };
            match renamed {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < FOLDER_TRIES => {
                    self.create_folders(to.parent().unwrap_or(base), base)?;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Creates the folders between `base` and `folder`, durably.
    fn create_folders(&self, folder: &Path, base: &Path) -> io::Result<()> {
        let _creating = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        if !base.try_exists()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut missing: Vec<&Path> = folder.ancestors().take_while(|folder| *folder != base).collect();
        while let Some(folder) = missing.pop() {
            match fs::create_dir(folder) {
                Ok(()) if self.fsync => File::open(folder.parent().unwrap_or(base))?.sync_all()?,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // A deletion removed a folder above: the caller tries again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the entry of `path` in its folder durable.
    pub(super) fn sync_parent(&self, path: &Path) -> Result<(), DiskError> {
        if !self.fsync {
            return Ok(());
        }
        drop(self.folders.read().unwrap_or_else(PoisonError::into_inner));
        match self.sync_folder(path.parent().unwrap_or(&self.root)) {
            // Written and deleted again meanwhile.
            Err(DiskError::Io { reason: source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        if self.fsync {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("flush a folder"))?;
        }
        Ok(())
    }

    pub(super) fn lock(&self, path: &Path) -> MutexGuard<'_, ()> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.locks[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bucket_path(&self, bucket: &str) -> PathBuf {
        self.root.join("buckets").join(bucket)
    }

    fn object_path(&self, bucket: &str, key: &str) -> Result<PathBuf, DiskError> {
        if key.is_empty() || key.len() > key::BYTES || key.contains('\0') {
            return Err(DiskError::InvalidKey);
        }
        Ok(self.bucket_path(bucket).join(key::path(key)))
    }
}

/// A rename that fails if `to` exists, also between two racing processes.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag. A link never replaces anything; the staging name goes by itself.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)
        }
        done => done.map_err(Into::into),
    }
}

/// A file in the staging folder, gone when dropped unless it was renamed.
#[derive(Debug)]
pub struct Staged {
    pub(super) path: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// An object that is being written.
pub struct Draft {
    staged: Staged,
    pub(super) file: File,
    md5: Md5,
    sums: ChecksumHasher,
    size: u64,
}

/// What the bytes of a draft amount to.
#[derive(Debug)]
pub struct Written {
    /// MD5 of all bytes.
    pub md5: [u8; 16],
    /// The checksums that were asked for.
    pub sums: s3s::dto::Checksum,
    /// Bytes.
    pub size: u64,
}

impl Draft {
    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.md5.update(bytes);
        self.sums.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(io_error("write an object"))
    }

    /// What was written so far; the draft takes no more bytes after it.
    pub fn digest(&mut self) -> Written {
        let md5 = std::mem::replace(&mut self.md5, Md5::new()).finalize();
        let sums = std::mem::take(&mut self.sums).finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(md5.as_ref());
        Written { md5: digest, sums, size: self.size }
    }
}
