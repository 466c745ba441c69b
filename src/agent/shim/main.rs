//! `weir-shim [FOLDER]`: runs the tool of the step's pod. `FOLDER` is the shared volume, `/weir` unless given.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| "/weir".into());
    weir_agent::shim::main(Path::new(&folder))
}
