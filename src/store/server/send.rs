//! The bytes of an object on their way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::JoinHandle;

use super::object::Object;

/// Bytes of an object that are read at once.
pub const READ_BYTES: usize = 256 * 1024;

/// A range of an object, read block by block.
pub struct Body {
    object: Arc<Object>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Body {
    /// The bytes of `object` in `range`, which lies within it.
    pub fn new(object: Object, range: std::ops::Range<u64>) -> Self {
        Self { object: Arc::new(object), next: range.start, end: range.end, reading: None }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.next >= this.end {
            return Poll::Ready(None);
        }
        let length = usize::try_from(this.end - this.next).unwrap_or(usize::MAX).min(READ_BYTES);
        let (object, offset) = (Arc::clone(&this.object), this.next);
        let reading =
            this.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || object.read(offset, length)));
        let Poll::Ready(read) = Pin::new(reading).poll(cx) else { return Poll::Pending };
        this.reading = None;
        match read.map_err(std::io::Error::other).flatten() {
            Ok(bytes) => {
                this.next += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes.into())))
            }
            Err(error) => {
                tracing::error!(%error, "cannot read an object");
                this.next = this.end;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }
}

impl ByteStream for Body {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.end - self.next).unwrap_or(usize::MAX))
    }
}
