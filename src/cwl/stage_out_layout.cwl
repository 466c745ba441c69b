# The built-in stage-out tool where tools have no credentials: lays results out as they will be under <to>/<id>/, for the
# operator to copy them there.
cwlVersion: v1.2
class: CommandLineTool
id: stage_out
label: Publish the results
requirements:
  DockerRequirement: {dockerPull: weir-eo}
  ResourceRequirement: {coresMin: 0.5, ramMin: 128}
baseCommand: [weir-eo, stage_out, --layout, .]
inputs:
  catalog: {type: Directory, inputBinding: {position: 1}}
  to: {type: string, inputBinding: {prefix: --to}}
  id: {type: string, inputBinding: {prefix: --id}}
outputs:
  published: {type: Directory, outputBinding: {glob: $(inputs.id)}}
