# One trivial tool for each element of a list.
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {numbers: "int[]"}
outputs:
  echoed: {type: "File[]", outputSource: node_echo/echoed}
steps:
  node_echo:
    scatter: number
    in: {number: numbers}
    out: [echoed]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {number: {type: int, inputBinding: {position: 1}}}
      stdout: echoed.txt
      outputs: {echoed: stdout}
