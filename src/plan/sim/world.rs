//! The world of one story: a journal, leaders, pods, mail between them, and everything that can go wrong.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use weir_api::Phase;
use weir_cwl::expression::Context;
use weir_cwl::{Record, Value, json};

use super::generate::{Case, case};
use super::oracle;
use super::random::Random;
use super::tool::{Scripts, behaviour, try_tool};
use super::witness::Facts;
use crate::action::{Action, Launch, Plan, Prepare};
use crate::event::{Event, Failure, Incarnation, Outcome, Recorded, Resources, Timestamp, Usage};
use crate::intent::Intent;
use crate::observed::{Capacity, Lookahead, Observed};
use crate::path::InstancePath;
use crate::{State, check, fold, launch_of};

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
    /// Spares that were started.
    pub taken: u32,
    /// Spares that were given up.
    pub released: u32,
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
    let (cores, parallelism) = (*random.pick(&[2.0, 4.0, 8.0]), case.policy.parallelism);
    let capacity = Capacity { cores: Some(cores), ram_mib: None, incarnations: None };
    let lookaheads =
        [None, Some(Lookahead::default()), Some(Lookahead { cores_max: 4.0, ram_mib_max: 4096, is_held: false })];
    let mut world = World {
        lookahead: *random.pick(&lookaheads),
        // Some leaders die after every single event.
        is_restless: random.chance(4),
        late: Vec::new(),
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
        facts: Facts::new(cores, parallelism as usize),
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
        taken: world.facts.taken,
        released: u32::try_from(world.facts.released.len()).unwrap_or(u32::MAX),
    }
}

impl Story {
    fn broken(message: String) -> Self {
        Self { verdict: Err(message), phase: None, lines: Vec::new(), restarts: 0, events: 0, taken: 0, released: 0 }
    }
}

pub(crate) type Kept = Result<(), String>;

#[derive(Debug, Clone, Default)]
struct Leader {
    state: State,
    epoch: u64,
    /// What it has launched. Lost when it dies.
    orders: BTreeMap<Incarnation, Order>,
}

/// The work of an incarnation.
#[derive(Debug, Clone)]
struct Order {
    instance: InstancePath,
    place: String,
    resources: Resources,
    outcome: Outcome,
}

#[derive(Debug, Clone)]
struct Pod {
    incarnation: Incarnation,
    uid: String,
    /// Where it was made for, and how large: all that it knows before it has an order.
    place: String,
    resources: Resources,
    order: Option<Order>,
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
    Granted(Incarnation, String, Box<Order>),
    Superseded(Incarnation, String),
    Report(Incarnation, String, Box<Outcome>),
    Acknowledged(Incarnation, String),
}

