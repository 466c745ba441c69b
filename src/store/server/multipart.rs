//! Multipart uploads on a disk: `uploads/<id>/upload` says what is being made, `uploads/<id>/<part number>` are the parts.
//!
//! A part is written like an object. Completing copies the parts into one new file, makes that visible, and removes the
//! upload; a crash between the two leaves an upload whose completion can be repeated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};

use super::disk::{Condition, Disk, DiskError, Staged, io_error};
use super::object::{Attributes, Object};

/// Parts of an upload at most, and the highest part number (S3: 10,000).
pub const PARTS: i32 = 10_000;

/// Bytes of every part but the last at least (S3: 5 MiB).
const PART_BYTES: u64 = 5 * 1024 * 1024;

/// Bytes of an object at most (S3: 5 TiB).
const OBJECT_BYTES: u64 = 5 << 40;

/// Uploads that nobody touched for this long are removed.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

/// What an upload will become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Headers and user metadata that it will have.
    pub attributes: Attributes,
}

impl Disk {
    /// Begins an upload and returns its id.
    pub fn create_upload(&self, upload: &Upload) -> Result<String, DiskError> {
        self.check_bucket(&upload.bucket)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let json = serde_json::to_vec(upload).map_err(io::Error::from).map_err(io_error("write an upload"))?;
        let mut draft = self.draft(s3s::checksum::ChecksumHasher::default())?;
        draft.write(&json)?;
        let staged = self.finish(draft, &Attributes { size: json.len() as u64, ..Attributes::default() })?;
        let target = self.root.join("uploads").join(&id).join("upload");
        self.place(&staged.path, &target, &self.root.join("uploads"), true).map_err(io_error("begin an upload"))?;
        self.sync_parent(&target)?;
        Ok(id)
    }

