//! What to do next: `plan(&Intent, &State, &Observed, now) -> Plan`.
//!
//! In this order: remove what is over; stop if asked to or if time is up; take claimed incarnations that vanished for
//! lost; when the job halts, kill and finish; else publish, start, create ahead, launch, evaluate.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};

use crate::action::{Action, Launch, Plan, Prepare};
use crate::check::check;
use crate::event::{Event, Failure, Incarnation, Outcome, Resources, Timestamp, Usage};
use crate::intent::{Intent, OnFailure};
use crate::limits::{EVALUATIONS_PER_PLAN_MAX, SPARE_CREATION_MS_MAX, SPARE_IDLE_MS_MAX, STARTS_PER_PLAN_MAX};
use crate::lookahead::{Certain, certain};
use crate::observed::Observed;
use crate::prepare;
use crate::state::{Live, Spare, Stage, State};
use crate::step_input::process_object;

/// The next things to do. Equal arguments give equal plans. The cost is that of what is live and what is asked for, not
/// of the whole job.
///
/// # Panics
/// Debug builds [check] every plan and panic on one that breaks a promise: an error of the core, never of its input.
pub fn plan(intent: &Intent, state: &State, observed: &Observed, now: Timestamp) -> Plan {
    let plan = decide(intent, state, observed, now);
    if cfg!(debug_assertions) {
        let broken = check(intent, state, observed, &plan, now);
        assert!(broken.is_empty(), "the plan breaks its own promises: {broken:?}");
    }
    plan
}

/// The plan, unchecked.
pub(crate) fn decide(intent: &Intent, state: &State, observed: &Observed, now: Timestamp) -> Plan {
    let mut planning = Planning { intent, state, observed, now, plan: Plan::default() };
    planning.remove_leftovers();
    if state.finished.is_none() && !state.instances.is_empty() {
        planning.watch_time();
        planning.notice_losses();
        if state.halts(intent) {
            planning.halt();
        } else {
            planning.proceed();
        }
    }
    planning.plan
}

impl State {
    /// Whether nothing new is to start: somebody asked, or a step failed for good.
    pub(crate) fn halts(&self, intent: &Intent) -> bool {
        self.stop.is_some() || (self.failure.is_some() && intent.policy.on_failure == OnFailure::Stop)
    }

    /// The entry process's outputs, once all of them are there and nothing of it is left to do.
    pub(crate) fn complete_outputs(&self, intent: &Intent) -> Option<Record> {
        if self.instances.first()?.stage != Stage::Succeeded {
            return None;
        }
        let ids = intent.graph.places[0].outputs.iter().cloned();
        let values = self.outputs.iter().map(|value| value.as_deref().cloned().unwrap_or(Value::Null));
        Some(ids.zip(values).collect())
    }
}

struct Planning<'a> {
    intent: &'a Intent,
    state: &'a State,
    observed: &'a Observed,
    now: Timestamp,
    plan: Plan,
}

