# Five steps, each waiting for the output of the one before it. For tests/e2e/bench.
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: chain
    inputs: {word: string}
    outputs:
      said: {type: File, outputSource: step_4/said}
    steps:
      step_0: {run: "#say", in: {word: word}, out: [said]}
      step_1: {run: "#repeat", in: {text: step_0/said}, out: [said]}
      step_2: {run: "#repeat", in: {text: step_1/said}, out: [said]}
      step_3: {run: "#repeat", in: {text: step_2/said}, out: [said]}
      step_4: {run: "#repeat", in: {text: step_3/said}, out: [said]}
  - class: CommandLineTool
    id: say
    hints:
      DockerRequirement: {dockerPull: localhost/busybox:1}
    requirements:
      ResourceRequirement: {coresMin: 0.02, ramMin: 16}
    baseCommand: echo
    inputs:
      word: {type: string, inputBinding: {position: 1}}
    stdout: said.txt
    outputs: {said: stdout}
  - class: CommandLineTool
    id: repeat
    hints:
      DockerRequirement: {dockerPull: localhost/busybox:1}
    requirements:
      ResourceRequirement: {coresMin: 0.02, ramMin: 16}
    baseCommand: cat
    inputs:
      text: {type: File, inputBinding: {position: 1}}
    stdout: said.txt
    outputs: {said: stdout}
