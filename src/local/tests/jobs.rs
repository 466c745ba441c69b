//! Jobs of small shell tools and of the raster tools, run by the backend with real processes: this program starts itself
//! again as launcher, as script worker and as `weir-eo`, as `weir` does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may panic and talk"
)]

mod jobs {
    pub mod bench;
    pub mod facade;
    pub mod fixture;
    pub mod kill;
    pub mod ordinary;
    pub mod patterns;
    pub mod processes;
    pub mod web;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if weir_local::launcher::called_as_launcher() {
        return weir_local::launcher::launcher_main();
    }
    if weir_script::called_as_worker() {
        return weir_script::worker_main();
    }
    if std::env::args().next().as_deref() == Some("weir-eo") {
        return weir_raster::main(std::env::args_os());
    }
    if std::env::args().next().as_deref() == Some(jobs::fixture::RUNNER) {
        return jobs::fixture::runner_main();
    }
    if std::env::args().next().as_deref() == Some(jobs::facade::SERVER) {
        return jobs::facade::server_main();
    }
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(jobs::ordinary::trials());
    trials.extend(jobs::processes::trials());
    trials.extend(jobs::kill::trials());
    trials.extend(jobs::facade::trials());
    trials.extend(jobs::patterns::trials());
    trials.extend(jobs::bench::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
