//! The tool's log: a plain file that the shim appends to. The agent keeps it open from before the tool starts, so that
//! nothing the tool puts in its place is ever read, and keeps it within its limit.

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use weir_api::limits::LOG_BYTES_MAX;

/// Bytes of the head that are kept, and as many of the tail.
const HALF: u64 = LOG_BYTES_MAX / 2;
/// Holes begin and end at multiples of this, so that the file system can really free them.
const BLOCK: u64 = 4096;

/// The log of an incarnation.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Makes the file; any user may append.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_permissions(Permissions::from_mode(0o666))?;
        Ok(Self { file })
    }

    /// Gives the middle of a log that is too long back to the file system, if that can; the shim may go on writing.
    pub fn punch(&self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let end = length.saturating_sub(HALF) / BLOCK * BLOCK;
        if length > LOG_BYTES_MAX && end > HALF {
            fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, HALF, end - HALF)?;
        }
        Ok(())
    }

    /// Head and tail as they are now: their bytes, and a reader for exactly so many.
    pub fn read(&self) -> io::Result<(u64, Box<dyn Read + '_>)> {
        let length = self.file.metadata()?.len();
        let part = |from: u64, to: u64| Part { file: &self.file, at: from, end: to };
        if length <= LOG_BYTES_MAX {
            return Ok((length, Box::new(part(0, length))));
        }
        let missing = length - LOG_BYTES_MAX;
        let line = format!("\n--- weir: {missing} bytes are left out here ---\n").into_bytes();
        let total = LOG_BYTES_MAX + line.len() as u64;
        let tail = part(length - HALF, length);
        Ok((total, Box::new(part(0, HALF).chain(io::Cursor::new(line)).chain(tail))))
    }
}

/// A part of a file, read without moving the file's position.
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..left], self.at)?;
        if length == 0 && left > 0 {
            // The tool has cut its own log: the promised length is filled up.
            buffer[..left].fill(b'\n');
            self.at += left as u64;
            return Ok(left);
        }
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_beyond_its_limit_keeps_head_and_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::create(&path).unwrap();
        let mut shim = File::options().append(true).open(&path).unwrap();
        shim.write_all(b"head\n").unwrap();
        shim.set_len(3 * LOG_BYTES_MAX).unwrap();
        shim.write_all(b"tail\n").unwrap();
        log.punch().unwrap();
        let (length, mut reader) = log.read().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        assert!(bytes.starts_with(b"head\n") && bytes.ends_with(b"tail\n"));
        let middle = &bytes[usize::try_from(HALF).unwrap()..];
        assert!(middle.starts_with(b"\n--- weir: 134217733 bytes are left out here ---\n"));
    }
}
