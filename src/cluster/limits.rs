//! Every limit of the operator with its unit and its reason (invariant I7).

/// Thousandths of a core that the agent of a step's pod asks for: it waits, copies bytes and computes digests.
pub const AGENT_CPU_MILLICORES: u32 = 20;

/// Mebibytes of memory that it asks for: measured below 16 with eight transfers.
pub const AGENT_MEMORY_MIB: u64 = 32;

/// Mebibytes of memory that it may use: an order or a `cwl.output.json` of 64 MiB stands in memory as JSON and as values.
pub const AGENT_MEMORY_LIMIT_MIB: u64 = 512;

/// Mebibytes of memory that a tool's container may use at least: shim, runtime and a program that does nothing.
pub const TOOL_MEMORY_LIMIT_MIB_MIN: u64 = 32;

/// Seconds between SIGTERM and SIGKILL of a step's pod: the tool has 10 of them, the rest is for reports and the log.
pub const POD_GRACE_SECONDS: i64 = 30;

/// Seconds that a pod stays bound to a node that is not ready or not reachable: longer than a kubelet's restart.
pub const NODE_LOST_SECONDS: i64 = 30;

/// Seconds after its start at which a pod is ended in any case: a week, the backstop of everything that has no own limit.
pub const POD_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// Seconds that a pod has besides its tool's time limit, for images, waiting, inputs and outputs: a day.
pub const POD_MARGIN_SECONDS: i64 = 24 * 3600;

/// Seconds that an agent's token is valid; the kubelet renews it at 80 %.
pub const AGENT_TOKEN_SECONDS: i64 = 3600;

/// Characters of the kubelet's or the API server's words in a message: a status is read on a terminal.
pub const QUOTE_CHARACTERS_MAX: usize = 400;

/// Seconds that a pod may take to start before anything is said about it.
pub const POD_QUIET_SECONDS: u64 = 20;

/// Seconds that a node may prepare a pod without an error: images of 10 GiB exist, and slow links to their registries.
pub const POD_START_SECONDS_MAX: u64 = 1800;
