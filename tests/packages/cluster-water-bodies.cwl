# The shape of water-bodies on a cluster: ten runs of tools that do next to nothing, the last in the place of the
# stage-out. For tests/e2e/bench.
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: water-bodies
    requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, MultipleInputFeatureRequirement: {}}
    inputs: {stac_items: "string[]", bands: "string[]"}
    outputs:
      published: {type: File, outputSource: node_publish/joined}
    steps:
      node_water_bodies:
        run: "#detect_water_body"
        scatter: item
        in: {item: stac_items, bands: bands}
        out: [water_mask]
      node_stac:
        run: "#join"
        in: {files: node_water_bodies/water_mask}
        out: [joined]
      node_publish:
        run: "#join"
        in: {files: {source: [node_stac/joined], linkMerge: merge_nested}}
        out: [joined]
  - class: Workflow
    id: detect_water_body
    requirements: {ScatterFeatureRequirement: {}, MultipleInputFeatureRequirement: {}}
    inputs: {item: string, bands: "string[]"}
    outputs:
      water_mask: {type: File, outputSource: node_otsu/joined}
    steps:
      node_crop:
        run: "#crop"
        scatter: band
        in: {item: item, band: bands}
        out: [cropped]
      node_normalized_difference:
        run: "#join"
        in: {files: node_crop/cropped}
        out: [joined]
      node_otsu:
        run: "#join"
        in: {files: {source: [node_normalized_difference/joined], linkMerge: merge_nested}}
        out: [joined]
  - class: CommandLineTool
    id: crop
    hints:
      DockerRequirement: {dockerPull: localhost/busybox:1}
    requirements:
      ResourceRequirement: {coresMin: 0.02, ramMin: 16}
    baseCommand: echo
    inputs:
      item: {type: string, inputBinding: {position: 1}}
      band: {type: string, inputBinding: {position: 2}}
    stdout: cropped.txt
    outputs: {cropped: stdout}
  - class: CommandLineTool
    id: join
    hints:
      DockerRequirement: {dockerPull: localhost/busybox:1}
    requirements:
      ResourceRequirement: {coresMin: 0.02, ramMin: 16}
    baseCommand: cat
    inputs:
      files: {type: "File[]", inputBinding: {position: 1}}
    stdout: joined.txt
    outputs: {joined: stdout}
