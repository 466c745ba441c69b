//! The program `weir`: parse, dispatch, exit code.
//!
//! One binary plays several parts, chosen by the name it is called by: `weir-eo` (the raster tools), `cwl-runner` (the
//! contract of the CWL conformance suite), and the helpers that weir starts for itself, the launcher of tools and the
//! worker that evaluates JavaScript.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread exists: these parts give up rights or become a subreaper.
    if weir_script::called_as_worker() {
        return weir_script::worker_main();
    }
    #[cfg(feature = "embedded")]
    if weir_local::launcher::called_as_launcher() {
        return weir_local::launcher::launcher_main();
    }
    #[cfg(feature = "embedded")]
    if cli::called_as("weir-eo") {
        return cli::raster::main();
    }
    // The one provider of cryptography; whoever needs TLS asks for it. Only a second call can fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::main()
}
