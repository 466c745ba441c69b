//! How values flow: a port gets a value, its readers lack one source less, a step whose sources are all there unfolds into
//! its elements, an element's outputs are gathered, and so on until nothing moves.
//!
//! The work is proportional to what changed, never to what exists. A queue instead of recursion keeps the stack flat.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_api::FailureClass;
use weir_cwl::conform::conform;
use weir_cwl::{Record, Value};

use crate::event::{Failure, Resources, Slot, Timestamp};
use crate::graph::{Kind, Reader, ScopeId};
use crate::intent::Intent;
use crate::limits::INSTANCES_MAX;
use crate::link;
use crate::scatter::Shape;
use crate::state::{Expansion, Instance, Part, ScopeInstance, Stage, State, StepState};
use crate::step_input;

/// One event's consequences.
pub(crate) struct Flow<'a> {
    pub intent: &'a Intent,
    pub state: &'a mut State,
    /// When the event was written.
    pub at: Timestamp,
    tasks: VecDeque<Task>,
}

enum Task {
    /// All sources of a step exist.
    Unfold { scope: usize, step: usize },
    Prepare { instance: usize },
    /// A port has its value.
    Port { scope: usize, port: usize, value: Arc<Value> },
    /// All sources of a workflow output exist.
    Output { scope: usize, output: usize },
    /// An instance has one of its outputs.
    Provide { instance: usize, output: usize, value: Arc<Value> },
    /// An instance succeeded or was skipped.
    Over { instance: usize },
    /// Perhaps a workflow is done.
    Settle { scope: usize },
}

impl<'a> Flow<'a> {
    pub fn new(intent: &'a Intent, state: &'a mut State, at: Timestamp) -> Self {
        Self { intent, state, at, tasks: VecDeque::new() }
    }

    /// Makes the entry instance.
    pub fn begin(&mut self) {
        self.state.accepted = Some(self.at);
        self.state.tallies = vec![crate::state::Tally::default(); self.intent.graph.places.len()];
        self.state.outputs = vec![None; self.intent.graph.places[0].outputs.len()];
        self.add_instances(0, None, 1, false);
    }

