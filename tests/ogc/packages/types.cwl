# One input and output for each type of CWL: what descriptions are derived from.
cwlVersion: v1.2
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.2.3
$graph:
  - class: Workflow
    id: @PROCESS@
    label: All types
    doc: Takes and gives a value of every type.
    inputs:
      text: {type: string, label: A text, doc: Any text}
      small: int
      large: long
      single: float
      double: double
      flag: boolean
      colour: {type: {type: enum, symbols: [red, green]}}
      several: {type: "string[]"}
      point: {type: {type: record, fields: {x: double, y: double, name: string?}}}
      file: File
      folder: Directory
      optional: int?
      chosen: {type: int, default: 0}
      off: {type: boolean, default: false}
      either: {type: [int, string]}
    outputs:
      text: {type: string, outputSource: text}
      large: {type: long, outputSource: large}
      double: {type: double, outputSource: double}
      flag: {type: boolean, outputSource: flag}
      several: {type: "string[]", outputSource: several}
      optional: {type: int?, outputSource: optional}
      chosen: {type: int, outputSource: chosen}
      either: {type: [int, string], outputSource: either}
    steps: {}
