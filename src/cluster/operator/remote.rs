//! Files behind URLs are looked at through the guard.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::data::{Remote, RemoteError};
use crate::fetch::{FetchFailure, Guarded};

impl Remote for Guarded {
    fn size<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<u64>, RemoteError>> {
        async move {
            match self.head(url).await {
                Ok(head) => Ok(Some(head.size.unwrap_or(0))),
                Err(FetchFailure::Status { status: 404 | 410, .. }) => Ok(None),
                Err(failure) => Err(remote(&failure)),
            }
        }
        .boxed()
    }

    fn read<'a>(&'a self, url: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<u8>, RemoteError>> {
        self.read_range(url, 0..limit).map(|read| read.map_err(|failure| remote(&failure))).boxed()
    }
}

fn remote(failure: &FetchFailure) -> RemoteError {
    RemoteError { message: failure.to_string(), is_temporary: failure.is_transient() }
}
