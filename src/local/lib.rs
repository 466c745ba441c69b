//! The embedded backend: jobs as child processes of one machine, state in a directory.
//!
//! The way of a job, one direction:
//!
//! | step | file |
//! |---|---|
//! | a job as it was asked for becomes event 0 | [`spec`], [`backend`] |
//! | the loop: observe, plan, journal, perform | [`run`] |
//! | a launch becomes a tool that can start: inputs, work order, files in place, program found | [`order`], [`files`], [`fetch`], [`stage`], [`image`] |
//! | the tool runs and is measured | [`attempt`], [`process`], [`launcher`], [`log`] |
//! | what it left becomes its output object | [`attempt`], [`outdir`] |
//! | the final outputs are published, usage is reported | [`publish`], [`usage`] |
//!
//! [`facade`] keeps processes and jobs of several tenants for the OGC façade and runs the jobs in this way.
//!
//! A program that uses this crate must call [`launcher::launcher_main`] when [`launcher::called_as_launcher`], and
//! [`weir_script::worker_main`] when [`weir_script::called_as_worker`], before anything else.

pub mod attempt;
pub mod backend;
pub mod facade;
pub mod fetch;
pub mod files;
pub mod folder;
pub mod image;
pub mod launcher;
pub mod location;
pub mod lock;
pub mod log;
pub mod machine;
pub mod order;
pub mod outdir;
pub mod process;
pub mod publish;
pub mod reach;
pub mod run;
pub mod settings;
pub mod spec;
pub mod stage;
pub mod sweep;

pub use backend::{BackendError, LocalBackend};
pub use run::{Control, Finished, Observer};
pub use settings::Settings;
pub use spec::JobSpec;
pub use weir_store::usage;
