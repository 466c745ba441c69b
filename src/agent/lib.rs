//! The two programs of a step's pod.
//!
//! `weir-shim` starts the tool inside of the tool's own container; `weir-agent`, in a container beside it, does all the
//! rest. The way of an incarnation, a file each:
//!
//! [`settings`] -> [`operator`] (claim) -> [`stage`] and [`download`] -> [`supervise`] (the shim runs the tool) ->
//! [`outdir`] and [`listing`] -> [`upload`] and [`log`] -> [`operator`] (complete) -> [`termination`]. [`incarnation`]
//! puts them together. The shim's half is [`shim`]; both meet in [`socket`].
//!
//! # What the pod must be like
//!
//! | what | value |
//! |---|---|
//! | agent's image | `/weir-agent` and `/weir-shim`, static; nothing else is needed |
//! | shared volume | an emptyDir at `/weir` in both containers, in which the users of both can write (fsGroup) |
//! | delivery of the shim | `["/weir-agent", "install", "/weir"]` as postStart hook of the agent's container, as init container, or both: makes `/weir/shim` |
//! | agent's command | `["/weir-agent", "run"]` |
//! | tool's command | `["/weir/shim"]`; the image's environment and working directory do not matter |
//! | order of containers | the agent's first: the kubelet starts the tool's after the hook |
//! | restart policy | `Never`: a second start of the agent in one pod is refused |
//! | root file system | may be read-only in both; only `/weir` and the termination log are written |
//! | users | any, also different ones of one group, also root; no capability is needed |
//! | grace period | 30 s: the tool gets 10 s of it between SIGTERM and SIGKILL |
//!
//! | variable of the agent | value |
//! |---|---|
//! | `WEIR_OPERATOR_URL` | `https://weir-agents.<namespace>.svc:8443` |
//! | `WEIR_CA` | PEM text of the operator's authority; `WEIR_CA_FILE` names a file with it instead |
//! | `WEIR_STORE_CA` | PEM text of authorities for stores and data servers besides the public ones; optional, `WEIR_STORE_CA_FILE` likewise |
//! | `WEIR_TOKEN_FILE` | projected service account token, audience `weir-agent`; read anew for every request |
//! | `WEIR_RUN_ID`, `WEIR_INCARNATION` | whose work this pod is for |
//! | `WEIR_POD_UID` | downward API, `metadata.uid` |
//! | `WEIR_FOLDER` | the shared volume, if not `/weir` |
//! | `WEIR_TERMINATION_LOG` | the container's `terminationMessagePath`, if not `/dev/termination-log` |
//!
//! The shim reads no variable: the tool's container has the image's environment and no token. Where the volume is not
//! `/weir`, its path is the shim's argument. What the tool writes to stdout and stderr shows in its container's log at
//! once, unless the order redirects it to a file.
//!
//! # Who waits for whom
//!
//! The agent waits for its order as long as its pod lives, whether the operator is busy, away or restarting; the pod's
//! deadline is the operator's matter. The shim looks for the agent's socket for 30 s, and once connected waits for the
//! order as long as the agent lives. If one of both dies, the other ends too, and the tool with them.

pub mod backoff;
pub mod download;
pub mod http;
pub mod incarnation;
pub mod install;
pub mod limits;
pub mod listing;
pub mod log;
pub mod operator;
pub mod outdir;
pub mod settings;
pub mod shim;
pub mod socket;
pub mod stage;
pub mod supervise;
pub mod termination;
pub mod upload;

/// Milliseconds since the Unix epoch, now.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
