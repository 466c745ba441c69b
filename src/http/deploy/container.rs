//! A container as execution unit (20-044, requirements class "docker") as the CWL tool that it is. Pure.
//!
//! | execution unit | CWL |
//! |---|---|
//! | `image` | DockerRequirement |
//! | `config`: `cpuMin`, `cpuMax` (cores), `memoryMin`, `memoryMax`, `storageTempMin`, `storageOutputsMin` (GB) | ResourceRequirement (cores, MiB) |
//! | `config.jobTimeout` (s) | ToolTimeLimit |
//! | `bindings.inputBindings` | `inputBinding`; without any, each input is given as `--id value` |
//! | `bindings.outputBindings` | `outputBinding`; without one, a file is `id*` or `id.*`, a directory is the working directory |
//! | `command` (not of the standard) | `baseCommand`; without one, the image's name must be known to the image map |

use serde_json::{Map, Value as Json, json};

use super::cwl_type::{array, cwl_type, holds, optional};
use crate::problem::Problem;

/// Bytes of a gigabyte, in which the standard counts, and of a mebibyte, in which CWL counts.
const GB: f64 = 1e9;
const MIB: f64 = 1_048_576.0;

/// Fields of an input's binding that CWL and 20-044 share.
const INPUT_BINDING: [&str; 6] = ["prefix", "position", "separate", "valueFrom", "itemSeparator", "shellQuote"];
/// Fields of an output's binding.
const OUTPUT_BINDING: [&str; 3] = ["glob", "loadContents", "outputEval"];

/// The CWL text of a container. `unit` stands at the JSON pointer `place`; `description` is its process description.
pub fn tool(
    id: &str,
    unit: &Map<String, Json>,
    place: &str,
    description: &Map<String, Json>,
) -> Result<String, Problem> {
    let image = unit.get("image").and_then(Json::as_str).map(str::trim).filter(|image| !image.is_empty());
    let Some(image) = image else {
        return Err(Problem::invalid_parameter(&format!("{place}/image"), "missing", "name the container's image"));
    };
    let bindings = Bindings::of(unit, place)?;
    let mut requirements = Map::new();
    let image = image.strip_prefix("docker://").unwrap_or(image);
    requirements.insert("DockerRequirement".into(), json!({"dockerPull": image}));
    requirements.insert("InlineJavascriptRequirement".into(), json!({}));
    requirements.insert("NetworkAccess".into(), json!({"networkAccess": true}));
    if bindings.wants_shell() {
        requirements.insert("ShellCommandRequirement".into(), json!({}));
    }
    configure(&mut requirements, unit, place)?;

    let mut tool = Map::new();
    tool.insert("cwlVersion".into(), json!("v1.2"));
    tool.insert("class".into(), json!("CommandLineTool"));
    tool.insert("id".into(), json!(id));
    tool.insert("requirements".into(), Json::Object(requirements));
    tool.insert("baseCommand".into(), command(unit, place)?);
    tool.insert("inputs".into(), inputs(description, &bindings)?);
    tool.insert("outputs".into(), outputs(description, &bindings)?);
    serde_json::to_string_pretty(&tool).map_err(Problem::internal)
}

/// `command` or `entrypoint`: a word, or several.
fn command(unit: &Map<String, Json>, place: &str) -> Result<Json, Problem> {
    let Some((key, command)) = ["command", "entrypoint"].iter().find_map(|key| Some((key, unit.get(*key)?))) else {
        return Ok(json!([]));
    };
    let is_words = |words: &Vec<Json>| words.iter().all(Json::is_string);
    match command {
        Json::String(word) => Ok(json!([word])),
        Json::Array(words) if is_words(words) => Ok(command.clone()),
        _ => {
            let right = "write the program and its first arguments as an array of strings";
            Err(Problem::invalid_parameter(&format!("{place}/{key}"), "not a command", right))
        }
    }
}

