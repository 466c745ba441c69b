# Writes a line every fifth of a second: what is seen of work that goes on, and that it stops. `mark` makes the process
# findable.
cwlVersion: v1.2
class: Workflow
id: @PROCESS@
label: Ticks
inputs: {mark: string, ticks: {type: int, default: 600}}
outputs: {file: {type: File, outputSource: tick/file}}
steps:
  tick:
    run:
      class: CommandLineTool
      hints: {DockerRequirement: {dockerPull: "localhost/busybox:1"}}
      requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 32}}
      baseCommand: [sh, -c]
      arguments:
        - {position: 0, valueFrom: 'n=0; while [ $n -lt $1 ]; do n=`expr $n + 1`; echo tick $n >&2; sleep 0.2; done; echo done > ticks.txt'}
        - {position: 1, valueFrom: ticks}
      inputs:
        ticks: {type: int, inputBinding: {position: 2}}
        mark: {type: string, inputBinding: {position: 3}}
      outputs: {file: {type: File, outputBinding: {glob: ticks.txt}}}
    in: {mark: mark, ticks: ticks}
    out: [file]
