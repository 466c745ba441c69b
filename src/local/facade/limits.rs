//! Limits of the façade's embedded backend (invariant I7).

use std::time::Duration;

/// Processes of one tenant: each is held in memory with its package, some 50 KiB.
pub const PROCESSES_MAX: usize = 1_000;

/// Tenants with processes or jobs: each has a folder and its own places in the queue.
pub const TENANTS_MAX: usize = 1_000;

/// Unfinished jobs of one tenant unless set otherwise; more are refused until some are over (invariant I9).
pub const UNFINISHED_MAX: usize = 1_000;

/// Unfinished jobs of all tenants: each is held in memory with its state, some 100 KiB once it runs.
pub const UNFINISHED_IN_ALL_MAX: usize = 10_000;

/// Finished jobs of one tenant that are kept: each is a small record in memory, some 1.5 KiB. Beyond it the oldest go.
pub const FINISHED_MAX: usize = 100_000;

/// Seconds after which a client that was refused may try again: some short jobs are over then.
pub const RETRY_AFTER_SECONDS: u32 = 10;

/// Days that finished jobs are kept unless set otherwise (OGC leaves it open; results stay in any case).
pub const KEPT_DAYS: u64 = 30;

/// How often finished jobs are looked at for their age.
pub const UPKEEP: Duration = Duration::from_hours(1);

/// Before a job that could not go on (a full disk, an unwritable folder) is tried again; doubled for each further try.
pub const BACKOFF: Duration = Duration::from_secs(1);

/// The longest of these waits.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Bytes of a log or a result that are read at once.
pub const CHUNK_BYTES: usize = 256 << 10;
