//! The input object of a step instance (CWL v1.2 Workflow Description, §4.1.3 "WorkflowStepInput"): link, default,
//! scatter element, loads, `valueFrom`; then what the process itself declares.

use std::sync::Arc;

use weir_cwl::conform::conform;
use weir_cwl::{Record, Value};

use crate::event::Slot;
use crate::graph::In;
use crate::intent::Intent;
use crate::link;
use crate::state::{Expansion, State, StepState};

/// Links merged and defaults filled in, once for all elements.
pub(crate) fn base(inputs: &[In], ports: &[Option<Arc<Value>>]) -> Result<Vec<Arc<Value>>, String> {
    let mut base = Vec::new();
    for input in inputs {
        let sources: Vec<Arc<Value>> = input.sources.iter().filter_map(|port| ports[*port].clone()).collect();
        let value = link::resolve(&input.link, &sources).map_err(|message| format!("input `{}`: {message}", input.id))?;
        base.push(match (&*value, &input.default) {
            // Only null takes the default: false, 0 and "" are values.
            (Value::Null, Some(default)) => Arc::new(default.clone()),
            _ => value,
        });
    }
    Ok(base)
}

pub(crate) fn expansion(state: &State, instance: usize) -> Option<&Expansion> {
    let (scope, step) = state.instances[instance].parent?;
    match &state.scopes[scope].steps[step] {
        StepState::Expanded(expansion) => Some(expansion),
        _ => None,
    }
}

/// Up to where the input object is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Until {
    Scattered,
    Loaded,
    ValueFrom,
}

/// One entry of a step's `in` for one instance.
pub(crate) fn step_value(intent: &Intent, state: &State, instance: usize, input: usize, until: Until) -> Arc<Value> {
    let entry = &intent.graph.places[state.instances[instance].place].inputs[input];
    let found = |wanted: &dyn Fn(&Slot) -> bool| {
        let found = &state.instances[instance].found;
        found.iter().find(|(slot, _)| wanted(slot)).map(|(_, value)| Arc::clone(value))
    };
    if until >= Until::ValueFrom
        && entry.value_from.is_some()
        && let Some(value) = found(&|slot| matches!(slot, Slot::ValueFrom(id) if *id == entry.id))
    {
        return value;
    }
    if until >= Until::Loaded
        && let Some(value) = found(&|slot| matches!(slot, Slot::StepLoad(id) if *id == entry.id))
    {
        return value;
    }
    let Some(expansion) = expansion(state, instance) else { return Arc::default() };
    let whole = &expansion.base[input];
    match (entry.scattered, &expansion.shape, &**whole) {
        (Some(position), Some(shape), Value::Array(members)) => {
            let at = shape.index(instance - expansion.first, position);
            Arc::new(members.get(at).cloned().unwrap_or_default())
        }
        _ => Arc::clone(whole),
    }
}

/// The step's input object as its expressions see it; entries that the process does not declare are in it.
pub(crate) fn step_object(intent: &Intent, state: &State, instance: usize, until: Until) -> Value {
    let inputs = &intent.graph.places[state.instances[instance].place].inputs;
    let object = inputs.iter().enumerate().map(|(index, input)| {
        (input.id.clone(), Arc::unwrap_or_clone(step_value(intent, state, instance, index, until)))
    });
    Value::Record(object.collect())
}

/// The process's input object: what it declares and nothing else, defaults filled in, types checked.
pub(crate) fn process_object(intent: &Intent, state: &State, instance: usize) -> Result<Record, String> {
    let place = &intent.graph.places[state.instances[instance].place];
    let header = intent.package.processes[place.run.0].header();
    let mut object = Record::new();
    for parameter in &header.inputs {
        let found = &state.instances[instance].found;
        let loaded = found.iter().find(|(slot, _)| matches!(slot, Slot::InputLoad(id) if *id == parameter.id));
        let value = if let Some((_, value)) = loaded {
            Value::clone(value)
        } else if state.instances[instance].parent.is_none() {
            intent.inputs.get(&parameter.id).cloned().unwrap_or_default()
        } else if let Some(index) = place.inputs.iter().position(|input| input.id == parameter.id) {
            Arc::unwrap_or_clone(step_value(intent, state, instance, index, Until::ValueFrom))
        } else {
            Value::Null
        };
        let value = match (value, &parameter.default) {
            (Value::Null, Some(default)) => default.clone(),
            (value, _) => value,
        };
        let value =
            conform(&parameter.type_, value).map_err(|mismatch| format!("input `{}`: {mismatch}", parameter.id))?;
        object.insert(parameter.id.clone(), value);
    }
    Ok(object)
}

