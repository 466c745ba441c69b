//! What a person sees while a job runs: bars on a terminal, plain lines elsewhere, nothing if they want quiet.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use weir_api::FailureClass;
use weir_local::Observer;
use weir_plan::progress::Progress;
use weir_plan::{Event, Incarnation, InstancePath, Intent, Recorded, State};
use weir_store::RunId;

use super::summary;

/// Between two looks at the whole state.
const REDRAW: Duration = Duration::from_millis(50);
/// Lines of finished step instances that are printed one by one; beyond it only one in [`LINES_GAP`].
const LINES_MAX: u32 = 200;
/// Between two lines of a job with many.
const LINES_GAP: Duration = Duration::from_secs(2);

/// What is known of a job that is told in lines.
#[derive(Default)]
pub struct Lines {
    instances: HashMap<Incarnation, InstancePath>,
    printed: u32,
    last: Option<Instant>,
}

/// A live display of one job on stderr.
pub enum Display {
    /// `--quiet`, `--json`
    Quiet,
    /// No terminal.
    Lines(Lines),
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
            Self::Lines(Lines::default())
        }
    }

    /// The bars, if there are any: whoever else writes to stderr must let them step aside.
    pub fn bars(&self) -> Option<MultiProgress> {
        match self {
            Self::Bars { all, .. } => Some(all.clone()),
            Self::Quiet | Self::Lines(_) => None,
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
            // The cursor stands behind the last bar.
            if !bars.is_empty() {
                eprintln!();
            }
        }
    }
}

impl Observer for Display {
    fn durable(&mut self, intent: &Intent, state: &State, events: &[Recorded]) {
        match self {
            Self::Quiet => {}
            Self::Lines(lines) => lines.print(&Progress::of(intent, state), events),
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

impl Lines {
    /// One line for each end of an incarnation. Those that were stopped for the failure of another one are not told:
    /// they would drown it.
    fn print(&mut self, progress: &Progress, events: &[Recorded]) {
        for recorded in events {
            match &recorded.event {
                Event::StartAttempt { instance, incarnation, .. } => {
                    self.instances.insert(*incarnation, instance.clone());
                }
                Event::Ended { incarnation, outcome } => {
                    let Some(instance) = self.instances.remove(incarnation) else { continue };
                    match &outcome.failure {
                        None if self.printed < LINES_MAX
                            || self.last.is_none_or(|last| last.elapsed() >= LINES_GAP) =>
                        {
                            let seconds = summary::seconds(&outcome.usage);
                            eprintln!("{:3} %  {instance}  {seconds:.2} s", progress.percent);
                            self.printed += 1;
                            self.last = Some(Instant::now());
                        }
                        Some(failure) if failure.class != FailureClass::Dismissed => {
                            eprintln!("       {}: {}", failure.class, failure.message);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// The characters of a bar: done, its head, to do. Plain ones where the locale is not UTF-8.
fn bar_characters() -> &'static str {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { "━━─" } else { "##-" }
}

fn draw(progress: &Progress, all: &MultiProgress, bars: &mut Vec<ProgressBar>) {
    let width = progress.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let style = ProgressStyle::with_template("  {prefix}  {bar:24.green/dim} {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars(bar_characters());
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
