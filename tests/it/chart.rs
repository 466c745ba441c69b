//! The Helm chart and the manifests beside what they are derived from. What needs helm or a cluster is in tests/e2e.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{Workshop, repository};

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(repository(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_chart_has_the_custom_resources_of_this_repository() {
    let copies = "charts/weir/files/crds";
    assert_eq!(names(copies), names("crds"), "charts/update copies them");
    for name in names("crds") {
        assert!(read(&format!("{copies}/{name}")) == read(&format!("crds/{name}")), "{name}: charts/update copies it");
    }
}

#[test]
fn the_process_holds_the_package_that_the_demo_runs() {
    let process = read("manifests/water-bodies/process.yaml");
    let (_, block) = process.split_once("\n    inline: |\n").unwrap();
    let lines = block.lines().map(|line| line.strip_prefix("      ").unwrap_or(line));
    let package: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert!(package == read("manifests/water-bodies/water-bodies.cwl"), "charts/update makes process.yaml");
}

/// All words `WEIR_…` of a text.
fn variables(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter(|word| word.starts_with("WEIR_")).collect()
}

#[test]
fn every_option_of_the_operator_is_a_value_of_the_chart() {
    let help = Workshop::new().weir_ok(&["operator", "--help"]).stdout;
    let (known, given) = (variables(&help), read("charts/weir/templates/_environment.tpl"));
    let given = variables(&given);
    // The image is the chart's, so packages' name for it is no site's choice; keys are variables and not files.
    let left_out = BTreeSet::from(["WEIR_OWN_IMAGES", "WEIR_STORE_CREDENTIALS_DIR"]);
    assert_eq!(given.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "not known to `weir operator`");
    assert_eq!(known.difference(&given).copied().collect::<BTreeSet<_>>(), left_out, "not given by the chart");
}

#[test]
fn every_value_that_the_schema_knows_is_explained() {
    let schema: Value = serde_json::from_str(&read("charts/weir/values.schema.json")).unwrap();
    let values = read("charts/weir/values.yaml");
    let mut unexplained = Vec::new();
    collect(&schema, "", &mut |path, name| {
        let key = format!("{name}:");
        let mut places = values.match_indices(&key);
        if !places.any(|(at, _)| !values[..at].ends_with(char::is_alphanumeric)) {
            unexplained.push(format!("{path}.{name}"));
        }
    });
    // Helm's own, of no use here.
    assert_eq!(unexplained, [".global"]);
}

/// Calls `each` with the path and name of every property of a schema, those of its definitions left out.
fn collect(schema: &Value, path: &str, each: &mut impl FnMut(&str, &str)) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        each(path, name);
        collect(inner, &format!("{path}.{name}"), each);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], path, each);
    }
}