/// `config` as requirements.
fn configure(requirements: &mut Map<String, Json>, unit: &Map<String, Json>, place: &str) -> Result<(), Problem> {
    let place = format!("{place}/config");
    let config = match unit.get("config") {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::Object(config)) => config,
        Some(_) => return Err(Problem::invalid_parameter(&place, "not an object", "write {\"cpuMin\": 1}")),
    };
    let amount = |key: &str| match config.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => {
            let amount = value.as_f64().filter(|amount| *amount > 0.0 && *amount < 1e9);
            let what = format_args!("{value} is not an amount");
            let wrong = || Problem::invalid_parameter(&format!("{place}/{key}"), what, "write a number above 0");
            amount.map(Some).ok_or_else(wrong)
        }
    };
    let mut resources = Map::new();
    for (low, high, min, max, is_bytes) in [
        ("cpuMin", "cpuMax", "coresMin", "coresMax", false),
        ("memoryMin", "memoryMax", "ramMin", "ramMax", true),
        ("storageTempMin", "", "tmpdirMin", "", true),
        ("storageOutputsMin", "", "outdirMin", "", true),
    ] {
        let (least, most) = (amount(low)?, if high.is_empty() { None } else { amount(high)? });
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let what = format_args!("{least} is more than {high}, which is {most}");
            return Err(Problem::invalid_parameter(&format!("{place}/{low}"), what, "write the least that is needed"));
        }
        for (key, amount) in [(min, least), (max, most)] {
            let Some(amount) = amount else { continue };
            resources.insert(key.into(), if is_bytes { whole((amount * GB / MIB).ceil()) } else { json!(amount) });
        }
    }
    if !resources.is_empty() {
        requirements.insert("ResourceRequirement".into(), Json::Object(resources));
    }
    if let Some(seconds) = amount("jobTimeout")? {
        requirements.insert("ToolTimeLimit".into(), json!({"timelimit": whole(seconds.ceil())}));
    }
    Ok(())
}

/// A number that is a whole one, at least 1 and far below 2^53.
fn whole(amount: f64) -> Json {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "amounts are checked: above 0, below 1e9 GB"
    )]
    let whole = amount as u64;
    json!(whole)
}

/// `bindings` of a unit.
struct Bindings<'a> {
    inputs: Option<&'a Map<String, Json>>,
    outputs: Option<&'a Map<String, Json>>,
}

impl<'a> Bindings<'a> {
    fn of(unit: &'a Map<String, Json>, place: &str) -> Result<Self, Problem> {
        let of_kind = |kind: &str| {
            let Some(bindings) = unit.get("bindings").and_then(|bindings| bindings.get(kind)) else { return Ok(None) };
            let place = format!("{place}/bindings/{kind}");
            let wrong = |place: &str| Problem::invalid_parameter(place, "not an object", "write a binding for each id");
            let bindings = bindings.as_object().ok_or_else(|| wrong(&place))?;
            match bindings.iter().find(|(_, binding)| !binding.is_object()) {
                Some((id, _)) => Err(wrong(&format!("{place}/{id}"))),
                None => Ok(Some(bindings)),
            }
        };
        Ok(Self { inputs: of_kind("inputBindings")?, outputs: of_kind("outputBindings")? })
    }

    fn input(&self, id: &str) -> Option<Json> {
        match self.inputs {
            Some(bindings) => bindings.get(id).map(|binding| only(binding, &INPUT_BINDING)),
            None => Some(json!({"prefix": format!("--{id}")})),
        }
    }

    fn output(&self, id: &str, type_: &Json) -> Option<Json> {
        let has = |class| holds(type_, class);
        let mut binding = match self.outputs.and_then(|bindings| bindings.get(id)) {
            Some(binding) => only(binding, &OUTPUT_BINDING),
            None if has("Directory") => json!({"glob": "."}),
            None if has("File") => json!({"glob": [id, format!("{id}.*")]}),
            // Values without a file are in `cwl.output.json`.
            None => return None,
        };
        if !has("File") && !has("Directory") && binding.get("outputEval").is_none() {
            let text = holds(type_, "string");
            binding["loadContents"] = json!(true);
            binding["outputEval"] =
                json!(if text { "$(self[0].contents.trim())" } else { "$(JSON.parse(self[0].contents))" });
        }
        Some(binding)
    }

