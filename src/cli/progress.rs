//! What a person sees while a job runs: bars on a terminal, plain lines elsewhere, nothing if they want quiet.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use weir_local::Observer;
use weir_plan::progress::Progress;
use weir_plan::{Event, Incarnation, InstancePath, Intent, Recorded, State};
use weir_store::RunId;

use super::summary;

/// Between two looks at the whole state.
const REDRAW: Duration = Duration::from_millis(50);
/// Lines of finished step instances that are printed one by one; beyond it only every hundredth.
const LINES_MAX: u64 = 200;

/// A live display of one job on stderr.
pub enum Display {
    /// `--quiet`, `--json`
    Quiet,
    /// No terminal.
    Lines { ended: u64, instances: HashMap<Incarnation, InstancePath> },
    /// A terminal.
    Bars { all: MultiProgress, bars: Vec<ProgressBar>, drawn: Option<Instant> },
}

impl Display {
    /// Bars if stderr is a terminal, else lines; nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            Self::Bars { all, bars: Vec::new(), drawn: None }
        } else {
            Self::Lines { ended: 0, instances: HashMap::new() }
        }
    }

    /// The job is about to run.
    pub fn begin(&self, id: &RunId, resumed: bool) {
        if !matches!(self, Self::Quiet) {
            eprintln!("{} job {id}", if resumed { "Resuming" } else { "Running" });
        }
    }

    /// The job is over: whatever comes next starts on a line of its own.
    pub fn end(&self) {
        if let Self::Bars { bars, .. } = self {
            for bar in bars {
                bar.abandon();
            }
        }
    }
}

impl Observer for Display {
    fn durable(&mut self, intent: &Intent, state: &State, events: &[Recorded]) {
        match self {
            Self::Quiet => {}
            Self::Lines { ended, instances } => print_lines(&Progress::of(intent, state), events, ended, instances),
            Self::Bars { all, bars, drawn } => {
                let over = state.finished().is_some();
                if over || drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
                    *drawn = Some(Instant::now());
                    draw(&Progress::of(intent, state), all, bars);
                }
            }
        }
    }
}

/// One line for each end of an incarnation.
fn print_lines(
    progress: &Progress,
    events: &[Recorded],
    ended: &mut u64,
    instances: &mut HashMap<Incarnation, InstancePath>,
) {
    for recorded in events {
        match &recorded.event {
            Event::StartAttempt { instance, incarnation, .. } => {
                instances.insert(*incarnation, instance.clone());
            }
            Event::Ended { incarnation, outcome } => {
                let Some(instance) = instances.remove(incarnation) else { continue };
                *ended += 1;
                let seconds = summary::seconds(&outcome.usage);
                match &outcome.failure {
                    None if *ended <= LINES_MAX || ended.is_multiple_of(100) => {
                        eprintln!("{:3} %  {instance}  {seconds:.2} s", progress.percent);
                    }
                    None => {}
                    Some(failure) => eprintln!("       {instance}  {}: {}", failure.class, failure.message),
                }
            }
            _ => {}
        }
    }
}

fn draw(progress: &Progress, all: &MultiProgress, bars: &mut Vec<ProgressBar>) {
    let width = progress.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let style = ProgressStyle::with_template("  {prefix}  {bar:24.green/dim} {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─");
    for (at, step) in progress.steps.iter().enumerate() {
        if at == bars.len() {
            let bar = all.add(ProgressBar::new(0)).with_style(style.clone()).with_prefix(format!("{:width$}", step.id));
            bars.push(bar);
        }
        let bar = &bars[at];
        bar.set_length(u64::from(step.total));
        bar.set_position(u64::from(step.succeeded + step.skipped));
        let mut words = Vec::new();
        if step.running > 0 {
            words.push(format!("{} running", step.running));
        }
        if step.retries > 0 {
            words.push(format!("{} tried again", step.retries));
        }
        if step.failed > 0 {
            words.push(format!("{} failed", step.failed));
        }
        bar.set_message(words.join(", "));
    }
}