impl Planning<'_> {
    fn record(&mut self, event: Event) {
        self.plan.actions.push(Action::Record(event));
    }

    fn wake(&mut self, at: Timestamp) {
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |known| known.min(at)));
    }

    fn remove_leftovers(&mut self) {
        let state = self.state;
        // A number that this state does not know is of a newer leader: it is not ours to remove.
        let is_over = |incarnation: &&Incarnation| {
            let is_wanted = state.live.contains_key(incarnation) || state.spares.contains_key(incarnation);
            **incarnation <= state.last_incarnation && (state.finished.is_some() || !is_wanted)
        };
        let over = self.observed.present.iter().filter(is_over);
        self.plan.actions.extend(over.map(|incarnation| Action::Remove { incarnation: *incarnation }));
    }

    fn watch_time(&mut self) {
        let (Some(accepted), Some(limit)) = (self.state.accepted, self.intent.policy.time_limit_ms) else { return };
        if self.state.stop.is_some() {
            return;
        }
        let deadline = Timestamp(accepted.0.saturating_add(limit));
        if self.now < deadline {
            return self.wake(deadline);
        }
        let message = format!("the job took longer than its limit of {} s", limit.div_ceil(1000));
        self.record(Event::StopRequested { class: FailureClass::TimeLimit, message });
    }

    fn is_present(&self, incarnation: Incarnation) -> bool {
        self.observed.present.contains(&incarnation)
    }

    fn notice_losses(&mut self) {
        let state = self.state;
        for (incarnation, live) in &state.live {
            if live.uid.is_some() && !self.is_present(*incarnation) {
                let message = "its process or pod is gone";
                self.end(*incarnation, live, FailureClass::Disrupted, message);
            }
        }
    }

    fn end(&mut self, incarnation: Incarnation, live: &Live, class: FailureClass, message: &str) {
        let instance = self.state.path(&self.intent.graph, live.instance);
        let message = format!("step `{instance}`: {message}");
        let failure = Failure { class, message, instance: Some(instance), exit_code: None, stderr_tail: None };
        let usage = Usage { started: live.started, finished: self.now, ..Usage::default() };
        let outcome = Outcome { outputs: None, failure: Some(failure), exit_code: None, usage };
        self.record(Event::Ended { incarnation, outcome });
    }

    /// Ends what is live, then the job.
    fn halt(&mut self) {
        let state = self.state;
        self.release_all();
        let class = state.stop.as_ref().map_or(FailureClass::Dismissed, |stop| stop.class);
        for (incarnation, live) in &state.live {
            if self.is_present(*incarnation) {
                self.plan.actions.push(Action::Kill { incarnation: *incarnation, class });
            } else if live.uid.is_none() {
                self.end(*incarnation, live, class, "it was not yet running when the job was stopped");
            }
        }
        if !state.live.is_empty() {
            return;
        }
        let (phase, failure) = match (&state.stop, &state.failure) {
            (Some(stop), _) => {
                let phase = if stop.class == FailureClass::Dismissed { Phase::Dismissed } else { Phase::Failed };
                let message = stop.message.clone();
                let failure =
                    Failure { class: stop.class, message, instance: None, exit_code: None, stderr_tail: None };
                (phase, Some(failure))
            }
            (None, failure) => (Phase::Failed, failure.clone()),
        };
        self.record(Event::Finished { phase, outputs: Record::new(), failure });
    }

    fn proceed(&mut self) {
        let state = self.state;
        if let Some(outputs) = state.complete_outputs(self.intent) {
            self.release_all();
            self.plan.actions.push(Action::Publish { outputs });
            return;
        }
        let is_idle = state.live.is_empty() && state.wanted.is_empty();
        if is_idle && state.ready.is_empty() && state.delayed.is_empty() {
            // Only what depends on a failed step is left.
            let failure = state.failure.clone().unwrap_or_else(|| Failure {
                class: FailureClass::Unsupported,
                message: "nothing is left that could run, but outputs are missing".to_owned(),
                instance: None,
                exit_code: None,
                stderr_tail: None,
            });
            self.release_all();
            self.record(Event::Finished { phase: Phase::Failed, outputs: Record::new(), failure: Some(failure) });
            return;
        }
        if state.suspended {
            self.release_all();
        } else {
            self.start();
        }
        self.launch();
        let wanted = state.wanted.iter().take(EVALUATIONS_PER_PLAN_MAX);
        let asked = wanted.filter_map(|(instance, slot)| prepare::ask(self.intent, state, *instance, slot));
        self.plan.actions.extend(asked);
    }

    /// As many as fit, in the order of their turns. One that does not fit holds back those behind it, so that a large
    /// step is never overtaken for ever. Spares get what room is left.
    fn start(&mut self) {
        let state = self.state;
        let now = self.now;
        let mut room = Room::new(self.intent, state, self.observed);
        let due = state.delayed.iter().take_while(|(until, _)| *until <= now).map(|(_, instance)| *instance);
        let mut turns = due.chain(state.ready.iter().map(|turn| turn.instance)).peekable();
        let mut starting = Vec::new();
        while let Some(instance) = turns.peek().copied()
            && starting.len() < STARTS_PER_PLAN_MAX
            && room.admit(state.instances[instance].resources)
        {
            starting.push(instance);
            turns.next();
        }
        let nobody_waits = turns.next().is_none();

        let mut spares = state.spares.clone();
        let mut last = state.last_incarnation;
        let taken: Vec<Option<Incarnation>> =
            starting.iter().map(|instance| take_spare(&mut spares, state, *instance)).collect();
        self.keep_or_release(&mut spares, &mut room);
        let mut names = Names::default();
        for (instance, taken) in starting.into_iter().zip(taken) {
            let entry = &state.instances[instance];
            let id = &self.intent.graph.places[entry.place].id;
            let log = entry.log.as_deref().map_or_else(|| names.next(state, id), str::to_owned);
            self.record(Event::StartAttempt {
                instance: state.path(&self.intent.graph, instance),
                attempt: entry.attempt,
                incarnation: taken.unwrap_or_else(|| next(&mut last)),
                resources: entry.resources,
                log,
            });
        }
        if nobody_waits {
            self.reserve(&spares, &mut room, &mut last);
        }
        let missing = spares.keys().filter(|incarnation| !self.observed.present.contains(incarnation));
        let missing = missing.filter_map(|incarnation| prepare_of(self.intent, state, *incarnation));
        self.plan.actions.extend(missing.map(Action::Prepare));
        if let Some((until, _)) = state.delayed.iter().find(|(until, _)| *until > now) {
            self.wake(*until);
        }
    }

    /// Gives up the spares that may not stand by any longer.
    fn keep_or_release(&mut self, spares: &mut BTreeMap<Incarnation, Spare>, room: &mut Room) {
        let lookahead = self.observed.lookahead;
        spares.retain(|incarnation, spare| {
            let is_there = self.is_present(*incarnation);
            let allowed_ms = if is_there { SPARE_IDLE_MS_MAX } else { SPARE_CREATION_MS_MAX };
            let until = Timestamp(spare.prepared.0.saturating_add(allowed_ms));
            let is_allowed = lookahead.is_some_and(|lookahead| lookahead.allows(spare.resources));
            let is_kept = is_allowed && self.now < until && room.admit_beside(spare.resources);
            if is_kept {
                self.wake(until);
            } else {
                self.record(Event::Released { incarnation: *incarnation });
            }
            is_kept
        });
    }

    /// Reserves a number for every instance that is certain to run and has no spare yet, where there is room. One whose
    /// place gave up a spare waits for the next incarnation before it, or it would be created and given up in turn.
    fn reserve(&mut self, spares: &BTreeMap<Incarnation, Spare>, room: &mut Room, last: &mut Incarnation) {
        let state = self.state;
        let Some(lookahead) = self.observed.lookahead else { return };
        let mut standing: BTreeMap<usize, usize> = BTreeMap::new();
        for spare in spares.values() {
            *standing.entry(spare.place).or_default() += 1;
        }
        for Certain { place, resources, newest } in certain(self.intent, state) {
            let standing = standing.entry(place).or_default();
            if *standing > 0 {
                *standing -= 1;
                continue;
            }
            let is_new = state.given_up.get(&place).is_none_or(|given_up| newest > *given_up);
            if is_new && lookahead.allows(resources) && room.admit_beside(resources) {
                let place = self.intent.graph.places[place].path.clone();
                self.record(Event::Prepared { incarnation: next(last), place, resources });
            }
        }
    }

    fn release_all(&mut self) {
        for incarnation in self.state.spares.keys() {
            self.record(Event::Released { incarnation: *incarnation });
        }
    }

    fn launch(&mut self) {
        let state = self.state;
        for (incarnation, live) in &state.live {
            let is_launched = self.is_present(*incarnation) && !self.observed.unlaunched.contains(incarnation);
            if live.uid.is_some() || is_launched {
                continue;
            }
            self.plan.actions.extend(launch_of(self.intent, state, *incarnation).map(Action::Launch));
        }
    }
}

