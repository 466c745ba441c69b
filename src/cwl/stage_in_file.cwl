# The built-in stage-in tool of a single file.
cwlVersion: v1.2
class: CommandLineTool
id: stage_in_file
label: Fetch the file
requirements:
  DockerRequirement: {dockerPull: weir-eo}
  NetworkAccess: {networkAccess: true}
  ResourceRequirement: {coresMin: 0.5, ramMin: 128}
baseCommand: [weir-eo, fetch]
arguments: [$(inputs.given.location), --as, $(inputs.given.basename)]
inputs:
  given:
    type: {type: record, fields: {location: string, basename: string, format: string?}}
outputs:
  staged: {type: File, format: $(inputs.given.format), outputBinding: {glob: '*'}}
