//! What a document means: entries, ids, types, imports, defaults.

use std::collections::HashMap;

use super::documents::{MULTI_SCENE, Texts, load_all, load_one, tool, workflow};
use crate::diagnostic::Diagnostics;
use crate::document::{CwlVersion, Port, Process};
use crate::load::{load_text, requirement};
use crate::requirement::WorkDirEntry;
use crate::schema::Type;
use crate::value::{Number, Value};

#[test]
fn the_published_multi_scene_shape_loads() {
    let package = load_one(MULTI_SCENE).unwrap();
    let workflow = workflow(&package);
    assert_eq!(workflow.header.id, "water-bodies");
    assert_eq!(workflow.header.version, CwlVersion::V1_0);
    assert_eq!(package.processes.len(), 5);
    assert_eq!(package.warnings, Diagnostics::default());
    let metadata: Vec<&str> = package.metadata.keys().map(String::as_str).collect();
    assert_eq!(metadata, ["s:softwareVersion", "s:codeRepository", "s:author"]);
    let ids: Vec<&str> = workflow.header.inputs.iter().map(|input| input.id.as_str()).collect();
    assert_eq!(ids, ["aoi", "epsg", "stac_items", "bands"]);
    assert_eq!(workflow.header.inputs[2].type_source, "string[]");
    let output = &workflow.outputs[0];
    assert_eq!(output.link.sources, [Port::Step { step: 1, output: "stac_catalog".to_owned() }]);
    assert!(output.link.is_list);
    assert_eq!(workflow.steps[0].scatter.as_ref().unwrap().inputs, ["item"]);
    assert_eq!(workflow.steps[0].inputs[0].link.sources, [Port::Input("stac_items".to_owned())]);

    let crop = package.processes.iter().find(|process| process.header().id == "crop").unwrap();
    let Process::CommandLineTool(crop) = crop else { panic!() };
    assert_eq!(crop.header.hints.docker.as_ref().unwrap().pull.as_deref(), Some("localhost/crop:latest"));
    assert!(requirement::is_literal(crop.header.hints.network_access.as_ref(), &true), "v1.0 has the network");
    assert_eq!(crop.header.hints.load_listing, Some(crate::schema::LoadListing::Deep));
    assert_eq!(crop.header.requirements.env_var.as_ref().unwrap()[1].name, "PYTHONPATH");
    let stac = package.processes.iter().find(|process| process.header().id == "stac").unwrap();
    let Type::Array(items) = &stac.header().inputs[0].type_ else { panic!() };
    assert_eq!(items.input_binding.as_ref().unwrap().prefix.as_deref(), Some("--input-item"));
    assert_eq!(stac.header().inputs[0].type_source, "string[]");
}

#[test]
fn the_single_scene_shape_loads_as_json_with_tabs() {
    let text = r##"{
	"cwlVersion": "v1.2",
	"$graph": [
		{"class": "Workflow", "id": "#water-bodies", "inputs": [{"id": "#water-bodies/item", "type": "Directory", "doc": "\ud83d\udef0"}],
		 "outputs": [{"id": "#water-bodies/cat", "type": "Directory", "outputSource": ["#water-bodies/node_stac/cat"]}],
		 "steps": [{"id": "#water-bodies/node_stac", "run": "#stac.cwl", "in": [{"id": "#water-bodies/node_stac/item", "source": "#water-bodies/item"}],
		            "out": ["#water-bodies/node_stac/cat"]}]},
		{"class": "CommandLineTool", "id": "#stac.cwl", "baseCommand": "stac", "inputs": [{"id": "#stac.cwl/item", "type": "Directory"}],
		 "outputs": [{"id": "#stac.cwl/cat", "type": "Directory", "outputBinding": {"glob": "."}}]}
	]
}"##;
    let package = load_one(text).unwrap();
    let workflow = workflow(&package);
    assert_eq!(workflow.header.id, "water-bodies");
    assert_eq!(workflow.header.inputs[0].doc.as_deref(), Some("\u{1F6F0}"));
    assert_eq!(workflow.outputs[0].link.sources, [Port::Step { step: 0, output: "cat".to_owned() }]);
    assert_eq!(package.processes[workflow.steps[0].run.0].header().id, "stac.cwl");
}

