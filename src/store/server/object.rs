//! The file of an object: its bytes, then its attributes as JSON, then their length and a mark.
//!
//! One file holds both, so that one rename makes both visible. A file without a whole footer is no object.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Last bytes of the file of an object.
const MARK: &[u8; 8] = b"weirobj1";

/// Bytes behind the attributes: their length (u32, little-endian) and the mark.
const TAIL: usize = 4 + MARK.len();

/// Bytes of attributes at most; S3 allows 2 KiB of user metadata.
pub const ATTRIBUTES_BYTES: usize = 64 * 1024;

/// What the store knows of an object besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Bytes of the object.
    pub size: u64,
    /// MD5 of the bytes in hexadecimal digits; of a multipart upload: MD5 of the parts' MD5s, `-`, number of parts.
    pub etag: String,
    /// When it was written, in milliseconds since 1970 UTC.
    pub modified: u64,
    /// Header name (`content-type`, `cache-control`, …) -> value, as the writer gave them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// User metadata: what follows `x-amz-meta-` -> value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Checksums that were verified when it was written: `sha256`, `crc32`, … -> Base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
    /// The multipart upload that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
}

impl Attributes {
    /// When it was written.
    pub fn modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.modified)
    }

    /// The present time as [`Attributes::modified`] counts it.
    pub fn now() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes the footer behind the object's bytes.
    pub fn write(&self, file: &mut File) -> io::Result<()> {
        let mut footer = serde_json::to_vec(self)?;
        if footer.len() > ATTRIBUTES_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too much metadata"));
        }
        let length = u32::try_from(footer.len()).unwrap_or(u32::MAX);
        footer.extend_from_slice(&length.to_le_bytes());
        footer.extend_from_slice(MARK);
        file.write_all(&footer)
    }
}

/// An object that is open for reading: a snapshot, whatever happens to its key meanwhile.
#[derive(Debug)]
pub struct Object {
    /// What is known of it.
    pub attributes: Attributes,
    file: File,
}

impl Object {
    /// Opens the object in the file `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        // One read finds the footer of nearly every object.
        const GUESS: usize = 4096;
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let last = |bytes: usize| -> io::Result<Vec<u8>> {
            let bytes = usize::try_from(length).unwrap_or(usize::MAX).min(bytes);
            let mut buffer = vec![0; bytes];
            file.read_exact_at(&mut buffer, length - bytes as u64)?;
            Ok(buffer)
        };
        let mut end = last(GUESS)?;
        let Some((rest, tail)) = end.split_last_chunk::<TAIL>() else { return Err(damaged("no object: too short")) };
        let ([a, b, c, d], mark) = ([tail[0], tail[1], tail[2], tail[3]], &tail[4..]);
        let footer = u32::from_le_bytes([a, b, c, d]) as usize;
        if mark != MARK || footer > ATTRIBUTES_BYTES {
            return Err(damaged("no object: its footer is missing"));
        }
        if footer > rest.len() {
            end = last(footer + TAIL)?;
        }
        let json = end.len().checked_sub(TAIL + footer).map(|start| &end[start..end.len() - TAIL]);
        let attributes: Attributes = json
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or_else(|| damaged("no object: its footer is damaged"))?;
        if attributes.size.checked_add((footer + TAIL) as u64) != Some(length) {
            return Err(damaged("the object's size is not what its footer says"));
        }
        Ok(Self { attributes, file })
    }

    /// Reads `length` bytes from `offset` on. Both lie within the object.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    /// Appends the object's bytes, or a range of them, to `target`. The kernel copies where it can.
    pub fn copy_to(&mut self, range: std::ops::Range<u64>, target: &mut File) -> io::Result<()> {
        use std::io::Seek as _;
        self.file.seek(io::SeekFrom::Start(range.start))?;
        let length = range.end - range.start;
        let copied = io::copy(&mut (&self.file).take(length), target)?;
        if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(body: &[u8], attributes: &Attributes) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut handle = file.reopen().unwrap();
        handle.write_all(body).unwrap();
        attributes.write(&mut handle).unwrap();
        file
    }

    #[test]
    fn attributes_are_read_back_even_if_they_are_long() {
        for long in [0, 10_000] {
            let metadata = BTreeMap::from([("k".to_owned(), "v".repeat(long))]);
            let attributes = Attributes { size: 5, etag: "e".into(), metadata, ..Attributes::default() };
            let file = written(b"water", &attributes);
            let object = Object::open(file.path()).unwrap();
            assert_eq!(object.attributes, attributes);
            assert_eq!(object.read(1, 3).unwrap(), b"ate");
        }
    }

    #[test]
    fn no_cut_of_a_file_is_taken_for_an_object() {
        let file = written(b"water", &Attributes { size: 5, etag: "e".into(), ..Attributes::default() });
        let whole = std::fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            std::fs::write(file.path(), &whole[..length]).unwrap();
            assert!(Object::open(file.path()).is_err(), "{length}");
        }
    }
}
