//! Which step instances are certain to run as soon as what lives has ended: for these a spare may be created ahead, so that
//! placing it, fetching its image and starting it happen while the step before it works.
//!
//! Everything that such an instance waits for is either there, or made by an incarnation that lives, or by an instance that
//! is itself certain: [`LOOKAHEAD_LEVELS`] steps ahead at most. The work starts at what lives and goes along the links, never
//! over the whole job.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Resources, Timestamp};
use crate::graph::Reader;
use crate::intent::Intent;
use crate::limits::LOOKAHEAD_LEVELS;
use crate::state::{Stage, State, StepState};

/// A step instance that does not exist yet, but will.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Certain {
    pub place: usize,
    /// The scope instance that it will be in, and which of its steps it is.
    within: (usize, usize),
    pub resources: Resources,
    /// When the last of the incarnations that it waits for was started.
    pub newest: Timestamp,
}

/// All of them: those that come sooner first, in the order of their turns.
pub(crate) fn certain(intent: &Intent, state: &State) -> Vec<Certain> {
    let mut outlook = Outlook {
        intent,
        state,
        elements: BTreeMap::new(),
        ports: BTreeMap::new(),
        outputs: BTreeSet::new(),
        steps: BTreeSet::new(),
    };
    for live in state.live.values() {
        let place = state.instances[live.instance].place;
        for output in 0..intent.graph.places[place].outputs.len() {
            outlook.element(live.instance, output, live.started);
        }
    }
    let mut all: Vec<Certain> = Vec::new();
    for _ in 0..LOOKAHEAD_LEVELS {
        let steps = std::mem::take(&mut outlook.steps);
        let found = steps.into_iter().filter_map(|(scope, step)| outlook.step(scope, step));
        let mut found: Vec<(Vec<u32>, Certain)> = found.collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (_, certain) in found {
            outlook.outputs_of(&certain);
            all.push(certain);
        }
    }
    all
}

/// What will be there once everything that lives has ended well, each with the start of the last incarnation that it waits for.
struct Outlook<'a> {
    intent: &'a Intent,
    state: &'a State,
    /// For an output of a step in a scope instance: how many of the elements that lack it will have it.
    elements: BTreeMap<(usize, usize, usize), (usize, Timestamp)>,
    /// Ports of scope instances.
    ports: BTreeMap<(usize, usize), Timestamp>,
    /// Outputs of scope instances.
    outputs: BTreeSet<(usize, usize)>,
    /// Steps that read one of the ports and have not been looked at since.
    steps: BTreeSet<(usize, usize)>,
}

impl Outlook<'_> {
    /// An instance will have one of its outputs.
    fn element(&mut self, instance: usize, output: usize, newest: Timestamp) {
        let Some((scope, step)) = self.state.instances[instance].parent else { return };
        let StepState::Expanded(expansion) = &self.state.scopes[scope].steps[step] else { return };
        let (count, last) = self.elements.entry((scope, step, output)).or_default();
        *count += 1;
        *last = newest.max(*last);
        if *count == expansion.collected_left[output] {
            let (newest, graph) = (*last, &self.intent.graph.scopes[self.state.scopes[scope].scope]);
            self.port(scope, graph.first_port[step] + output, newest);
        }
    }

    /// An instance that does not exist yet will have its outputs.
    fn outputs_of(&mut self, certain: &Certain) {
        let (scope, step) = certain.within;
        let first = self.intent.graph.scopes[self.state.scopes[scope].scope].first_port[step];
        for output in 0..self.intent.graph.places[certain.place].outputs.len() {
            self.port(scope, first + output, certain.newest);
        }
    }

    /// A port will have its value.
    fn port(&mut self, scope: usize, port: usize, newest: Timestamp) {
        self.ports.insert((scope, port), newest);
        let (intent, state) = (self.intent, self.state);
        let instance = &state.scopes[scope];
        let graph = &intent.graph.scopes[instance.scope];
        for reader in &graph.readers[port] {
            match *reader {
                Reader::Step(step) => {
                    self.steps.insert((scope, step));
                }
                Reader::Output(output) => {
                    let out = &graph.outputs[output];
                    let Some(newest) = self.newest(scope, out.sources.iter().copied()) else { continue };
                    let place = &intent.graph.places[state.instances[instance.owner].place];
                    let passed_on = place.outputs.iter().position(|id| *id == out.id);
                    if let Some(passed_on) = passed_on
                        && self.outputs.insert((scope, output))
                    {
                        self.element(instance.owner, passed_on, newest);
                    }
                }
            }
        }
    }

    /// When the last incarnation that these ports wait for was started, if all of them are there or will be.
    fn newest(&self, scope: usize, ports: impl Iterator<Item = usize>) -> Option<Timestamp> {
        let known = &self.state.scopes[scope].ports;
        let mut newest = Timestamp::default();
        for port in ports {
            match self.ports.get(&(scope, port)) {
                Some(one) => newest = newest.max(*one),
                None if known.get(port).is_some_and(Option::is_some) => {}
                None => return None,
            }
        }
        Some(newest)
    }

    /// The instance that a step will have, and its turn.
    fn step(&self, scope: usize, step: usize) -> Option<(Vec<u32>, Certain)> {
        let instance = &self.state.scopes[scope];
        let is_at_work = self.state.instances[instance.owner].stage == Stage::Inside;
        (is_at_work && matches!(instance.steps[step], StepState::Waiting(_))).then_some(())?;
        let place = self.intent.graph.scopes[instance.scope].steps[step];
        let resources = self.intent.foreseeable[place]?;
        let inputs = &self.intent.graph.places[place].inputs;
        let newest = self.newest(scope, inputs.iter().flat_map(|input| input.sources.iter().copied()))?;
        let mut turn = self.state.turn(instance.owner).order.into_vec();
        turn.push(u32::try_from(step).unwrap_or(u32::MAX));
        Some((turn, Certain { place, within: (scope, step), resources, newest }))
    }
}
