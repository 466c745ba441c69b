//! How a job ended: outputs and where they lie, what each step took, and what went wrong.

use indexmap::IndexMap;
use serde_json::json as document;
use weir_api::Phase;
use weir_cwl::{Entry, Record, Value, json};
use weir_local::Finished;
use weir_local::usage::StepUsage;
use weir_plan::event::Usage;
use weir_store::RunId;

use super::{paths, print_line};

/// Lines that the summary shows of a list among the outputs; the output object has all.
const OUTPUT_LINES_MAX: usize = 10;

/// Sums over all attempts of one step.
#[derive(Default)]
struct Row {
    runs: u32,
    wall: f64,
    cpu: f64,
    memory: u64,
}

/// Wall seconds of an attempt.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a job are far below 2^53")]
pub fn seconds(usage: &Usage) -> f64 {
    usage.finished.0.saturating_sub(usage.started.0) as f64 / 1000.0
}

/// The summary for a person, on stdout.
pub fn print(id: &RunId, finished: &Finished, by_hand: Option<&str>) {
    let report = &finished.report;
    let word = match finished.phase {
        Phase::Successful => "successful",
        Phase::Dismissed => "cancelled",
        _ => "failed",
    };
    print_line(&format!(
        "\nJob {id}: {word} after {:.2} s, {} tool run{}",
        report.elapsed_seconds(),
        report.steps.len(),
        if report.steps.len() == 1 { "" } else { "s" }
    ));
    print_steps(&report.steps);
    if let Some(failure) = &finished.failure {
        print_line(&format!("\n{}: {}", failure.class, failure.message));
        if let Some(tail) = failure.stderr_tail.as_deref().filter(|tail| !tail.trim().is_empty()) {
            print_line("  its last words:");
            for line in tail.trim_end().lines() {
                print_line(&format!("  | {line}"));
            }
        }
        let culprit = report.steps.iter().rfind(|step| Some(&step.instance) == failure.instance.as_ref());
        let log = culprit.map(|step| finished.folder.log(&step.log)).filter(|log| log.exists());
        if let Some(log) = log {
            print_line(&format!("  its log: {}", paths::shown(&log)));
        }
    }
    if !finished.outputs.is_empty() {
        print_line("\nOutputs");
        let width = finished.outputs.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in &finished.outputs {
            let lines = lines(value);
            for (at, line) in lines.iter().take(OUTPUT_LINES_MAX).enumerate() {
                print_line(&format!("  {:width$}  {line}", if at == 0 { name } else { "" }));
            }
            if lines.len() > OUTPUT_LINES_MAX {
                print_line(&format!("  {:width$}  and {} more", "", lines.len() - OUTPUT_LINES_MAX));
            }
        }
    }
    print_line(&format!("\nLogs and usage  {}", paths::shown(finished.folder.root())));
    match finished.phase {
        Phase::Successful => {}
        Phase::Dismissed => print_line("A cancelled job cannot be resumed: run it again as a new one."),
        _ => print_line("A failed job stays as it is: mend the cause and run it again as a new one."),
    }
    if let Some(command) = by_hand {
        print_line(&format!("\nThe same by hand:\n  {command}"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory, shown with one decimal in megabytes")]
fn print_steps(steps: &[StepUsage]) {
    if steps.is_empty() {
        return;
    }
    let mut rows: IndexMap<&str, Row> = IndexMap::new();
    for step in steps {
        let name = step.instance.0.last().map_or("", |segment| segment.step.as_str());
        let row = rows.entry(name).or_default();
        row.runs += 1;
        row.wall += seconds(&step.usage);
        row.cpu += step.usage.cpu_seconds;
        row.memory = row.memory.max(step.usage.memory_peak_bytes);
    }
    let width = rows.keys().map(|name| name.len()).max().unwrap_or(0).max(4);
    print_line(&format!("\n  {:width$}  {:>5}  {:>9}  {:>9}  {:>11}", "step", "runs", "wall", "CPU", "peak memory"));
    for (name, row) in &rows {
        print_line(&format!(
            "  {name:width$}  {:>5}  {:>7.2} s  {:>7.2} s  {:>8.1} MB",
            row.runs,
            row.wall,
            row.cpu,
            row.memory as f64 / 1e6
        ));
    }
}

/// A list as one line for each member, everything else as one line.
fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(shown).collect(),
        other => vec![shown(other)],
    }
}

/// A value in one line: files and directories as paths, texts bare.
fn shown(value: &Value) -> String {
    let location = |location: &Option<String>| {
        let location = location.clone().unwrap_or_default();
        weir_cwl::uri::to_path(&location).map_or(location, |path| paths::shown(path.as_ref()))
    };
    match value {
        Value::File(file) => location(&file.location),
        Value::Directory(directory) => location(&directory.location),
        Value::String(text) if text.contains(char::is_control) => json::compact(value),
        Value::String(text) => location(&Some(text.clone())),
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Record(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => json::compact(other),
    }
}

/// The output object, on stdout.
pub fn print_outputs(finished: &Finished) {
    if finished.phase == Phase::Successful {
        print_line(&json::pretty(&with_paths(&finished.outputs)));
    } else if let Some(failure) = &finished.failure {
        eprintln!("weir: {}: {}", failure.class, failure.message);
        if let Some(tail) = failure.stderr_tail.as_deref().filter(|tail| !tail.trim().is_empty()) {
            eprintln!("{}", tail.trim_end());
        }
    }
}

/// One JSON document with everything, on stdout.
pub fn print_json(id: &RunId, finished: &Finished) {
    let outputs = serde_json::to_value(with_paths(&finished.outputs)).unwrap_or_default();
    let document = document!({
        "jobID": id.as_str(),
        "status": finished.phase.to_string(),
        "outputs": outputs,
        "failure": finished.failure,
        "elapsedSeconds": finished.report.elapsed_seconds(),
        "steps": finished.report.steps,
        "logs": finished.folder.logs(),
    });
    print_line(&format!("{document:#}"));
}

/// The outputs with the `path` of everything that lies on this machine.
fn with_paths(outputs: &Record) -> Value {
    let placed = Value::Record(outputs.clone()).map_entries(&mut |mut entry| {
        let path = entry.location().and_then(weir_cwl::uri::to_path);
        match &mut entry {
            Entry::File(file) => file.path = path,
            Entry::Directory(directory) => directory.path = path,
        }
        Ok::<_, std::convert::Infallible>(entry)
    });
    match placed {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