/// What creates a live incarnation, claimed or not: an executor that was started again needs it for those that run.
/// `None` if the incarnation does not live.
pub fn launch_of(intent: &Intent, state: &State, incarnation: Incarnation) -> Option<Launch> {
    let live = state.live.get(&incarnation)?;
    let entry = &state.instances[live.instance];
    let place = &intent.graph.places[entry.place];
    Some(Launch {
        incarnation,
        instance: state.path(&intent.graph, live.instance),
        step: place.id.clone(),
        place: place.path.clone(),
        attempt: live.attempt,
        uncounted: entry.uncounted,
        tool: place.run,
        requirements: Arc::clone(&place.effective),
        // The same object was made when the instance became ready.
        inputs: Arc::new(process_object(intent, state, live.instance).ok()?),
        resources: live.resources,
        log: entry.log.as_deref().unwrap_or(&place.id).to_owned(),
    })
}

/// What creates a spare. `None` if the number is none.
pub fn prepare_of(intent: &Intent, state: &State, incarnation: Incarnation) -> Option<Prepare> {
    let spare = state.spares.get(&incarnation)?;
    let place = &intent.graph.places[spare.place];
    Some(Prepare {
        incarnation,
        step: place.id.clone(),
        place: place.path.clone(),
        tool: place.run,
        requirements: Arc::clone(&place.effective),
        resources: spare.resources,
    })
}

