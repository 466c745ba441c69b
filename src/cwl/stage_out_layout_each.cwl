# The same for several folders: as they will be under <to>/1/, <to>/2/ and so on, in the order of their names. Nulls are
# left out.
cwlVersion: v1.2
class: CommandLineTool
id: stage_out
label: Publish the results
requirements:
  DockerRequirement: {dockerPull: weir-eo}
  ResourceRequirement: {coresMin: 0.5, ramMin: 128}
baseCommand: [weir-eo, stage_out, --layout, published]
arguments: [{position: 1, valueFrom: --each}]
inputs:
  catalog: {type: {type: array, items: ['null', Directory]}, inputBinding: {position: 2}}
  to: {type: string, inputBinding: {prefix: --to}}
outputs:
  published: {type: 'Directory[]', outputBinding: {glob: published/*}}
