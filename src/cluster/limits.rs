//! Every limit of the operator with its unit and its reason (invariant I7).

/// Redirects of one fetched URL. Archives need two or three; more is a loop.
pub const FETCH_REDIRECTS_MAX: usize = 5;

/// Bytes of a message in a condition: the API server takes 32 KiB, a person reads less, and the whole object stays small.
pub const CONDITION_MESSAGE_BYTES: usize = 4 << 10;

/// Bytes of the inputs inside a ProcessJob: larger ones live in the store (`inputsRef`), so that the object stays under
/// 256 KiB.
pub const INLINE_INPUTS_BYTES_MAX: usize = 64 << 10;

/// Seconds before the package of a Process is tried again after it could not be had; doubled for each further try.
pub const PACKAGE_RETRY_SECONDS: u64 = 10;

/// Seconds that such a retry waits at most: what mends itself is seen within minutes, and a dead server is asked rarely.
pub const PACKAGE_RETRY_SECONDS_MAX: u64 = 600;

/// Packages that are resolved at the same time: each holds its texts in memory, and may wait for a slow server.
pub const RESOLVING_MAX: u16 = 8;

/// Bytes of a package with all of its imports in the store: what the loader takes, written as JSON.
pub const STORED_PACKAGE_BYTES_MAX: u64 = 256 << 20;

/// Counted attempts of one step instance that a job may ask for: more only hides a defect, and costs.
pub const ATTEMPTS_ASKED_MAX: i64 = 10;