    fn wants_shell(&self) -> bool {
        self.inputs.is_some_and(|bindings| bindings.values().any(|binding| binding["shellQuote"] == false))
    }
}

/// Those fields of a binding that are known.
fn only(binding: &Json, fields: &[&str]) -> Json {
    let known = fields.iter().filter_map(|field| Some(((*field).to_owned(), binding.get(*field)?.clone())));
    Json::Object(known.collect())
}

fn inputs(description: &Map<String, Json>, bindings: &Bindings<'_>) -> Result<Json, Problem> {
    let mut inputs = Map::new();
    for (id, described) in described(description, "inputs")? {
        let schema = &described["schema"];
        let several = match &described["maxOccurs"] {
            Json::String(most) => most == "unbounded",
            most => most.as_u64().is_some_and(|most| most > 1),
        };
        let mut type_ = cwl_type(schema);
        if several && schema["type"] != "array" {
            type_ = array(&type_);
        }
        if described["minOccurs"] == 0 {
            type_ = optional(&type_);
        }
        let mut input = Map::new();
        input.insert("type".into(), type_);
        if let Some(default) = schema.get("default") {
            input.insert("default".into(), default.clone());
        }
        if let Some(binding) = bindings.input(id) {
            input.insert("inputBinding".into(), binding);
        }
        inputs.insert(id.clone(), Json::Object(input));
    }
    Ok(Json::Object(inputs))
}

fn outputs(description: &Map<String, Json>, bindings: &Bindings<'_>) -> Result<Json, Problem> {
    let mut outputs = Map::new();
    for (id, described) in described(description, "outputs")? {
        let type_ = cwl_type(&described["schema"]);
        let mut output = Map::new();
        if let Some(binding) = bindings.output(id, &type_) {
            output.insert("outputBinding".into(), binding);
        }
        output.insert("type".into(), type_);
        outputs.insert(id.clone(), Json::Object(output));
    }
    Ok(Json::Object(outputs))
}

/// Inputs or outputs of a process description; each has a schema (18-062r2, `/req/ogc-process-description/input-def`).
fn described<'a>(description: &'a Map<String, Json>, what: &str) -> Result<Vec<(&'a String, &'a Json)>, Problem> {
    let place = format!("/processDescription/{what}");
    let members = match description.get(what) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Object(members)) => members,
        Some(_) => return Err(Problem::invalid_parameter(&place, "not an object", "write one member for each id")),
    };
    for (id, member) in members {
        if !member["schema"].is_object() {
            let right = "write {\"schema\": {\"type\": \"string\"}}";
            return Err(Problem::invalid_parameter(&format!("{place}/{id}/schema"), "not an object", right));
        }
    }
    Ok(members.iter().collect())
}

#[cfg(test)]
mod tests {
    use weir_cwl::load::NoFetch;

    use super::*;

    fn object(value: &Json) -> Map<String, Json> {
        value.as_object().unwrap().clone()
    }

    fn ndvi() -> Map<String, Json> {
        object(&json!({"id": "ndvi", "version": "1", "inputs": {
            "scenes": {"schema": {"type": "string", "contentMediaType": "image/tiff"}, "maxOccurs": "unbounded"},
            "epsg": {"schema": {"type": "string", "default": "EPSG:4326"}, "minOccurs": 0},
        }, "outputs": {
            "ndvi": {"schema": {"type": "string", "contentMediaType": "image/tiff"}},
            "share": {"schema": {"type": "number"}},
        }}))
    }

    fn made(unit: &Json) -> Result<String, String> {
        tool("ndvi", &object(unit), "/executionUnit", &ndvi()).map_err(|problem| problem.detail)
    }

