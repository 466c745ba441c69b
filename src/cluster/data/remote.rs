//! What must be known of files behind http(s) URLs. The operator never downloads one: agents do.

use std::fmt;

use futures_util::future::BoxFuture;

/// Looks at files behind URLs, within what the operator may reach (see [`crate::settings::FetchSettings`]). What a later try
/// may mend is tried again for a bounded time: an error is for good.
pub trait Remote: fmt::Debug + Send + Sync {
    /// The bytes of the file at the URL, 0 if the server does not tell; `None` if there is no such file.
    fn size<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<u64>, RemoteError>>;

    /// Its first `limit` bytes, or all of it if it is shorter.
    fn read<'a>(&'a self, url: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<u8>, RemoteError>>;
}

/// Why a file behind a URL cannot be looked at. The message names the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RemoteError(pub String);
