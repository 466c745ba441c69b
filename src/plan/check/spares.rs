//! Invariants of what is created ahead. What is certain to run is found here by looking at the whole job, apart from the
//! planner's way along the links.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Action, Plan};
use crate::event::{Event, Timestamp};
use crate::graph::Kind;
use crate::intent::Intent;
use crate::limits::{LOOKAHEAD_LEVELS, SPARE_IDLE_MS_MAX};
use crate::observed::Observed;
use crate::room::Room;
use crate::state::{Expansion, Stage, State, StepState};

/// What the plan does with spares: reserved by fresh numbers for what is certain, small, beside what runs; made only once
/// reserved; given up in time.
pub(super) fn check(
    intent: &Intent,
    state: &State,
    observed: &Observed,
    plan: &Plan,
    now: Timestamp,
    say: &mut impl FnMut(String),
) {
    let mut standing = state.spares.clone();
    let mut last = state.last_incarnation;
    let mut reserved: BTreeMap<usize, usize> = BTreeMap::new();
    let mut started = BTreeSet::new();
    let mut room = Room::new(intent, state, observed);
    let is_to_rest = state.suspended || state.halts(intent) || observed.lookahead.is_none();
    for action in &plan.actions {
        match action {
            Action::Record(Event::StartAttempt { instance, incarnation, resources, .. }) => {
                standing.remove(incarnation);
                last = last.max(*incarnation);
                started.extend(state.find(intent, instance));
                room.admit(*resources);
            }
            Action::Record(Event::Released { incarnation }) => {
                let stood_by = standing.remove(incarnation).is_some();
                if !stood_by {
                    say(format!("{incarnation:?} is given up, but it does not stand by"));
                }
            }
            Action::Record(Event::Prepared { incarnation, place, resources }) => {
                if *incarnation <= last {
                    say(format!("number {} is used again for a spare of `{place}`", incarnation.0));
                }
                last = last.max(*incarnation);
                let lookahead = observed.lookahead.filter(|lookahead| !lookahead.is_held);
                if is_to_rest || !lookahead.is_some_and(|lookahead| lookahead.allows(*resources)) {
                    say(format!("a spare of `{place}` is created though none may"));
                }
                match intent.graph.find(place) {
                    Some(place) => *reserved.entry(place).or_default() += 1,
                    None => say(format!("a spare of `{place}`, but there is no such step")),
                }
            }
            Action::Prepare(spare) => {
                let known = state.spares.get(&spare.incarnation);
                let is_its_place = |place: usize| intent.graph.places[place].path == spare.place;
                if !known.is_some_and(|known| is_its_place(known.place) && known.resources == spare.resources) {
                    say(format!("{:?} is created ahead without being reserved", spare.incarnation));
                }
            }
            _ => {}
        }
    }
    // It may stand by since the last of those that it waits for was started: one of those that live.
    let newest = state.live.values().map(|live| live.started).max().unwrap_or_default();
    for (incarnation, spare) in &standing {
        let is_idle = now.0 >= spare.prepared.max(newest).0.saturating_add(SPARE_IDLE_MS_MAX);
        if state.finished.is_none() && (is_to_rest || is_idle) {
            say(format!("{incarnation:?} stands by longer than it may"));
        }
        if !is_to_rest && !room.admit_beside(spare.resources) {
            say(format!("{incarnation:?} stands by beyond the capacity"));
        }
    }
    beside(intent, state, plan, &mut room, &started, now, say);
    let certain = if reserved.is_empty() { BTreeMap::new() } else { certain(intent, state) };
    for (place, count) in reserved {
        let standing = standing.values().filter(|spare| spare.place == place).count();
        if standing + count > certain.get(&place).copied().unwrap_or(0) {
            let path = &intent.graph.places[place].path;
            say(format!(
                "{count} spares of `{path}` are reserved beside {standing}, but not as many are certain to run"
            ));
        }
    }
}

