//! The objects of a server for the program that runs it: without requests, keys or signatures, by the same rules. All
//! functions here block.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use s3s::checksum::ChecksumHasher;

use super::disk::{Condition, Disk, DiskError, Draft, io_error};
use super::object::{Attributes, Object};

/// Bytes that are read from a file at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a token at most: an owner marker is a short text.
const TOKEN_BYTES: u64 = 4 << 10;

/// Reads and writes the objects of a server.
#[derive(Debug, Clone)]
pub struct Objects(Arc<Disk>);

/// An object that is open for reading: a snapshot, whatever happens to its key meanwhile.
#[derive(Debug)]
pub struct Reading(Object);

impl Reading {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.0.attributes.size
    }

    /// Up to `length` bytes from `offset` on; none at its end.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        self.0.read(offset, left.min(length))
    }
}

impl Objects {
    pub(super) fn new(disk: Arc<Disk>) -> Self {
        Self(disk)
    }

    /// Stores the content of a file under a key, replacing what is there. Gives its size in bytes.
    pub fn put_file(&self, bucket: &str, key: &str, file: &Path, content_type: Option<&str>) -> Result<u64, DiskError> {
        let mut source = File::open(file).map_err(io_error("read what is to be stored"))?;
        let mut draft = self.draft()?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match source.read(&mut buffer).map_err(io_error("read what is to be stored"))? {
                0 => break,
                length => draft.write(&buffer[..length])?,
            }
        }
        self.commit(draft, bucket, key, content_type, &Condition::None)
    }

    /// Stores bytes under a key, replacing what is there.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8], content_type: Option<&str>) -> Result<(), DiskError> {
        let mut draft = self.draft()?;
        draft.write(bytes)?;
        self.commit(draft, bucket, key, content_type, &Condition::None).map(drop)
    }

    /// Stores `token` under a key unless the key is taken; gives the token that is there now.
    pub fn claim(&self, bucket: &str, key: &str, token: &str) -> Result<String, DiskError> {
        let mut draft = self.draft()?;
        draft.write(token.as_bytes())?;
        match self.commit(draft, bucket, key, Some("text/plain"), &Condition::Absent) {
            Ok(_) => Ok(token.to_owned()),
            Err(DiskError::Precondition(_)) => {
                let there = self.0.get(bucket, key)?;
                let length = usize::try_from(there.attributes.size.min(TOKEN_BYTES)).unwrap_or(0);
                let bytes = there.read(0, length).map_err(io_error("read an object"))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens an object.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Reading, DiskError> {
        self.0.get(bucket, key).map(Reading)
    }

    fn draft(&self) -> Result<Draft, DiskError> {
        let none = ChecksumHasher { crc32: None, crc32c: None, sha1: None, sha256: None, crc64nvme: None };
        self.0.draft(none)
    }

    fn commit(
        &self,
        mut draft: Draft,
        bucket: &str,
        key: &str,
        content_type: Option<&str>,
        condition: &Condition,
    ) -> Result<u64, DiskError> {
        let written = draft.digest();
        let headers = content_type.map(|text| ("content-type".to_owned(), text.to_owned()));
        let attributes = Attributes {
            size: written.size,
            etag: hex::encode(written.md5),
            modified: Attributes::now(),
            headers: headers.into_iter().collect::<BTreeMap<_, _>>(),
            ..Attributes::default()
        };
        let staged = self.0.finish(draft, &attributes)?;
        self.0.commit(&staged, bucket, key, condition)?;
        Ok(written.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_stores_is_an_object_and_a_claim_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("store"), false).unwrap();
        disk.create_bucket("results").unwrap();
        let objects = Objects::new(Arc::new(disk));
        let source = folder.path().join("otsu.tif");
        std::fs::write(&source, "water").unwrap();
        assert_eq!(objects.put_file("results", "job/otsu.tif", &source, Some("image/tiff")).unwrap(), 5);
        let reading = objects.get("results", "job/otsu.tif").unwrap();
        assert_eq!((reading.size(), reading.read(1, 3).unwrap()), (5, b"ate".to_vec()));
        assert_eq!(reading.read(4, 100).unwrap(), b"r");
        assert_eq!(objects.claim("results", "job/owner", "a").unwrap(), "a");
        assert_eq!(objects.claim("results", "job/owner", "b").unwrap(), "a");
        assert!(matches!(objects.get("results", "job/../x"), Err(DiskError::NoSuchKey(_))));
    }
}
