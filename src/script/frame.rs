//! The protocol between a worker and its owner: length-prefixed JSON in both directions.
//!
//! A frame is a `u32` in little-endian order, the number of bytes that follow, and that many bytes
//! of JSON. The worker first sends a [`Sandbox`](crate::Sandbox), then one [`Reply`] for every
//! [`Task`], in order.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Kind, ScriptError, limits};

/// A [`Request`](crate::Request) as the worker reads it: the same fields, owned.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// See [`Request::library`](crate::Request::library).
    pub library: Vec<String>,
    /// See [`Request::kind`](crate::Request::kind).
    pub kind: Kind,
    /// See [`Request::source`](crate::Request::source).
    pub source: String,
    /// JSON text.
    pub inputs: String,
    /// JSON text.
    #[serde(rename = "self")]
    pub self_: String,
    /// JSON text.
    pub runtime: String,
    /// Wall-clock time.
    pub time_limit: Duration,
}

/// JSON text of the value, or why there is none.
pub type Reply = Result<String, ScriptError>;

/// Bytes of the length before a frame's JSON.
pub const PREFIX: usize = size_of::<u32>();

/// Encodes a message as one frame.
///
/// # Errors
/// `InvalidData` if the message is larger than [`limits::FRAME_BYTES`].
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; PREFIX];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - PREFIX;
    if length > limits::FRAME_BYTES {
        return Err(too_long(length));
    }
    let prefix = u32::try_from(length).map_err(|_| too_long(length))?;
    frame[..PREFIX].copy_from_slice(&prefix.to_le_bytes());
    Ok(frame)
}

/// The length of the JSON that follows a prefix.
///
/// # Errors
/// `InvalidData` if it is more than [`limits::FRAME_BYTES`].
pub fn length(prefix: [u8; PREFIX]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if length > limits::FRAME_BYTES {
        return Err(too_long(length));
    }
    Ok(length)
}

fn too_long(length: usize) -> io::Error {
    let text = format!("a frame of {length} bytes is above the limit of {}", limits::FRAME_BYTES);
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_length_and_its_json() {
        let frame = encode(&Reply::Ok("5".to_owned())).unwrap();
        assert_eq!(frame, b"\x0a\0\0\0{\"Ok\":\"5\"}");
    }

    #[test]
    fn a_request_reads_as_a_task() {
        let request = crate::Request {
            library: &["var a;".to_owned()],
            kind: Kind::Body,
            source: "return a;",
            inputs: "{}",
            self_: "null",
            runtime: "[]",
            time_limit: Duration::from_millis(1500),
        };
        let frame = encode(&request).unwrap();
        let task: Task = serde_json::from_slice(&frame[PREFIX..]).unwrap();
        assert_eq!(task.library, ["var a;"]);
        assert_eq!((task.kind, task.source.as_str()), (Kind::Body, "return a;"));
        assert_eq!([task.inputs, task.self_, task.runtime], ["{}", "null", "[]"]);
        assert_eq!(task.time_limit, Duration::from_millis(1500));
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_taken() {
        assert!(length([0xff; PREFIX]).is_err());
    }
}