/// New spares take only room that nobody else waits for.
fn beside(
    intent: &Intent,
    state: &State,
    plan: &Plan,
    room: &mut Room,
    started: &BTreeSet<usize>,
    now: Timestamp,
    say: &mut impl FnMut(String),
) {
    let due = state.delayed.iter().filter(|(until, _)| *until <= now).map(|(_, instance)| *instance);
    let waits = state.ready.iter().map(|turn| turn.instance).chain(due).find(|instance| !started.contains(instance));
    for action in &plan.actions {
        let Action::Record(Event::Prepared { place, resources, .. }) = action else { continue };
        if !room.admit_beside(*resources) {
            say(format!("a spare of `{place}` is created beyond the capacity"));
        }
        if let Some(waiting) = waits {
            let waiting = state.path(&intent.graph, waiting);
            say(format!("a spare of `{place}` is created while `{waiting}` waits for room"));
        }
    }
}

/// For each place, how many instances will exist at most [`LOOKAHEAD_LEVELS`] steps after what lives, if all goes well.
fn certain(intent: &Intent, state: &State) -> BTreeMap<usize, usize> {
    let mut certain = BTreeMap::new();
    for (scope, instance) in state.scopes.iter().enumerate() {
        if state.instances[instance.owner].stage != Stage::Inside {
            continue;
        }
        for (step, place) in intent.graph.scopes[instance.scope].steps.iter().enumerate() {
            if !matches!(instance.steps[step], StepState::Waiting(_)) || intent.foreseeable[*place].is_none() {
                continue;
            }
            let mut sources = intent.graph.places[*place].inputs.iter().flat_map(|input| &input.sources);
            if sources.all(|port| will_be(intent, state, scope, *port, LOOKAHEAD_LEVELS - 1)) {
                *certain.entry(*place).or_default() += 1;
            }
        }
    }
    certain
}

/// Whether a port has its value once what lives has ended well, and after it so many steps that do not exist yet.
fn will_be(intent: &Intent, state: &State, scope: usize, port: usize, ahead: usize) -> bool {
    let instance = &state.scopes[scope];
    if instance.ports.get(port).is_some_and(Option::is_some) {
        return true;
    }
    let graph = &intent.graph.scopes[instance.scope];
    let step = graph.first_port.partition_point(|first| *first <= port);
    // Ports of the inputs come first.
    let Some(step) = step.checked_sub(1) else { return false };
    let output = port - graph.first_port[step];
    match &instance.steps[step] {
        StepState::Expanded(expansion) => {
            let mut elements = expansion.first..expansion.first + expansion.count;
            elements.all(|element| gives(intent, state, expansion, element, output, ahead))
        }
        StepState::Waiting(_) if ahead > 0 => {
            let place = graph.steps[step];
            let mut sources = intent.graph.places[place].inputs.iter().flat_map(|input| &input.sources);
            let is_foreseeable = intent.foreseeable[place].is_some();
            is_foreseeable && sources.all(|port| will_be(intent, state, scope, *port, ahead - 1))
        }
        _ => false,
    }
}

/// Whether an element has an output, or will have it (see [`will_be`]).
fn gives(intent: &Intent, state: &State, expansion: &Expansion, element: usize, output: usize, ahead: usize) -> bool {
    if expansion.collected[output][element - expansion.first].is_some() {
        return true;
    }
    let instance = &state.instances[element];
    match (instance.stage, instance.inside) {
        (Stage::Live(incarnation), _) => state.live.contains_key(&incarnation),
        (Stage::Inside, Some(inside)) => {
            let place = &intent.graph.places[instance.place];
            let Kind::Workflow(scope) = place.kind else { return false };
            let outputs = &intent.graph.scopes[scope.0].outputs;
            let out = outputs.iter().find(|out| out.id == place.outputs[output]);
            out.is_some_and(|out| out.sources.iter().all(|port| will_be(intent, state, inside, *port, ahead)))
        }
        _ => false,
    }
}
