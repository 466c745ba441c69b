//! A tool's output streams: copied to the container's own stream and to the log, never waiting for the agent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use weir_api::limits::STDERR_TAIL_BYTES;

/// Bytes moved at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A stream that is being copied.
#[derive(Debug)]
pub(super) struct Copying {
    end: Receiver<Vec<u8>>,
}

impl Copying {
    /// Copies `from` to `log` and `own` until its end. A place that takes no more is given up; the tool goes on.
    pub(super) fn start(mut from: impl Read + Send + 'static, log: Option<File>, own: Option<File>) -> Self {
        let (sender, end) = channel();
        std::thread::spawn(move || {
            let mut places = [log, own];
            let mut tail = VecDeque::with_capacity(STDERR_TAIL_BYTES);
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let length = match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let bytes = &buffer[..length];
                for place in &mut places {
                    // A full disk may have room again later; only our own stream can be closed for good.
                    if let Some(file) = place
                        && file.write_all(bytes).is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
                    {
                        *place = None;
                    }
                }
                let kept = &bytes[length.saturating_sub(STDERR_TAIL_BYTES)..];
                tail.drain(..(tail.len() + kept.len()).saturating_sub(STDERR_TAIL_BYTES));
                tail.extend(kept);
            }
            // Nobody waits any more if the drain took too long.
            let _ = sender.send(tail.into());
        });
        Self { end }
    }

    /// Waits until everything is copied; the last bytes of the stream.
    pub(super) fn finish(self, deadline: Instant) -> Vec<u8> {
        self.end.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap_or_default()
    }
}

/// The last bytes of a file.
pub(super) fn tail_of(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR_TAIL_BYTES as u64))).ok()?;
    let mut bytes = Vec::new();
    file.take(STDERR_TAIL_BYTES as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The end of standard error as text: whole lines, if the beginning is missing. `None` if there is nothing.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    let is_cut = bytes.len() >= STDERR_TAIL_BYTES;
    let text = if is_cut { text.split_once('\n').map_or(text, |(_, rest)| rest) } else { text };
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_tail_is_the_end_and_the_log_has_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let bytes: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let copying = Copying::start(io::Cursor::new(bytes.clone()), Some(File::create(&path).unwrap()), None);
        let tail = copying.finish(Instant::now() + Duration::from_secs(10));
        assert_eq!(tail, bytes[bytes.len() - STDERR_TAIL_BYTES..]);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(tail_of(&path).unwrap(), tail);
        let text = text(&tail).unwrap();
        assert!(text.ends_with("19998\n19999") && text.lines().next().unwrap().len() == 5);
    }
}
