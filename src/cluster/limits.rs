//! Every limit of the operator with its unit and its reason (invariant I7).

use std::time::Duration;

/// Calls of agents that wait for one actor. Each pod has one call under way; whoever finds the mailbox full asks again.
pub const MAILBOX_CALLS: usize = 1024;

/// Jobs that are accepted or taken up at the same time: each reads a journal and builds an intent.
pub const STARTS_AT_ONCE: usize = 16;

/// Requests that create or delete pods at the same time, of all jobs: the API server's own bound for one client is near.
pub const POD_REQUESTS_AT_ONCE: usize = 32;

/// How long a job waits for its Process before it fails: long enough for `kubectl apply` of a folder in any order.
pub const PROCESS_WAIT: Duration = Duration::from_mins(10);

/// How long the creation of a pod is tried while the API server cannot or may not take it.
pub const CREATE_WAIT: Duration = Duration::from_mins(10);

/// How long a report of an agent is waited for after its pod ended (invariant I3).
pub const REPORT_WAIT: Duration = Duration::from_secs(10);

/// Between the order to stop and the moment from which a pod's silence is taken for its end. Longer than the grace.
pub const STOP_WAIT: Duration = Duration::from_secs(60);

/// Seconds that a pod has to end when it is asked to.
pub const POD_GRACE_SECONDS: u32 = 30;

/// Failed pods that one job keeps for people to look at.
pub const FAILED_PODS_KEPT: usize = 20;

/// How long failed pods of a finished job are kept.
pub const FAILED_PODS_KEPT_FOR: Duration = Duration::from_hours(24);

/// Between two status writes of one job; the terminal one goes at once.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait of an actor for anything; planning again costs nothing.
pub const ACTOR_WAIT: Duration = Duration::from_mins(1);

/// First wait after something outside failed; doubled each time.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// Longest such wait.
pub const BACKOFF_MAX: Duration = Duration::from_secs(20);

/// One request to the API server is given up after this long.
pub const API_REQUEST_TIME: Duration = Duration::from_secs(30);

/// Steps that a status lists.
pub const STATUS_STEPS_MAX: usize = 100;

/// Bytes of a message in a status. Kubernetes allows 32 KiB in a condition; it stands in three places.
pub const STATUS_MESSAGE_BYTES: usize = 2048;

/// Bytes of the output object in a status; larger ones stand in the store only.
pub const STATUS_RESULTS_BYTES: usize = 16 << 10;

/// Kubernetes events that wait to be written, of all jobs; more are dropped.
pub const EVENTS_WAITING: usize = 256;

/// Kubernetes events a second, of all jobs. They are for people; who needs each fact reads the status.
pub const EVENTS_A_SECOND: u32 = 20;

/// Bytes of the note of a Kubernetes event (Kubernetes: 1 kB).
pub const EVENT_NOTE_BYTES: usize = 1000;

/// Objects of a deleted job that are removed from the store with one listing.
pub const CLEANUPS_AT_ONCE: usize = 4;