struct World {
    intent: Intent,
    case: Case,
    planner: Planner,
    capacity: Capacity,
    lookahead: Option<Lookahead>,
    is_restless: bool,
    /// Spares whose creation takes its time.
    late: Vec<(Timestamp, Prepare)>,
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
            let case =
                format!("{:?} inputs {}", self.case.policy, json::compact(&Value::Record(self.case.inputs.clone())));
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
            self.latecomers();
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
            (Phase::Successful, _, Some(expected)) if finished.outputs == expected => Ok(()),
            (Phase::Dismissed | Phase::Failed, _, _) if self.published.is_some() => {
                Err(format!("results are published, but the job ended {:?}", finished.phase))
            }
            (Phase::Dismissed, Some(_), _) | (Phase::Failed, None, None) => Ok(()),
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
        self.facts.take(&event)?;
        self.say(|| format!("journal {}", describe(&event)));
        let recorded = Recorded { at: self.now, event };
        fold(&self.intent, &mut self.leader.state, &recorded).map_err(|error| error.to_string())?;
        let claimed = match &recorded.event {
            Event::Claimed { incarnation, .. } => self.leader.state.claim(*incarnation).map(|_| *incarnation),
            _ => None,
        };
        if let Some(incarnation) = claimed.filter(|incarnation| !self.facts.started.contains_key(incarnation)) {
            return Err(format!("incarnation {} is claimed without a StartAttempt", incarnation.0));
        }
        let is_epoch = matches!(recorded.event, Event::Epoch { .. });
        self.journal.push(recorded);
        if self.is_restless && !is_epoch { self.restart() } else { Ok(()) }
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
        self.leader = Leader { state, epoch, orders: BTreeMap::new() };
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
                Doing::Reporting => {
                    let Some(order) = &pod.order else { continue };
                    Mail::Report(incarnation, uid, Box::new(order.outcome.clone()))
                }
                Doing::Done => continue,
            };
            self.send(&mail);
        }
    }

    fn send(&mut self, mail: &Mail) {
        let copies = if self.random.chance(10) { 2 } else { 1 };
        for _ in 0..copies {
            let due = Timestamp(self.now.0 + self.random.below(60) as u64);
            self.mail.push((due, mail.clone()));
        }
    }

    fn deliver(&mut self) -> Kept {
        let now = self.now;
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.mail).into_iter().partition(|(at, _)| *at <= now);
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
                Mail::Report(incarnation, uid, outcome) => self.report(incarnation, uid, *outcome)?,
                Mail::Granted(incarnation, uid, order) => self.granted(incarnation, &uid, *order)?,
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
        // It is to ask again: a spare is not started yet, an order is not made yet.
        let must_wait = state.is_spare(incarnation) || (is_open && !self.leader.orders.contains_key(&incarnation));
        if is_open && !must_wait && self.random.chance(90) {
            self.append(Event::Claimed { incarnation, uid: uid.clone() })?;
        }
        if self.leader.state.claim(incarnation) == Some(&uid) {
            let known = self.leader.orders.get(&incarnation).cloned();
            // A leader that was started again makes the order once more.
            let made = || launch_of(&self.intent, &self.leader.state, incarnation).map(|launch| self.order(&launch));
            let order = known.or_else(made).ok_or("what is claimed has no order")?;
            self.send(&Mail::Granted(incarnation, uid, Box::new(order)));
        } else if !is_open && !must_wait {
            self.send(&Mail::Superseded(incarnation, uid));
        }
        Ok(())
    }

    fn granted(&mut self, incarnation: Incarnation, uid: &str, order: Order) -> Kept {
        let until = Timestamp(self.now.0 + self.random.below(200) as u64);
        let is_it = |pod: &&mut Pod| pod.incarnation == incarnation && pod.uid == uid;
        let Some(pod) = self.pods.iter_mut().find(is_it) else { return Ok(()) };
        if pod.doing != Doing::Asking {
            return Ok(());
        }
        pod.doing = Doing::Running(until);
        let instance = order.instance.clone();
        if pod.place != order.place || pod.resources != order.resources {
            return Err(format!("the pod made for `{}` is to run `{instance}`", pod.place));
        }
        pod.order = Some(order);
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
        self.send(&Mail::Acknowledged(incarnation, uid));
        Ok(())
    }

    fn observe(&mut self) -> Observed {
        if self.random.chance(10) {
            // A cache that lags.
            return self.last_seen.clone();
        }
        self.last_seen = self.seen_by(&self.leader);
        self.last_seen.clone()
    }

    fn seen_by(&self, leader: &Leader) -> Observed {
        let visible = self.pods.iter().filter(|pod| pod.is_visible).map(|pod| pod.incarnation);
        let present: BTreeSet<Incarnation> = visible.collect();
        let unlaunched = present.iter().filter(|number| !leader.orders.contains_key(number)).copied().collect();
        Observed { present, unlaunched, capacity: self.capacity, is_publishing: false, lookahead: self.lookahead }
    }

    fn lead(&mut self) -> Kept {
        if !self.random.chance(70) {
            return Ok(());
        }
        let observed = self.observe();
        let plan = (self.planner)(&self.intent, &self.leader.state, &observed, self.now);
        check_plan(&self.intent, &self.leader.state, &observed, &plan, self.now)?;
        let restarts = self.restarts;
        for action in plan.actions {
            if self.restarts > restarts {
                return Ok(());
            }
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
                // All but what makes the results visible is copied; somebody may ask the job to stop meanwhile.
                Action::Publish { .. } if !self.leader.state.is_committed() => {
                    if self.random.chance(50) {
                        self.append(Event::Committed)?;
                    }
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
                Action::Launch(launch) => {
                    let order = self.order(&launch);
                    self.leader.orders.insert(launch.incarnation, order);
                    self.launch(&launch);
                }
                Action::Prepare(spare) => self.prepare(spare),
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
        let observed = self.seen_by(stale);
        let plan = (self.planner)(&self.intent, &stale.state, &observed, self.now);
        let is_committed = stale.state.is_committed();
        for action in plan.actions {
            match action {
                Action::Publish { outputs } if is_committed => self.publish(&outputs)?,
                Action::Record(_) | Action::Evaluate(_) | Action::Load(_) | Action::Publish { .. } => {
                    self.say(|| "the stale leader cannot write and exits".to_owned());
                    self.stale = None;
                    return Ok(());
                }
                Action::Kill { incarnation, .. } | Action::Remove { incarnation } => self.kill(incarnation),
                Action::Launch(launch) => self.launch(&launch),
                Action::Prepare(spare) => self.prepare(spare),
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
        self.say(|| format!("launch {} of `{}`", launch.incarnation.0, launch.instance));
        self.create(launch.incarnation, &launch.place, launch.resources);
    }

    /// Some are lost on the way, some take long.
    fn prepare(&mut self, spare: Prepare) {
        match self.random.below(100) {
            0..10 => {}
            10..30 => {
                let delay_ms = *self.random.pick(&[100, 2000, 20_000]);
                self.late.push((Timestamp(self.now.0 + delay_ms), spare));
            }
            _ => self.create(spare.incarnation, &spare.place, spare.resources),
        }
    }

    fn latecomers(&mut self) {
        let now = self.now;
        let (due, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        for (_, spare) in due {
            self.create(spare.incarnation, &spare.place, spare.resources);
        }
    }

    fn create(&mut self, incarnation: Incarnation, place: &str, resources: Resources) {
        if self.pods.iter().any(|pod| pod.incarnation == incarnation && pod.is_visible) {
            return;
        }
        self.last_uid += 1;
        let uid = format!("u{}", self.last_uid);
        self.say(|| format!("pod {uid} for {} of `{place}`", incarnation.0));
        let (place, order, doing) = (place.to_owned(), None, Doing::Asking);
        self.pods.push(Pod { incarnation, uid, place, resources, order, doing, is_visible: true });
    }

    fn order(&self, launch: &Launch) -> Order {
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
        let (place, resources) = (launch.place.clone(), launch.resources);
        Order { instance: launch.instance.clone(), place, resources, outcome }
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
        Event::Prepared { incarnation, place, .. } => format!("reserve {} for `{place}`", incarnation.0),
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
