//! Files behind URLs are looked at through the guard.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::data::{Remote, RemoteError};
use crate::job::Backoff;
use crate::limits::REMOTE_WAIT;
use weir_fetch::{FetchFailure, Guarded};

impl Remote for Guarded {
    fn size<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<u64>, RemoteError>> {
        let look = move || {
            self.head(url).map(|head| match head {
                Ok(head) => Ok(Some(head.size.unwrap_or(0))),
                Err(FetchFailure::Status { status: 404 | 410, .. }) => Ok(None),
                Err(failure) => Err(failure),
            })
        };
        patiently(look).boxed()
    }

    fn read<'a>(&'a self, url: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<u8>, RemoteError>> {
        patiently(move || self.read_range(url, 0..limit)).boxed()
    }
}

/// Asks again while another answer may come, for [`REMOTE_WAIT`] at most.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, RemoteError>
where
    F: Future<Output = Result<T, FetchFailure>>,
{
    let began = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if !failure.is_transient() => return Err(RemoteError(failure.to_string())),
            Err(failure) if began.elapsed() >= REMOTE_WAIT => {
                let seconds = began.elapsed().as_secs();
                return Err(RemoteError(format!("{failure} (asked again and again for {seconds} s)")));
            }
            Err(_) => backoff.wait().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;

    fn answer(status: u16) -> FetchFailure {
        FetchFailure::Status { url: "http://example.org/a".into(), status }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_busy_is_asked_again_for_a_bounded_time_i6() {
        let asked = Cell::new(0);
        let third = || {
            asked.set(asked.get() + 1);
            ready(if asked.get() < 3 { Err(answer(503)) } else { Ok(7) })
        };
        assert_eq!(patiently(third).await, Ok(7));
        let never = patiently(|| ready(Err::<(), _>(answer(503)))).await.unwrap_err();
        assert!(never.0.contains("http://example.org/a") && never.0.contains("503"), "{never}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_refuses_is_asked_for_once() {
        let asked = Cell::new(0);
        let refuse = || {
            asked.set(asked.get() + 1);
            ready(Err::<(), _>(answer(403)))
        };
        assert!(patiently(refuse).await.is_err());
        assert_eq!(asked.get(), 1);
    }
}
