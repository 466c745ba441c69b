# OGC 20-089r1, Annex A: cuts two bands and puts them together.
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: compositer
    label: two bands in one
    doc: two bands in one
    requirements: [{class: ScatterFeatureRequirement}, {class: InlineJavascriptRequirement}, {class: MultipleInputFeatureRequirement}]
    inputs:
      product:
        label: the scene
        doc: the scene
        type: Directory
      first:
        label: common name of a band
        doc: common name of a band
        type: string
      second:
        label: common name of another
        doc: common name of another
        type: string
      bbox:
        label: area of interest
        doc: area of interest
        type: string
      proj:
        label: EPSG code of the area
        doc: EPSG code of the area
        type: string
        default: "EPSG:4326"
    outputs:
      - id: results
        label: the composite
        doc: the composite
        outputSource:
          - node_composite/composite
        type: Directory
    steps:
      node_crop:
        run: "#crop"
        in:
          product: product
          band: [first, second]
          bbox: bbox
          epsg: proj
        out:
          - cropped
        scatter: band
        scatterMethod: dotproduct
      node_composite:
        run: "#composite"
        in:
          tifs: {source: node_crop/cropped}
          lineage: product
          bbox: bbox
        out:
          - composite
  - class: CommandLineTool
    id: crop
    requirements:
      DockerRequirement: {dockerPull: weir-eo}
    baseCommand: [weir-eo, crop]
    arguments: []
    inputs:
      product: {type: Directory, inputBinding: {prefix: --input-item}}
      band: {type: string, inputBinding: {prefix: --band}}
      bbox: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
    outputs:
      cropped: {type: File, outputBinding: {glob: "*.tif"}}
  - class: CommandLineTool
    id: composite
    requirements:
      DockerRequirement: {dockerPull: weir-eo}
      InlineJavascriptRequirement: {}
    baseCommand: [weir-eo, normalized_difference]
    arguments:
    - $( inputs.tifs[0].path )
    - $( inputs.tifs[1].path )
    inputs:
      tifs: "File[]"
      lineage: Directory
      bbox: string
    outputs:
      composite: {type: Directory, outputBinding: {glob: .}}
