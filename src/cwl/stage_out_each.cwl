# The built-in stage-out tool of several folders: lays the first out under <to>/1/, the second under <to>/2/ and so on,
# and prints the URLs of their catalogs. Nulls are left out.
cwlVersion: v1.2
class: CommandLineTool
id: stage_out
label: Publish the results
requirements:
  DockerRequirement: {dockerPull: weir-eo}
  InlineJavascriptRequirement: {}
  NetworkAccess: {networkAccess: true}
  ResourceRequirement: {coresMin: 0.5, ramMin: 128}
baseCommand: [weir-eo, stage_out]
arguments: [{position: 1, valueFrom: --each}]
inputs:
  catalog: {type: {type: array, items: ['null', Directory]}, inputBinding: {position: 2}}
  to: {type: string, inputBinding: {prefix: --to}}
stdout: published.txt
outputs:
  published:
    type: string[]
    outputBinding:
      glob: published.txt
      loadContents: true
      outputEval: $(self[0].contents.split("\n").filter(function (line) { return line; }))
