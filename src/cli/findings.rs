//! What is wrong with a package, told to people.

use std::process::ExitCode;

use anyhow::Result;
use weir_cwl::{Diagnostics, Package};

use super::exit;

/// Tells what `check` finds. `Some` is the exit code of a package that cannot run here.
pub fn tell(package: &Package) -> Result<Option<ExitCode>> {
    let mut found = weir_cwl::check::check(package);
    if found.has_errors() {
        return Err(found.into());
    }
    let unsupported = weir_cwl::check::unsupported(package);
    // Of these the error says it all.
    found.0.retain(|one| unsupported.iter().all(|unsupported| one.span.as_ref() != Some(&unsupported.span)));
    found.0.extend(unsupported.iter().map(|one| one.diagnostic()));
    show(&found);
    Ok(found.has_errors().then(|| ExitCode::from(exit::UNSUPPORTED)))
}

/// Shows messages.
pub fn show(diagnostics: &Diagnostics) {
    for diagnostic in &diagnostics.0 {
        eprintln!("{diagnostic}\n");
    }
}
