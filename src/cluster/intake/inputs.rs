//! The input object of a job, checked against its process. Pure.

use kube::ResourceExt as _;
use weir_api::data_url::{self, is_data_url};
use weir_api::kubernetes::Process;
use weir_cwl::job::{InputObject, Inputs};
use weir_cwl::source::Source;
use weir_cwl::stage_in;
use weir_cwl::value::EntryRef;
use weir_cwl::{Diagnostics, Package, Value};

/// The text of an input object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputText {
    /// What messages call it: `spec.inputs`, or the key in the store.
    pub name: String,
    /// JSON.
    pub text: String,
    /// Whether its lines are those that its author wrote.
    pub has_lines: bool,
}

/// What a Process gives where a job gives nothing.
pub fn defaults(process: &Process) -> Option<InputText> {
    let defaults = process.spec.defaults.as_ref()?;
    let name = format!("spec.defaults of Process {}", process.name_any());
    Some(InputText { name, text: format!("{defaults:#}"), has_lines: false })
}

/// Checks inputs, laid over defaults, against the package's entry.
pub fn checked(defaults: Option<&InputText>, inputs: &InputText, package: &Package) -> Result<Inputs, String> {
    let mut object = parsed(inputs)?;
    if let Some(defaults) = defaults {
        let given = std::mem::replace(&mut object, parsed(defaults)?);
        object.overlay(given);
    }
    let found = object.inputs(package).map_err(|found| told(inputs, found))?;
    reachable(&found, inputs)?;
    Ok(found)
}

/// The package with a Process's defaults laid over its own.
pub fn with_defaults(package: Package, defaults: &InputText) -> Result<Package, String> {
    weir_cwl::job::with_defaults(package, &parsed(defaults)?).map_err(|found| told(defaults, found))
}

fn parsed(inputs: &InputText) -> Result<InputObject, String> {
    let url = base(&inputs.name);
    let source = Source::named(Some(inputs.name.clone()), &url, inputs.text.clone());
    InputObject::from_source(&source).map_err(|found| told(inputs, found))
}

/// Where relative locations would lead, if there were any place.
fn base(name: &str) -> String {
    format!("weir:inputs/{name}")
}

/// Messages with their places, if those mean something to the author.
fn told(inputs: &InputText, mut found: Diagnostics) -> String {
    if inputs.has_lines {
        return found.to_string();
    }
    let told = found.0.iter_mut().map(|one| {
        one.span = None;
        format!("{}: {one}", inputs.name)
    });
    told.collect::<Vec<_>>().join("\n")
}

/// Every file must be somewhere that a pod can read, or be staged in from there.
fn reachable(inputs: &Inputs, text: &InputText) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (id, value) in inputs.values.iter().filter(|(_, value)| !stage_in::is_staged(value)) {
        value.for_each_entry(&mut |entry| {
            let Some(location) = entry.location() else { return };
            let is_file = matches!(entry, EntryRef::File(_));
            if is_file && is_data_url(location) {
                if data_url::decode(location).is_none() {
                    let name = &text.name;
                    wrong.push(format!("{name}: error: the data URL of input '{id}' is no valid one\nhelp: give its bytes in base64"));
                }
            } else if !location.starts_with("http://") && !location.starts_with("https://") {
                let class = if is_file { "File" } else { "Directory" };
                let location = location.strip_prefix("weir:inputs/").unwrap_or(location);
                wrong.push(format!(
                    "{}: error: the {class} `{location}` of input '{id}' cannot be read by the pods of a cluster\nhelp: give an http, https or s3 URL, or a literal",
                    text.name
                ));
            }
        });
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The same for files that the package itself names as defaults.
pub fn unreachable_defaults(package: &Package) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, process) in package.processes.iter().enumerate() {
        let header = process.header();
        let is_entry = at == package.entry.0;
        let defaults = header.inputs.iter().filter_map(|input| Some((&input.id, input.default.as_ref()?)));
        for (id, value) in defaults.filter(|(_, value)| !(is_entry && stage_in::is_staged(value))) {
            for location in unreachable_locations(value) {
                wrong.push(format!(
                    "{}: error: the default `{location}` of input '{id}' of '{}' cannot be read by the pods of a cluster\nhelp: give an http or https URL, or a literal",
                    header.span, header.id
                ));
            }
        }
    }
    wrong
}

