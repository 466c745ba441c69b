# A scene and perhaps another one in, one catalog out.
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: pattern-7
    label: bands of one or two scenes
    doc: bands of one or two scenes
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
      bands:
        label: common names of the bands
        doc: common names of the bands
        type: string[]
        default: ["green", "nir"]
      item_1:
        label: the scene
        doc: the scene
        type: Directory
      item_2:
        label: another scene
        doc: another scene
        type: Directory?
    outputs:
      - id: selected
        label: the bands
        doc: the bands
        outputSource:
          - step/catalog
        type: Directory
    steps:
      step:
        run: "#select"
        in:
          item_1: item_1
          item_2: item_2
          aoi: aoi
          epsg: epsg
          band: bands
        out:
          - catalog
  - class: CommandLineTool
    id: select
    requirements:
      InlineJavascriptRequirement: {}
      ResourceRequirement: {coresMax: 1, ramMax: 256}
    hints:
      DockerRequirement: {dockerPull: "busybox:1.37"}
    baseCommand:
    - sh
    - -euc
    - |
      # Copies bands of scenes into a folder with a catalog. An index is a band by another name: ndvi nir, ndwi green.
      out=. scenes= bands=
      while [ $# -gt 0 ]; do
        case "$1" in
          --scene) scenes="$scenes $2" ;;
          --band) bands="$bands $2" ;;
          --index) case "$2" in ndvi) bands=nir ;; ndwi) bands=green ;; *) exit 0 ;; esac ;;
          --into) out=$2 ;;
        esac
        shift 2
      done
      mkdir -p "$out"
      links=
      for scene in $scenes; do
        for folder in "$scene"/*/; do
          id=`basename "$folder"`
          mkdir "$out/$id"
          assets=
          for band in $bands; do
            cp "$folder$band.tif" "$out/$id/$band.tif"
            assets="$assets${assets:+, }\"$band\": {\"href\": \"./$band.tif\", \"roles\": [\"data\"]}"
          done
          echo "{\"type\": \"Feature\", \"stac_version\": \"1.0.0\", \"id\": \"$id\", \"geometry\": null," \
            "\"properties\": {\"datetime\": \"2001-01-01T00:00:00Z\"}, \"links\": [], \"assets\": {$assets}}" > "$out/$id/$id.json"
          links="$links${links:+, }{\"rel\": \"item\", \"href\": \"./$id/$id.json\"}"
        done
      done
      echo "{\"type\": \"Catalog\", \"stac_version\": \"1.0.0\", \"id\": \"catalog\", \"description\": \"selected bands\"," \
        "\"links\": [$links]}" > "$out/catalog.json"
    - select
    inputs:
      item_1: {type: Directory, inputBinding: {prefix: --scene}}
      item_2: {type: Directory?, inputBinding: {prefix: --scene}}
      aoi: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
      band:
        type:
          - type: array
            items: string
            inputBinding: {prefix: --band}
    outputs:
      catalog: {type: Directory, outputBinding: {glob: .}}
