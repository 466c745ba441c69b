//! `weir-eo` as a part of this program: the raster tools, within the rules that the environment states.

use std::process::ExitCode;

use weir_fetch::Rules;
use weir_local::reach::{Beyond, VARIABLE};

use super::exit;

/// Runs the tool that the arguments name. A staging step of other people's jobs is told from where it may fetch.
pub fn main() -> ExitCode {
    if let Some(text) = std::env::var_os(VARIABLE) {
        match Rules::parse(&text.to_string_lossy()) {
            Ok(rules) => weir_raster::source::http::judge_by(move |host, address| {
                let is_allowed = rules.allow_host(host) || rules.allow_address(address);
                if is_allowed { Ok(()) } else { Err(Beyond(address).to_string()) }
            }),
            Err(error) => {
                eprintln!("weir-eo: {VARIABLE}: {error}");
                return ExitCode::from(exit::FAILURE);
            }
        }
    }
    weir_raster::main(std::env::args_os())
}
