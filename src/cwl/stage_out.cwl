# The built-in stage-out tool: lays results out under <to>/<id>/ and prints the catalog's URL.
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
inputs:
  catalog: {type: Directory, inputBinding: {position: 1}}
  to: {type: string, inputBinding: {prefix: --to}}
  id: {type: string, inputBinding: {prefix: --id}}
stdout: published.txt
outputs:
  published:
    type: string
    outputBinding:
      glob: published.txt
      loadContents: true
      outputEval: $(self[0].contents.trim().split("\n").pop())
