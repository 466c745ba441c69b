//! The world of one story: a journal, leaders, pods, mail between them, and everything that can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use weir_api::{FailureClass, Phase};
use weir_cwl::expression::Context;
use weir_cwl::{Record, Value, json};

use super::generate::{Case, case};
use super::oracle;
use super::random::Random;
use super::tool::{Scripts, behaviour, try_tool};
use crate::action::{Action, Launch, Plan};
use crate::event::{Event, Failure, Incarnation, Outcome, Recorded, Timestamp, Usage};
use crate::intent::Intent;
use crate::observed::{Capacity, Observed};
use crate::path::InstancePath;
use crate::{State, check, fold};

/// What plans: the core, or a broken variant that the checks must catch.
pub type Planner = fn(&Intent, &State, &Observed, Timestamp) -> Plan;

/// What happened in a story.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The first promise that was broken.
    pub verdict: Result<(), String>,
    /// How the job ended.
    pub phase: Option<Phase>,
    /// The telling, one line an event or fault.
    pub lines: Vec<String>,
    /// Leaders that died.
    pub restarts: u32,
    /// Events in the journal.
    pub events: usize,
}

/// Turns of the world that a job may take; a story takes some hundreds.
const TURNS_MAX: u32 = 20_000;

/// Tells the story of a seed. Only a loud one keeps its lines.
pub fn tell(seed: u64, planner: Planner, is_loud: bool) -> Story {
    let mut random = Random::new(seed);
    let case = case(&mut random);
    let intent = match Intent::new(std::sync::Arc::clone(&case.package), case.inputs.clone(), case.policy.clone()) {
        Ok(intent) => intent,
        Err(error) => return Story::broken(format!("the generator made an invalid intent: {error}")),
    };
    let capacity = Capacity { cores: Some(*random.pick(&[2.0, 4.0, 8.0])), ram_mib: None, incarnations: None };
    let mut world = World {
        intent,
        case,
        planner,
        capacity,
        faults: random.below(25),
        random,
        now: Timestamp(1000),
        journal: Vec::new(),
        leader: Leader::default(),
        stale: None,
        pods: Vec::new(),
        mail: Vec::new(),
        last_uid: 0,
        runs: BTreeMap::new(),
        facts: Facts::default(),
        last_seen: Observed { capacity, ..Observed::default() },
        published: None,
        is_loud,
        lines: Vec::new(),
        restarts: 0,
    };
    let verdict = world.live();
    Story {
        verdict,
        phase: world.leader.state.finished().map(|finished| finished.phase),
        lines: world.lines,
        restarts: world.restarts,
        events: world.journal.len(),
    }
}

impl Story {
    fn broken(message: String) -> Self {
        Self { verdict: Err(message), phase: None, lines: Vec::new(), restarts: 0, events: 0 }
    }
}

type Kept = Result<(), String>;

#[derive(Debug, Clone, Default)]
struct Leader {
    state: State,
    epoch: u64,
}

#[derive(Debug, Clone)]
struct Pod {
    incarnation: Incarnation,
    uid: String,
    instance: InstancePath,
    outcome: Outcome,
    doing: Doing,
    /// A zombie works on, but nobody sees it.
    is_visible: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Asking,
    Running(Timestamp),
    Reporting,
    Done,
}

#[derive(Debug, Clone)]
enum Mail {
    Claim(Incarnation, String),
    Granted(Incarnation, String),
    Superseded(Incarnation, String),
    Report(Incarnation, String, Outcome),
    Acknowledged(Incarnation, String),
}

/// What the journal says, read without the core.
#[derive(Debug, Clone, Default)]
struct Facts {
    started: BTreeMap<Incarnation, (InstancePath, f64)>,
    ended: BTreeSet<Incarnation>,
    succeeded: BTreeSet<InstancePath>,
    stop: Option<FailureClass>,
    is_suspended: bool,
    is_finished: bool,
}

struct World {
    intent: Intent,
    case: Case,
    planner: Planner,
    capacity: Capacity,
    random: Random,
    /// What may still go wrong.
    faults: usize,
    now: Timestamp,
    journal: Vec<Recorded>,
    leader: Leader,
    stale: Option<Leader>,
    pods: Vec<Pod>,
    mail: Vec<(Timestamp, Mail)>,
    last_uid: u32,
    /// Times that a tool was started under a claim.
    runs: BTreeMap<Incarnation, u32>,
    facts: Facts,
    last_seen: Observed,
    published: Option<Record>,
    is_loud: bool,
    lines: Vec<String>,
    restarts: u32,
}

