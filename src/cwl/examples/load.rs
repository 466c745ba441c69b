//! Loads every CWL document below a directory and prints what does not load: `cargo run -p weir-cwl --example load -- DIR`.
//! With a package and an input object, `-- PACKAGE INPUTS`, it checks the one against the other.

#![allow(clippy::print_stdout, reason = "the listing is what this program is for")]

use std::path::{Path, PathBuf};

use weir_cwl::job::InputObject;
use weir_cwl::{Diagnostics, Fetch, FetchError, load, uri};

struct Files;

impl Fetch for Files {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        let path = uri::to_path(url).ok_or_else(|| FetchError("only files are read here".to_owned()))?;
        std::fs::read_to_string(path).map_err(|error| FetchError(error.to_string()))
    }
}

fn documents(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            documents(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "cwl") {
            found.push(path);
        }
    }
    Ok(())
}

/// Checks an input object against a package and prints what is found.
fn check_inputs(package: &str, inputs: &str) -> std::io::Result<Result<(), Diagnostics>> {
    let (path, fragment) = uri::split_fragment(package);
    let url = uri::from_path(&std::fs::canonicalize(path)?.to_string_lossy());
    let reference = fragment.map_or(url.clone(), |fragment| format!("{url}#{fragment}"));
    let inputs_path = std::fs::canonicalize(inputs)?;
    let text = std::fs::read_to_string(&inputs_path)?;
    let checked = load(&reference, &Files).and_then(|package| {
        let object = InputObject::parse(&uri::from_path(&inputs_path.to_string_lossy()), &text)?;
        object.inputs(&package)
    });
    Ok(checked.map(|inputs| println!("{:#?}\n{}", inputs.values, inputs.warnings)))
}

fn main() -> std::io::Result<()> {
    if let (Some(package), Some(inputs)) = (std::env::args().nth(1), std::env::args().nth(2)) {
        if let Err(diagnostics) = check_inputs(&package, &inputs)? {
            println!("REFUSED\n{diagnostics}");
        }
        return Ok(());
    }
    let root = std::env::args().nth(1).or_else(|| std::env::var("CWL_SUITE").ok()).unwrap_or_else(|| ".".to_owned());
    let root = std::fs::canonicalize(root)?;
    let mut found = Vec::new();
    if root.is_dir() {
        documents(&root, &mut found)?;
    } else {
        found.push(root);
    }
    found.sort();
    let (mut loaded, mut refused) = (0, 0);
    for path in &found {
        match load(&uri::from_path(&path.to_string_lossy()), &Files) {
            Ok(package) => {
                loaded += 1;
                let mut notes = package.warnings.clone();
                notes.0.extend(weir_cwl::check::check(&package).0);
                if !notes.0.is_empty() {
                    println!("== {}\n{notes}\n", path.display());
                }
            }
            Err(diagnostics) => {
                refused += 1;
                println!("== REFUSED {}\n{diagnostics}\n", path.display());
            }
        }
    }
    println!("{loaded} of {} documents load, {refused} are refused", found.len());
    Ok(())
}
