//! Every limit of the operator with its unit and its reason (invariant I7).

use std::time::Duration;

/// Bytes of one argument of a tool: the kernel's limit (`MAX_ARG_STRLEN`, 32 pages). Checked for a better message than
/// `E2BIG`.
pub const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// Bytes of an order as JSON: agents take answers of 64 MiB, and the answer is a little more than the order.
pub const ORDER_BYTES_MAX: usize = (64 << 20) - 4096;

/// How long presigned requests for inputs and outputs are good: an agent makes them at once, but a large transfer may
/// begin anew again and again.
pub const PRESIGNED_TIME: Duration = Duration::from_hours(24);

/// How long the presigned request for a log is good, which is made when the tool has ended: as long as there can be one.
pub const PRESIGNED_LOG_TIME: Duration = weir_store::presign::LONGEST;

/// Files whose contents collecting one tool's outputs may need: 1,000 times 64 KiB is what a request can hold.
pub const READS_MAX: usize = 1000;

/// Members of manifests that a job keeps in memory (about 300 bytes each): 1,000 running jobs stay below 300 MiB, and a
/// manifest that is needed again is read again.
pub const MANIFEST_MEMBERS_CACHED: usize = 1000;

/// Server-side copies of one job at the same time: enough to hide a request's latency, few enough for a small store.
pub const COPIES_AT_ONCE: usize = 16;

/// Tries of one request to the results' bucket; whoever publishes tries the whole again later.
pub const RESULT_TRIES: u32 = 4;

/// Time that one request to the results' bucket may take: a copy of 5 GiB within a slow store.
pub const RESULT_REQUEST_TIME: Duration = Duration::from_mins(10);

/// Bytes of an answer of the results' bucket that are read: an owner marker, or an error document.
pub const RESULT_ANSWER_BYTES_MAX: usize = 64 << 10;
