//! The contract of the official suite's driver: stdout is the output object, exit codes tell the rest.

use crate::support::Workshop;

#[test]
fn stdout_holds_the_output_object_and_nothing_else() {
    let workshop = Workshop::new();
    workshop.write("tool.cwl", "cwlVersion: v1.0\nclass: CommandLineTool\nbaseCommand: [echo, -n, x]\ninputs: []\nstdout: o\noutputs: {o: stdout}\n");
    let done = workshop.weir_ok(&["cwl-runner", "--outdir=out", "--quiet", "tool.cwl"]);
    let outputs = done.json();
    assert_eq!(outputs["o"]["size"], 1);
    assert_eq!(outputs["o"]["basename"], "o");
    assert!(workshop.path().join("out/o").is_file());
    assert!(!workshop.path().join(".weir").exists(), "the runner leaves no state behind");
}

#[test]
fn integers_beyond_64_bits_stay_exact() {
    let workshop = Workshop::new();
    let big = "1000000000000000000000000000000000000000000";
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: echo
arguments: [$(inputs.n)]
inputs: {n: Any}
stdout: o
outputs: {n: {type: Any, outputBinding: {outputEval: $(inputs.n)}}, o: stdout}
";
    workshop.write("tool.cwl", package);
    workshop.write("job.json", &format!("{{\"n\": {big}}}"));
    let done = workshop.weir_ok(&["cwl-runner", "--quiet", "tool.cwl", "job.json"]);
    assert!(done.stdout.contains(big), "{}", done.stdout);
    assert_eq!(std::fs::read_to_string(workshop.path().join("o")).unwrap().trim(), big);
}
