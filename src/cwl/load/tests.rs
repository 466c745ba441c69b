//! Documents of our own, one for each trap.

use std::collections::HashMap;

use super::*;
use crate::document::{CommandLineTool, Port, Workflow};
use crate::requirement::WorkDirEntry;
use crate::schema::Type;
use crate::value::{Number, Value};

/// Texts by URL.
struct Texts(HashMap<String, String>);

impl Fetch for Texts {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().ok_or_else(|| FetchError("no such file".to_owned()))
    }
}

/// Loads the first of several texts, each named by its file name in `/p`.
fn load_all(texts: &[(&str, &str)]) -> Result<Package, Diagnostics> {
    let by_url = texts.iter().map(|(name, text)| (format!("file:///p/{name}"), (*text).to_owned())).collect();
    load(&format!("file:///p/{}", texts[0].0), &Texts(by_url))
}

fn load_one(text: &str) -> Result<Package, Diagnostics> {
    load_all(&[("a.cwl", text)])
}

fn messages(text: &str) -> String {
    load_one(text).unwrap_err().to_string()
}

fn tool(package: &Package) -> &CommandLineTool {
    match &package.processes[package.entry.0] {
        Process::CommandLineTool(tool) => tool,
        other => panic!("no tool: {other:?}"),
    }
}

fn workflow(package: &Package) -> &Workflow {
    match &package.processes[package.entry.0] {
        Process::Workflow(workflow) => workflow,
        other => panic!("no workflow: {other:?}"),
    }
}

/// The shape of the published water-bodies packages: `$graph`, v1.0, metadata with dots and colons, `schemas` without
/// `$`, images in hints, lists and mappings mixed, one-element `outputSource` lists.
const MULTI_SCENE: &str = r##"
cwlVersion: v1.0
$namespaces:
  s: https://schema.org/
s:softwareVersion: 1.5.0
s:codeRepository:
  URL: https://example.org/repo.git
s:author:
  - class: s:Person
    s.name: Jane Doe
    s.affiliation: ACME
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: water-bodies
    label: Water bodies detection
    doc: From several scenes
    requirements:
      - class: ScatterFeatureRequirement
      - class: SubworkflowFeatureRequirement
    inputs:
      aoi: {label: area of interest, doc: as a bounding box, type: string}
      epsg: {type: string, default: "EPSG:4326"}
      stac_items: {type: "string[]"}
      bands: {type: "string[]", default: ["green", "nir"]}
    outputs:
      - id: stac_catalog
        outputSource:
          - node_stac/stac_catalog
        type: Directory
    steps:
      node_water_bodies:
        run: "#detect_water_body"
        in: {item: stac_items, aoi: aoi, epsg: epsg, bands: bands}
        out:
          - detected_water_body
        scatter: item
        scatterMethod: dotproduct
      node_stac:
        run: "#stac"
        in:
          item: stac_items
          rasters:
            source: node_water_bodies/detected_water_body
        out:
          - stac_catalog
  - class: Workflow
    id: detect_water_body
    requirements:
      - class: ScatterFeatureRequirement
    inputs:
      aoi: {type: string}
      epsg: {type: string, default: "EPSG:4326"}
      bands: {type: "string[]"}
      item: {type: string}
    outputs:
      - id: detected_water_body
        outputSource: [node_otsu/binary_mask_item]
        type: File
    steps:
      node_crop:
        run: "#crop"
        in: {item: item, aoi: aoi, epsg: epsg, band: bands}
        out: [cropped]
        scatter: band
        scatterMethod: dotproduct
      node_otsu:
        run: "#otsu"
        in:
          raster:
            source: node_crop/cropped
        out: [binary_mask_item]
  - class: CommandLineTool
    id: crop
    requirements:
      InlineJavascriptRequirement: {}
      EnvVarRequirement:
        envDef: {PATH: /usr/local/bin:/usr/bin:/bin, PYTHONPATH: /app}
      ResourceRequirement: {coresMax: 1, ramMax: 512}
    hints:
      DockerRequirement: {dockerPull: "localhost/crop:latest"}
    baseCommand: ["python", "-m", "app"]
    arguments: []
    inputs:
      item: {type: string, inputBinding: {prefix: --input-item}}
      aoi: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
      band: {type: string, inputBinding: {prefix: --band}}
    outputs:
      cropped: {outputBinding: {glob: "*.tif"}, type: File}
  - class: CommandLineTool
    id: otsu
    baseCommand: ["python", "-m", "app"]
    inputs:
      raster: {type: "File[]", inputBinding: {position: 1}}
    outputs:
      binary_mask_item: {outputBinding: {glob: "*.tif"}, type: File}
  - class: CommandLineTool
    id: stac
    baseCommand: ["python", "-m", "app"]
    inputs:
      item:
        type:
          type: array
          items: string
          inputBinding: {prefix: --input-item}
      rasters:
        type:
          type: array
          items: File
          inputBinding: {prefix: --water-body}
    outputs:
      stac_catalog: {outputBinding: {glob: .}, type: Directory}
