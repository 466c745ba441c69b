//! Invariants over any (intent, state, plan). Called in debug builds and at every step of the simulation.

mod spares;

use std::collections::BTreeSet;

use crate::action::{Action, Plan};
use crate::event::{Event, Incarnation, Timestamp};
use crate::intent::Intent;
use crate::observed::Observed;
use crate::room::Room;
use crate::state::{Stage, State};

/// A broken invariant, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Every invariant that this plan or this state breaks.
pub fn check(intent: &Intent, state: &State, observed: &Observed, plan: &Plan, now: Timestamp) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut say = |message: String| broken.push(Broken(message));
    consistent(state, &mut say);
    starts(intent, state, observed, plan, now, &mut say);
    let mut launched = BTreeSet::new();
    let mut ended = BTreeSet::new();
    for action in &plan.actions {
        if state.finished.is_some() && !matches!(action, Action::Remove { .. }) {
            say(format!("the job is finished, yet the plan says {action:?}"));
        }
        if observed.is_publishing
            && !matches!(action, Action::Remove { .. } | Action::Record(Event::StopRequested { .. }))
        {
            say(format!("the outputs are being published, yet the plan says {action:?}"));
        }
        if state.committed && matches!(action, Action::Record(Event::StopRequested { .. } | Event::Finished { .. })) {
            say(format!("results may be visible, yet the plan says {action:?}"));
        }
        match action {
            Action::Launch(launch) => {
                let incarnation = launch.incarnation;
                match state.live.get(&incarnation) {
                    None => say(format!("launch of {incarnation:?} without a StartAttempt that holds")),
                    Some(live) if live.uid.is_some() => say(format!("launch of {incarnation:?}, which is claimed")),
                    Some(_) => {}
                }
                if observed.present.contains(&incarnation) && !observed.unlaunched.contains(&incarnation) {
                    say(format!("launch of {incarnation:?}, which exists"));
                }
                if !launched.insert(incarnation) {
                    say(format!("{incarnation:?} is launched twice"));
                }
                if state.halts(intent) {
                    say(format!("launch of {incarnation:?} though the job is to stop"));
                }
            }
            Action::Remove { incarnation } => {
                if state.finished.is_none() && state.live.contains_key(incarnation) {
                    say(format!("{incarnation:?} is removed though it has not ended"));
                }
                if state.finished.is_none() && state.spares.contains_key(incarnation) {
                    say(format!("{incarnation:?} is removed though it stands by"));
                }
            }
            Action::Kill { incarnation, .. } => {
                if !state.halts(intent) || !state.live.contains_key(incarnation) {
                    say(format!("{incarnation:?} is killed without need"));
                }
            }
            Action::Record(Event::Ended { incarnation, .. }) => {
                if !ended.insert(*incarnation) || !state.live.contains_key(incarnation) {
                    say(format!("{incarnation:?} ends, but it does not live"));
                }
                if observed.present.contains(incarnation) {
                    say(format!("{incarnation:?} is given up though it exists"));
                }
            }
            Action::Record(Event::Finished { .. }) | Action::Publish { .. } => {
                if !state.live.is_empty() {
                    say("the job ends while incarnations live".to_owned());
                }
            }
            Action::Record(Event::Claimed { incarnation, .. }) => {
                say(format!("{incarnation:?} is claimed by the planner"));
            }
            Action::Prepare(_) | Action::Evaluate(_) | Action::Load(_) | Action::Record(_) => {}
        }
    }
    spares::check(intent, state, observed, plan, now, &mut say);
    progresses(state, observed, plan, &mut say);
    broken
}

/// What holds of a state by itself.
fn consistent(state: &State, say: &mut impl FnMut(String)) {
    for incarnation in state.spares.keys() {
        if *incarnation > state.last_incarnation || state.live.contains_key(incarnation) {
            say(format!("{incarnation:?} stands by, but its number is not reserved"));
        }
    }
    let mut owners = BTreeSet::new();
    for (incarnation, live) in &state.live {
        if *incarnation > state.last_incarnation {
            say(format!("{incarnation:?} is beyond the last number {:?}", state.last_incarnation));
        }
        if !owners.insert(live.instance) {
            say(format!("step instance number {} has two incarnations that live", live.instance));
        }
        if state.instances[live.instance].stage != Stage::Live(*incarnation) {
            say(format!("{incarnation:?} lives, but its step instance does not know it"));
        }
    }
}

/// New incarnations: fresh numbers, only what may start, within attempts and capacity.
fn starts(
    intent: &Intent,
    state: &State,
    observed: &Observed,
    plan: &Plan,
    now: Timestamp,
    say: &mut impl FnMut(String),
) {
    let mut last = state.last_incarnation;
    let mut spares = state.spares.clone();
    let mut seen = BTreeSet::new();
    let mut logs = BTreeSet::new();
    let mut room = Room::new(intent, state, observed);
    for action in &plan.actions {
        let Action::Record(Event::StartAttempt { instance, attempt, incarnation, resources, log }) = action else {
            continue;
        };
        let spare = spares.remove(incarnation);
        if *incarnation <= last && spare.is_none() {
            say(format!("number {} is used again for `{instance}`", incarnation.0));
        }
        last = last.max(*incarnation);
        if state.suspended || state.halts(intent) {
            say(format!("`{instance}` starts though nothing new may"));
        }
        let Some(found) = state.find(intent, instance) else {
            say(format!("`{instance}` starts, but there is no such step instance"));
            continue;
        };
        let entry = &state.instances[found];
        if spare.is_some_and(|spare| !state.serves(&spare, found) || spare.resources != *resources) {
            say(format!("`{instance}` takes the spare {} of another place or size", incarnation.0));
        }
        match entry.stage {
            Stage::Ready => {}
            Stage::Delayed(until) if until <= now => {}
            Stage::Delayed(until) => say(format!("`{instance}` starts before its back-off ends at {}", until.0)),
            stage => say(format!("`{instance}` starts though it is {stage:?}")),
        }
        if !seen.insert(found) {
            say(format!("`{instance}` starts twice in one plan"));
        }
        if *attempt > intent.policy.attempts_max || entry.uncounted > intent.policy.uncounted_retries_max {
            say(format!("`{instance}` starts more often than its limits allow"));
        }
        if !room.admit(*resources) {
            say(format!("`{instance}` starts beyond the capacity"));
        }
        let is_taken = entry.log.is_none() && state.logs.taken.contains(log.as_str());
        if !logs.insert(log) || is_taken || entry.log.as_deref().is_some_and(|known| known != log) {
            say(format!("the log name `{log}` of `{instance}` belongs to another"));
        }
    }
}

/// I6: a job that is not over has something to do, something that runs, or a time to wake at.
fn progresses(state: &State, observed: &Observed, plan: &Plan, say: &mut impl FnMut(String)) {
    if state.finished.is_some() || state.instances.is_empty() || state.suspended {
        return;
    }
    let is_present = |incarnation: &Incarnation| observed.present.contains(incarnation);
    let runs = observed.is_publishing || state.live.keys().any(is_present);
    if plan.actions.is_empty() && plan.wake_at.is_none() && !runs {
        say("nothing is to be done, nothing runs, and nothing is waited for".to_owned());
    }
}
