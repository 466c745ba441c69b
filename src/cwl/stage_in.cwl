# The built-in stage-in tool: a STAC item and its assets as a catalog on this machine (OGC 20-089r1, §7.4).
cwlVersion: v1.2
class: CommandLineTool
id: stage_in
label: Fetch the scene
requirements:
  DockerRequirement: {dockerPull: weir-eo}
  NetworkAccess: {networkAccess: true}
  ResourceRequirement: {coresMin: 0.5, ramMin: 128}
baseCommand: [weir-eo, stage_in]
inputs:
  given: {type: string, inputBinding: {position: 1}}
outputs:
  staged: {type: Directory, outputBinding: {glob: .}}