    #[test]
    fn a_container_is_a_tool_with_its_requirements_and_bindings() {
        let text = made(&json!({
            "type": "docker", "image": "docker://eo/ndvi:1", "command": ["ndvi", "-v"],
            "config": {"cpuMin": 2, "cpuMax": 5, "memoryMin": 1, "memoryMax": 3, "storageTempMin": 10, "jobTimeout": 90.5},
            "bindings": {
                "inputBindings": {"scenes": {"position": 2, "itemSeparator": ","}, "epsg": {"prefix": "-t", "position": 1}},
                "outputBindings": {"ndvi": {"glob": "out/*.tif"}, "share": {"glob": "share.txt"}},
            },
        }))
        .unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "cwlVersion": "v1.2",
          "class": "CommandLineTool",
          "id": "ndvi",
          "requirements": {
            "DockerRequirement": {
              "dockerPull": "eo/ndvi:1"
            },
            "InlineJavascriptRequirement": {},
            "NetworkAccess": {
              "networkAccess": true
            },
            "ResourceRequirement": {
              "coresMin": 2.0,
              "coresMax": 5.0,
              "ramMin": 954,
              "ramMax": 2862,
              "tmpdirMin": 9537
            },
            "ToolTimeLimit": {
              "timelimit": 91
            }
          },
          "baseCommand": [
            "ndvi",
            "-v"
          ],
          "inputs": {
            "scenes": {
              "type": {
                "type": "array",
                "items": "File"
              },
              "inputBinding": {
                "position": 2,
                "itemSeparator": ","
              }
            },
            "epsg": {
              "type": [
                "null",
                "string"
              ],
              "default": "EPSG:4326",
              "inputBinding": {
                "prefix": "-t",
                "position": 1
              }
            }
          },
          "outputs": {
            "ndvi": {
              "outputBinding": {
                "glob": "out/*.tif"
              },
              "type": "File"
            },
            "share": {
              "outputBinding": {
                "glob": "share.txt",
                "loadContents": true,
                "outputEval": "$(JSON.parse(self[0].contents))"
              },
              "type": "double"
            }
          }
        }
        "#);
        let package = weir_cwl::load_text("weir:package.cwl", &text, Some("ndvi"), &NoFetch).unwrap();
        assert!(!weir_cwl::check::check(&package).has_errors() && weir_cwl::check::unsupported(&package).is_empty());
    }

    #[test]
    fn without_bindings_every_input_is_an_option_and_outputs_are_named_by_their_id() {
        let text = made(&json!({"type": "docker", "image": "eo/ndvi"})).unwrap();
        let made: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(made["inputs"]["epsg"]["inputBinding"], json!({"prefix": "--epsg"}));
        assert_eq!(made["outputs"]["ndvi"]["outputBinding"]["glob"], json!(["ndvi", "ndvi.*"]));
        assert_eq!(made["outputs"]["share"].get("outputBinding"), None);
        weir_cwl::load_text("weir:package.cwl", &text, Some("ndvi"), &NoFetch).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_container_is_told_by_its_json_pointer() {
        let units = [
            json!({"type": "docker"}),
            json!({"image": "a", "config": 1}),
            json!({"image": "a", "config": {"cpuMin": 0}}),
            json!({"image": "a", "config": {"memoryMin": 4, "memoryMax": 2}}),
            json!({"image": "a", "command": [1]}),
            json!({"image": "a", "bindings": {"inputBindings": {"epsg": "-t"}}}),
        ];
        insta::assert_snapshot!(units.map(|unit| made(&unit).unwrap_err()).join("\n"), @r#"
        /executionUnit/image: missing; name the container's image
        /executionUnit/config: not an object; write {"cpuMin": 1}
        /executionUnit/config/cpuMin: 0 is not an amount; write a number above 0
        /executionUnit/config/memoryMin: 4 is more than memoryMax, which is 2; write the least that is needed
        /executionUnit/command: not a command; write the program and its first arguments as an array of strings
        /executionUnit/bindings/inputBindings/epsg: not an object; write a binding for each id
        "#);
        let description = object(&json!({"inputs": {"a": {"title": "A"}}}));
        let problem = tool("a", &object(&json!({"image": "a"})), "", &description).unwrap_err();
        assert!(problem.detail.starts_with("/processDescription/inputs/a/schema: "), "{}", problem.detail);
    }
}
