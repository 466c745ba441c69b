# One trivial tool for each element of a list. For tests/e2e/bench.
cwlVersion: v1.2
class: Workflow
label: One trivial step for each number
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
      hints:
        DockerRequirement: {dockerPull: localhost/busybox:1}
      requirements:
        ResourceRequirement: {coresMin: 0.02, ramMin: 16}
      baseCommand: echo
      inputs: {number: {type: int, inputBinding: {position: 1}}}
      stdout: echoed.txt
      outputs: {echoed: stdout}
