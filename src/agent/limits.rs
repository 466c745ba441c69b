//! The limits of agent and shim, each with its unit and its reason (invariant I7).

use std::time::Duration;

/// How long the shim looks for its agent: the kubelet starts both containers within a second or two, image pull apart.
pub const AGENT_WAIT: Duration = Duration::from_secs(30);
/// Between two looks.
pub const AGENT_POLL: Duration = Duration::from_millis(10);
/// Between SIGTERM and SIGKILL, when the tool is stopped. Less than the kubelet's 30 s.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long the shim waits for the end of the tool's output once every process of it is dead.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// Bytes of one message between shim and agent: an order has at most a document's size.
pub const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Bytes of an answer of the operator: literals of an order stand in it.
pub const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How long one request to the operator may take: a report is answered within a minute, and has a while to get there.
pub const OPERATOR_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a claim may take: the operator looks at the token for 15 s and holds the claim for 50 s at most. Later than
/// that nothing comes, because the operator's node is gone.
pub const CLAIM_TIMEOUT: Duration = Duration::from_secs(70);
/// Time to connect to the operator: it is in the same cluster. After a change of the leader the old address is dead.
pub const OPERATOR_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// First wait after a request failed; doubled for each further one.
pub const BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait: an operator's restart takes a few seconds.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a refusal (401, 403, other 4xx) is answered with another try before the agent gives up. A new token file may
/// be on its way.
pub const REFUSED_MAX: Duration = Duration::from_mins(1);

/// Time to connect to a store or a data server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time until such a server's answer begins.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// Time until the body is there.
pub const BODY_TIMEOUT: Duration = Duration::from_hours(1);
/// Tries of one transfer without progress in between. With the waits up to [`BACKOFF_MAX`] they span about two minutes:
/// longer than the restart of a store.
pub const TRANSFER_TRIES: u32 = 30;
/// Transfers at the same time: enough to fill a network link with small files, few enough for an agent of 16 MiB.
pub const TRANSFERS: usize = 8;
/// Bytes of one input: the largest Earth-observation product has a few GiB.
pub const INPUT_BYTES_MAX: u64 = 64 << 30;
/// Bytes of the buffer of one transfer.
pub const BUFFER_BYTES: usize = 128 << 10;
/// How often the log of a running tool is looked at for its size.
pub const LOG_WATCH: Duration = Duration::from_secs(2);
/// Symbolic links followed on the way to one file; as many as the kernel follows.
pub const LINKS_MAX: u32 = 40;
