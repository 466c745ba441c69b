# A number, given back.
cwlVersion: v1.2
class: Workflow
id: @PROCESS@
label: A number
inputs: {number: double}
outputs: {number: {type: double, outputSource: number}}
steps: {}
