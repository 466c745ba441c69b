//! The simplest executor: everything succeeds to be done at once, in order. For tests and benchmarks of the data flow.

use std::sync::Arc;

use weir_cwl::{Package, Record, Value};

use crate::action::{Action, Evaluation, Launch, Load};
use crate::event::{Event, Incarnation, Outcome, Recorded, Timestamp};
use crate::observed::Observed;
use crate::state::Finished;
use crate::{Intent, Policy, State, fold, plan};

/// What the outer world answers.
pub trait World {
    /// Runs a tool.
    fn run(&mut self, launch: &Launch) -> Outcome;

    /// Evaluates a script.
    fn evaluate(&mut self, evaluation: &Evaluation) -> Result<Value, String> {
        Err(format!("no scripts here: {}", evaluation.template.source))
    }

    /// Loads contents.
    fn load(&mut self, load: &Load) -> Result<Value, String> {
        Ok(Value::clone(&load.value))
    }
}

impl<F: FnMut(&Launch) -> Outcome> World for F {
    fn run(&mut self, launch: &Launch) -> Outcome {
        self(launch)
    }
}

/// A job that is driven to its end. Each plan's actions are performed in order; a launched tool ends before the next plan.
#[derive(Debug)]
pub struct Job {
    /// What is to be done.
    pub intent: Intent,
    /// As far as it is.
    pub state: State,
    /// Everything that happened.
    pub journal: Vec<Recorded>,
    /// Executor's view.
    pub observed: Observed,
    /// The clock.
    pub now: Timestamp,
    running: Vec<(Incarnation, Outcome)>,
}

impl Job {
    /// A job that was accepted at time 0.
    pub fn new(intent: Intent) -> Self {
        let mut job = Self {
            intent,
            state: State::default(),
            journal: Vec::new(),
            observed: Observed::default(),
            now: Timestamp(0),
            running: Vec::new(),
        };
        job.record(Event::Accepted { spec: serde_json::Value::Null });
        job
    }

    /// Writes and folds an event.
    ///
    /// # Panics
    /// On an event of another job.
    pub fn record(&mut self, event: Event) {
        let recorded = Recorded { at: self.now, event };
        #[expect(clippy::expect_used, reason = "events of its own intent")]
        fold(&self.intent, &mut self.state, &recorded).expect("the journal fits");
        self.journal.push(recorded);
    }

    /// Plans once and performs the plan. Whether anything happened.
    pub fn turn(&mut self, world: &mut dyn World) -> bool {
        let plan = plan(&self.intent, &self.state, &self.observed, self.now);
        let is_idle = plan.actions.is_empty();
        for action in plan.actions {
            match action {
                Action::Record(event) => self.record(event),
                Action::Launch(launch) => {
                    let outcome = world.run(&launch);
                    self.observed.present.insert(launch.incarnation);
                    self.observed.unlaunched.remove(&launch.incarnation);
                    self.record(Event::Claimed { incarnation: launch.incarnation, uid: "u".to_owned() });
                    self.running.push((launch.incarnation, outcome));
                }
                Action::Prepare(spare) => {
                    self.observed.present.insert(spare.incarnation);
                    self.observed.unlaunched.insert(spare.incarnation);
                }
                Action::Evaluate(evaluation) => {
                    let result = world.evaluate(&evaluation);
                    self.record(Event::Evaluated { instance: evaluation.instance, slot: evaluation.slot, result });
                }
                Action::Load(load) => {
                    let result = world.load(&load);
                    self.record(Event::Evaluated { instance: load.instance, slot: load.slot, result });
                }
                Action::Kill { .. } => {}
                Action::Remove { incarnation } => {
                    self.observed.present.remove(&incarnation);
                }
                Action::Publish { outputs } => {
                    self.record(Event::Finished { phase: weir_api::Phase::Successful, outputs, failure: None });
                }
            }
        }
        let running = std::mem::take(&mut self.running);
        let nothing_ran = running.is_empty();
        for (incarnation, outcome) in running {
            self.now.0 += 1;
            self.record(Event::Ended { incarnation, outcome });
        }
        if is_idle && nothing_ran {
            match plan.wake_at {
                Some(at) => self.now = at,
                None => return false,
            }
        }
        true
    }

    /// Drives to the end; `None` if the job hangs.
    pub fn finish(&mut self, world: &mut dyn World) -> Option<Finished> {
        while self.state.finished().is_none() && self.turn(world) {}
        self.state.finished().cloned()
    }
}

/// Runs a package to its end.
///
/// # Panics
/// If the inputs do not fit or the job hangs.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn run(package: Arc<Package>, inputs: Record, world: &mut dyn World) -> Finished {
    let intent = Intent::new(package, inputs, Policy::default()).expect("a valid intent");
    Job::new(intent).finish(world).expect("the job ends")
}