impl World {
    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.is_loud {
            let line = line();
            self.lines.push(format!("{:>6} {line}", self.now.0));
        }
    }

    fn live(&mut self) -> Kept {
        if self.is_loud {
            let case = format!("{:?} inputs {}", self.case.policy, json::compact(&Value::Record(self.case.inputs.clone())));
            self.say(|| case);
        }
        self.append(Event::Accepted { spec: serde_json::Value::Null })?;
        self.append(Event::Epoch { epoch: 1 })?;
        self.leader.epoch = 1;
        for _ in 0..TURNS_MAX {
            self.now.0 += self.random.below(60) as u64;
            if self.faults > 0 && self.random.chance(10) {
                self.faults -= 1;
                self.fault()?;
            }
            if self.facts.is_suspended && (self.faults == 0 || self.random.chance(5)) {
                self.append(Event::Resumed)?;
            }
            self.pods_act();
            self.deliver()?;
            self.lead()?;
            self.stale_leads()?;
            if self.facts.is_finished && self.pods.iter().all(|pod| !pod.is_visible) {
                return self.judge();
            }
        }
        Err("the job does not end".to_owned())
    }

    /// Everything is over: what came out?
    fn judge(&mut self) -> Kept {
        self.restart()?;
        let Some(finished) = self.leader.state.finished() else { return Err("the end was forgotten".to_owned()) };
        let expected = oracle::expected(&self.case);
        match (finished.phase, self.facts.stop, expected) {
            (Phase::Dismissed, Some(_), _) => Ok(()),
            (Phase::Successful, _, Some(expected)) if finished.outputs == expected => Ok(()),
            (Phase::Failed, None, None) => Ok(()),
            (phase, stop, expected) => {
                let show = |outputs: &Record| json::compact(&Value::Record(outputs.clone()));
                let mut message = format!("the job ended {phase:?} with {}", show(&finished.outputs));
                if let Some(failure) = &finished.failure {
                    let _ = write!(message, " because {}", failure.message);
                }
                let expected = expected.as_ref().map_or_else(|| "a failure".to_owned(), show);
                let _ = write!(message, "; the oracle expects {expected}, stop {stop:?}");
                Err(message)
            }
        }
    }

    /// Writes as the leader.
    fn append(&mut self, event: Event) -> Kept {
        self.witness(&event)?;
        self.say(|| format!("journal {}", describe(&event)));
        let recorded = Recorded { at: self.now, event };
        fold(&self.intent, &mut self.leader.state, &recorded).map_err(|error| error.to_string())?;
        self.journal.push(recorded);
        Ok(())
    }

    /// What the journal must never say, checked without the core.
    fn witness(&mut self, event: &Event) -> Kept {
        let facts = &mut self.facts;
        match event {
            _ if facts.is_finished => {}
            Event::StartAttempt { instance, incarnation, resources, .. } => {
                if facts.succeeded.contains(instance) {
                    return Err(format!("`{instance}` is finished and starts again"));
                }
                let is_live = |(number, (path, _)): (&Incarnation, &(InstancePath, f64))| {
                    path == instance && !facts.ended.contains(number)
                };
                if facts.started.iter().any(is_live) {
                    return Err(format!("`{instance}` has an incarnation that lives and starts another"));
                }
                if facts.started.insert(*incarnation, (instance.clone(), resources.cores)).is_some() {
                    return Err(format!("incarnation {} is started twice", incarnation.0));
                }
                let live: Vec<f64> = facts.started.iter().filter(|(number, _)| !facts.ended.contains(number)).map(|(_, (_, cores))| *cores).collect();
                let cores: f64 = live.iter().sum();
                if live.len() > 1 && cores > self.capacity.cores.unwrap_or(f64::MAX) + 1e-6 {
                    return Err(format!("{cores} cores are in use"));
                }
            }
            Event::Ended { incarnation, outcome } => {
                if facts.ended.insert(*incarnation)
                    && outcome.outputs.is_some()
                    && let Some((instance, _)) = facts.started.get(incarnation)
                {
                    facts.succeeded.insert(instance.clone());
                }
            }
            Event::StopRequested { class, .. } => facts.stop = facts.stop.or(Some(*class)),
            Event::Suspended => facts.is_suspended = true,
            Event::Resumed => facts.is_suspended = false,
            Event::Finished { .. } => {
                facts.is_finished = true;
                if facts.started.keys().any(|number| !facts.ended.contains(number)) {
                    return Err("the job is finished while an incarnation lives".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fault(&mut self) -> Kept {
        match self.random.below(12) {
            0..3 => self.restart(),
            3 => {
                if self.stale.is_none() {
                    self.say(|| "fault: another leader takes over, the old one does not know".to_owned());
                    self.stale = Some(self.leader.clone());
                    self.restart()?;
                }
                Ok(())
            }
            4..6 => {
                if !self.pods.is_empty() {
                    let at = self.random.below(self.pods.len());
                    let pod = self.pods.remove(at);
                    self.say(|| format!("fault: pod {} of {} is lost", pod.uid, pod.incarnation.0));
                }
                Ok(())
            }
            6 => {
                if !self.pods.is_empty() {
                    let at = self.random.below(self.pods.len());
                    self.pods[at].is_visible = false;
                    let uid = self.pods[at].uid.clone();
                    self.say(|| format!("fault: pod {uid} becomes a zombie"));
                }
                Ok(())
            }
            7 => {
                // An event that was already written is written once more.
                let at = self.random.below(self.journal.len());
                let event = self.journal[at].event.clone();
                let is_harmless = matches!(event, Event::Evaluated { .. } | Event::Ended { .. } | Event::Claimed { .. });
                if is_harmless { self.append(event) } else { Ok(()) }
            }
            8 => {
                // A report and a claim that come far too late, or from nowhere.
                let incarnation = Incarnation(1 + self.random.below(20) as u64);
                if self.facts.ended.contains(&incarnation) {
                    let outputs = Some([("out".to_owned(), Value::String("from a zombie".to_owned()))].into());
                    let outcome = Outcome { outputs, failure: None, exit_code: Some(0), usage: Usage::default() };
                    self.append(Event::Ended { incarnation, outcome })?;
                }
                self.append(Event::Claimed { incarnation: Incarnation(1_000_000), uid: "nobody".to_owned() })
            }
            9 if self.random.chance(20) => {
                self.append(Event::StopRequested { class: FailureClass::Dismissed, message: "a person".to_owned() })
            }
            10 if !self.facts.is_finished => self.append(Event::Suspended),
            _ => {
                let before = self.mail.len();
                self.mail.retain(|(due, _)| due.0 % 2 == 0);
                let lost = before - self.mail.len();
                self.say(|| format!("fault: {lost} messages are lost"));
                Ok(())
            }
        }
    }

    /// The leader dies; the next one reads the journal and must know the same.
    fn restart(&mut self) -> Kept {
        self.say(|| "the leader starts again".to_owned());
        self.restarts += 1;
        let mut state = State::default();
        for recorded in &self.journal {
            fold(&self.intent, &mut state, recorded).map_err(|error| error.to_string())?;
        }
        if state != self.leader.state {
            return Err("the journal gives another state than the one that was lost".to_owned());
        }
        let epoch = state.epoch() + 1;
        self.leader = Leader { state, epoch };
        self.append(Event::Epoch { epoch })
    }

    fn pods_act(&mut self) {
        for at in 0..self.pods.len() {
            if !self.random.chance(60) {
                continue;
            }
            let pod = &mut self.pods[at];
            let (incarnation, uid) = (pod.incarnation, pod.uid.clone());
            let mail = match pod.doing {
                Doing::Asking => Mail::Claim(incarnation, uid),
                Doing::Running(until) => {
                    if until <= self.now {
                        pod.doing = Doing::Reporting;
                    }
                    continue;
                }
                Doing::Reporting => Mail::Report(incarnation, uid, pod.outcome.clone()),
                Doing::Done => continue,
            };
            self.send(mail);
        }
    }

    fn send(&mut self, mail: Mail) {
        let copies = if self.random.chance(10) { 2 } else { 1 };
        for _ in 0..copies {
            let due = Timestamp(self.now.0 + self.random.below(60) as u64);
            self.mail.push((due, mail.clone()));
        }
    }

    fn deliver(&mut self) -> Kept {
        let now = self.now;
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.mail).into_iter().partition(|(at, _)| *at <= now);
        self.mail = later;
        self.random.shuffle(&mut due);
        for (_, mail) in due {
            let is_to_leader = matches!(mail, Mail::Claim(..) | Mail::Report(..));
            if is_to_leader && self.stale.is_some() && self.random.chance(30) {
                // The stale leader cannot write: the journal has gone on without it. It learns of its end.
                self.say(|| "the stale leader cannot write and exits".to_owned());
                self.stale = None;
                continue;
            }
            match mail {
                Mail::Claim(incarnation, uid) => self.claim(incarnation, uid)?,
                Mail::Report(incarnation, uid, outcome) => self.report(incarnation, uid, outcome)?,
                Mail::Granted(incarnation, uid) => self.granted(incarnation, &uid)?,
                Mail::Superseded(incarnation, uid) => {
                    self.pods.retain(|pod| pod.incarnation != incarnation || pod.uid != uid);
                }
                Mail::Acknowledged(incarnation, uid) => {
                    let is_it = |pod: &&mut Pod| pod.incarnation == incarnation && pod.uid == uid;
                    if let Some(pod) = self.pods.iter_mut().find(is_it) {
                        pod.doing = Doing::Done;
                    }
                    // A zombie that has said all it had to say is gone.
                    self.pods.retain(|pod| pod.is_visible || pod.doing != Doing::Done);
                }
            }
        }
        Ok(())
    }

    fn claim(&mut self, incarnation: Incarnation, uid: String) -> Kept {
        let state = &self.leader.state;
        let is_open = state.is_live(incarnation) && state.claim(incarnation).is_none() && !self.facts.is_finished;
        if is_open && self.random.chance(90) {
            self.append(Event::Claimed { incarnation, uid: uid.clone() })?;
        }
        if self.leader.state.claim(incarnation) == Some(&uid) {
            self.send(Mail::Granted(incarnation, uid));
        } else if !is_open {
            self.send(Mail::Superseded(incarnation, uid));
        }
        Ok(())
    }

    fn granted(&mut self, incarnation: Incarnation, uid: &str) -> Kept {
        let until = Timestamp(self.now.0 + self.random.below(200) as u64);
        let is_it = |pod: &&mut Pod| pod.incarnation == incarnation && pod.uid == uid;
        let Some(pod) = self.pods.iter_mut().find(is_it) else { return Ok(()) };
        if pod.doing != Doing::Asking {
            return Ok(());
        }
        pod.doing = Doing::Running(until);
        let instance = pod.instance.clone();
        let runs = self.runs.entry(incarnation).or_default();
        *runs += 1;
        if *runs > 1 {
            return Err(format!("the tool of `{instance}` runs twice under claim {}", incarnation.0));
        }
        self.say(|| format!("pod {uid} runs `{instance}` under claim {}", incarnation.0));
        Ok(())
    }

    fn report(&mut self, incarnation: Incarnation, uid: String, outcome: Outcome) -> Kept {
        if self.leader.state.claim(incarnation) == Some(&uid) && !self.facts.is_finished {
            self.append(Event::Ended { incarnation, outcome })?;
        }
        self.send(Mail::Acknowledged(incarnation, uid));
        Ok(())
    }

    fn observe(&mut self) -> Observed {
        if self.random.chance(10) {
            // A cache that lags.
            return self.last_seen.clone();
        }
        let present = self.pods.iter().filter(|pod| pod.is_visible).map(|pod| pod.incarnation).collect();
        self.last_seen = Observed { present, capacity: self.capacity };
        self.last_seen.clone()
    }

    fn lead(&mut self) -> Kept {
        if !self.random.chance(70) {
            return Ok(());
        }
        let observed = self.observe();
        let plan = (self.planner)(&self.intent, &self.leader.state, &observed, self.now);
        check_plan(&self.intent, &self.leader.state, &observed, &plan, self.now)?;
        for action in plan.actions {
            if self.faults > 0 && self.random.chance(2) {
                // It dies between two actions.
                self.faults -= 1;
                return self.restart();
            }
            match action {
                Action::Record(event) => self.append(event)?,
                Action::Evaluate(evaluation) => {
                    let context = Context {
                        inputs: &evaluation.inputs,
                        self_: &evaluation.self_,
                        runtime: &evaluation.runtime,
                        library: evaluation.library.as_deref(),
                    };
                    let result =
                        evaluation.template.evaluate(&context, &mut Scripts).map_err(|error| error.to_string());
                    self.append(Event::Evaluated { instance: evaluation.instance, slot: evaluation.slot, result })?;
                }
                Action::Load(load) => {
                    let result = Ok(Value::clone(&load.value));
                    self.append(Event::Evaluated { instance: load.instance, slot: load.slot, result })?;
                }
                Action::Publish { outputs } => {
                    self.publish(&outputs)?;
                    if self.faults > 0 && self.random.chance(30) {
                        self.faults -= 1;
                        return self.restart();
                    }
                    self.append(Event::Finished { phase: Phase::Successful, outputs, failure: None })?;
                }
                Action::Kill { incarnation, class } => {
                    self.kill(incarnation);
                    if self.leader.state.is_live(incarnation) && self.random.chance(80) {
                        let message = "killed".to_owned();
                        let failure = Failure { class, message, instance: None, exit_code: None, stderr_tail: None };
                        let outcome =
                            Outcome { outputs: None, failure: Some(failure), exit_code: None, usage: Usage::default() };
                        self.append(Event::Ended { incarnation, outcome })?;
                    }
                }
                Action::Launch(launch) => self.launch(&launch),
                Action::Remove { incarnation } => self.kill(incarnation),
            }
        }
        Ok(())
    }

    /// A leader that does not know that it is none: what it does outside of the journal has its effect.
    fn stale_leads(&mut self) -> Kept {
        let Some(stale) = &self.stale else { return Ok(()) };
        if !self.random.chance(30) {
            return Ok(());
        }
        let present = self.pods.iter().filter(|pod| pod.is_visible).map(|pod| pod.incarnation).collect();
        let observed = Observed { present, capacity: self.capacity };
        let plan = (self.planner)(&self.intent, &stale.state, &observed, self.now);
        for action in plan.actions {
            match action {
                Action::Record(_) | Action::Evaluate(_) | Action::Load(_) => {
                    self.say(|| "the stale leader cannot write and exits".to_owned());
                    self.stale = None;
                    return Ok(());
                }
                Action::Publish { outputs } => self.publish(&outputs)?,
                Action::Kill { incarnation, .. } | Action::Remove { incarnation } => self.kill(incarnation),
                Action::Launch(launch) => self.launch(&launch),
            }
        }
        Ok(())
    }

    fn publish(&mut self, outputs: &Record) -> Kept {
        self.say(|| "publish".to_owned());
        match &self.published {
            Some(known) if known != outputs => Err("two different results are published".to_owned()),
            _ => {
                self.published = Some(outputs.clone());
                Ok(())
            }
        }
    }

    fn kill(&mut self, incarnation: Incarnation) {
        self.say(|| format!("remove pods of {}", incarnation.0));
        self.pods.retain(|pod| pod.incarnation != incarnation || !pod.is_visible);
    }

    fn launch(&mut self, launch: &Launch) {
        if self.pods.iter().any(|pod| pod.incarnation == launch.incarnation && pod.is_visible) {
            return;
        }
        self.last_uid += 1;
        let uid = format!("u{}", self.last_uid);
        self.say(|| format!("launch {} of `{}` as {uid}", launch.incarnation.0, launch.instance));
        let id = &self.case.package.processes[launch.tool.0].header().id;
        let behaviour = behaviour(id, &launch.inputs, self.case.trouble);
        let usage = Usage { cpu_seconds: 1.0, ..Usage::default() };
        let outcome = match try_tool(&behaviour, launch.attempt, launch.resources.ram_mib) {
            Ok(outputs) => Outcome { outputs: Some(outputs), failure: None, exit_code: Some(0), usage },
            Err(class) => {
                let message = format!("{class}");
                let failure = Failure { class, message, instance: None, exit_code: Some(1), stderr_tail: None };
                Outcome { outputs: None, failure: Some(failure), exit_code: Some(1), usage }
            }
        };
        self.pods.push(Pod {
            incarnation: launch.incarnation,
            uid,
            instance: launch.instance.clone(),
            outcome,
            doing: Doing::Asking,
            is_visible: true,
        });
    }
}

fn check_plan(intent: &Intent, state: &State, observed: &Observed, plan: &Plan, now: Timestamp) -> Kept {
    match check::check(intent, state, observed, plan, now).first() {
        None => Ok(()),
        Some(broken) => Err(broken.to_string()),
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::StartAttempt { instance, attempt, incarnation, .. } => {
            format!("start `{instance}` attempt {attempt} incarnation {}", incarnation.0)
        }
        Event::Ended { incarnation, outcome } => match (&outcome.outputs, &outcome.failure) {
            (Some(outputs), _) => {
                format!("ended {} with {}", incarnation.0, json::compact(&Value::Record(outputs.clone())))
            }
            (None, Some(failure)) => format!("ended {}: {}", incarnation.0, failure.class),
            (None, None) => format!("ended {}", incarnation.0),
        },
        Event::Evaluated { instance, slot, result } => {
            let result = result.as_ref().map_or_else(Clone::clone, json::compact);
            format!("evaluated {slot:?} of `{instance}`: {result}")
        }
        other => format!("{other:?}"),
    }
}
