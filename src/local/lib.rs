//! The embedded executor: jobs as child processes of one machine, state in a directory (design §2, §7).

pub mod image;
pub mod launcher;
pub mod lock;
pub mod log;
pub mod process;
pub mod sweep;