"##;

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
fn messages_show_place_line_and_remedy() {
    insta::assert_snapshot!(messages("cwlVersion: v1.8\nclass: CommandLineTool\ninputs: []\noutputs: []"), @r#"
    /p/a.cwl:1:13: error: unknown cwlVersion 'v1.8'
     1 | cwlVersion: v1.8
       |             ^^^^
    help: weir runs v1.0, v1.1 and v1.2
    "#);
    insta::assert_snapshot!(messages("class: CommandLineTool\ninputs: []\noutputs: []"), @r#"
    /p/a.cwl:1:1: error: the document states no cwlVersion
     1 | class: CommandLineTool
       | ^
    help: write `cwlVersion: v1.2` at the top of the document
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTol\ninputs: []\noutputs: []"), @"
    /p/a.cwl:2:8: error: 'CommandLineTol' is no class of process
     2 | class: CommandLineTol
       |        ^^^^^^^^^^^^^^
    help: did you mean 'CommandLineTool'?
    ");
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: {a: strng}\noutputs: {o: {type: array, items: string}}\nbasecommand: x"), @r#"
    /p/a.cwl:3:13: error: there is no type 'strng'
     3 | inputs: {a: strng}
       |             ^^^^^
    help: did you mean 'string'?
    /p/a.cwl:4:21: error: 'array' alone is no type
     4 | outputs: {o: {type: array, items: string}}
       |                     ^^^^^
    help: write `type: {type: array, items: string}`
    /p/a.cwl:5:1: error: a CommandLineTool has no field 'basecommand'
     5 | basecommand: x
       | ^^^^^^^^^^^
    help: did you mean 'baseCommand'?
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: {a: string, a: int}\noutputs: []"), @r#"
    /p/a.cwl:3:21: error: the key 'a' stands twice in one mapping
     3 | inputs: {a: string, a: int}
       |                     ^
    help: it stands first at line 3, column 10; remove one
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: CommandLineTool\ninputs: []\noutputs: []\narguments: [1, true]"), @r#"
    /p/a.cwl:5:13: error: an argument must be a string, not a number
     5 | arguments: [1, true]
       |             ^
    help: put it in quotes
    /p/a.cwl:5:16: error: an argument must be a string, not a boolean
     5 | arguments: [1, true]
       |                ^^^^
    help: put it in quotes
    "#);
    insta::assert_snapshot!(messages("cwlVersion: v1.2\nclass: [Commandline"), @r#"
    /p/a.cwl:3:1: error: no valid YAML or JSON: while parsing a flow sequence, expected ',' or ']'
    "#);
}

#[test]
fn texts_are_called_what_the_fetcher_calls_them() {
    struct Named;
    impl Fetch for Named {
        fn fetch(&self, _: &str) -> Result<String, FetchError> {
            Ok("cwlVersion: v9".to_owned())
        }
        fn name(&self, url: &str) -> Option<String> {
            url.strip_prefix("file:///home/me/").map(str::to_owned)
        }
    }
    let message = load("file:///home/me/pkg/a.cwl", &Named).unwrap_err().to_string();
    assert!(message.starts_with("pkg/a.cwl:1:13: error: unknown cwlVersion 'v9'"), "{message}");
}

#[test]
fn sources_that_name_nothing_are_reported_with_what_there_is() {
    let text = r"
cwlVersion: v1.2
class: Workflow
inputs: {message: string}
outputs:
  out: {type: File, outputSource: first/outt}
steps:
  first:
    run: {class: CommandLineTool, inputs: {m: string}, outputs: {out: stdout}, baseCommand: echo}
    in: {m: mesage}
    out: [out]
    scatter: n
  second:
    run: {class: CommandLineTool, inputs: {f: File}, outputs: [], baseCommand: cat}
    in: {f: first}
    out: []
";
    insta::assert_snapshot!(messages(text), @r#"
    /p/a.cwl:6:35: error: the step 'first' has no output 'outt'
     6 |   out: {type: File, outputSource: first/outt}
       |                                   ^^^^^^^^^^
    help: its `out` has: out
    /p/a.cwl:10:13: error: the workflow has no input 'mesage'
     10 |     in: {m: mesage}
        |             ^^^^^^
    help: it has: message; outputs of steps are written step/output
    /p/a.cwl:15:13: error: the workflow has no input 'first'
     15 |     in: {f: first}
        |             ^^^^^
    help: 'first' is a step; its outputs are: first/out
    "#);
}

#[test]
fn workflows_that_run_themselves_are_refused() {
    let a = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {run: b.cwl, in: [], out: []}}";
    let b = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {run: a.cwl, in: [], out: []}}";
    insta::assert_snapshot!(load_all(&[("a.cwl", a), ("b.cwl", b)]).unwrap_err(), @r#"
    /p/b.cwl:5:9: error: a workflow runs itself: a.cwl -> b.cwl -> a.cwl
     5 | steps: {s: {run: a.cwl, in: [], out: []}}
       |         ^
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
fn types_that_contain_themselves_or_grow_without_bound_are_refused() {
    let own = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\nrequirements: {SchemaDefRequirement: {types: [{name: t, type: record, fields: {a: 't[]'}}]}}\ninputs: {a: t}";
    insta::assert_snapshot!(messages(own), @r#"
    /p/a.cwl:4:83: error: the type 't' contains itself
     4 | requirements: {SchemaDefRequirement: {types: [{name: t, type: record, fields: {a: 't[]'}}]}}
       |                                                                                   ^^^^^
    "#);
    let mut bomb = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\ninputs: {a: t60}\nrequirements:\n  SchemaDefRequirement:\n    types:\n      - {name: t0, type: record, fields: {a: int}}\n".to_owned();
    for level in 1..=60 {
        let inner = level - 1;
        bomb.push_str(
            &[
                "      - {name: t",
                &level.to_string(),
                ", type: record, fields: {a: t",
                &inner.to_string(),
                ", b: t",
                &inner.to_string(),
                "}}\n",
            ]
            .concat(),
        );
    }
    assert!(messages(&bomb).contains("more than 20000 parts"));
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
fn fields_of_newer_versions_are_refused_in_older_documents() {
    let text = r"
cwlVersion: v1.1
class: Workflow
inputs: {a: int}
outputs: {o: {type: Any, outputSource: a, pickValue: first_non_null}}
steps:
  s:
    run: {class: CommandLineTool, inputs: [], outputs: [], requirements: {ResourceRequirement: {coresMin: 0.5}}}
    in: []
    out: []
    when: $(true)
";
    insta::assert_snapshot!(messages(text), @r#"
    /p/a.cwl:5:54: error: pickValue came with CWL v1.2, but this process states v1.1
     5 | outputs: {o: {type: Any, outputSource: a, pickValue: first_non_null}}
       |                                                      ^^^^^^^^^^^^^^
    help: state `cwlVersion: v1.2`
    /p/a.cwl:8:107: error: a fraction in coresMin came with CWL v1.2, but this process states v1.1
     8 |     run: {class: CommandLineTool, inputs: [], outputs: [], requirements: {ResourceRequirement: {coresMin: 0.5}}}
       |                                                                                                           ^^^
    help: state `cwlVersion: v1.2`
    /p/a.cwl:11:11: error: when came with CWL v1.2, but this process states v1.1
     11 |     when: $(true)
        |           ^^^^^^^
    help: state `cwlVersion: v1.2`
    "#);
    let embedded = text.replace("class: CommandLineTool", "class: CommandLineTool, cwlVersion: v1.2");
    assert!(!messages(&embedded).contains("coresMin"), "a tool follows its own version");
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

#[test]
fn depth_is_bounded_wherever_it_can_come_from() {
    let chain: String = (1..200)
        .map(|n| {
            ["      - {name: t", &n.to_string(), ", type: record, fields: {a: t", &(n - 1).to_string(), "}}\n"].concat()
        })
        .collect();
    let head = "cwlVersion: v1.2\nclass: CommandLineTool\noutputs: []\nrequirements:\n  SchemaDefRequirement:\n    types:\n      - {name: t0, type: record, fields: {a: int}}\n";
    assert!(messages(&format!("{head}{chain}inputs: {{a: t199}}\n")).contains("more than 64 levels"));
    assert!(messages(&format!("{head}inputs: {{a: 't0{}'}}\n", "[]".repeat(1000))).contains("far beyond use"));
    let texts: Vec<(String, String)> =
        (0..20).map(|n| (format!("{n}.yml"), format!("x: {{$import: {}.yml}}", n + 1))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(load_all(&texts).unwrap_err().to_string().contains("nested deeper than 8 texts"));
    let deep: Vec<(String, String)> = (0..39)
        .map(|n| (format!("{n}.cwl"), format!("cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {{s: {{run: {}.cwl, in: [], out: []}}}}", n + 1)))
        .chain([("39.cwl".to_owned(), "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: []".to_owned())])
        .collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(load_all(&deep).unwrap_err().to_string().contains("nested deeper than 32 levels"));
}

proptest::proptest! {
    /// Cuts, repeats and overwrites parts of a sound document: it loads or is refused with a message.
    #[test]
    fn a_mutated_document_loads_or_is_refused(
        edits in proptest::collection::vec((0usize..6000, 0usize..40, "[-:?,\\[\\]{}#&*!|>'\"$@ \na-e0-9]{0,12}"), 1..6)
    ) {
        let mut text: Vec<char> = MULTI_SCENE.chars().collect();
        for (at, length, replacement) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        match load_one(&text) {
            Ok(package) => drop(crate::check::check(&package)),
            Err(diagnostics) => proptest::prop_assert!(diagnostics.has_errors() && !diagnostics.to_string().is_empty()),
        }
    }
}

#[test]
fn a_misspelt_class_is_told_though_another_workflow_could_be_meant() {
    let text = "cwlVersion: v1.2
$graph:
- {class: workflow, id: water, inputs: {}, outputs: {}, steps: {one: {run: '#sub', in: [], out: []}}}
- {class: Workflow, id: sub, inputs: {}, outputs: {}, steps: {}}
";
    insta::assert_snapshot!(messages(text), @"
    /p/a.cwl:3:11: error: 'workflow' is no class of process
     3 | - {class: workflow, id: water, inputs: {}, outputs: {}, steps: {one: {run: '#sub', in: [], out: []}}}
       |           ^^^^^^^^
    help: did you mean 'Workflow'?
    ");
}

#[test]
fn amounts_that_can_never_be_right_are_told_before_anything_runs() {
    let tool = |amounts: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\nrequirements:\n  ResourceRequirement: {{{amounts}}}\n"
        )
    };
    insta::assert_snapshot!(messages(&tool("coresMax: one, ramMin: '2'")), @"
    /p/a.cwl:7:35: error: coresMax must be a number of 0 or more or an expression, not a string
     7 |   ResourceRequirement: {coresMax: one, ramMin: '2'}
       |                                   ^^^
    /p/a.cwl:7:48: error: ramMin must be a number of 0 or more or an expression, not a string
     7 |   ResourceRequirement: {coresMax: one, ramMin: '2'}
       |                                                ^^^
    ");
    insta::assert_snapshot!(messages(&tool("coresMin: 4, coresMax: 2")), @"
    /p/a.cwl:7:35: error: coresMin is 4, more than the 2 of coresMax
     7 |   ResourceRequirement: {coresMin: 4, coresMax: 2}
       |                                   ^
    ");
    load_one(&tool("coresMin: $(inputs.n), coresMax: 2, ramMin: 2, ramMax: 2")).unwrap();
}

/// A tool with a `CUDARequirement` under `level`; the prefix of its namespace is of the document's choice.
fn cuda(level: &str, class: &str, fields: &str) -> String {
    format!(
        "cwlVersion: v1.2\n$namespaces: {{ext: 'http://commonwl.org/cwltool#'}}\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\n{level}:\n  {class}: {{{fields}}}\n"
    )
}

#[test]
fn the_number_of_gpus_is_read_by_the_namespace_and_what_cannot_be_checked_is_told() {
    let asked = |level: &str, class: &str, fields: &str| {
        let package = load_one(&cuda(level, class, fields)).unwrap();
        assert_eq!(crate::check::unsupported(&package), Vec::<&crate::requirement::Unsupported>::new());
        let effective = crate::requirement::Effective::of(&tool(&package).header);
        let amounts = effective.amounts().map(|(name, amount)| match amount {
            crate::Computed::Literal(amount) => format!("{name}={amount}"),
            crate::Computed::Expression(template) => format!("{name}={}", template.source),
        });
        (amounts.collect::<Vec<_>>().join(" "), package.warnings.to_string())
    };
    let told = |level: &str, class: &str, fields: &str| {
        let (amounts, warnings) = asked(level, class, fields);
        assert_eq!(warnings, "");
        amounts
    };
    assert_eq!(told("requirements", "ext:CUDARequirement", ""), "cudaDeviceCountMin=1");
    assert_eq!(told("hints", "ext:CUDARequirement", "cudaDeviceCountMin: 2"), "cudaDeviceCountMin=2");
    assert_eq!(
        told("requirements", "http://commonwl.org/cwltool#CUDARequirement", "cudaDeviceCountMax: 4"),
        "cudaDeviceCountMax=4"
    );
    let computed = "cudaDeviceCountMin: $(inputs.n), cudaDeviceCountMax: 2";
    assert_eq!(told("hints", "ext:CUDARequirement", computed), "cudaDeviceCountMin=$(inputs.n) cudaDeviceCountMax=2");
    let versions = "cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1";
    let (amounts, warnings) = asked("requirements", "ext:CUDARequirement", versions);
    assert_eq!(amounts, "cudaDeviceCountMin=1");
    insta::assert_snapshot!(warnings, @"
    /p/a.cwl:8:3: warning: weir asks for the number of GPUs; it cannot check cudaVersionMin and cudaComputeCapability
     8 |   ext:CUDARequirement: {cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1}
       |   ^^^^^^^^^^^^^^^^^^^
    help: where nodes differ, a job chooses among them with `podTemplate.nodeSelector`
    /p/a.cwl:8:88: warning: a requirement has no field 'cudaDeviceCount'
     8 |   ext:CUDARequirement: {cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1}
       |                                                                                        ^^^^^^^^^^^^^^^
    help: it is ignored
    ");
}

#[test]
fn a_wrong_number_of_gpus_is_told_with_its_place() {
    insta::assert_snapshot!(messages(&cuda("requirements", "ext:CUDARequirement", "cudaVersionMin: 11.4, cudaComputeCapability: {}, cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5")), @"
    /p/a.cwl:8:41: error: cudaVersionMin must be a string, not a number
     8 |   ext:CUDARequirement: {cudaVersionMin: 11.4, cudaComputeCapability: {}, cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                         ^^^^
    help: put it in quotes
    /p/a.cwl:8:70: error: cudaComputeCapability must be a string, not a mapping
     8 |   ext:CUDARequirement: {cudaVersionMin: 11.4, cudaComputeCapability: {}, cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                                                      ^
    /p/a.cwl:8:94: error: cudaDeviceCountMin must be an integer of 0 or more or an expression, not a number
     8 |   ext:CUDARequirement: {cudaVersionMin: 11.4, cudaComputeCapability: {}, cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                                                                              ^^
    /p/a.cwl:8:118: error: cudaDeviceCountMax must be an integer of 0 or more or an expression, not a number
     8 |   ext:CUDARequirement: {cudaVersionMin: 11.4, cudaComputeCapability: {}, cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                                                                                                      ^^^
    ");
    insta::assert_snapshot!(messages(&cuda("hints", "ext:CUDARequirement", "cudaDeviceCountMin: 4, cudaDeviceCountMax: 2")), @"
    /p/a.cwl:8:45: error: cudaDeviceCountMin is 4, more than the 2 of cudaDeviceCountMax
     8 |   ext:CUDARequirement: {cudaDeviceCountMin: 4, cudaDeviceCountMax: 2}
       |                                             ^
    ");
    insta::assert_snapshot!(messages(&cuda("hints", "ext:CUDARequirement", "cudaDeviceCountMn: 4")), @"
    /p/a.cwl:8:25: error: a requirement has no field 'cudaDeviceCountMn'
     8 |   ext:CUDARequirement: {cudaDeviceCountMn: 4}
       |                         ^^^^^^^^^^^^^^^^^
    help: did you mean 'cudaDeviceCountMin'?
    ");
}

#[test]
fn a_cuda_requirement_without_its_namespace_is_shown_how_to_write_it() {
    let package = load_one(&cuda("requirements", "CudaRequirement", "")).unwrap();
    insta::assert_snapshot!(crate::check::unsupported(&package)[0].diagnostic(), @"
    /p/a.cwl:8:3: error: weir does not support `CudaRequirement`
     8 |   CudaRequirement: {}
       |   ^^^^^^^^^^^^^^^
    help: write `http://commonwl.org/cwltool#CUDARequirement`, or `cwltool:CUDARequirement` with `$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}`
    ");
    let package = load_one(&cuda("hints", "cwltool:CUDARequirement", "")).unwrap();
    insta::assert_snapshot!(package.warnings, @"
    /p/a.cwl:8:3: warning: the class 'cwltool:CUDARequirement' is not supported
     8 |   cwltool:CUDARequirement: {}
       |   ^^^^^^^^^^^^^^^^^^^^^^^
    help: write `http://commonwl.org/cwltool#CUDARequirement`, or `cwltool:CUDARequirement` with `$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}`
    ");
}

#[test]
fn an_input_with_a_wrong_type_is_told_once() {
    let text = "cwlVersion: v1.2
class: Workflow
inputs: {scene: Flie, other: string}
outputs: {o: {type: string, outputSource: other}}
steps:
  one: {run: {class: Operation, inputs: {s: File}, outputs: {}}, in: {s: scene}, out: []}
";
    insta::assert_snapshot!(messages(text), @"
    /p/a.cwl:3:17: error: there is no type 'Flie'
     3 | inputs: {scene: Flie, other: string}
       |                 ^^^^
    help: name a CWL type, or define it in a SchemaDefRequirement
    ");
}

#[test]
fn fields_beside_graph_that_mean_nothing_are_told() {
    let text = |field: &str| {
        format!(
            "cwlVersion: v1.2\n{field}\n$graph:\n- {{class: CommandLineTool, id: t, baseCommand: t, inputs: {{}}, outputs: {{}}}}\n"
        )
    };
    let package = load_one(&text("s:softwareVersion: 1\nlabel: water\ninputs: {}")).unwrap();
    insta::assert_snapshot!(package.warnings, @"
    /p/a.cwl:3:1: warning: a document with $graph has no field 'label'
     3 | label: water
       | ^^^^^
    help: it is ignored
    /p/a.cwl:4:1: warning: a document with $graph has no field 'inputs'
     4 | inputs: {}
       | ^^^^^^
    help: it is ignored
    ");
    insta::assert_snapshot!(messages(&text("cwlVersions: v1.2")), @"
    /p/a.cwl:2:1: error: a document with $graph has no field 'cwlVersions'
     2 | cwlVersions: v1.2
       | ^^^^^^^^^^^
    help: did you mean 'cwlVersion'?
    ");
}

#[test]
fn a_requirement_that_is_not_supported_is_shown_with_what_would_be_right() {
    let text = |class: &str| {
        format!(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\nrequirements:\n  {class}: {{}}\n"
        )
    };
    let told = |class: &str| {
        let package = load_one(&text(class)).unwrap();
        crate::check::unsupported(&package)[0].diagnostic().to_string()
    };
    insta::assert_snapshot!(told("ScaterFeatureRequirement"), @"
    /p/a.cwl:7:3: error: weir does not support `ScaterFeatureRequirement`
     7 |   ScaterFeatureRequirement: {}
       |   ^^^^^^^^^^^^^^^^^^^^^^^^
    help: did you mean 'ScatterFeatureRequirement'?
    ");
    insta::assert_snapshot!(told("FireRequirement"), @"
    /p/a.cwl:7:3: error: weir does not support `FireRequirement`
     7 |   FireRequirement: {}
       |   ^^^^^^^^^^^^^^^
    help: weir cannot promise what it asks for; as a hint it would be ignored
    ");
}