fn unreachable_locations(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    value.for_each_entry(&mut |entry| {
        let location = entry.location().filter(|at| !at.starts_with("http://") && !at.starts_with("https://"));
        found.extend(location.map(str::to_owned));
    });
    found
}

#[cfg(test)]
mod tests {
    use weir_cwl::load::NoFetch;

    use super::*;

    fn package() -> Package {
        let text = "
cwlVersion: v1.2
class: CommandLineTool
id: tool
baseCommand: tool
inputs:
  aoi: {type: string, label: area of interest}
  bands: {type: 'string[]', default: [green]}
  count: int?
  scene: File?
outputs: {}
";
        weir_cwl::load_text("weir:p.cwl", text, None, &NoFetch).unwrap()
    }

    fn inline(text: &str) -> InputText {
        InputText { name: "spec.inputs".to_owned(), text: text.to_owned(), has_lines: false }
    }

    fn refusal(text: &str) -> String {
        checked(None, &inline(text), &package()).unwrap_err()
    }

    #[test]
    fn a_wrong_input_is_named_with_what_would_be_right() {
        insta::assert_snapshot!(refusal("{}"), @"
        spec.inputs: error: the input 'aoi' is missing
        help: give `aoi` of type string: area of interest
        ");
        insta::assert_snapshot!(refusal(r#"{"aoi": 1, "bands": ["red", 2]}"#), @"
        spec.inputs: error: the value must be of type string, not an integer (at /aoi)
        help: put it in quotes
        spec.inputs: error: the value must be of type string, not an integer (at /bands/1)
        help: put it in quotes
        ");
        insta::assert_snapshot!(refusal(r#"{"aoi": "a", "count": 1.5}"#), @"spec.inputs: error: the value must be of type int, not a number with a fraction (at /count)");
        insta::assert_snapshot!(refusal("[]"), @"spec.inputs: error: an input object must be a mapping from inputs to values, not a list");
    }

    #[test]
    fn an_unknown_input_is_a_warning() {
        let inputs = checked(None, &inline(r#"{"aoi": "a", "bnds": []}"#), &package()).unwrap();
        insta::assert_snapshot!(inputs.warnings, @r#"
        spec.inputs:1:14: warning: the process has no input 'bnds'
         1 | {"aoi": "a", "bnds": []}
           |              ^^^^^^
        help: did you mean 'bands'?
        "#);
    }

    #[test]
    fn files_must_be_somewhere_that_pods_can_read_i9() {
        assert!(
            refusal(r#"{"aoi": "a", "scene": {"class": "File", "location": "data:;base64,?"}}"#)
                .contains("is no valid one")
        );
        for bad in ["file:///etc/passwd", "scene.tif", "weir:3/out.tif", "gs://bucket/scene.tif", "../x"] {
            let text = format!(r#"{{"aoi": "a", "scene": {{"class": "File", "location": "{bad}"}}}}"#);
            assert!(refusal(&text).contains("cannot be read by the pods of a cluster"), "{bad}");
        }
        insta::assert_snapshot!(refusal(r#"{"aoi": "a", "scene": {"class": "File", "path": "scene.tif"}}"#), @"
        spec.inputs: error: the File `scene.tif` of input 'scene' cannot be read by the pods of a cluster
        help: give an http, https or s3 URL, or a literal
        ");
        for good in [
            r#""location": "https://example.org/scene.tif""#,
            r#""location": "s3://bucket/scene.tif""#,
            r#""location": "data:image/tiff;base64,SUkqAA==""#,
            r#""contents": "text", "basename": "a.txt""#,
        ] {
            let text = format!(r#"{{"aoi": "a", "scene": {{"class": "File", {good}}}}}"#);
            checked(None, &inline(&text), &package()).unwrap();
        }
    }

    #[test]
    fn inputs_win_over_the_defaults_of_the_process_and_those_over_the_package() {
        let defaults = inline(r#"{"aoi": "d", "bands": ["nir"], "count": 1}"#);
        let inputs = checked(Some(&defaults), &inline(r#"{"count": 2}"#), &package()).unwrap();
        assert_eq!(
            weir_cwl::json::compact(&Value::Record(inputs.values)),
            r#"{"aoi":"d","bands":["nir"],"count":2,"scene":null}"#
        );
    }
}
