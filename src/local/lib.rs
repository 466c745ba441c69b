//! The embedded executor: jobs as child processes of one machine, state in a directory (design §2, §7).

pub mod fetch;
pub mod image;
pub mod launcher;
pub mod location;
pub mod lock;
pub mod log;
pub mod process;
pub mod publish;
pub mod sweep;