/// The next number that was never used.
fn next(last: &mut Incarnation) -> Incarnation {
    last.0 += 1;
    *last
}

/// The lowest spare that may serve an instance.
fn take_spare(spares: &mut BTreeMap<Incarnation, Spare>, state: &State, instance: usize) -> Option<Incarnation> {
    let taken = spares.iter().find(|(_, spare)| state.serves(spare, instance)).map(|(incarnation, _)| *incarnation)?;
    spares.remove(&taken);
    Some(taken)
}

/// What is left of the capacity.
pub(crate) struct Room {
    cores: f64,
    ram_mib: u64,
    incarnations: u32,
    is_empty: bool,
}

impl Room {
    pub fn new(intent: &Intent, state: &State, observed: &Observed) -> Self {
        let capacity = observed.capacity;
        let incarnations = capacity.incarnations.unwrap_or(u32::MAX).min(intent.policy.parallelism);
        let mut room = Self {
            cores: capacity.cores.unwrap_or(f64::INFINITY),
            ram_mib: capacity.ram_mib.unwrap_or(u64::MAX),
            incarnations,
            is_empty: true,
        };
        for live in state.live.values() {
            room.take(live.resources);
        }
        room
    }

    fn take(&mut self, resources: Resources) {
        self.cores -= resources.cores;
        self.ram_mib = self.ram_mib.saturating_sub(resources.ram_mib);
        self.incarnations = self.incarnations.saturating_sub(1);
        self.is_empty = false;
    }

    /// Takes the room if there is some. A step beyond the whole capacity runs alone rather than never.
    pub fn admit(&mut self, resources: Resources) -> bool {
        let is_admitted = self.is_empty || self.fits(resources);
        if is_admitted {
            self.take(resources);
        }
        is_admitted
    }

    /// The same for a spare, which never runs alone.
    pub fn admit_beside(&mut self, resources: Resources) -> bool {
        let fits = self.fits(resources);
        if fits {
            self.take(resources);
        }
        fits
    }

    fn fits(&self, resources: Resources) -> bool {
        // Sums of fractions such as 0.1 are not exact.
        resources.cores <= self.cores + 1e-6 && resources.ram_mib <= self.ram_mib && self.incarnations > 0
    }
}

/// Log names given in this plan: `crop`, `crop_2`, `crop_3` in the order of starts over the whole job. A name that
/// another step's id already took is passed over.
#[derive(Default)]
struct Names {
    given: std::collections::BTreeSet<String>,
    counts: BTreeMap<String, u32>,
}

impl Names {
    fn next(&mut self, state: &State, id: &str) -> String {
        let known = || state.logs.counts.get(id).copied().unwrap_or(0);
        let count = self.counts.entry(id.to_owned()).or_insert_with(known);
        loop {
            *count += 1;
            let name = if *count == 1 { id.to_owned() } else { format!("{id}_{count}") };
            if !state.logs.taken.contains(name.as_str()) && self.given.insert(name.clone()) {
                return name;
            }
        }
    }
}
