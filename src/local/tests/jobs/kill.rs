//! `kill -9` of weir at any moment, then the job goes on (invariants I1, I2): same outputs, no finished step runs again,
//! nothing is left running.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use weir_api::Phase;
use weir_cwl::Record;
use weir_plan::{Event, Incarnation};

use super::fixture::{Fixture, processes_of, text, trials};

/// Rounds; more by `WEIR_KILLS`.
const ROUNDS: u32 = 12;

pub fn trials() -> Vec<Trial> {
    trials![a_killed_weir_goes_on_where_it_was, a_job_killed_with_its_launcher_goes_on]
}

/// Every tool appends its name to a ledger when it starts and when it is about to end.
const PACKAGE: &str = r##"
cwlVersion: v1.2
$graph:
- class: Workflow
  id: main
  requirements:
    ScatterFeatureRequirement: {}
    InlineJavascriptRequirement: {}
    StepInputExpressionRequirement: {}
  inputs: {names: "string[]", ledger: string}
  outputs:
    all: {type: File, outputSource: join/joined}
    tree: {type: Directory, outputSource: join/tree}
  steps:
    first:
      run: "#tool"
      scatter: name
      in: {name: names, ledger: ledger}
      out: [written]
    second:
      run: "#tool"
      scatter: [name, input]
      scatterMethod: dotproduct
      in: {name: {source: names, valueFrom: '$(self.toUpperCase())'}, input: first/written, ledger: ledger}
      out: [written]
    join:
      run: "#join"
      in: {parts: second/written}
      out: [joined, tree]
- class: CommandLineTool
  id: tool
  requirements: {InlineJavascriptRequirement: {}}
  baseCommand: [sh, -c, 'sleep 0.02; { cat $2 /dev/null; echo "scene $0"; } > part.txt; echo $0 >> $1']
  inputs:
    name: {type: string, inputBinding: {position: 1}}
    ledger: {type: string, inputBinding: {position: 2}}
    input: {type: File?, inputBinding: {position: 3}}
  outputs:
    written: {type: File, outputBinding: {glob: part.txt}}
- class: CommandLineTool
  id: join
  baseCommand: [sh, -c, 'mkdir tree; cat "$0" "$@" | tee tree/copy.txt']
  inputs:
    parts: {type: "File[]", inputBinding: {}}
  outputs:
    joined: stdout
    tree: {type: Directory, outputBinding: {glob: tree}}
  stdout: all.txt
"##;

