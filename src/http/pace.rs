//! A connection whose client must take what it has asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Breaks when nothing can be written for some time: a client that takes nothing holds a place that others could have.
pub(crate) struct Paced<T> {
    inner: T,
    patience: Duration,
    /// Runs while something waits to be written.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    /// With this patience.
    pub(crate) fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, deadline: None }
    }

    /// What a write came to: progress, waiting, or waiting for too long.
    fn judged<V>(&mut self, written: Poll<io::Result<V>>, cx: &mut Context<'_>) -> Poll<io::Result<V>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => {
                let message = format!("the client took nothing for {} s", self.patience.as_secs());
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judged(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judged(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judged(shut, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judged(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(8);
        let mut paced = Paced::new(ours, Duration::from_mins(1));
        let error = paced.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_is_served() {
        let (ours, mut theirs) = duplex(8);
        let mut paced = Paced::new(ours, Duration::from_mins(1));
        let client = tokio::spawn(async move {
            let mut taken = [0; 100];
            for chunk in taken.chunks_mut(10) {
                sleep(Duration::from_secs(50)).await;
                theirs.read_exact(chunk).await.unwrap();
            }
        });
        paced.write_all(&[0; 100]).await.unwrap();
        client.await.unwrap();
    }
}
