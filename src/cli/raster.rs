//! `weir-eo` as a part of this program: the raster tools, within the rules that the environment states.

use std::process::ExitCode;

use weir_fetch::Rules;
use weir_local::reach::{NOWHERE, VARIABLE};

use super::exit;

/// Runs the tool that the arguments name. A staging step of other people's jobs is told from where it may fetch.
pub fn main() -> ExitCode {
    if let Some(text) = std::env::var_os(VARIABLE) {
        match Rules::parse(&text.to_string_lossy()) {
            Ok(rules) => {
                let allows = move |host: &str, address| rules.allow_host(host) || rules.allow_address(address);
                weir_raster::source::http::judge_by(allows, NOWHERE);
            }
            Err(error) => {
                eprintln!("weir-eo: {VARIABLE}: {error}");
                return ExitCode::from(exit::FAILURE);
            }
        }
    }
    weir_raster::main(std::env::args_os())
}
