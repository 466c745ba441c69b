# One scene in, two folders out; these hold plain files.
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: pattern-4
    label: two indexes of one scene
    doc: two indexes of one scene
    requirements: []
    inputs:
      aoi:
        label: area of interest as a bounding box
        doc: area of interest as a bounding box
        type: string
        default: "-34.905,-8.03,-34.83,-7.96"
      epsg:
        label: EPSG code of the area
        doc: EPSG code of the area
        type: string
        default: "EPSG:4326"
      item:
        label: the scene
        doc: the scene
        type: Directory
    outputs:
      - id: ndvi
        label: the vegetation index
        doc: the vegetation index
        outputSource:
          - step/ndvi
        type: Directory
      - id: ndwi
        label: the water index
        doc: the water index
        outputSource:
          - step/ndwi
        type: Directory
    steps:
      step:
        run: "#indexes"
        in:
          item: item
          aoi: aoi
          epsg: epsg
        out:
          - ndvi
          - ndwi
  - class: CommandLineTool
    id: indexes
    requirements:
      InlineJavascriptRequirement: {}
      ResourceRequirement: {coresMax: 1, ramMax: 256}
    hints:
      DockerRequirement: {dockerPull: "busybox:1.37"}
    baseCommand:
    - sh
    - -euc
    - |
      # Copies the nir band to ndvi/ and the green one to ndwi/, each a folder without a catalog.
      while [ "$1" != --scene ]; do shift 2; done
      mkdir ndvi ndwi
      cp "$2"/*/nir.tif ndvi/index.tif
      cp "$2"/*/green.tif ndwi/index.tif
    - indexes
    inputs:
      item: {type: Directory, inputBinding: {prefix: --scene}}
      aoi: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
    outputs:
      ndvi: {type: Directory, outputBinding: {glob: ndvi}}
      ndwi: {type: Directory, outputBinding: {glob: ndwi}}
