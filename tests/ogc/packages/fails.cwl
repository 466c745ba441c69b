# Fails for a reason that its user has to be told.
cwlVersion: v1.2
class: Workflow
id: @PROCESS@
label: Fails
inputs: {reason: string}
outputs: {}
steps:
  fail:
    run:
      class: CommandLineTool
      hints: {DockerRequirement: {dockerPull: "localhost/busybox:1"}}
      requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 32}}
      baseCommand: [sh, -c]
      arguments: [{position: 0, valueFrom: 'echo "$1" >&2; exit 7'}, {position: 1, valueFrom: fails}]
      inputs: {reason: {type: string, inputBinding: {position: 2}}}
      outputs: {}
    in: {reason: reason}
    out: []
