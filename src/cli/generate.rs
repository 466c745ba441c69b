//! `weir generate`: files of the repository that follow from the program. They are checked in, and a test keeps them true.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use weir_api::kubernetes::custom_resources;

use super::{GenerateArgs, Generated, print_line};

/// One file.
struct Document {
    /// Name in the folder.
    name: String,
    text: String,
}

/// Writes the files, or with `--check` compares them.
pub fn generate(args: &GenerateArgs) -> Result<ExitCode> {
    let (what, dir, only_check, documents) = match &args.what {
        Generated::Crds(args) => ("crds", &args.dir, args.check, crds()?),
        Generated::Openapi(args) => ("openapi", &args.dir, args.check, vec![openapi()]),
    };
    if only_check { check(what, dir, &documents) } else { write(dir, &documents) }
}

fn openapi() -> Document {
    Document { name: "openapi.json".to_owned(), text: weir_http::openapi::definition_text() }
}

fn crds() -> Result<Vec<Document>> {
    let documents = custom_resources().map(|definition| {
        let name = format!("{}.yaml", definition.spec.names.plural);
        // By way of JSON, whose numbers say what they are: 100.0 is 100.
        let value = plain_numbers(serde_json::to_value(&definition)?);
        let yaml = serde_saphyr::to_string(&value).with_context(|| format!("cannot write {name}"))?;
        let text = format!("# Made by `weir generate crds` from src/api/kubernetes.\n{yaml}");
        Ok(Document { name, text })
    });
    documents.into_iter().collect()
}

/// Bounds are whole numbers, whatever the type that carries them.
fn plain_numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
        Value::Number(number) => match number.as_f64().map(|float| (float, float as i64)) {
            #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "only exact integers are replaced")]
            Some((float, whole)) if number.is_f64() && whole as f64 == float => Value::from(whole),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(plain_numbers).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, plain_numbers(value))).collect(),
        other => other,
    }
}

fn write(dir: &Path, documents: &[Document]) -> Result<ExitCode> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for Document { name, text } in documents {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print_line(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn check(what: &str, dir: &Path, documents: &[Document]) -> Result<ExitCode> {
    let wrong: Vec<PathBuf> = documents
        .iter()
        .map(|document| (dir.join(&document.name), &document.text))
        .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(*text))
        .map(|(path, _)| path)
        .collect();
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<String> = wrong.iter().map(|path| path.display().to_string()).collect();
    bail!(
        "not what this program generates: {}; mend it with `cargo run -- generate {what} --dir {}`",
        names.join(", "),
        dir.display()
    )
}
