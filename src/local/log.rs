//! Log files of steps: `…/logs/<name>.log`. Tools append to them directly, so they can be read while the tool
//! runs.
//!
//! The limit of a log holds at any time, without a process between the tool and its file: beyond it the middle of the
//! file is given back to the file system (a hole), and once the tool has ended the hole is replaced by a line that says
//! how much is missing.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use weir_api::limits::{LOG_BYTES_MAX, STDERR_TAIL_BYTES};

/// Bytes of the head that are kept, and as many of the tail.
const HALF: u64 = LOG_BYTES_MAX / 2;
/// Holes begin and end at multiples of this, so that the file system can really free them.
const BLOCK: u64 = 4096;

/// Prepares the log of an incarnation: an earlier one's lines stay above a line that says so. Returns the offset at which
/// this incarnation's own lines begin.
pub fn begin(path: &Path, attempt: u32, incarnation: u64) -> io::Result<u64> {
    let mut file = File::options().append(true).create(true).open(path)?;
    if file.metadata()?.len() > 0 {
        writeln!(file, "--- weir: attempt {attempt}, incarnation {incarnation} ---")?;
    }
    Ok(file.metadata()?.len())
}

/// Gives the middle of a log that is too long back to the file system. The tool may go on writing.
pub fn punch(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    if length > 2 * LOG_BYTES_MAX {
        let (start, end) = (HALF.next_multiple_of(BLOCK), (length - HALF) / BLOCK * BLOCK);
        let file = File::options().write(true).open(path)?;
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, end - start)?;
    }
    Ok(())
}

/// Cuts a log that is too long to its head and tail once nobody writes to it any more.
pub fn finish(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    if length <= LOG_BYTES_MAX {
        return Ok(());
    }
    let mut from = File::open(path)?;
    let shortened = path.with_extension("log.short");
    let mut to = File::create(&shortened)?;
    io::copy(&mut Read::by_ref(&mut from).take(HALF), &mut to)?;
    writeln!(to, "\n--- weir: {} bytes left out, a log holds {LOG_BYTES_MAX} ---", length - 2 * HALF)?;
    from.seek(SeekFrom::Start(length - HALF))?;
    io::copy(&mut from, &mut to)?;
    fs::rename(&shortened, path)
}

/// The last lines of a file from `offset` on, at most [`STDERR_TAIL_BYTES`]; invalid UTF-8 is replaced.
pub fn tail(path: &Path, offset: u64) -> Option<String> {
    // A tool may have put something else there; opening a pipe would wait for ever.
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let start = length.saturating_sub(STDERR_TAIL_BYTES as u64).max(offset.min(length));
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    let cut = start > offset;
    let text = if cut { text.split_once('\n').map_or(text, |(_, rest)| rest) } else { text };
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_appends_below_a_line_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crop.log");
        assert_eq!(begin(&path, 1, 1).unwrap(), 0);
        fs::write(&path, "first\n").unwrap();
        let offset = begin(&path, 2, 7).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        writeln!(file, "second").unwrap();
        assert_eq!(tail(&path, offset).unwrap(), "second");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "first\n--- weir: attempt 2, incarnation 7 ---\nsecond\n");
    }

    #[test]
    fn a_pipe_in_place_of_the_log_has_no_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(tail(&path, 0), None);
    }

    #[test]
    fn a_log_beyond_its_limit_keeps_head_and_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"head\n").unwrap();
        file.set_len(3 * LOG_BYTES_MAX).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"\ntail\n").unwrap();
        punch(&path).unwrap();
        finish(&path).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert!((LOG_BYTES_MAX..LOG_BYTES_MAX + 200).contains(&length), "{length}");
        assert_eq!(tail(&path, 0).unwrap(), "tail");
    }
}
