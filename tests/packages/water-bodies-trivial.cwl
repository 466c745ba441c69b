# The shape of water-bodies (nested workflow, scatter over items and over bands) with tools that do next to nothing:
# what remains is the engine's own time.
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: water-bodies
    requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}}
    inputs: {stac_items: "string[]", bands: "string[]"}
    outputs:
      stac_catalog: {type: Directory, outputSource: node_stac/stac_catalog}
    steps:
      node_water_bodies:
        run: "#detect_water_body"
        scatter: item
        in: {item: stac_items, bands: bands}
        out: [water_mask]
      node_stac:
        run: "#stac"
        in: {item: stac_items, water_body: node_water_bodies/water_mask}
        out: [stac_catalog]
  - class: Workflow
    id: detect_water_body
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {item: string, bands: "string[]"}
    outputs:
      water_mask: {type: File, outputSource: node_otsu/water_mask}
    steps:
      node_crop:
        run: "#crop"
        scatter: band
        in: {item: item, band: bands}
        out: [cropped]
      node_normalized_difference:
        run: "#normalized_difference"
        in: {rasters: node_crop/cropped}
        out: [index]
      node_otsu:
        run: "#otsu"
        in: {raster: node_normalized_difference/index}
        out: [water_mask]
  - class: CommandLineTool
    id: crop
    baseCommand: echo
    inputs:
      item: {type: string, inputBinding: {position: 1}}
      band: {type: string, inputBinding: {position: 2}}
    stdout: crop.tif
    outputs: {cropped: stdout}
  - class: CommandLineTool
    id: normalized_difference
    baseCommand: cat
    inputs: {rasters: {type: "File[]", inputBinding: {position: 1}}}
    stdout: norm_diff.tif
    outputs: {index: stdout}
  - class: CommandLineTool
    id: otsu
    baseCommand: cat
    inputs: {raster: {type: File, inputBinding: {position: 1}}}
    stdout: otsu.tif
    outputs: {water_mask: stdout}
  - class: CommandLineTool
    id: stac
    baseCommand: cat
    inputs:
      item: "string[]"
      water_body: {type: "File[]", inputBinding: {position: 1}}
    stdout: catalog.json
    outputs:
      stac_catalog: {type: Directory, outputBinding: {glob: .}}
