# Water masks of several scenes: crop two bands, normalized difference, Otsu threshold, one STAC catalog.
# All tools are subcommands of one static program, `weir-eo`.
cwlVersion: v1.2
$namespaces:
  s: https://schema.org/
s:softwareVersion: 1.0.0
s:name: water-bodies
$graph:
  - class: Workflow
    id: water-bodies
    label: Water bodies
    doc: Finds open water in optical scenes by the normalized difference of two bands and Otsu's threshold.
    requirements:
      ScatterFeatureRequirement: {}
      SubworkflowFeatureRequirement: {}
    inputs:
      stac_items:
        type: string[]
        label: STAC items
        doc: URLs of the STAC items to look at, one mask each
      aoi:
        type: string
        label: Area of interest
        doc: Bounding box as minx,miny,maxx,maxy in the CRS that `epsg` names
      epsg:
        type: string
        default: EPSG:4326
        label: CRS of the area of interest
        doc: An EPSG code such as EPSG:4326
      bands:
        type: string[]
        default: [green, nir]
        label: Bands
        doc: Common names of the two bands of the normalized difference
    outputs:
      stac_catalog:
        type: Directory
        label: Water masks
        doc: STAC catalog with one item for each scene
        outputSource: node_stac/stac_catalog
    steps:
      node_water_bodies:
        run: "#detect_water_body"
        scatter: item
        in:
          item: stac_items
          aoi: aoi
          epsg: epsg
          bands: bands
        out: [water_mask]
      node_stac:
        run: "#stac"
        in:
          item: stac_items
          water_body: node_water_bodies/water_mask
        out: [stac_catalog]

  - class: Workflow
    id: detect_water_body
    label: Water mask of one scene
    doc: Crops the bands, takes their normalized difference and applies Otsu's threshold.
    requirements:
      ScatterFeatureRequirement: {}
    inputs:
      item: {type: string, doc: URL of the STAC item}
      aoi: {type: string, doc: Bounding box}
      epsg: {type: string, doc: CRS of the bounding box}
      bands: {type: "string[]", doc: Common names of the bands}
    outputs:
      water_mask:
        type: File
        outputSource: node_otsu/water_mask
    steps:
      node_crop:
        run: "#crop"
        scatter: band
        in:
          item: item
          aoi: aoi
          epsg: epsg
          band: bands
        out: [cropped]
      node_normalized_difference:
        run: "#normalized_difference"
        in:
          rasters: node_crop/cropped
        out: [index]
      node_otsu:
        run: "#otsu"
        in:
          raster: node_normalized_difference/index
        out: [water_mask]

  - class: CommandLineTool
    id: crop
    label: Crop one band to the area of interest
    hints:
      DockerRequirement: {dockerPull: weir-eo}
    requirements:
      ResourceRequirement: {coresMax: 1, ramMax: 512}
      NetworkAccess: {networkAccess: true}
    baseCommand: [weir-eo, crop]
    inputs:
      item: {type: string, inputBinding: {prefix: --input-item}}
      aoi: {type: string, inputBinding: {prefix: --aoi}}
      epsg: {type: string, inputBinding: {prefix: --epsg}}
      band: {type: string, inputBinding: {prefix: --band}}
    outputs:
      cropped: {type: File, outputBinding: {glob: "crop_*.tif"}}

  - class: CommandLineTool
    id: normalized_difference
    label: Normalized difference of two bands
    hints:
      DockerRequirement: {dockerPull: weir-eo}
    requirements:
      ResourceRequirement: {coresMax: 1, ramMax: 512}
    baseCommand: [weir-eo, normalized_difference]
    inputs:
      rasters: {type: "File[]", inputBinding: {position: 1}}
    outputs:
      index: {type: File, outputBinding: {glob: norm_diff.tif}}

  - class: CommandLineTool
    id: otsu
    label: Binary mask by Otsu's threshold
    hints:
      DockerRequirement: {dockerPull: weir-eo}
    requirements:
      ResourceRequirement: {coresMax: 1, ramMax: 512}
    baseCommand: [weir-eo, otsu]
    inputs:
      raster: {type: File, inputBinding: {position: 1}}
    outputs:
      water_mask: {type: File, outputBinding: {glob: otsu.tif}}

  - class: CommandLineTool
    id: stac
    label: STAC catalog of the masks
    hints:
      DockerRequirement: {dockerPull: weir-eo}
    requirements:
      ResourceRequirement: {coresMax: 1, ramMax: 512}
      NetworkAccess: {networkAccess: true}
    baseCommand: [weir-eo, stac]
    inputs:
      item:
        type:
          type: array
          items: string
          inputBinding: {prefix: --input-item}
      water_body:
        type:
          type: array
          items: File
          inputBinding: {prefix: --water-body}
    outputs:
      stac_catalog: {type: Directory, outputBinding: {glob: .}}
