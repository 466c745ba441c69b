//! Planner scripts: `tests/plans/*.txt` drives the core by readable commands, `*.out` is what it must say. `UPDATE=1`
//! rewrites the answers.
//!
//! | command | meaning |
//! |---|---|
//! | `package` … `end` | the lines between are a CWL document |
//! | `inputs JSON`, `policy KEY VALUE …`, `capacity KEY VALUE …` | before `accept`; `capacity` also later |
//! | `accept` | a job begins, at 0 ms |
//! | `plan` | shows what is to be done and does nothing |
//! | `do` | plans and performs, until a plan records nothing more; a launched incarnation is there, but not claimed |
//! | `claim N …` | the incarnations may run their tools |
//! | `succeed N JSON`, `fail N CLASS` | an incarnation ends |
//! | `finish N …` | claims the incarnations and ends them well, each output being `OUTPUT of INSTANCE` |
//! | `lose N …` or `lose all` | the incarnations are gone |
//! | `evaluated INSTANCE SLOT JSON` | the answer to an evaluation; `SLOT` as `plan` shows it |
//! | `lookahead on`, `held` or `off` | spares may be created, may only stand by, are given up |
//! | `publishing on` or `off` | the outputs are being published, or that is over |
//! | `forget` | the executor was started again: nothing that exists is launched |
//! | `release N …` | the executor gives spares up |
//! | `stop CLASS`, `suspend`, `resume` | somebody asks |
//! | `tick MS` | time passes |
//! | `restart` | the state is folded anew from the journal and must be the same |
//! | `progress` | shows what a display would show |

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use weir_api::{FailureClass, Phase};
use weir_cwl::load::NoFetch;
use weir_cwl::{Process, Record, Value, json};

use crate::action::{Action, Plan};
use crate::event::{Event, Failure, Incarnation, Outcome, Recorded, Resources, Slot, Timestamp, Usage};
use crate::intent::OnFailure;
use crate::observed::Lookahead;
use crate::{InstancePath, Intent, Observed, Policy, Progress, State, fold, plan};

#[test]
fn every_script_plans_as_written() {
    let folder = Path::new("../../tests/plans");
    let mut scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    let mut wrong = Vec::new();
    for path in scripts {
        let said = play(&std::fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("out");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let lines = said.lines().zip(expected.lines()).enumerate();
            let first = lines.clone().find(|(_, (said, expected))| said != expected);
            wrong.push(match first {
                Some((at, (said, expected))) => {
                    format!("{name}: line {}:\n  expected {expected}\n  said     {said}", at + 1)
                }
                None => format!("{name}: one text is longer than the other"),
            });
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE=1 rewrites the answers", wrong.join("\n"));
}

#[derive(Default)]
struct Stage {
    package: String,
    inputs: Record,
    policy: Policy,
    intent: Option<Intent>,
    state: State,
    journal: Vec<Recorded>,
    observed: Observed,
    now: Timestamp,
    said: String,
}

/// Plays a script; the answer repeats each command and says what came of it.
fn play(script: &str) -> String {
    let mut stage = Stage::default();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            stage.said.push_str(line);
            stage.said.push('\n');
            continue;
        }
        if line == "package" {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "end").collect();
            stage.package = text.join("\n") + "\n";
            continue;
        }
        let _ = writeln!(stage.said, "> {line}");
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        stage.command(command, rest.trim());
    }
    stage.said
}

/// Files and Directories are recognised, as when a value enters weir.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn record_of(text: &str) -> Record {
    match value_of(text) {
        Value::Record(record) => record,
        other => panic!("{} is no object", other.type_name()),
    }
}

fn class(word: &str) -> FailureClass {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).unwrap()
}

fn numbers(text: &str) -> Vec<Incarnation> {
    text.split_whitespace().map(|number| Incarnation(number.parse().unwrap())).collect()
}

