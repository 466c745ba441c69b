//! `weir-agent install DIR` puts the shim into the pod's shared volume; `weir-agent run` serves one incarnation.

use std::path::Path;
use std::process::ExitCode;

use weir_agent::incarnation;
use weir_agent::install::install;
use weir_agent::settings::Settings;

/// Exit code of a command line or an environment that makes no sense.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["install", folder] => match install(Path::new(folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("weir-agent: cannot install the shim in `{folder}`: {error}");
                ExitCode::FAILURE
            }
        },
        ["run"] => run(false),
        // For tests only: the token travels in the clear.
        ["run", "--allow-http"] => run(true),
        _ => {
            eprintln!("usage: weir-agent install DIR | weir-agent run");
            ExitCode::from(USAGE)
        }
    }
}

fn run(allow_http: bool) -> ExitCode {
    match Settings::read(|name| std::env::var(name).ok(), allow_http) {
        Ok(settings) => incarnation::run(&settings),
        Err(error) => {
            eprintln!("weir-agent: {error}");
            ExitCode::from(USAGE)
        }
    }
}
