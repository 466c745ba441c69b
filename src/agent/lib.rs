//! The two programs of a step's pod.
//!
//! `weir-shim` starts the tool inside of the tool's own container; `weir-agent`, in a container beside it, does all the
//! rest. The way of an incarnation, a file each:
//!
//! [`settings`] -> [`operator`] (claim) -> [`stage`] and [`download`] -> [`supervise`] (the shim runs the tool) ->
//! [`outdir`] and [`listing`] -> [`upload`] and [`log`] -> [`operator`] (complete) -> [`termination`]. [`incarnation`]
//! puts them together. The shim's half is [`shim`]; both meet in [`socket`].

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
