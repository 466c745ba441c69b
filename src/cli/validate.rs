//! `weir validate`: every mistake of a package with its place, or else its OGC process description.

use std::process::ExitCode;

use anyhow::Result;
use weir_cwl::description::process_description;

use super::documents::{self, Documents};
use super::{ValidateArgs, findings, inputs, print_line};

/// Checks a package, and inputs if any are given.
pub fn validate(args: &ValidateArgs) -> Result<ExitCode> {
    let package = weir_cwl::load(&documents::reference(&args.package)?, &Documents)?;
    if let Some(refused) = findings::tell(&package)? {
        return Ok(refused);
    }
    if let Some(path) = &args.inputs {
        findings::show(&inputs::read(Some(path), &[], &package)?.warnings);
    }
    if !args.quiet {
        print_line(&format!("{:#}", process_description(&package)));
    }
    Ok(ExitCode::SUCCESS)
}
