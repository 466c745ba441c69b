//! `weir run` on small packages: messages, exit codes, signals, resume.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Workshop;

const ECHO: &str = r"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  text: {type: string, inputBinding: {position: 1}}
stdout: said.txt
outputs: {said: stdout}
";

/// A tool that waits until somebody ends it, and says so first by a file.
fn waiting(started: &str) -> String {
    format!(
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: [sh, -c, \"touch {started}; sleep 600 & wait\"]\n\
         inputs: {{}}\noutputs: {{}}\n"
    )
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn outputs_lie_where_the_output_object_says() {
    let workshop = Workshop::new();
    workshop.write("echo.cwl", ECHO);
    let done = workshop.weir_ok(&["run", "echo.cwl", "-i", "text=hello", "--outdir", "out", "--quiet"]);
    let outputs = done.json();
    assert_eq!(outputs["said"]["path"], "FOLDER/out/said.txt");
    assert_eq!(outputs["said"]["checksum"], "sha1$f572d396fae9206628714fb2ce00f72e94f2258f");
    assert_eq!(fs::read_to_string(workshop.path().join("out/said.txt")).unwrap(), "hello\n");
}

#[test]
fn mistakes_in_a_package_are_shown_with_their_lines_all_at_once() {
    let workshop = Workshop::new();
    workshop.write(
        "package.cwl",
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseComand: echo\ninputs: {x: strin}\noutputs: []\n",
    );
    let done = workshop.weir(&["validate", "package.cwl"]);
    assert_eq!(done.code, Some(1));
    insta::assert_snapshot!(done.stderr, @r"
    package.cwl:3:1: error: a CommandLineTool has no field 'baseComand'
     3 | baseComand: echo
       | ^^^^^^^^^^
    help: did you mean 'baseCommand'?
    package.cwl:4:13: error: there is no type 'strin'
     4 | inputs: {x: strin}
       |             ^^^^^
    help: did you mean 'string'?
    ");
}

#[test]
fn an_unsupported_requirement_is_named_and_the_exit_code_is_33() {
    let workshop = Workshop::new();
    let package = "cwlVersion: v1.2\n$namespaces: {x: 'https://example.org/x#'}\nclass: CommandLineTool\n\
                   requirements: {x:Teleport: {}}\nbaseCommand: 'true'\ninputs: []\noutputs: []\n";
    workshop.write("package.cwl", package);
    let done = workshop.weir(&["run", "package.cwl"]);
    assert_eq!(done.code, Some(33), "{}", done.stderr);
    assert!(done.stderr.contains("Teleport") && done.stderr.contains("package.cwl:4"), "{}", done.stderr);
}

#[test]
fn a_container_that_is_required_and_not_mapped_exits_with_33_and_a_mapped_one_runs() {
    let workshop = Workshop::new();
    let package = "cwlVersion: v1.2\nclass: CommandLineTool\nrequirements: {DockerRequirement: {dockerPull: 'example.org/say:1'}}\n\
                   baseCommand: [say]\ninputs: {text: {type: string, inputBinding: {}}}\nstdout: o\noutputs: {said: stdout}\n";
    workshop.write("package.cwl", package);
    assert_eq!(workshop.weir(&["run", "package.cwl", "-i", "text=x"]).code, Some(33));
    workshop.weir_ok(&[
        "run",
        "package.cwl",
        "-i",
        "text=x",
        "--map-image",
        "example.org/say=echo mapped",
        "--outdir",
        "out",
    ]);
    assert_eq!(fs::read_to_string(workshop.path().join("out/o")).unwrap(), "mapped x\n");
    let mapped = ["run", "package.cwl", "-i", "text=x", "--map-image", "example.org/say=no-such-program"];
    let done = workshop.weir(&mapped);
    assert_eq!(done.code, Some(33));
    assert!(done.stdout.contains("program `no-such-program` is not in PATH"), "{}", done.stdout);
    assert!(
        done.stdout.contains("it stands for the image `example.org/say:1`: map that to a program"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_folder_is_no_package_and_is_told_by_its_name() {
    let workshop = Workshop::new();
    let done = workshop.weir(&["run", "."]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("cannot read .: "), "{}", done.stderr);
}

#[test]
fn a_failing_tool_is_told_with_its_exit_code_and_the_end_of_its_stderr() {
    let workshop = Workshop::new();
    workshop.write("package.cwl", "cwlVersion: v1.2\nclass: CommandLineTool\nid: picky\nbaseCommand: [sh, -c, 'echo no thanks >&2; exit 7']\ninputs: []\noutputs: []\n");
    let done = workshop.weir(&["run", "package.cwl"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains("ToolFailed") && done.stdout.contains("exit code 7"), "{}", done.stdout);
    assert!(done.stdout.contains("no thanks"), "{}", done.stdout);
}

#[test]
fn of_many_elements_the_one_that_failed_is_told_with_its_log_and_those_stopped_for_it_are_not() {
    let workshop = Workshop::new();
    let package = "cwlVersion: v1.2\nclass: Workflow\nrequirements: {ScatterFeatureRequirement: {}}\n\
                   inputs: {n: 'int[]'}\noutputs: {}\nsteps:\n  work:\n    scatter: n\n    in: {n: n}\n    out: []\n    run:\n      \
                   class: CommandLineTool\n      requirements: {ResourceRequirement: {coresMin: 0.01, ramMin: 1}}\n      \
                   inputs: {n: {type: int, inputBinding: {}}}\n      outputs: []\n      \
                   baseCommand: [sh, -c, 'test $0 = 2 || sleep 600; echo no such scene >&2; exit 4']\n";
    workshop.write("package.cwl", package);
    let done = workshop.weir(&["run", "package.cwl", "-i", "n=[0, 1, 2, 3]", "--job-id", "many"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains("no such scene"), "{}", done.stdout);
    assert!(done.stdout.contains("its log: .weir/local/jobs/many/logs/work_3.log"), "{}", done.stdout);
    assert_eq!(done.stderr, "Running job many\n       ToolFailed: step `work[2]`: the tool ended with exit code 4\n");
}

#[test]
fn a_folder_for_outputs_that_cannot_be_made_is_told_before_anything_runs() {
    let workshop = Workshop::new();
    workshop.write("echo.cwl", ECHO);
    for option in ["--outdir", "--stage-out"] {
        let done = workshop.weir(&["run", "echo.cwl", "-i", "text=x", option, "echo.cwl/out"]);
        assert_eq!(done.code, Some(1));
        assert!(done.stderr.contains("cannot create the folder echo.cwl/out"), "{}", done.stderr);
        assert!(!workshop.path().join(".weir/local").exists(), "no job");
    }
}

#[test]
fn an_input_file_that_is_not_there_is_told_before_anything_runs() {
    let workshop = Workshop::new();
    workshop.write("package.cwl", "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: cat\ninputs: {f: {type: 'File[]', inputBinding: {}}}\noutputs: []\n");
    let done = workshop.weir(&[
        "run",
        "package.cwl",
        "-i",
        "f=[{class: File, path: package.cwl}, {class: File, path: no.txt}]",
    ]);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.stderr, "weir: there is no input no.txt\n");
}

#[test]
fn ctrl_c_cancels_the_job_and_leaves_no_process() {
    let workshop = Workshop::new();
    let started = workshop.path().join("started");
    workshop.write("package.cwl", &waiting(started.to_str().unwrap()));
    let mut weir = workshop
        .command(&["run", "package.cwl", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the tool", || started.exists());
    let id = rustix::process::Pid::from_child(&weir);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(weir.wait().unwrap().code(), Some(130));
    wait_for("the tool's processes to end", || processes_in(&workshop).is_empty());
}

#[test]
fn a_time_limit_ends_the_job() {
    let workshop = Workshop::new();
    workshop.write("package.cwl", &waiting("started"));
    let done = workshop.weir(&["run", "package.cwl", "--time-limit", "1"]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stdout.contains("TimeLimit"), "{}", done.stdout);
}

#[test]
fn resume_takes_up_the_latest_job_and_runs_nothing_twice() {
    let workshop = Workshop::new();
    let count = workshop.path().join("count");
    let gate = workshop.path().join("gate");
    let package = format!(
        "cwlVersion: v1.2\nclass: Workflow\ninputs: {{}}\n\
         outputs: {{out: {{type: File, outputSource: second/out}}}}\n\
         steps:\n\
         \x20 first:\n    in: {{}}\n    out: [out]\n    run:\n      class: CommandLineTool\n      inputs: {{}}\n      stdout: o\n      outputs: {{out: stdout}}\n\
         \x20     baseCommand: [sh, -c, \"echo ran >> {0}; echo one\"]\n\
         \x20 second:\n    in: {{x: first/out}}\n    out: [out]\n    run:\n      class: CommandLineTool\n      inputs: {{x: File}}\n      stdout: o\n      outputs: {{out: stdout}}\n\
         \x20     baseCommand: [sh, -c, \"until test -e {1}; do sleep 0.01; done; echo two\"]\n",
        count.display(),
        gate.display()
    );
    workshop.write("package.cwl", &package);
    let mut weir = workshop
        .command(&["run", "package.cwl", "--outdir", "out"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The second step runs once its process stands in the folder of its own attempt.
    wait_for("the first step", || fs::read_to_string(&count).is_ok_and(|text| text == "ran\n"));
    wait_for("the second step", || processes_in(&workshop).iter().any(|line| line.contains("until test")));
    weir.kill().unwrap();
    weir.wait().unwrap();
    wait_for("the second step to die with weir", || processes_in(&workshop).is_empty());
    fs::write(&gate, "").unwrap();
    workshop.weir_ok(&["run", "--resume"]);
    assert_eq!(fs::read_to_string(&count).unwrap(), "ran\n");
    assert_eq!(fs::read_to_string(workshop.path().join("out/o")).unwrap(), "two\n");
}

#[test]
fn inputs_on_the_command_line_are_read_by_their_types() {
    let workshop = Workshop::new();
    let package = "cwlVersion: v1.2\nclass: ExpressionTool\nrequirements: {InlineJavascriptRequirement: {}}\n\
                   inputs: {s: string, f: File, o: File?, n: 'int[]'}\noutputs: {said: Any}\n\
                   expression: '${ return {said: [inputs.s, inputs.f.basename, inputs.o, inputs.n]}; }'\n";
    workshop.write("package.cwl", package);
    workshop.write("a #1.txt", "");
    for file in ["f=a #1.txt", "f={class: File, path: 'a #1.txt'}"] {
        let done =
            workshop.weir_ok(&["run", "package.cwl", "-i", "s=12", "-i", file, "-i", "o=null", "-i", "n=[1, 2]", "-q"]);
        assert_eq!(done.json()["said"], serde_json::json!(["12", "a #1.txt", null, [1, 2]]));
    }
}

#[test]
fn outputs_that_cannot_be_published_for_now_are_published_by_resume_and_nothing_runs_again() {
    let workshop = Workshop::new();
    let (count, out) = (workshop.path().join("count"), workshop.path().join("out"));
    let package = format!(
        "cwlVersion: v1.2\nclass: CommandLineTool\ninputs: []\nstdout: o\noutputs: {{o: stdout}}\n\
         baseCommand: [sh, -c, \"echo ran >> {0}; rm -rf {1}; touch {1}; echo done\"]\n",
        count.display(),
        out.display()
    );
    workshop.write("package.cwl", &package);
    let done = workshop.weir(&["run", "package.cwl", "--outdir", "out"]);
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("resume"), "{}", done.stderr);
    fs::remove_file(&out).unwrap();
    workshop.weir_ok(&["run", "--resume"]);
    assert_eq!(fs::read_to_string(out.join("o")).unwrap(), "done\n");
    assert_eq!(fs::read_to_string(&count).unwrap(), "ran\n");
}

#[test]
fn javascript_conditions_and_pick_value_work_from_end_to_end() {
    let workshop = Workshop::new();
    let package = r"
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: main
    requirements: {InlineJavascriptRequirement: {}, MultipleInputFeatureRequirement: {}, StepInputExpressionRequirement: {}}
    inputs: {n: int}
    outputs:
      text: {type: string, outputSource: [even/text, odd/text], pickValue: the_only_non_null}
    steps:
      even: {run: '#say', when: $(inputs.n % 2 === 0), in: {n: n, word: {default: even}}, out: [text]}
      odd: {run: '#say', when: $(inputs.n % 2 === 1), in: {n: n, word: {valueFrom: '${ return `o${inputs.n}dd`; }'}}, out: [text]}
  - class: ExpressionTool
    id: say
    requirements: {InlineJavascriptRequirement: {}}
    inputs: {word: string}
    outputs: {text: string}
    expression: '${ return {text: inputs.word.toUpperCase()}; }'
";
    workshop.write("package.cwl", package);
    assert_eq!(workshop.weir_ok(&["run", "package.cwl", "-i", "n=4", "--quiet"]).json()["text"], "EVEN");
    assert_eq!(workshop.weir_ok(&["run", "package.cwl", "-i", "n=5", "--quiet"]).json()["text"], "O5DD");
}

/// Command lines of the processes that work in the folder.
fn processes_in(workshop: &Workshop) -> Vec<String> {
    let folder = workshop.path().canonicalize().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let of_a_process =
            entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if of_a_process && fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}