#[test]
fn a_fragment_a_main_or_the_top_workflow_is_the_entry() {
    let tool =
        |id: &str| format!("  - {{class: CommandLineTool, id: {id}, inputs: [], outputs: [], baseCommand: x}}\n");
    let graph = |tools: &[&str]| {
        let tools: String = tools.iter().map(|id| tool(id)).collect();
        format!("cwlVersion: v1.2\n$graph:\n{tools}")
    };
    let fetch = Texts(HashMap::new());
    let entry = |text: &str, fragment| {
        load_text("file:///p/a.cwl", text, fragment, &fetch).map(|p| p.processes[p.entry.0].header().id.clone())
    };
    assert_eq!(entry(&graph(&["first", "main"]), None).unwrap(), "main");
    assert_eq!(entry(&graph(&["first", "main"]), Some("first")).unwrap(), "first");
    assert_eq!(entry(&graph(&["only"]), None).unwrap(), "only");
    assert_eq!(entry(MULTI_SCENE, None).unwrap(), "water-bodies");
    assert_eq!(entry(MULTI_SCENE, Some("detect_water_body")).unwrap(), "detect_water_body");
    insta::assert_snapshot!(entry(&graph(&["first", "second"]), None).unwrap_err(), @r#"
    /p/a.cwl:1:1: error: the document holds several processes and none of them is called 'main'
     1 | cwlVersion: v1.2
       | ^
    help: add '#' and one of their ids to the reference: first, second
    "#);
    insta::assert_snapshot!(entry(&graph(&["first", "second"]), Some("secnd")).unwrap_err(), @r#"
    /p/a.cwl:1:1: error: there is no process '#secnd' in /p/a.cwl
     1 | cwlVersion: v1.2
       | ^
    help: did you mean '#second'?
    "#);
}

#[test]
fn imports_keep_the_place_that_their_references_are_relative_to() {
    let main = r"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
requirements:
  - $import: sub/req.yml
  - class: InlineJavascriptRequirement
    expressionLib:
      - $include: sub/lib.js
inputs:
  a: {$import: sub/input.yml}
  b: sub/types.yml#pair
outputs: []
";
    let texts = [
        ("a.cwl", main),
        ("sub/req.yml", "class: SchemaDefRequirement\ntypes:\n  - $import: types.yml\n"),
        (
            "sub/types.yml",
            "- {name: pair, type: record, fields: {x: one, y: one?}}\n- {name: one, type: enum, symbols: [p, q]}\n",
        ),
        ("sub/input.yml", "type: File\ndefault: {class: File, path: 'data/item #1.txt'}\n"),
        ("sub/lib.js", "function f() { return 1; }"),
    ];
    let package = load_all(&texts).unwrap();
    let tool = tool(&package);
    let Some(Value::File(file)) = &tool.header.inputs[0].default else { panic!() };
    assert_eq!(file.location.as_deref(), Some("file:///p/sub/data/item%20%231.txt"));
    let Type::Record(record) = &tool.header.inputs[1].type_ else { panic!() };
    assert!(matches!(&record.fields[0].type_, Type::Enum(symbols) if symbols.symbols == ["p", "q"]));
    assert_eq!(record.fields[1].type_.to_string(), "one?");
    assert_eq!(tool.header.requirements.inline_javascript.as_ref().unwrap().expression_lib.len(), 1);
    let ring = [("a.cwl", "inputs: {$import: b.yml}"), ("b.yml", "x: {$import: b.yml}")];
    insta::assert_snapshot!(load_all(&ring).unwrap_err(), @r#"
    /p/b.yml:1:14: error: b.yml imports itself: b.yml -> b.yml
     1 | x: {$import: b.yml}
       |              ^^^^^
    "#);
}

#[test]
fn the_community_schemas_are_built_in() {
    for revision in ["main", "refs/heads/develop", "0.1.0"] {
        let base = format!("https://raw.githubusercontent.com/eoap/schemas/{revision}");
        let text = format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: x\noutputs: []\nrequirements:\n  SchemaDefRequirement:\n    types:\n\
             \x20     - $import: {base}/string_format.yaml\n      - $import: {base}/ogc.yaml\n      - $import: {base}/geojson.yaml\n\
             \x20     - $import: {base}/stac.yaml\ninputs:\n  url: {base}/string_format.yaml#URI\n  box: {base}/ogc.yaml#BBox\n\
             \x20 feature: {base}/geojson.yaml#FeatureCollection?\n  item: {base}/stac.yaml#Item[]\n"
        );
        let package = load_one(&text).unwrap();
        let types: Vec<String> = tool(&package).header.inputs.iter().map(|input| input.type_.to_string()).collect();
        assert_eq!(types, ["URI", "BBox", "FeatureCollection?", "Item[]"]);
        let Type::Record(url) = &tool(&package).header.inputs[0].type_ else { panic!() };
        assert_eq!(url.name.as_deref(), Some(format!("{base}/string_format.yaml#URI").as_str()));
        assert_eq!(url.fields[0].name, "value");
    }
    // Without the import, the reference alone is enough.
    let text = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: x\noutputs: []\ninputs:\n  url: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI\n";
    assert_eq!(tool(&load_one(text).unwrap()).header.inputs[0].type_.to_string(), "URI");
}

#[test]
fn streams_become_files_with_stable_names() {
    let text = "cwlVersion: v1.2\nclass: CommandLineTool\nid: a/b c\nbaseCommand: cat\ninputs: {'in put': stdin}\noutputs: {out: stdout, err: stderr}\nstderr: log.txt";
    let package = load_one(text).unwrap();
    let tool = tool(&package);
    assert_eq!(tool.stdout.as_ref().unwrap().source, "b_c.stdout");
    assert_eq!(tool.outputs[0].output_binding.as_ref().unwrap().glob[0].source, "b_c.stdout");
    assert_eq!(tool.outputs[1].output_binding.as_ref().unwrap().glob[0].source, "log.txt");
    assert_eq!(tool.stdin.as_ref().unwrap().source, "$(inputs[\"in put\"].path)");
    assert_eq!((tool.header.inputs[0].type_.clone(), tool.outputs[0].type_.clone()), (Type::File, Type::File));
}

#[test]
fn unknown_classes_are_noted_and_extension_fields_kept() {
    let text = r"
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {calrissian: 'http://calrissian#', s: 'https://schema.org/'}
s:softwareVersion: 1.0.2
s:keywords: {a: 1}
requirements:
  calrissian:DaskGatewayRequirement: {workerCores: 1}
  ToolTimeLimit: {timelimit: 3}
hints:
  cwltool:Secrets: {secrets: [a]}
  NetworkAccess: {networkAccess: true}
inputs: {f: {type: File, format: s:jpeg, secondaryFiles: ['.idx?', ^.bai]}}
outputs: []
baseCommand: x
remarks: ignored
";
    let package = load_one(text).unwrap();
    let tool = tool(&package);
    assert_eq!(tool.header.requirements.unsupported[0].class, "calrissian:DaskGatewayRequirement");
    assert_eq!(tool.header.hints.unsupported[0].class, "cwltool:Secrets");
    assert_eq!(tool.header.metadata["s:softwareVersion"], Value::String("1.0.2".to_owned()));
    assert_eq!(tool.header.inputs[0].file.format[0].source, "https://schema.org/jpeg");
    let secondary = &tool.header.inputs[0].file.secondary_files;
    assert_eq!((secondary[0].pattern.source.as_str(), secondary[1].pattern.source.as_str()), (".idx", "^.bai"));
    assert!(requirement::is_literal(secondary[0].required.as_ref(), &false));
    assert_eq!(secondary[1].required, None);
    insta::assert_snapshot!(package.warnings, @r#"
    /p/a.cwl:8:3: warning: the class 'calrissian:DaskGatewayRequirement' is not supported
     8 |   calrissian:DaskGatewayRequirement: {workerCores: 1}
       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: weir cannot promise what it asks for; as a hint it would be ignored
    /p/a.cwl:16:1: warning: a CommandLineTool has no field 'remarks'
     16 | remarks: ignored
        | ^^^^^^^
    help: it is ignored
    "#);
}

#[test]
fn work_directory_entries_keep_their_text() {
    let text = "cwlVersion: v1.2\nclass: CommandLineTool\ninputs: []\noutputs: []\nrequirements:\n  InitialWorkDirRequirement:\n    listing:\n      - entryname: stage.py\n        entry: |-\n          print(f\"{x} costs $5\")\n          y = 1\n      - {class: File, location: 'a b.txt'}\n      - $(inputs.x)\n      - {entry: $(inputs.y), writable: true}\n";
    let package = load_one(text).unwrap();
    let Some(crate::requirement::InitialWorkDir::Listing(entries)) =
        &tool(&package).header.requirements.initial_work_dir
    else {
        panic!()
    };
    let WorkDirEntry::Dirent { entry, writable, .. } = &entries[0] else { panic!() };
    assert_eq!((entry.source.as_str(), *writable), ("print(f\"{x} costs $5\")\ny = 1", false));
    let WorkDirEntry::Entry(crate::value::Entry::File(file)) = &entries[1] else { panic!() };
    assert_eq!(file.location.as_deref(), Some("file:///p/a%20b.txt"));
    assert!(matches!(&entries[2], WorkDirEntry::Expression(_)));
    assert!(matches!(&entries[3], WorkDirEntry::Dirent { writable: true, entryname: None, .. }));
}

#[test]
fn a_stated_null_default_is_told_from_none_and_big_numbers_stay() {
    let text = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\ninputs:\n  a: {type: 'string?', default: null}\n  b: string?\n  c: {type: long, default: 1000000000000000000000000000000000000000000}\n  d: {type: 'string[][]?', default: [[yes, on, '1']]}\n";
    let package = load_one(text).unwrap();
    let inputs = &tool(&package).header.inputs;
    assert_eq!(inputs[0].default, Some(Value::Null));
    assert_eq!(inputs[1].default, None);
    assert_eq!(inputs[2].default, Some(Value::Number(Number::Big(format!("1{}", "0".repeat(42))))));
    assert_eq!(inputs[3].type_.to_string(), "string[][]?");
}
