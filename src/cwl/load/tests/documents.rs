//! Documents of our own by URL, and the shape of the published packages.

use std::collections::HashMap;

use crate::diagnostic::Diagnostics;
use crate::document::{CommandLineTool, Package, Process, Workflow};
use crate::load::{Fetch, FetchError, load};

/// Texts by URL.
pub struct Texts(pub HashMap<String, String>);

impl Fetch for Texts {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().ok_or_else(|| FetchError("no such file".to_owned()))
    }
}

/// Loads the first of several texts, each named by its file name in `/p`.
pub fn load_all(texts: &[(&str, &str)]) -> Result<Package, Diagnostics> {
    let by_url = texts.iter().map(|(name, text)| (format!("file:///p/{name}"), (*text).to_owned())).collect();
    load(&format!("file:///p/{}", texts[0].0), &Texts(by_url))
}

pub fn load_one(text: &str) -> Result<Package, Diagnostics> {
    load_all(&[("a.cwl", text)])
}

pub fn messages(text: &str) -> String {
    load_one(text).unwrap_err().to_string()
}

pub fn tool(package: &Package) -> &CommandLineTool {
    match &package.processes[package.entry.0] {
        Process::CommandLineTool(tool) => tool,
        other => panic!("no tool: {other:?}"),
    }
}

pub fn workflow(package: &Package) -> &Workflow {
    match &package.processes[package.entry.0] {
        Process::Workflow(workflow) => workflow,
        other => panic!("no workflow: {other:?}"),
    }
}

/// The shape of the published water-bodies packages: `$graph`, v1.0, metadata with dots and colons, `schemas` without
/// `$`, images in hints, lists and mappings mixed, one-element `outputSource` lists.
pub const MULTI_SCENE: &str = r##"
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
