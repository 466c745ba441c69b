//! Jobs that nobody disturbs.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use weir_api::{FailureClass, Phase};
use weir_cwl::{Number, Value};

use super::fixture::{Fixture, text, trials};

pub fn trials() -> Vec<Trial> {
    trials![
        a_tool_runs_and_its_output_is_published,
        a_workflow_scatters_and_gathers,
        a_tool_sees_exactly_the_environment_of_cwl,
        a_failing_tool_fails_the_job_with_the_end_of_its_stderr,
        a_temporary_failure_is_tried_again_in_the_same_log,
        expressions_run_in_the_worker,
        inputs_are_linked_and_writable_ones_copied,
        an_unmapped_required_image_is_unsupported,
        a_missing_program_says_where_it_was_looked_for,
        a_finished_job_gives_its_end_again,
        attempts_are_removed_logs_and_usage_stay,
        a_directory_is_published_with_its_listing,
    ]
}

pub const WORDS: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
id: words
baseCommand: [echo]
inputs:
  words: {type: "string[]", inputBinding: {position: 1}}
outputs:
  said: stdout
stdout: said.txt
"#;

pub const SCATTER: &str = r##"
cwlVersion: v1.2
$graph:
- class: Workflow
  id: main
  requirements:
    ScatterFeatureRequirement: {}
  inputs:
    names: string[]
  outputs:
    all: {type: File, outputSource: join/joined}
  steps:
    write:
      run: "#write"
      scatter: name
      in: {name: names}
      out: [written]
    join:
      run: "#join"
      in: {parts: write/written}
      out: [joined]
- class: CommandLineTool
  id: write
  baseCommand: [sh, -c, 'echo "scene $0" > part.txt; echo done $0 >&2']
  inputs:
    name: {type: string, inputBinding: {}}
  outputs:
    written: {type: File, outputBinding: {glob: part.txt}}
- class: CommandLineTool
  id: join
  baseCommand: [cat]
  inputs:
    parts: {type: "File[]", inputBinding: {}}
  outputs:
    joined: stdout
  stdout: all.txt
"##;

fn a_tool_runs_and_its_output_is_published() {
    let fixture = Fixture::new();
    let finished = fixture.run(WORDS, r#"{"words": ["clear", "water"]}"#);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(text(&finished.outputs, "said"), "clear water\n");
    assert!(fixture.outdir().join("said.txt").is_file());
    let Value::File(file) = &finished.outputs["said"] else { panic!() };
    assert_eq!(file.size, Some(12));
    assert!(file.checksum.as_ref().unwrap().starts_with("sha1$"));
    assert_eq!(finished.report.steps.len(), 1);
    assert!(finished.report.steps[0].usage.memory_peak_bytes > 0);
}

fn a_workflow_scatters_and_gathers() {
    let fixture = Fixture::new();
    let finished = fixture.run(SCATTER, r#"{"names": ["a", "b", "c"]}"#);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(text(&finished.outputs, "all"), "scene a\nscene b\nscene c\n");
    let logs = finished.folder.logs();
    let mut names: Vec<_> =
        std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["join.log", "write.log", "write_2.log", "write_3.log"]);
    assert_eq!(std::fs::read_to_string(logs.join("write_2.log")).unwrap(), "done b\n");
}

fn a_tool_sees_exactly_the_environment_of_cwl() {
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  EnvVarRequirement: {envDef: {GREETING: $(inputs.word)}}
baseCommand: [env]
inputs: {word: string}
outputs: {env: stdout}
stdout: env.txt
";
    let fixture = Fixture::with(|settings| settings.keep_attempts = true);
    let finished = fixture.run(package, r#"{"word": "hi there"}"#);
    let text = text(&finished.outputs, "env");
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let folder = finished.folder.incarnation(weir_plan::Incarnation(1));
    let path = format!("PATH={}", fixture.backend.settings().path);
    let home = format!("HOME={}", folder.join("out").display());
    let tmp = format!("TMPDIR={}", folder.join("tmp").display());
    assert_eq!(lines, ["GREETING=hi there", &home, &path, &tmp]);
}

fn a_failing_tool_fails_the_job_with_the_end_of_its_stderr() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
id: crop
baseCommand: [sh, -c, "echo no such band >&2; exit 3"]
inputs: {}
outputs: {}
"#;
    let finished = Fixture::new().run(package, "{}");
    assert_eq!(finished.phase, Phase::Failed);
    let failure = finished.failure.unwrap();
    assert_eq!((failure.class, failure.exit_code), (FailureClass::ToolFailed, Some(3)));
    assert_eq!(failure.stderr_tail.as_deref(), Some("no such band"));
    assert!(failure.message.contains("exit code 3"), "{}", failure.message);
}

fn a_temporary_failure_is_tried_again_in_the_same_log() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
id: flaky
baseCommand: [sh, -c, 'echo try; test -e "$0" || { touch "$0"; exit 75; }']
temporaryFailCodes: [75]
inputs: {mark: {type: string, inputBinding: {}}}
outputs: {}
"#;
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let finished = fixture.run(package, &format!(r#"{{"mark": "{}"}}"#, mark.display()));
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    let log = std::fs::read_to_string(finished.folder.log("flaky")).unwrap();
    assert_eq!(log, "try\n--- weir: attempt 2, incarnation 2 ---\ntry\n");
    assert_eq!(finished.report.steps.len(), 2);
}

fn expressions_run_in_the_worker() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [echo, -n]
arguments: ['${ return inputs.number * 2; }']
inputs: {number: int}
outputs:
  said: {type: string, outputBinding: {glob: out.txt, loadContents: true, outputEval: '$(self[0].contents + "!")'}}
stdout: out.txt
"#;
    let finished = Fixture::new().run(package, r#"{"number": 21}"#);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(finished.outputs["said"], Value::String("42!".into()));
}

fn inputs_are_linked_and_writable_ones_copied() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InitialWorkDirRequirement:
    listing:
    - {entry: $(inputs.scene), entryname: copy.txt, writable: true}
    - {entry: "text $(inputs.scene.basename)", entryname: made.txt}
baseCommand: [sh, -c, 'echo more >> copy.txt; cat copy.txt made.txt "$0"']
inputs: {scene: {type: File}, again: {type: File, inputBinding: {}}}
outputs:
  said: stdout
  changed: {type: File, outputBinding: {glob: copy.txt}}
stdout: said.txt
"#;
    let fixture = Fixture::new();
    let (scene, again) = (fixture.path().join("my scene.txt"), fixture.path().join("again.txt"));
    std::fs::write(&scene, "water\n").unwrap();
    std::fs::write(&again, "again\n").unwrap();
    let inputs = format!(
        r#"{{"scene": {{"class": "File", "location": "file://{}"}}, "again": {{"class": "File", "path": "{}"}}}}"#,
        scene.display().to_string().replace(' ', "%20"),
        again.display()
    );
    let finished = fixture.run(package, &inputs);
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(text(&finished.outputs, "said"), "water\nmore\ntext my scene.txtagain\n");
    assert_eq!(text(&finished.outputs, "changed"), "water\nmore\n");
    assert_eq!(std::fs::read_to_string(&scene).unwrap(), "water\n");
}

fn an_unmapped_required_image_is_unsupported() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements: {DockerRequirement: {dockerPull: "example.org/gdal:3"}}
baseCommand: [gdalinfo]
inputs: {}
outputs: {}
"#;
    let failure = Fixture::new().run(package, "{}").failure.unwrap();
    assert_eq!(failure.class, FailureClass::Unsupported);
    assert!(failure.message.contains("example.org/gdal:3"), "{}", failure.message);
    let fixture = Fixture::with(|settings| settings.images.insert("example.org/gdal", vec!["true".to_owned()]));
    assert_eq!(fixture.run(package, "{}").phase, Phase::Successful);
}