fn inputs(fixture: &Fixture) -> String {
    let ledger = fixture.path().join("ledger");
    format!(r#"{{"names": ["a", "b", "c", "d", "e", "f"], "ledger": "{}"}}"#, ledger.display())
}

/// What a user can see of the outputs, without the place where they stand.
fn comparable(outputs: &Record, fixture: &Fixture) -> String {
    weir_cwl::json::pretty(&weir_cwl::Value::Record(outputs.clone())).replace(fixture.path().to_str().unwrap(), "")
}

fn expected() -> String {
    ["a", "A", "b", "B", "c", "C", "d", "D", "e", "E", "f", "F"].map(|name| format!("scene {name}\n")).concat()
}

fn wait_until_nothing_runs(fixture: &Fixture) {
    let started = Instant::now();
    while !processes_of(&fixture.path()).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", processes_of(&fixture.path()));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn a_killed_weir_goes_on_where_it_was() {
    let undisturbed = Fixture::new();
    let started = Instant::now();
    let finished = undisturbed.run(PACKAGE, &inputs(&undisturbed));
    let whole = started.elapsed();
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(text(&finished.outputs, "all"), expected());
    let reference = comparable(&finished.outputs, &undisturbed);

    let rounds = std::env::var("WEIR_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        let fixture = Fixture::new();
        let run = fixture.submit(PACKAGE, &inputs(&fixture));
        // Spread over the whole run, a second kill during the recovery.
        for part in [round, rounds - round] {
            let mut weir = fixture.run_elsewhere(&run);
            std::thread::sleep(whole * part / rounds);
            let _ = weir.kill();
            let _ = weir.wait();
        }
        let finished = fixture.resume(&run).unwrap();
        assert_eq!(finished.phase, Phase::Successful, "round {round}: {:?}", finished.failure);
        assert_eq!(comparable(&finished.outputs, &fixture), reference, "round {round}");
        assert_eq!(fs::read_dir(fixture.outdir()).unwrap().count(), 2, "round {round}");
        wait_until_nothing_runs(&fixture);
        check_executions(&fixture, &run, round);
    }
}

/// Every step instance succeeded once, and no claim ran its tool twice.
fn check_executions(fixture: &Fixture, run: &weir_store::RunId, round: u32) {
    let mut instances = BTreeMap::<Incarnation, String>::new();
    let mut claims = BTreeMap::<Incarnation, u32>::new();
    let mut succeeded = BTreeMap::<String, u32>::new();
    let mut started = BTreeMap::<String, u32>::new();
    for recorded in fixture.journal(run) {
        match recorded.event {
            Event::StartAttempt { instance, incarnation, .. } => {
                let instance = instance.to_string();
                assert_eq!(succeeded.get(&instance), None, "round {round}: {instance} started after it had succeeded");
                *started.entry(instance.clone()).or_default() += 1;
                assert_eq!(instances.insert(incarnation, instance), None, "round {round}: a number was used twice");
            }
            Event::Claimed { incarnation, .. } => *claims.entry(incarnation).or_default() += 1,
            Event::Ended { incarnation, outcome } if outcome.failure.is_none() => {
                *succeeded.entry(instances[&incarnation].clone()).or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(claims.values().all(|count| *count == 1), "round {round}: {claims:?}");
    assert_eq!(succeeded.len(), 13, "round {round}: {succeeded:?}");
    assert!(succeeded.values().all(|count| *count == 1), "round {round}: {succeeded:?}");
    // The tools' own account: no more executions to the end than incarnations, no fewer than one each.
    let ledger = fs::read_to_string(fixture.path().join("ledger")).unwrap();
    for name in "abcdefABCDEF".chars() {
        let step = if name.is_lowercase() { "first" } else { "second" };
        let index = "abcdef".find(name.to_ascii_lowercase()).unwrap();
        let ran = u32::try_from(ledger.lines().filter(|line| line.chars().eq([name])).count()).unwrap();
        let incarnations = started[&format!("{step}[{index}]")];
        assert!(
            (1..=incarnations).contains(&ran),
            "round {round}: {name} ran {ran} times in {incarnations} incarnations"
        );
    }
}

fn a_job_killed_with_its_launcher_goes_on() {
    let fixture = Fixture::new();
    let mark = fixture.path().join("mark");
    let package = r#"
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'test -e "$0" && exit 0; echo $PPID > "$0.part"; mv "$0.part" "$0"; exec sleep 60']
inputs: {mark: {type: string, inputBinding: {}}}
outputs: {}
"#;
    let run = fixture.submit(package, &format!(r#"{{"mark": "{}"}}"#, mark.display()));
    let mut weir = fixture.run_elsewhere(&run);
    let launcher = loop {
        if let Ok(pid) = fs::read_to_string(&mark) {
            break pid.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // As the kernel's OOM killer or `kill -9` of both may do: nobody is left to end the tool.
    let stop = std::process::Command::new("sh").args(["-c", "kill -STOP $0", &launcher]).status().unwrap();
    assert!(stop.success());
    weir.kill().unwrap();
    weir.wait().unwrap();
    std::process::Command::new("sh").args(["-c", "kill -KILL $0", &launcher]).status().unwrap();
    // As a rule the tool outlives both: whoever resumes the job ends it.
    let finished = fixture.resume(&run).unwrap();
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(processes_of(&fixture.path()), [""; 0]);
}
