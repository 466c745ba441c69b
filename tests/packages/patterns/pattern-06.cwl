# One scene in, a number out: nothing is published.
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: pattern-6
    label: a number of one scene
    doc: a number of one scene
    requirements: {ScatterFeatureRequirement: {}}
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
      - id: mean
        label: the mean
        doc: the mean
        outputSource:
          - step/mean
        type: float
    steps:
      step:
        run: "#mean"
        in:
          item: item
          aoi: aoi
          epsg: epsg
        out:
          - mean
  - class: CommandLineTool
    id: mean
    requirements:
      InlineJavascriptRequirement: {}
      ResourceRequirement: {coresMax: 1, ramMax: 256}
    hints:
      DockerRequirement: {dockerPull: "busybox:1.37"}
    baseCommand:
    - sh
    - -euc
    - |
      # The mean size of the scene's files, in bytes.
      while [ "$1" != --scene ]; do shift 2; done
      set -- "$2"/*/*.tif
      bytes=`cat "$@" | wc -c`
      echo "$((bytes / $#)).5"
    - mean
    stdout: message
    inputs:
      item: {type: Directory, inputBinding: {prefix: --scene}}
      aoi: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
    outputs:
      mean:
        type: float
        outputBinding:
          glob: message
          loadContents: true
          outputEval: $(parseFloat(self[0].contents))
