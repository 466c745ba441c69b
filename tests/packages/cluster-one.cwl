# One step that does nothing: what remains is the engine's own time. For tests/e2e/bench.
cwlVersion: v1.2
class: CommandLineTool
label: One trivial step
hints:
  DockerRequirement: {dockerPull: localhost/busybox:1}
requirements:
  ResourceRequirement: {coresMin: 0.02, ramMin: 16}
baseCommand: "true"
inputs: {}
outputs: {}