fn a_missing_program_says_where_it_was_looked_for() {
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
requirements: {EnvVarRequirement: {envDef: {PATH: "/nowhere:/none"}}}
baseCommand: [python]
inputs: {}
outputs: {}
"#;
    let failure = Fixture::new().run(package, "{}").failure.unwrap();
    assert_eq!(failure.class, FailureClass::ToolFailed);
    assert!(failure.message.contains("program `python` is not in PATH"), "{}", failure.message);
}

fn a_finished_job_gives_its_end_again() {
    let fixture = Fixture::new();
    let run = fixture.submit(WORDS, r#"{"words": ["once"]}"#);
    let first = fixture.resume(&run).unwrap();
    let events = fixture.journal(&run).len();
    let second = fixture.resume(&run).unwrap();
    assert_eq!(first.outputs, second.outputs);
    assert_eq!(fixture.journal(&run).len(), events);
}

fn attempts_are_removed_logs_and_usage_stay() {
    let fixture = Fixture::new();
    let folder = fixture.run(WORDS, r#"{"words": ["water"]}"#).folder;
    let _kept = fixture.end();
    let begin = Instant::now();
    while folder.attempts().exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "they stay");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(folder.log("words").is_file() && folder.usage().is_file() && folder.results().is_file());
}

fn a_directory_is_published_with_its_listing() {
    let package = r#"
cwlVersion: v1.0
class: CommandLineTool
baseCommand: [sh, -c, "mkdir -p a/b; echo x > a/b/deep; echo y > top; ln -s top link"]
inputs: {}
outputs: {all: {type: Directory, outputBinding: {glob: .}}, count: {type: int?}}
"#;
    let fixture = Fixture::new();
    let finished = fixture.run(package, "{}");
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(finished.outputs["count"], Value::Null);
    assert_ne!(finished.outputs["all"], Value::Number(Number::Int(0)));
    let Value::Directory(all) = &finished.outputs["all"] else { panic!() };
    let names: Vec<_> = all.listing.as_ref().unwrap().iter().map(|entry| entry.name().unwrap()).collect();
    assert_eq!(names, ["a", "link", "top"]);
    let root = std::path::Path::new(all.path.as_ref().unwrap());
    assert!(root.join("link").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read_to_string(root.join("a/b/deep")).unwrap(), "x\n");
}
