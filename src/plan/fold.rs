//! `State = fold(journal)`. Pure and incremental: an event costs what it changes.
//!
//! Late and repeated events are harmless by rule: what was said of an incarnation after its end, a second claim, an answer
//! that nobody waits for, and everything after `Finished` change nothing.

use weir_api::FailureClass;

use crate::event::{Event, Failure, Incarnation, Outcome, Recorded, Resources, Timestamp};
use crate::flow::Flow;
use crate::intent::Intent;
use crate::path::InstancePath;
use crate::retry::{Verdict, judge};
use crate::state::{Finished, Live, Spare, Stage, State, Stop, Times};

/// A journal that does not belong to the intent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FoldError {
    /// The package has no such step, or the step has no such element.
    #[error("the journal speaks of step instance `{0}`, which the package does not have; was the package changed?")]
    UnknownInstance(InstancePath),
    /// The package has no such step.
    #[error("the journal speaks of step `{0}`, which the package does not have; was the package changed?")]
    UnknownPlace(String),
}

/// Takes one event into the state.
pub fn fold(intent: &Intent, state: &mut State, recorded: &Recorded) -> Result<(), FoldError> {
    if state.finished.is_some() {
        return Ok(());
    }
    let at = recorded.at;
    let mut flow = Flow::new(intent, state, at);
    if flow.state.instances.is_empty() {
        flow.begin();
        flow.run();
    }
    match &recorded.event {
        Event::Accepted { .. } => {}
        Event::Epoch { epoch } => flow.state.epoch = flow.state.epoch.max(*epoch),
        Event::Evaluated { instance, slot, result } => {
            let Some(at) = flow.state.find(intent, instance) else {
                return Err(FoldError::UnknownInstance(instance.clone()));
            };
            if flow.state.wanted.remove(&(at, slot.clone())) {
                flow.answer(at, slot.clone(), result.clone());
                flow.run();
            }
        }
        Event::StartAttempt { instance, attempt, incarnation, resources, log } => {
            let Some(found) = flow.state.find(intent, instance) else {
                return Err(FoldError::UnknownInstance(instance.clone()));
            };
            start(flow.state, intent, at, found, *attempt, *incarnation, *resources, log);
        }
        Event::Prepared { incarnation, place, resources } => {
            let Some(place) = intent.graph.find(place) else { return Err(FoldError::UnknownPlace(place.clone())) };
            if *incarnation > flow.state.last_incarnation {
                flow.state.last_incarnation = *incarnation;
                flow.state.spares.insert(*incarnation, Spare { place, resources: *resources, prepared: at });
            }
        }
        Event::Released { incarnation } => release(flow.state, at, *incarnation),
        Event::Claimed { incarnation, uid } => {
            if let Some(live) = flow.state.live.get_mut(incarnation)
                && live.uid.is_none()
            {
                live.uid = Some(uid.clone());
            }
        }
        Event::Ended { incarnation, outcome } => {
            if let Some(live) = flow.state.live.remove(incarnation) {
                end(&mut flow, &live, outcome);
                flow.run();
            }
            release(flow.state, at, *incarnation);
        }
        // Whichever comes first, this or `Committed`, makes the other void.
        Event::StopRequested { class, message } => {
            if !flow.state.committed {
                flow.state.stop.get_or_insert(Stop { class: *class, message: message.clone() });
            }
        }
        Event::Committed => flow.state.committed = flow.state.stop.is_none(),
        Event::Suspended => flow.state.suspended = true,
        Event::Resumed => flow.state.suspended = false,
        Event::Finished { phase, outputs, failure } => {
            let (outputs, failure) = (outputs.clone(), failure.clone());
            flow.state.spares.clear();
            flow.state.finished = Some(Finished { at, phase: *phase, outputs, failure });
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the fields of one event")]
fn start(
    state: &mut State,
    intent: &Intent,
    at: Timestamp,
    instance: usize,
    attempt: u32,
    incarnation: Incarnation,
    resources: Resources,
    log: &str,
) {
    match state.spares.remove(&incarnation) {
        Some(spare) if state.serves(&spare, instance) && spare.resources == resources => {}
        None if incarnation > state.last_incarnation => {}
        _ => return,
    }
    // The number is used up in any case, also where the start itself is void.
    state.last_incarnation = state.last_incarnation.max(incarnation);
    match state.instances[instance].stage {
        Stage::Ready => {
            let turn = state.turn(instance);
            state.ready.remove(&turn);
        }
        Stage::Delayed(until) => {
            state.delayed.remove(&(until, instance));
        }
        _ => return,
    }
    let place = state.instances[instance].place;
    let tally = &mut state.tallies[place];
    tally.running += 1;
    tally.first_start.get_or_insert(at);
    let entry = &mut state.instances[instance];
    if entry.log.is_none() {
        entry.log = Some(log.into());
        state.logs.taken.insert(log.into());
        *state.logs.counts.entry(intent.graph.places[place].id.clone()).or_default() += 1;
    } else {
        tally.retries += 1;
    }
    entry.stage = Stage::Live(incarnation);
    entry.resources = resources;
    entry.times.get_or_insert_with(|| Box::new(Times { first_start: at, ..Times::default() }));
    state.live.insert(incarnation, Live { instance, attempt, resources, started: at, uid: None });
}

/// A spare is no more.
fn release(state: &mut State, at: Timestamp, incarnation: Incarnation) {
    if let Some(spare) = state.spares.remove(&incarnation) {
        state.given_up.insert(spare.place, at);
    }
}

fn end(flow: &mut Flow<'_>, live: &Live, outcome: &Outcome) {
    let instance = live.instance;
    measure(flow.state, flow.at, instance, outcome);
    if let (Some(outputs), None) = (&outcome.outputs, &outcome.failure) {
        return flow.succeed(instance, outputs.clone());
    }
    let path = flow.state.path(&flow.intent.graph, instance);
    let mut failure = outcome.failure.clone().unwrap_or_else(|| Failure {
        class: FailureClass::Platform,
        message: format!("step `{path}` ended without outputs and without a reason"),
        instance: None,
        exit_code: outcome.exit_code,
        stderr_tail: None,
    });
    if flow.state.halts(flow.intent) {
        flow.state.instances[instance].stage = Stage::Stopped;
        flow.state.tallies[flow.state.instances[instance].place].stopped += 1;
        return;
    }
    let entry = &mut flow.state.instances[instance];
    match judge(&flow.intent.policy, failure.class, live.attempt, entry.uncounted, live.resources) {
        Verdict::Again { attempt, uncounted, resources, wait_ms } => {
            entry.attempt = attempt;
            entry.uncounted = uncounted;
            entry.resources = resources;
            if wait_ms == 0 {
                return flow.make_ready(instance, resources);
            }
            let until = Timestamp(flow.at.0.saturating_add(wait_ms));
            entry.stage = Stage::Delayed(until);
            flow.state.delayed.insert((until, instance));
        }
        Verdict::Permanent(reason) => {
            failure.instance.get_or_insert(path);
            if let Some(reason) = reason {
                failure.message = format!("{} ({reason})", failure.message);
            }
            flow.fail(instance, failure);
        }
    }
}

/// Adds an incarnation's usage to its instance and place.
fn measure(state: &mut State, at: Timestamp, instance: usize, outcome: &Outcome) {
    let entry = &mut state.instances[instance];
    let tally = &mut state.tallies[entry.place];
    tally.running -= 1;
    tally.last_end = tally.last_end.max(Some(at));
    tally.cpu_seconds += outcome.usage.cpu_seconds;
    tally.memory_peak_bytes = tally.memory_peak_bytes.max(outcome.usage.memory_peak_bytes);
    tally.output_bytes += outcome.usage.output_bytes;
    if let Some(times) = &mut entry.times {
        times.last_end = Some(at);
        times.exit_code = outcome.exit_code;
        times.usage.cpu_seconds += outcome.usage.cpu_seconds;
        times.usage.memory_peak_bytes = times.usage.memory_peak_bytes.max(outcome.usage.memory_peak_bytes);
        times.usage.output_bytes = outcome.usage.output_bytes;
        if times.usage.started == Timestamp::default() {
            times.usage.started = outcome.usage.started;
        }
        times.usage.finished = outcome.usage.finished;
    }
}
