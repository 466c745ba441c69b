//! What is wrong with a package, told to people.

use std::process::ExitCode;

use anyhow::Result;
use weir_cwl::{Diagnostics, Package};

use super::exit;

/// Tells what `check` finds. `Some` is the exit code of a package that cannot run here.
pub fn tell(package: &Package) -> Result<Option<ExitCode>> {
    let found = weir_cwl::check::check(package);
    if found.has_errors() {
        return Err(found.into());
    }
    warn(&found);
    let unsupported = weir_cwl::check::unsupported(package);
    for one in &unsupported {
        eprintln!("{}: error: weir does not support `{}`", one.span, one.class);
    }
    Ok((!unsupported.is_empty()).then(|| ExitCode::from(exit::UNSUPPORTED)))
}

/// Shows warnings.
pub fn warn(diagnostics: &Diagnostics) {
    for diagnostic in &diagnostics.0 {
        eprintln!("{diagnostic}\n");
    }
}
