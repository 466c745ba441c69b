//! A scatter of trivial steps: how much weir itself costs. Elements by `WEIR_SCATTER` (default 300); prints wall time,
//! peak memory of weir and journal bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use libtest_mimic::Trial;
use weir_api::Phase;

use super::fixture::{Fixture, trials};

pub fn trials() -> Vec<Trial> {
    trials![a_large_scatter_of_trivial_steps_is_quick]
}

const PACKAGE: &str = r##"
cwlVersion: v1.2
$graph:
- class: Workflow
  id: main
  requirements: {ScatterFeatureRequirement: {}}
  inputs: {numbers: "int[]"}
  outputs: {}
  steps:
    nothing: {run: "#nothing", scatter: number, in: {number: numbers}, out: []}
- class: CommandLineTool
  id: nothing
  baseCommand: [/bin/true]
  inputs: {number: {type: int, inputBinding: {}}}
  outputs: {}
"##;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn a_large_scatter_of_trivial_steps_is_quick() {
    let count: usize = std::env::var("WEIR_SCATTER").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let mut numbers = String::new();
    for number in 0..count {
        let _ = write!(numbers, "{}{number}", if number > 0 { "," } else { "" });
    }
    let fixture = Fixture::new();
    let run = fixture.submit(PACKAGE, &format!(r#"{{"numbers": [{numbers}]}}"#));
    let started = Instant::now();
    let finished = fixture.resume(&run).unwrap();
    let wall = started.elapsed();
    assert_eq!(finished.phase, Phase::Successful, "{:?}", finished.failure);
    assert_eq!(finished.report.steps.len(), count);
    let journal = bytes(&finished.folder.root().join("journal"));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let each = wall.as_secs_f64() * 1000.0 / count as f64;
    eprintln!("{count} steps: {wall:.2?} ({each:.2} ms each), {peak}, journal {journal} bytes");
    let resumed = Instant::now();
    fixture.resume(&run).unwrap();
    eprintln!("reading it again: {:.2?}", resumed.elapsed());
}

fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
