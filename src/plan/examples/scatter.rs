//! What the core itself costs: a scatter of 10,000 steps and a gathering step, planned and folded event by event.
//!
//! `cargo run --release -p weir-plan --features sim --example scatter [ELEMENTS]`

#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

use std::time::Instant;

use weir_cwl::document::ScatterMethod;
use weir_cwl::{Record, Type, Value};
use weir_plan::action::Launch;
use weir_plan::builder::{anything, array, package, step, tool, workflow};
use weir_plan::drive::Job;
use weir_plan::event::{Outcome, Usage};
use weir_plan::{Intent, Policy, State, fold};

fn main() {
    let elements: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().unwrap());
    let one = tool("one", &[("a", anything())], &[("out", anything())]);
    let main = workflow(
        "main",
        &[("items", array(Type::String))],
        vec![
            step("each", 0, &["out"]).input("a", "items").scatter(&["a"], ScatterMethod::DotProduct),
            step("gather", 0, &["out"]).input("a", "each/out"),
        ],
        &[("o", anything(), "gather/out")],
    );
    let items = (0..elements).map(|at| Value::String(format!("item-{at}"))).collect();
    let inputs: Record = [("items".to_owned(), Value::Array(items))].into_iter().collect();
    let policy = Policy { parallelism: 8, ..Policy::default() };
    let package = package(vec![one, main]);
    let memory_before = resident_mib("VmRSS");

    let begun = Instant::now();
    let mut job = Job::new(Intent::new(package, inputs, policy).unwrap());
    let mut plans = 0;
    let mut world = |launch: &Launch| {
        let outputs = [("out".to_owned(), launch.inputs["a"].clone())].into_iter().collect();
        Outcome { outputs: Some(outputs), failure: None, exit_code: Some(0), usage: Usage::default() }
    };
    while job.state.finished().is_none() && job.turn(&mut world) {
        plans += 1;
    }
    let taken = begun.elapsed();
    let events = job.journal.len();
    println!("{elements} elements, 8 at once: {events} events folded, {plans} plans made");
    println!("{:.3} s in all, {:.1} µs an event", taken.as_secs_f64(), taken.as_secs_f64() * 1e6 / events as f64);
    println!(
        "{:.1} MiB resident at the peak, journal and both states included; {memory_before:.1} MiB before",
        resident_mib("VmHWM")
    );

    let begun = Instant::now();
    let mut state = State::default();
    for recorded in &job.journal {
        fold(&job.intent, &mut state, recorded).unwrap();
    }
    println!("{:.3} s to fold the journal again", begun.elapsed().as_secs_f64());
    assert_eq!(state, job.state, "a restart knows what was known");
}

/// A figure of this process from the kernel, MiB; 0 where there is no /proc.
fn resident_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}
