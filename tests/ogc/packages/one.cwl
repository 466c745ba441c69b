# One output: what a raw answer of one value is.
cwlVersion: v1.2
class: Workflow
id: @PROCESS@
label: One output
inputs: {text: string}
outputs: {text: {type: string, outputSource: text}}
steps: {}
