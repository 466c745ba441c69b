# OGC 20-089r1, Annex A: cuts some bands of a scene.
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: cropper
    label: some bands, cut
    doc: some bands, cut
    requirements: [{class: ScatterFeatureRequirement}]
    inputs:
      product:
        label: the scene
        doc: the scene
        type: Directory
      bands:
        label: common names of the bands
        doc: common names of the bands
        type: string[]
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
        label: the bands
        doc: the bands
        outputSource:
          - node_crop/cropped
        type: Directory[]
    steps:
      node_crop:
        run: "#crop"
        in:
          product: product
          band: bands
          bbox: bbox
          epsg: proj
        out:
          - cropped
        scatter: band
        scatterMethod: dotproduct
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
      cropped: {type: Directory, outputBinding: {glob: .}}
