//! `usage.json`: calrissian's keys (water-bodies.md §3.5) plus measured values, and the same figures for a summary.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::json;
use weir_plan::event::{Resources, Usage};
use weir_plan::{Event, Incarnation, InstancePath, Recorded, Timestamp};

/// One attempt of a step instance, over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepUsage {
    /// The step instance.
    pub instance: InstancePath,
    /// Name of its log without suffix.
    pub log: String,
    /// What it asked for.
    pub resources: Resources,
    /// What it used.
    pub usage: Usage,
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// Usage of a job, collected from its events in their order.
#[derive(Debug, Clone, Default)]
pub struct Report {
    started: Option<Timestamp>,
    last: Timestamp,
    live: HashMap<Incarnation, (InstancePath, String, Resources)>,
    /// Attempts that are over, in the order of their ends.
    pub steps: Vec<StepUsage>,
}

impl Report {
    /// Takes one event into account.
    pub fn observe(&mut self, recorded: &Recorded) {
        self.started.get_or_insert(recorded.at);
        self.last = self.last.max(recorded.at);
        match &recorded.event {
            Event::StartAttempt { instance, incarnation, resources, log, .. } => {
                self.live.insert(*incarnation, (instance.clone(), log.clone(), *resources));
            }
            Event::Ended { incarnation, outcome } => {
                if let Some((instance, log, resources)) = self.live.remove(incarnation) {
                    self.steps.push(StepUsage {
                        instance,
                        log,
                        resources,
                        usage: outcome.usage,
                        exit_code: outcome.exit_code,
                        succeeded: outcome.failure.is_none(),
                    });
                }
            }
            _ => {}
        }
    }

    /// Wall time of the job in seconds.
    pub fn elapsed_seconds(&self) -> f64 {
        self.started.map_or(0.0, |started| seconds(started, self.last))
    }

    /// The report as JSON; `cores_allowed` and `ram_mib_allowed` are what the job might use.
    #[expect(clippy::cast_precision_loss, reason = "sizes and times far below 2^53")]
    pub fn to_json(&self, cores_allowed: f64, ram_mib_allowed: u64) -> serde_json::Value {
        let megabytes = |mib: u64| mib as f64 * 1.048_576;
        let start = self.started.unwrap_or_default();
        let mut totals = [0.0; 4];
        let children: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                let elapsed = seconds(step.usage.started, step.usage.finished);
                let (cpus, ram) = (step.resources.cores, megabytes(step.resources.ram_mib));
                let disk = step.usage.output_bytes as f64 / 1e6;
                let hours = elapsed / 3600.0;
                for (total, value) in totals.iter_mut().zip([cpus * hours, ram * hours, disk, step.usage.cpu_seconds]) {
                    *total += value;
                }
                json!({
                    "name": step.log,
                    "instance": step.instance,
                    "start_time": iso(step.usage.started),
                    "finish_time": iso(step.usage.finished),
                    "cpus": cpus,
                    "ram_megabytes": ram,
                    "disk_megabytes": disk,
                    "elapsed_hours": hours,
                    "elapsed_seconds": elapsed,
                    "ram_megabyte_hours": ram * hours,
                    "cpu_hours": cpus * hours,
                    "exit_code": step.exit_code,
                    "measured_cpu_seconds": step.usage.cpu_seconds,
                    "measured_peak_memory_bytes": step.usage.memory_peak_bytes,
                })
            })
            .collect();
        let elapsed = self.elapsed_seconds();
        let peak = self.peaks();
        json!({
            "start_time": iso(start),
            "finish_time": iso(self.last),
            "cores_allowed": cores_allowed,
            "ram_mb_allowed": megabytes(ram_mib_allowed),
            "elapsed_hours": elapsed / 3600.0,
            "elapsed_seconds": elapsed,
            "total_cpu_hours": totals[0],
            "total_ram_megabyte_hours": totals[1],
            "total_disk_megabytes": totals[2],
            "total_tasks": children.len(),
            "max_parallel_cpus": peak.0,
            "max_parallel_ram_megabytes": peak.1,
            "max_parallel_tasks": peak.2,
            "measured_cpu_seconds": totals[3],
            "measured_peak_memory_bytes": self.steps.iter().map(|step| step.usage.memory_peak_bytes).max(),
            "children": children,
        })
    }

    /// The most cores, megabytes of memory and tasks at any one time.
    #[expect(clippy::cast_precision_loss, reason = "mebibytes far below 2^53")]
    fn peaks(&self) -> (f64, f64, u32) {
        let mut changes = Vec::with_capacity(self.steps.len() * 2);
        for step in &self.steps {
            let ram = step.resources.ram_mib as f64 * 1.048_576;
            changes.push((step.usage.started, 1, step.resources.cores, ram));
            changes.push((step.usage.finished, -1, -step.resources.cores, -ram));
        }
        // Ends before starts of the same millisecond.
        changes.sort_by_key(|(at, task, ..)| (*at, *task));
        let (mut cores, mut ram, mut tasks) = (0.0, 0.0, 0);
        let mut peak = (0.0_f64, 0.0_f64, 0_u32);
        for (_, task, core, megabytes) in changes {
            tasks += task;
            cores += core;
            ram += megabytes;
            peak = (peak.0.max(cores), peak.1.max(ram), peak.2.max(u32::try_from(tasks).unwrap_or(0)));
        }
        peak
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^53")]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.0.saturating_sub(from.0) as f64 / 1000.0
}

/// ISO 8601 in UTC with milliseconds.
fn iso(at: Timestamp) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use weir_plan::Outcome;

    use super::*;

    #[test]
    fn parallel_peaks_and_totals_come_from_the_events() {
        let resources = Resources { cores: 2.0, ram_mib: 1000, tmpdir_mib: 0, outdir_mib: 0, gpus: 0 };
        let start = |n: u64, at: u64| Recorded {
            at: Timestamp(at),
            event: Event::StartAttempt {
                instance: format!("s[{n}]").try_into().unwrap(),
                attempt: 1,
                incarnation: Incarnation(n),
                resources,
                log: format!("s_{n}"),
            },
        };
        let end = |n: u64, from: u64, to: u64| Recorded {
            at: Timestamp(to),
            event: Event::Ended {
                incarnation: Incarnation(n),
                outcome: Outcome {
                    outputs: serde_json::from_str("{}").ok(),
                    failure: None,
                    exit_code: Some(0),
                    usage: Usage { started: Timestamp(from), finished: Timestamp(to), ..Usage::default() },
                },
            },
        };
        let mut report = Report::default();
        for event in
            [start(1, 0), start(2, 500), end(1, 0, 1000), start(3, 1000), end(2, 500, 1500), end(3, 1000, 3600)]
        {
            report.observe(&event);
        }
        let json = report.to_json(4.0, 2048);
        assert_eq!(json["max_parallel_tasks"], 2);
        assert_eq!(json["max_parallel_cpus"], 4.0);
        assert_eq!(json["total_tasks"], 3);
        assert_eq!(json["elapsed_seconds"], 3.6);
        assert_eq!(json["start_time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(json["children"][2]["name"], "s_3");
    }
}
