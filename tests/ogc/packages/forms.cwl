# Outputs of several forms: a text, a number, a file.
cwlVersion: v1.2
class: Workflow
id: @PROCESS@
label: Several outputs
requirements: {InlineJavascriptRequirement: {}}
inputs:
  text: string
  number: {type: double, default: 0.5}
outputs:
  text: {type: string, outputSource: text}
  number: {type: double, outputSource: number}
  file: {type: File, outputSource: write/file}
steps:
  write:
    run:
      class: CommandLineTool
      hints: {DockerRequirement: {dockerPull: "localhost/busybox:1"}}
      requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 32}}
      baseCommand: [echo, -n]
      stdout: said.txt
      inputs: {text: {type: string, inputBinding: {position: 1}}}
      outputs: {file: {type: File, outputBinding: {glob: said.txt}}}
    in: {text: text}
    out: [file]
