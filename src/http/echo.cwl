# The built-in process `echo`: gives back what it is given (18-062r2, /req/core/test-process).
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: echo
    label: Echo
    doc: Gives back what it is given, after a pause if one is asked for. For tests of clients and servers.
    requirements:
      InlineJavascriptRequirement: {}
      StepInputExpressionRequirement: {}
    inputs:
      echoInput: {type: string, label: A text}
      arrayInput: {type: "long[]?", label: Some integers}
      bboxInput: {type: Any?, label: A bounding box}
      mixedInput: {type: Any?, label: A text or an object}
      imageInput: {type: Any?, label: An image}
      pause: {type: double?, label: Seconds}
    outputs:
      echoInput: {type: string, outputSource: echoInput}
      arrayInput: {type: "long[]?", outputSource: arrayInput}
      mixedInput: {type: Any?, outputSource: mixedInput}
      bboxInput: {type: Any?, outputSource: bboxInput}
    steps:
      pause:
        run: "#pause"
        when: $(inputs.seconds !== null && inputs.seconds > 0)
        in: {seconds: pause}
        out: []

  - class: CommandLineTool
    id: pause
    label: Pause
    doc: Does nothing for some seconds.
    hints:
      DockerRequirement: {dockerPull: weir-eo}
    requirements:
      ResourceRequirement: {coresMin: 0.1, ramMin: 32}
    baseCommand: [weir-eo, pause]
    inputs:
      seconds: {type: double?, inputBinding: {position: 1}}
    outputs: []