    /// The upload `id`, if it is one of this key.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, DiskError> {
        let unknown = || DiskError::NoSuchUpload(id.to_owned());
        let upload = read_upload(&self.upload_path(id).ok_or_else(unknown)?)?.ok_or_else(unknown)?;
        if upload.bucket == bucket && upload.key == key { Ok(upload) } else { Err(unknown()) }
    }

    /// Makes a finished draft part `number` of an upload; a part of that number is replaced.
    pub fn put_part(&self, staged: &Staged, id: &str, number: i32) -> Result<(), DiskError> {
        let folder = self.upload_path(id).ok_or_else(|| DiskError::NoSuchUpload(id.to_owned()))?;
        let target = folder.join(part_name(number));
        // The upload's folder is the base: it is not created again when the upload was aborted meanwhile.
        self.place(&staged.path, &target, &folder, false).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DiskError::NoSuchUpload(id.to_owned()),
            _ => io_error("store a part")(error),
        })?;
        self.sync_parent(&target)
    }

    /// The parts of an upload with a number above `after`, in order, and whether there are more than `limit`.
    pub fn parts(&self, id: &str, after: i32, limit: usize) -> Result<(Vec<(i32, Attributes)>, bool), DiskError> {
        let folder = self.upload_path(id).ok_or_else(|| DiskError::NoSuchUpload(id.to_owned()))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io_error("list the parts"))? {
            let entry = entry.map_err(io_error("list the parts"))?;
            numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
        }
        numbers.retain(|number| *number > after);
        numbers.sort_unstable();
        let more = numbers.len() > limit;
        numbers.truncate(limit);
        let open = |number: i32| {
            let object = Object::open(&folder.join(part_name(number))).map_err(io_error("read a part"))?;
            Ok((number, object.attributes))
        };
        Ok((numbers.into_iter().map(open).collect::<Result<_, _>>()?, more))
    }

    /// Makes an object of the named parts (number, ETag). Repeating a completion that succeeded succeeds.
    pub fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        named: &[(i32, String)],
        condition: &Condition,
    ) -> Result<Attributes, DiskError> {
        let unknown = || DiskError::NoSuchUpload(id.to_owned());
        let folder = self.upload_path(id).ok_or_else(unknown)?;
        let upload = match self.upload(bucket, key, id) {
            Ok(upload) => upload,
            Err(DiskError::NoSuchUpload(_)) => {
                let done = self.get(bucket, key).map_err(|_| unknown())?.attributes;
                return if done.upload.as_deref() == Some(id) { Ok(done) } else { Err(unknown()) };
            }
            Err(error) => return Err(error),
        };
        let mut parts = Vec::with_capacity(named.len());
        let mut digests = Md5::new();
        let mut size = 0;
        if !named.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(DiskError::InvalidPartOrder);
        }
        for (index, (number, etag)) in named.iter().enumerate() {
            let part = match Object::open(&folder.join(part_name(*number))) {
                Ok(part) if part.attributes.etag == *etag => part,
                Ok(_) => return Err(DiskError::InvalidPart(*number)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DiskError::InvalidPart(*number)),
                Err(error) => return Err(io_error("read a part")(error)),
            };
            if index + 1 < named.len() && part.attributes.size < PART_BYTES {
                return Err(DiskError::PartTooSmall(*number));
            }
            digests.update(&hex::decode(&part.attributes.etag).unwrap_or_default());
            size += part.attributes.size;
            // Thousands of parts are not held open at once.
            parts.push((*number, part.attributes.size));
        }
        if parts.is_empty() {
            return Err(DiskError::InvalidPart(1));
        }
        if size > OBJECT_BYTES {
            return Err(DiskError::TooLarge(OBJECT_BYTES));
        }
        let mut draft = self.draft(s3s::checksum::ChecksumHasher::default())?;
        for (number, size) in &parts {
            Object::open(&folder.join(part_name(*number)))
                .and_then(|mut part| part.copy_to(0..*size, &mut draft.file))
                .map_err(io_error("copy a part"))?;
        }
        let attributes = Attributes {
            size,
            etag: format!("{}-{}", hex::encode(digests.finalize()), parts.len()),
            modified: Attributes::now(),
            upload: Some(id.to_owned()),
            ..upload.attributes
        };
        let staged = self.finish(draft, &attributes)?;
        self.commit(&staged, bucket, key, condition)?;
        self.remove_upload(&folder)?;
        Ok(attributes)
    }

    /// Removes an upload and its parts.
    pub fn abort(&self, bucket: &str, key: &str, id: &str) -> Result<(), DiskError> {
        self.upload(bucket, key, id)?;
        self.remove_upload(&self.root.join("uploads").join(id))
    }

    /// The uploads of a bucket whose key begins with `prefix`: (key, id, begun), sorted.
    pub fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, String, SystemTime)>, DiskError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("uploads")).map_err(io_error("list the uploads"))? {
            let entry = entry.map_err(io_error("list the uploads"))?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            if let Some(upload) = read_upload(&entry.path())?
                && upload.bucket == bucket
                && upload.key.starts_with(prefix)
            {
                found.push((upload.key, id, upload.attributes.modified()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes what nobody will complete: uploads that were abandoned or half removed.
    pub fn sweep_uploads(&self, now: SystemTime) -> Result<(), DiskError> {
        for entry in fs::read_dir(self.root.join("uploads")).map_err(io_error("sweep the uploads"))? {
            let path = entry.map_err(io_error("sweep the uploads"))?.path();
            // The time of the folder: the last part that came.
            let Ok(touched) = fs::metadata(&path).and_then(|data| data.modified()) else { continue };
            let idle = now.duration_since(touched).unwrap_or_default();
            let half = path.extension().is_some();
            if half || idle > ABANDONED {
                tracing::info!(upload = %path.display(), "removed an abandoned upload");
                self.remove_upload(&path)?;
            }
        }
        Ok(())
    }

    /// Renamed first, so that no request sees half of it.
    fn remove_upload(&self, folder: &Path) -> Result<(), DiskError> {
        let doomed = folder.with_extension("removed");
        match fs::rename(folder, &doomed).and_then(|()| fs::remove_dir_all(&doomed)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove an upload")(error)),
            _ => self.sync_parent(folder),
        }
    }

    /// `None` for what is no id of ours, such as `..`.
    fn upload_path(&self, id: &str) -> Option<PathBuf> {
        let ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours.then(|| self.root.join("uploads").join(id))
    }
}

fn part_name(number: i32) -> String {
    format!("{number:05}")
}

/// `None` if there is no whole upload in `folder`.
fn read_upload(folder: &Path) -> Result<Option<Upload>, DiskError> {
    let object = match Object::open(&folder.join("upload")) {
        Ok(object) => object,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(io_error("read an upload")(error)),
    };
    let size = usize::try_from(object.attributes.size).unwrap_or(usize::MAX);
    let json = object.read(0, size).map_err(io_error("read an upload"))?;
    let upload = serde_json::from_slice(&json).map_err(io::Error::from).map_err(io_error("read an upload"))?;
    Ok(Some(upload))
}
