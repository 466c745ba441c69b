//! What to do next: `plan(&Intent, &State, &Observed, now) -> Plan`.
//!
//! In this order: remove what is over; stop if asked to or if time is up; take claimed incarnations that vanished for
//! lost; when the job halts, kill and finish; else publish, start, create ahead, launch, evaluate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};

use crate::action::{Action, Launch, Plan};
use crate::check::check;
use crate::event::{Event, Failure, Incarnation, Outcome, Timestamp, Usage};
use crate::intent::{Intent, OnFailure};
use crate::limits::{EVALUATIONS_PER_PLAN_MAX, STARTS_PER_PLAN_MAX};
use crate::lookahead::certain;
use crate::observed::Observed;
use crate::prepare;
use crate::room::Room;
use crate::spares::take_spare;
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
        if observed.is_publishing {
            return planning.plan;
        }
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

/// A plan in the making.
pub(crate) struct Planning<'a> {
    pub intent: &'a Intent,
    pub state: &'a State,
    pub observed: &'a Observed,
    pub now: Timestamp,
    pub plan: Plan,
}

impl Planning<'_> {
    pub fn record(&mut self, event: Event) {
        self.plan.actions.push(Action::Record(event));
    }

    pub fn wake(&mut self, at: Timestamp) {
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
        if self.state.stop.is_some() || self.state.committed {
            return;
        }
        let deadline = Timestamp(accepted.0.saturating_add(limit));
        if self.now < deadline {
            return self.wake(deadline);
        }
        let message = format!("the job took longer than its limit of {} s", limit.div_ceil(1000));
        self.record(Event::StopRequested { class: FailureClass::TimeLimit, message });
    }

    pub fn is_present(&self, incarnation: Incarnation) -> bool {
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
        let spares = if state.suspended {
            self.release_all();
            BTreeMap::new()
        } else {
            self.start()
        };
        // What has work goes before what only stands by.
        self.launch();
        self.create(&spares);
        let wanted = state.wanted.iter().take(EVALUATIONS_PER_PLAN_MAX);
        let asked = wanted.filter_map(|(instance, slot)| prepare::ask(self.intent, state, *instance, slot));
        self.plan.actions.extend(asked);
    }

    /// As many as fit, in the order of their turns. One that does not fit holds back those behind it, so that a large
    /// step is never overtaken for ever. Spares get what room is left; those that stay are returned.
    fn start(&mut self) -> BTreeMap<Incarnation, Spare> {
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
        let certain = self.observed.lookahead.map(|_| certain(self.intent, state)).unwrap_or_default();
        let given_up = self.keep_or_release(&mut spares, &certain, &mut room);
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
            self.reserve(&certain, &spares, &given_up, &mut room, &mut last);
        }
        if let Some((until, _)) = state.delayed.iter().find(|(until, _)| *until > now) {
            self.wake(*until);
        }
        spares
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

/// The next number that was never used.
pub(crate) fn next(last: &mut Incarnation) -> Incarnation {
    last.0 += 1;
    *last
}

/// Log names given in this plan: `crop`, `crop_2`, `crop_3` in the order of starts over the whole job. A name that
/// another step's id already took is passed over.
#[derive(Default)]
struct Names {
    given: BTreeSet<String>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{anything, package, step, tool, workflow};
    use crate::drive::Job;
    use crate::observed::Lookahead;
    use crate::prepare_of;
    use crate::progress::running;
    use crate::{InstancePath, Policy};

    /// Two steps one after the other; as far as the first plans go.
    fn begun() -> (Job, Vec<Launch>) {
        let one = tool("one", &[("a", anything())], &[("out", anything())]);
        let steps = vec![step("s", 0, &["out"]).input("a", "x"), step("t", 0, &["out"]).input("a", "s/out")];
        let main = workflow("main", &[("x", anything())], steps, &[("o", anything(), "t/out")]);
        let inputs = Record::from([("x".to_owned(), Value::Bool(true))]);
        let mut job = Job::new(Intent::new(package(vec![one, main]), inputs, Policy::default()).unwrap());
        job.observed.lookahead = Some(Lookahead::default());
        let mut launches = Vec::new();
        while launches.is_empty() {
            for action in plan(&job.intent, &job.state, &job.observed, job.now).actions {
                match action {
                    Action::Record(event) => job.record(event),
                    Action::Launch(launch) => launches.push(launch),
                    _ => {}
                }
            }
        }
        (job, launches)
    }

    #[test]
    fn the_launch_of_what_is_claimed_can_be_made_again() {
        let (mut job, launches) = begun();
        let incarnation = launches[0].incarnation;
        job.record(Event::Claimed { incarnation, uid: "u".to_owned() });
        assert_eq!(launch_of(&job.intent, &job.state, incarnation).as_ref(), Some(&launches[0]));
        let running: Vec<_> = running(&job.intent, &job.state).collect();
        assert_eq!((running[0].place.as_str(), running[0].uid.as_deref()), ("s", Some("u")));
        assert_eq!(launch_of(&job.intent, &job.state, Incarnation(9)), None);
    }

    #[test]
    fn a_spare_is_no_launch_until_it_is_started() {
        let (mut job, _) = begun();
        let spare = Incarnation(2);
        assert_eq!(prepare_of(&job.intent, &job.state, spare).unwrap().place, "t");
        assert_eq!(launch_of(&job.intent, &job.state, spare), None);
        let outcome = Outcome { outputs: Some(Record::new()), failure: None, exit_code: None, usage: Usage::default() };
        job.record(Event::Ended { incarnation: Incarnation(1), outcome });
        for action in plan(&job.intent, &job.state, &job.observed, job.now).actions {
            if let Action::Record(event) = action {
                job.record(event);
            }
        }
        assert_eq!(launch_of(&job.intent, &job.state, spare).unwrap().place, "t");
        assert_eq!(prepare_of(&job.intent, &job.state, spare), None);
    }

    #[test]
    fn a_spare_of_another_place_starts_nothing_and_its_number_is_used_up() {
        let (mut job, _) = begun();
        let spare = Incarnation(2);
        let (attempt, resources, log) = (1, job.state.spares[&spare].resources, "s".to_owned());
        let instance = InstancePath::try_from("s".to_owned()).unwrap();
        job.record(Event::StartAttempt { instance, attempt, incarnation: spare, resources, log });
        assert!(!job.state.is_live(spare) && !job.state.is_spare(spare));
    }

    #[test]
    fn the_end_of_a_spare_is_its_release_and_fails_nothing() {
        let (mut job, _) = begun();
        let spare = Incarnation(2);
        let outcome = Outcome { outputs: None, failure: None, exit_code: None, usage: Usage::default() };
        job.record(Event::Ended { incarnation: spare, outcome });
        assert!(!job.state.is_spare(spare) && job.state.failure().is_none());
    }
}