fn failed(class: FailureClass) -> Outcome {
    let message = "as the script says".to_owned();
    let failure = Failure { class, message, instance: None, exit_code: None, stderr_tail: None };
    Outcome { outputs: None, failure: Some(failure), exit_code: None, usage: Usage::default() }
}

fn succeeded(outputs: Record) -> Outcome {
    let usage = Usage { cpu_seconds: 1.0, memory_peak_bytes: 1 << 20, ..Usage::default() };
    Outcome { outputs: Some(outputs), failure: None, exit_code: Some(0), usage }
}

impl Stage {
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.said, "  {line}");
    }

    fn intent(&self) -> &Intent {
        self.intent.as_ref().expect("`accept` comes first")
    }

    fn record(&mut self, event: Event) {
        let recorded = Recorded { at: self.now, event };
        let intent = self.intent.as_ref().expect("`accept` comes first");
        if let Err(error) = fold(intent, &mut self.state, &recorded) {
            let _ = writeln!(self.said, "  {error}");
        }
        self.journal.push(recorded);
    }

    fn plan(&self) -> Plan {
        plan(self.intent(), &self.state, &self.observed, self.now)
    }

    fn command(&mut self, command: &str, rest: &str) {
        match command {
            "inputs" => self.inputs = record_of(rest),
            "policy" => pairs(rest).for_each(|(key, value)| self.set_policy(key, value)),
            "capacity" => {
                for (key, value) in pairs(rest) {
                    match key {
                        "cores" => self.observed.capacity.cores = Some(value.parse().unwrap()),
                        "ram" => self.observed.capacity.ram_mib = Some(value.parse().unwrap()),
                        "incarnations" => self.observed.capacity.incarnations = Some(value.parse().unwrap()),
                        other => panic!("no capacity is called {other}"),
                    }
                }
            }
            "accept" => self.accept(),
            "plan" => {
                let plan = self.plan();
                self.show(&plan);
            }
            "do" => self.perform(),
            "claim" => numbers(rest).into_iter().for_each(|number| self.claim(number)),
            "succeed" => {
                let (number, outputs) = rest.split_once(' ').unwrap();
                self.end(numbers(number)[0], succeeded(record_of(outputs)));
            }
            "fail" => {
                let (number, word) = rest.split_once(' ').unwrap();
                self.end(numbers(number)[0], failed(class(word)));
            }
            "finish" => numbers(rest).into_iter().for_each(|number| self.finish(number)),
            "lose" if rest == "all" => self.observed.present.clear(),
            "lose" => {
                for number in numbers(rest) {
                    self.observed.present.remove(&number);
                }
            }
            "evaluated" => {
                let mut parts = rest.splitn(3, ' ');
                let instance = InstancePath::try_from(parts.next().unwrap().to_owned()).unwrap();
                let slot = slot(parts.next().unwrap());
                let result = Ok(value_of(parts.next().unwrap()));
                self.record(Event::Evaluated { instance, slot, result });
            }
            "forget" => self.observed.unlaunched.clone_from(&self.observed.present),
            "publishing" => self.observed.is_publishing = rest == "on",
            "lookahead" => {
                let is_held = rest == "held";
                self.observed.lookahead = (rest != "off").then(|| Lookahead { is_held, ..Lookahead::default() });
            }
            "release" => {
                for incarnation in numbers(rest) {
                    self.record(Event::Released { incarnation });
                }
            }
            "stop" => {
                self.record(Event::StopRequested { class: class(rest), message: "as the script says".to_owned() });
            }
            "commit" => self.record(Event::Committed),
            "suspend" => self.record(Event::Suspended),
            "resume" => self.record(Event::Resumed),
            "tick" => self.now.0 += rest.parse::<u64>().unwrap(),
            "restart" => self.restart(),
            "progress" => self.progress(),
            other => panic!("no command is called {other}"),
        }
    }

    fn set_policy(&mut self, key: &str, value: &str) {
        let policy = &mut self.policy;
        match key {
            "parallelism" => policy.parallelism = value.parse().unwrap(),
            "attempts" => policy.attempts_max = value.parse().unwrap(),
            "uncounted" => policy.uncounted_retries_max = value.parse().unwrap(),
            "timeLimit" => policy.time_limit_ms = Some(value.parse().unwrap()),
            "memoryCap" => policy.memory_cap_mib = value.parse().unwrap(),
            "onFailure" if value == "continue" => policy.on_failure = OnFailure::Continue,
            other => panic!("no rule is called {other}"),
        }
    }

    fn accept(&mut self) {
        let package = weir_cwl::load_text("file:///package.cwl", &self.package, None, &NoFetch);
        let package = package.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        match Intent::new(Arc::new(package), self.inputs.clone(), self.policy.clone()) {
            Ok(intent) => {
                self.intent = Some(intent);
                self.state = State::default();
                self.journal.clear();
                self.observed.present.clear();
                self.now = Timestamp(0);
                self.record(Event::Accepted { spec: serde_json::Value::Null });
            }
            Err(error) => self.say(&format!("refused: {error}")),
        }
    }

    fn perform(&mut self) {
        let mut is_first = true;
        loop {
            let plan = self.plan();
            if is_first || !plan.actions.is_empty() {
                self.show(&plan);
            }
            is_first = false;
            let mut has_recorded = false;
            for action in plan.actions {
                match action {
                    Action::Record(event) => {
                        has_recorded = true;
                        self.record(event);
                    }
                    Action::Launch(launch) => {
                        self.observed.present.insert(launch.incarnation);
                        self.observed.unlaunched.remove(&launch.incarnation);
                    }
                    Action::Prepare(spare) => {
                        self.observed.present.insert(spare.incarnation);
                        self.observed.unlaunched.insert(spare.incarnation);
                    }
                    Action::Kill { incarnation, class } => {
                        has_recorded = true;
                        self.record(Event::Ended { incarnation, outcome: failed(class) });
                    }
                    Action::Remove { incarnation } => {
                        self.observed.present.remove(&incarnation);
                    }
                    Action::Publish { outputs } => {
                        self.record(Event::Finished { phase: Phase::Successful, outputs, failure: None });
                    }
                    Action::Evaluate(_) | Action::Load(_) => {}
                }
            }
            if !has_recorded {
                return;
            }
        }
    }

    fn claim(&mut self, incarnation: Incarnation) {
        self.record(Event::Claimed { incarnation, uid: format!("uid-{}", incarnation.0) });
    }

    fn end(&mut self, incarnation: Incarnation, outcome: Outcome) {
        self.record(Event::Ended { incarnation, outcome });
    }

    fn finish(&mut self, incarnation: Incarnation) {
        self.claim(incarnation);
        let Some(live) = self.state.live.get(&incarnation) else { return self.say("it does not live") };
        let instance = self.state.path(&self.intent().graph, live.instance);
        let place = &self.intent().graph.places[self.state.instances[live.instance].place];
        let Process::CommandLineTool(tool) = &self.intent().package.processes[place.run.0] else { return };
        let name = |id: &String| Value::String(format!("{id} of {instance}"));
        let outputs = tool.outputs.iter().map(|output| (output.id.clone(), name(&output.id))).collect();
        self.end(incarnation, succeeded(outputs));
    }

    fn restart(&mut self) {
        let mut state = State::default();
        for recorded in &self.journal {
            fold(self.intent(), &mut state, recorded).unwrap();
        }
        assert_eq!(state, self.state, "a restart knows what was known");
        self.say(&format!("{} events folded", self.journal.len()));
    }

    fn progress(&mut self) {
        let progress = Progress::of(self.intent(), &self.state);
        self.say(&format!("{:?} {} %", progress.phase, progress.percent));
        for step in progress.steps {
            let mut line = format!("{}: {} of {} succeeded", step.path, step.succeeded, step.total);
            let others = [
                ("running", step.running),
                ("failed", step.failed),
                ("skipped", step.skipped),
                ("stopped", step.stopped),
                ("retries", step.retries),
            ];
            for (word, count) in others.into_iter().filter(|(_, count)| *count > 0) {
                let _ = write!(line, ", {count} {word}");
            }
            self.say(&line);
        }
    }

    fn show(&mut self, plan: &Plan) {
        if plan.actions.is_empty() && plan.wake_at.is_none() {
            self.say("nothing to do");
        }
        for action in &plan.actions {
            let line = line(action);
            self.say(&line);
        }
        if let Some(at) = plan.wake_at {
            self.say(&format!("wake at {} ms", at.0));
        }
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.chunks(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>().into_iter()
}

fn slot(text: &str) -> Slot {
    match text.split_once(':') {
        None if text == "when" => Slot::When,
        None => Slot::Expression,
        Some(("valueFrom", id)) => Slot::ValueFrom(id.to_owned()),
        Some(("stepLoad", id)) => Slot::StepLoad(id.to_owned()),
        Some(("inputLoad", id)) => Slot::InputLoad(id.to_owned()),
        Some((_, id)) => Slot::Resource(id.to_owned()),
    }
}

fn show_slot(slot: &Slot) -> String {
    match slot {
        Slot::When => "when".to_owned(),
        Slot::Expression => "expression".to_owned(),
        Slot::ValueFrom(id) => format!("valueFrom:{id}"),
        Slot::StepLoad(id) => format!("stepLoad:{id}"),
        Slot::InputLoad(id) => format!("inputLoad:{id}"),
        Slot::Resource(id) => format!("resource:{id}"),
    }
}

fn show_record(record: &Record) -> String {
    json::compact(&Value::Record(record.clone()))
}

fn show_resources(resources: &Resources) -> String {
    let gpus = if resources.gpus > 0 { format!(", {} GPUs", resources.gpus) } else { String::new() };
    format!("{} cores, {} MiB{gpus}", resources.cores, resources.ram_mib)
}

fn line(action: &Action) -> String {
    match action {
        Action::Record(Event::StartAttempt { instance, attempt, incarnation, resources, log }) => format!(
            "record StartAttempt {} {instance}, attempt {attempt}, {}, log {log}",
            incarnation.0,
            show_resources(resources)
        ),
        Action::Record(Event::Prepared { incarnation, place, resources }) => {
            format!("record Prepared {} {place}, {}", incarnation.0, show_resources(resources))
        }
        Action::Record(Event::Released { incarnation }) => format!("record Released {}", incarnation.0),
        Action::Record(Event::Ended { incarnation, outcome }) => match &outcome.failure {
            Some(failure) => format!("record Ended {} {}: {}", incarnation.0, failure.class, failure.message),
            None => format!("record Ended {}", incarnation.0),
        },
        Action::Record(Event::Finished { phase, outputs, failure }) => match failure {
            Some(failure) => format!("record Finished {phase:?} {}: {}", failure.class, failure.message),
            None => format!("record Finished {phase:?} {}", show_record(outputs)),
        },
        Action::Record(Event::StopRequested { class, message }) => format!("record StopRequested {class}: {message}"),
        Action::Record(other) => format!("record {other:?}"),
        Action::Evaluate(evaluation) => format!(
            "evaluate {} {} {} with inputs {}",
            evaluation.instance,
            show_slot(&evaluation.slot),
            evaluation.template.source,
            json::compact(&evaluation.inputs)
        ),
        Action::Load(load) => {
            format!("load {} {} {}", load.instance, show_slot(&load.slot), json::compact(&load.value))
        }
        Action::Launch(launch) => {
            format!("launch {} {} {}", launch.incarnation.0, launch.instance, show_record(&launch.inputs))
        }
        Action::Prepare(spare) => format!("prepare {} {}", spare.incarnation.0, spare.place),
        Action::Kill { incarnation, class } => format!("kill {} {class}", incarnation.0),
        Action::Remove { incarnation } => format!("remove {}", incarnation.0),
        Action::Publish { outputs } => format!("publish {}", show_record(outputs)),
    }
}
