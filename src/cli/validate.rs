//! `weir validate`: every mistake of a package with its place, or else its OGC process description.

use std::process::ExitCode;

use anyhow::Result;
use weir_cwl::description::process_description;
use weir_cwl::diagnostic::Severity;

use super::documents::{self, Documents};
use super::{ValidateArgs, exit, print_line};

/// Checks a package, and inputs if any are given.
pub fn validate(args: &ValidateArgs) -> Result<ExitCode> {
    let package = weir_cwl::load(&documents::reference(&args.package)?, &Documents)?;
    let findings = weir_cwl::check::check(&package);
    for finding in &findings.0 {
        eprintln!("{finding}\n");
    }
    let mut errors = findings.0.iter().filter(|finding| finding.severity == Severity::Error).count();
    if let Some(path) = &args.inputs {
        let process = &package.processes[package.entry.0];
        match super::inputs::read_file(path, process) {
            Ok(_) => {}
            Err(error) => {
                eprintln!("{error}");
                errors += 1;
            }
        }
    }
    if errors > 0 {
        return Ok(exit::FAILURE);
    }
    if !args.quiet {
        print_line(&format!("{:#}", process_description(&package)));
    }
    Ok(ExitCode::SUCCESS)
}