    /// Lets everything that can move move.
    pub fn run(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Unfold { scope, step } => self.unfold(scope, step),
                Task::Prepare { instance } => self.prepare(instance),
                Task::Port { scope, port, value } => self.port(scope, port, value),
                Task::Output { scope, output } => self.output(scope, output),
                Task::Provide { instance, output, value } => self.provide(instance, output, value),
                Task::Over { instance } => self.over(instance),
                Task::Settle { scope } => self.settle(scope),
            }
        }
    }

    fn add_instances(&mut self, place: usize, parent: Option<(usize, usize)>, count: usize, scattered: bool) {
        let first = self.state.instances.len();
        for element in 0..count {
            self.state.instances.push(Instance {
                place,
                parent,
                element: scattered.then(|| u32::try_from(element).unwrap_or(u32::MAX)),
                stage: Stage::Preparing(Part::StepLoad, 0),
                inside: None,
                found: Vec::new(),
                resources: self.intent.policy.default_resources,
                attempt: 1,
                uncounted: 0,
                log: None,
                times: None,
            });
            self.tasks.push_back(Task::Prepare { instance: first + element });
        }
        self.state.tallies[place].total += u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// A workflow begins: its inputs get their values.
    pub fn enter(&mut self, instance: usize, scope: ScopeId, mut inputs: Record) {
        let graph = &self.intent.graph.scopes[scope.0];
        let weight = self.weight(instance);
        let id = self.state.scopes.len();
        // Counts what each step and output lacks; a port that is named twice is lacking twice.
        let mut missing = vec![0; graph.steps.len()];
        let mut outputs_missing = vec![0; graph.outputs.len()];
        for reader in graph.readers.iter().flatten() {
            match reader {
                Reader::Step(step) => missing[*step] += 1,
                Reader::Output(output) => outputs_missing[*output] += 1,
            }
        }
        for (step, missing) in missing.iter().enumerate() {
            if *missing == 0 {
                self.tasks.push_back(Task::Unfold { scope: id, step });
            }
        }
        for (output, missing) in outputs_missing.iter().enumerate() {
            if *missing == 0 {
                self.tasks.push_back(Task::Output { scope: id, output });
            }
        }
        for (port, input) in graph.inputs.iter().enumerate() {
            let value = Arc::new(inputs.shift_remove(input).unwrap_or_default());
            self.tasks.push_back(Task::Port { scope: id, port, value });
        }
        self.tasks.push_back(Task::Settle { scope: id });
        self.state.scopes.push(ScopeInstance {
            scope: scope.0,
            owner: instance,
            ports: vec![None; graph.readers.len()],
            steps: missing.into_iter().map(StepState::Waiting).collect(),
            outputs_left: u32::try_from(graph.outputs.len()).unwrap_or(u32::MAX),
            steps_left: u32::try_from(graph.steps.len()).unwrap_or(u32::MAX),
            outputs_missing,
            weight,
        });
        self.state.instances[instance].inside = Some(id);
        self.state.instances[instance].stage = Stage::Inside;
        let tally = &mut self.state.tallies[self.state.instances[instance].place];
        tally.running += 1;
    }

    fn port(&mut self, scope: usize, port: usize, value: Arc<Value>) {
        let instance = &mut self.state.scopes[scope];
        // A value that nobody reads may come after the workflow's end.
        let Some(place) = instance.ports.get_mut(port) else { return };
        *place = Some(value);
        for reader in &self.intent.graph.scopes[instance.scope].readers[port] {
            match *reader {
                Reader::Step(step) => {
                    if let StepState::Waiting(missing) = &mut instance.steps[step] {
                        *missing -= 1;
                        if *missing == 0 {
                            self.tasks.push_back(Task::Unfold { scope, step });
                        }
                    }
                }
                Reader::Output(output) => {
                    instance.outputs_missing[output] -= 1;
                    if instance.outputs_missing[output] == 0 {
                        self.tasks.push_back(Task::Output { scope, output });
                    }
                }
            }
        }
    }

    fn unfold(&mut self, scope: usize, step: usize) {
        let graph = &self.intent.graph;
        let place_index = graph.scopes[self.state.scopes[scope].scope].steps[step];
        let place = &graph.places[place_index];
        let unfolded = step_input::base(&place.inputs, &self.state.scopes[scope].ports).and_then(|base| {
            let Some(scatter) = &place.scatter else { return Ok((base, None)) };
            let find = |id: &String| place.inputs.iter().position(|input| input.id == *id).map(|at| &*base[at]);
            let arrays: Vec<&Value> = scatter.inputs.iter().filter_map(find).collect();
            let shape = Shape::new(scatter, &arrays)?;
            Ok((base, Some(shape)))
        });
        let (base, shape) = match unfolded {
            Ok(unfolded) => unfolded,
            Err(message) => return self.fail_step(scope, step, FailureClass::Expression, &message),
        };
        let count = shape.as_ref().map_or(1, Shape::count);
        let first = self.state.instances.len();
        if first + count > INSTANCES_MAX {
            let message = format!("the job has more than {INSTANCES_MAX} step instances");
            return self.fail_step(scope, step, FailureClass::Unsupported, &message);
        }
        let scattered = shape.is_some();
        self.state.scopes[scope].steps[step] = StepState::Expanded(Expansion {
            first,
            count,
            shape,
            base,
            collected: vec![vec![None; count]; place.outputs.len()],
            collected_left: vec![count; place.outputs.len()],
            instances_left: count,
        });
        self.add_instances(place_index, Some((scope, step)), count, scattered);
        if count == 0 {
            for output in 0..place.outputs.len() {
                self.gather(scope, step, output);
            }
            self.step_over(scope, step);
            self.state.done += self.step_weight(scope);
        }
    }

    fn output(&mut self, scope: usize, output: usize) {
        let instance = &self.state.scopes[scope];
        let owner = instance.owner;
        let out = &self.intent.graph.scopes[instance.scope].outputs[output];
        let sources: Vec<Arc<Value>> = out.sources.iter().filter_map(|port| instance.ports[*port].clone()).collect();
        let value = link::resolve(&out.link, &sources).and_then(|value| {
            let value = conform(&out.type_, Arc::unwrap_or_clone(value));
            value.map(Arc::new).map_err(|mismatch| mismatch.to_string())
        });
        match value {
            Ok(value) => {
                self.state.scopes[scope].outputs_left -= 1;
                self.out(owner, &out.id, value);
                self.tasks.push_back(Task::Settle { scope });
            }
            Err(message) => {
                let message = format!("output `{}`: {message}", out.id);
                self.fail_instance(owner, FailureClass::OutputInvalid, &message);
            }
        }
    }

    /// An instance's process gave an output; the step passes it on if its `out` names it.
    fn out(&mut self, instance: usize, id: &str, value: Arc<Value>) {
        let place = &self.intent.graph.places[self.state.instances[instance].place];
        if let Some(output) = place.outputs.iter().position(|known| known == id) {
            self.tasks.push_back(Task::Provide { instance, output, value });
        }
    }

    fn provide(&mut self, instance: usize, output: usize, value: Arc<Value>) {
        let Some((scope, step)) = self.state.instances[instance].parent else {
            self.state.outputs[output] = Some(value);
            return;
        };
        let StepState::Expanded(expansion) = &mut self.state.scopes[scope].steps[step] else { return };
        let place = &mut expansion.collected[output][instance - expansion.first];
        if place.replace(value).is_none() {
            expansion.collected_left[output] -= 1;
            if expansion.collected_left[output] == 0 {
                self.gather(scope, step, output);
            }
        }
    }

    /// Every element has its value of an output: the step's port gets its own.
    fn gather(&mut self, scope: usize, step: usize, output: usize) {
        let instance = &mut self.state.scopes[scope];
        let StepState::Expanded(expansion) = &mut instance.steps[step] else { return };
        let mut values = std::mem::take(&mut expansion.collected[output]).into_iter().flatten();
        let value = match &expansion.shape {
            Some(shape) => Arc::new(shape.gather(values.collect())),
            None => values.next().unwrap_or_default(),
        };
        let port = self.intent.graph.scopes[instance.scope].first_port[step] + output;
        self.tasks.push_back(Task::Port { scope, port, value });
    }

    /// The share of the job that one instance makes.
    fn weight(&self, instance: usize) -> f64 {
        match (self.state.instances[instance].parent, step_input::expansion(self.state, instance)) {
            (Some((scope, _)), Some(expansion)) => self.step_weight(scope) / as_f64(expansion.count),
            _ => 1.0,
        }
    }

    fn step_weight(&self, scope: usize) -> f64 {
        self.state.scopes[scope].weight / as_f64(self.state.scopes[scope].steps.len())
    }

    /// A tool's inputs exist and its size is known.
    pub fn make_ready(&mut self, instance: usize, resources: Resources) {
        self.state.instances[instance].resources = resources;
        self.state.instances[instance].stage = Stage::Ready;
        let turn = self.state.turn(instance);
        self.state.ready.insert(turn);
    }

    /// A tool or ExpressionTool gave its outputs; what it did not give is null.
    pub fn succeed(&mut self, instance: usize, mut outputs: Record) {
        let place = &self.intent.graph.places[self.state.instances[instance].place];
        for (output, id) in place.outputs.iter().enumerate() {
            let value = Arc::new(outputs.shift_remove(id).unwrap_or_default());
            self.tasks.push_back(Task::Provide { instance, output, value });
        }
        self.close(instance, Stage::Succeeded);
    }

    /// `when` was false: every output is null.
    pub fn skip(&mut self, instance: usize) {
        let place = &self.intent.graph.places[self.state.instances[instance].place];
        for output in 0..place.outputs.len() {
            self.tasks.push_back(Task::Provide { instance, output, value: Arc::default() });
        }
        self.close(instance, Stage::Skipped);
    }

    /// Ends an instance well.
    fn close(&mut self, instance: usize, stage: Stage) {
        if !matches!(self.intent.graph.places[self.state.instances[instance].place].kind, Kind::Workflow(_))
            || stage == Stage::Skipped
        {
            self.state.done += self.weight(instance);
        }
        self.state.instances[instance].stage = stage;
        self.state.instances[instance].found = Vec::new();
        let tally = &mut self.state.tallies[self.state.instances[instance].place];
        match stage {
            Stage::Skipped => tally.skipped += 1,
            _ => tally.succeeded += 1,
        }
        self.tasks.push_back(Task::Over { instance });
    }

    fn over(&mut self, instance: usize) {
        let Some((scope, step)) = self.state.instances[instance].parent else { return };
        let StepState::Expanded(expansion) = &mut self.state.scopes[scope].steps[step] else { return };
        expansion.instances_left -= 1;
        if expansion.instances_left == 0 {
            self.step_over(scope, step);
        }
    }

    fn step_over(&mut self, scope: usize, step: usize) {
        let instance = &mut self.state.scopes[scope];
        if let StepState::Expanded(expansion) = &mut instance.steps[step] {
            expansion.base = Vec::new();
        }
        instance.steps_left -= 1;
        self.tasks.push_back(Task::Settle { scope });
    }

    /// A workflow is done when all its steps are and all its outputs are there.
    fn settle(&mut self, scope: usize) {
        let instance = &mut self.state.scopes[scope];
        let owner = instance.owner;
        let is_done = instance.steps_left == 0 && instance.outputs_left == 0;
        if !is_done || self.state.instances[owner].stage != Stage::Inside {
            return;
        }
        instance.ports = Vec::new();
        if instance.steps.is_empty() {
            self.state.done += instance.weight;
        }
        self.state.tallies[self.state.instances[owner].place].running -= 1;
        self.close(owner, Stage::Succeeded);
    }

    /// A permanent failure of an instance.
    pub fn fail_instance(&mut self, instance: usize, class: FailureClass, message: &str) {
        let path = self.state.path(&self.intent.graph, instance);
        let message = if path.0.is_empty() { message.to_owned() } else { format!("step `{path}`: {message}") };
        let failure = Failure { class, message, instance: Some(path), exit_code: None, stderr_tail: None };
        self.fail(instance, failure);
    }

    pub fn fail(&mut self, instance: usize, failure: Failure) {
        let was = std::mem::replace(&mut self.state.instances[instance].stage, Stage::Failed);
        if was.is_over() {
            self.state.instances[instance].stage = was;
            return;
        }
        let wanted = &mut self.state.wanted;
        let range = wanted.range((instance, Slot::When)..).take_while(|(wanting, _)| *wanting == instance);
        for key in range.cloned().collect::<Vec<_>>() {
            wanted.remove(&key);
        }
        let tally = &mut self.state.tallies[self.state.instances[instance].place];
        tally.failed += 1;
        if was == Stage::Inside {
            tally.running -= 1;
        }
        self.state.failure.get_or_insert(failure);
    }

    /// A step that cannot even be unfolded.
    fn fail_step(&mut self, scope: usize, step: usize, class: FailureClass, message: &str) {
        let instance = &mut self.state.scopes[scope];
        instance.steps[step] = StepState::Failed;
        let (place, owner) = (self.intent.graph.scopes[instance.scope].steps[step], instance.owner);
        let mut path = self.state.path(&self.intent.graph, owner);
        path.0.push(crate::path::Segment { step: self.intent.graph.places[place].id.clone(), element: None });
        self.state.tallies[place].failed += 1;
        let message = format!("step `{path}`: {message}");
        let failure = Failure { class, message, instance: Some(path), exit_code: None, stderr_tail: None };
        self.state.failure.get_or_insert(failure);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
