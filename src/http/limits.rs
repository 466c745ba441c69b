//! Every limit of the façade with its unit and its reason (invariant I7).

use std::time::Duration;

/// Bytes of a request's body. Packages are at most a few hundred KiB; an execute request may hold base64 images.
pub const BODY_BYTES: usize = 16 << 20;

/// Levels of nested arrays and objects in a request's body. A STAC item has about ten.
pub const BODY_DEPTH: usize = 64;

/// How long a request's body may take to arrive; 16 MiB at 2.2 Mbit/s.
pub const BODY_TIME: Duration = Duration::from_mins(1);

/// How long the head of a request may take, and how long a connection may be idle.
pub const HEAD_TIME: Duration = Duration::from_mins(1);

/// Bytes of the head of a request: cookies and tokens of proxies included.
pub const HEAD_BYTES: usize = 64 << 10;

/// Connections at the same time; more wait to be accepted. One takes about 20 KiB at rest.
pub const CONNECTIONS: usize = 4096;

/// How long a client may take nothing of an answer that waits for it; then its connection is closed.
pub const WRITE_TIME: Duration = Duration::from_mins(1);

/// How long requests under way may take when the program stops: the reading of a log or result.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted: out of file descriptors, mostly, which passes when others close.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a message of axum's that becomes a problem's detail.
pub const PROBLEM_BYTES: usize = 4 << 10;

/// Seconds after which to try again when the store or the API server was not reached.
pub const RETRY_SECONDS: u32 = 5;

/// Entries of a page of a list, if the client does not say (18-062r2, `/req/core/pl-limit-definition`).
pub const PAGE_DEFAULT: u32 = 10;

/// Entries of a page at most (18-062r2, `/req/core/pl-limit-definition`).
pub const PAGE_MAX: u32 = 10_000;
