//! From a step instance's sources to its input object, part by part: loads, `valueFrom`, `when`, loads of the process,
//! then what its class needs. What the core cannot find out by itself is put on the list of wanted things; the answer
//! comes back as `Event::Evaluated` and the preparation goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_api::FailureClass;
use weir_cwl::runtime::{ResourceError, ResourceRequest};
use weir_cwl::{Computed, Process, Record, Template, Value};

use crate::action::{Action, Evaluation, Load};
use crate::evaluate::{conform_output, evaluate};
use crate::event::{Resources, Slot};
use crate::flow::Flow;
use crate::graph::{In, Kind, Place};
use crate::intent::Intent;
use crate::load::What;
use crate::state::{Part, Stage, State};
use crate::step_input::{Until, process_object, step_object, step_value};

/// Why a preparation failed.
pub(crate) struct Refusal {
    pub class: FailureClass,
    pub message: String,
}

type Prepared = Result<(), Refusal>;

fn expression(message: String) -> Refusal {
    Refusal { class: FailureClass::Expression, message }
}

fn rejected(message: String) -> Refusal {
    Refusal { class: FailureClass::Rejected, message }
}

impl Flow<'_> {
    /// Does as many parts as can be done now.
    pub(crate) fn prepare(&mut self, instance: usize) {
        while let Stage::Preparing(part, 0) = self.state.instances[instance].stage {
            let done = match part {
                Part::StepLoad => {
                    self.step_loads(instance);
                    Ok(())
                }
                Part::ValueFrom => self.values_from(instance),
                Part::When => self.when(instance),
                Part::InputLoad => self.input_loads(instance),
                Part::Process => self.process(instance),
            };
            if let Err(Refusal { class, message }) = done {
                self.fail_instance(instance, class, &message);
                return;
            }
            // A part that asked for nothing is done; one that did goes on when the last answer is there.
            if self.state.instances[instance].stage == Stage::Preparing(part, 0) {
                match part.next() {
                    Some(next) => self.state.instances[instance].stage = Stage::Preparing(next, 0),
                    None => return,
                }
            }
        }
    }

    /// An answer. The last one that a part waits for lets the preparation go on.
    pub(crate) fn answer(&mut self, instance: usize, slot: Slot, result: Result<Value, String>) {
        let Stage::Preparing(part, waiting) = self.state.instances[instance].stage else { return };
        let value = match result {
            Ok(value) => value,
            Err(message) => {
                let class = match slot {
                    Slot::StepLoad(_) | Slot::InputLoad(_) => FailureClass::StageIn,
                    _ => FailureClass::Expression,
                };
                return self.fail_instance(instance, class, &message);
            }
        };
        self.state.instances[instance].found.push((slot, Arc::new(value)));
        self.state.instances[instance].stage = Stage::Preparing(part, waiting - 1);
        if waiting == 1 {
            // Parts look at what is found before they ask, so that the same part can be entered again.
            self.prepare(instance);
        }
    }

    fn want(&mut self, instance: usize, slot: Slot) {
        if let Stage::Preparing(part, waiting) = self.state.instances[instance].stage
            && self.state.wanted.insert((instance, slot))
        {
            self.state.instances[instance].stage = Stage::Preparing(part, waiting + 1);
        }
    }

    fn found(&self, instance: usize, slot: &Slot) -> Option<&Arc<Value>> {
        self.state.instances[instance].found.iter().find(|(known, _)| known == slot).map(|(_, value)| value)
    }

    fn step_loads(&mut self, instance: usize) {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        for (index, input) in place.inputs.iter().enumerate() {
            let what = What::of_step_input(place, input);
            let slot = Slot::StepLoad(input.id.clone());
            if self.found(instance, &slot).is_none()
                && what.is_lacking(&step_value(intent, self.state, instance, index, Until::Scattered))
            {
                self.want(instance, slot);
            }
        }
    }

    fn values_from(&mut self, instance: usize) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        if place.inputs.iter().all(|input| input.value_from.is_none()) {
            return Ok(());
        }
        // `inputs` are the values before any `valueFrom`: none sees the result of another.
        let inputs = step_object(intent, self.state, instance, Until::Loaded);
        for (index, input) in place.inputs.iter().enumerate() {
            let Some(template) = &input.value_from else { continue };
            let slot = Slot::ValueFrom(input.id.clone());
            if self.found(instance, &slot).is_some() {
                continue;
            }
            let self_ = step_value(intent, self.state, instance, index, Until::Loaded);
            let value = evaluate(template, &inputs, &self_, place.library.as_deref());
            match value.map_err(|message| expression(format!("valueFrom of input `{}`: {message}", input.id)))? {
                Some(value) => self.state.instances[instance].found.push((slot, Arc::new(value))),
                None => self.want(instance, slot),
            }
        }
        Ok(())
    }

    fn when(&mut self, instance: usize) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        let Some(template) = &place.when else { return Ok(()) };
        let value = if let Some(value) = self.found(instance, &Slot::When) {
            Value::clone(value)
        } else {
            let inputs = step_object(intent, self.state, instance, Until::ValueFrom);
            let value = evaluate(template, &inputs, &Value::Null, place.library.as_deref());
            let Some(value) = value.map_err(|message| expression(format!("when: {message}")))? else {
                self.want(instance, Slot::When);
                return Ok(());
            };
            value
        };
        match value {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => {
                self.skip(instance);
                Ok(())
            }
            other => {
                Err(expression(format!("when: `{}` must be true or false, got {}", template.source, other.type_name())))
            }
        }
    }

    fn input_loads(&mut self, instance: usize) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        let process = &intent.package.processes[place.run.0];
        let whats = process.header().inputs.iter().map(|input| (input, What::of_process_input(process, place, input)));
        let whats: Vec<_> = whats.filter(|(_, what)| what.is_anything()).collect();
        if whats.is_empty() {
            return Ok(());
        }
        let object = process_object(intent, self.state, instance).map_err(rejected)?;
        for (input, what) in whats {
            let slot = Slot::InputLoad(input.id.clone());
            let is_lacking = object.get(&input.id).is_some_and(|value| what.is_lacking(value));
            if is_lacking && self.found(instance, &slot).is_none() {
                self.want(instance, slot);
            }
        }
        Ok(())
    }

    fn process(&mut self, instance: usize) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        if place.kind == Kind::Operation {
            let message = "it is an Operation, which describes work but cannot run".to_owned();
            return Err(Refusal { class: FailureClass::Unsupported, message });
        }
        let object = process_object(intent, self.state, instance).map_err(rejected)?;
        match place.kind {
            Kind::Tool => self.size(instance, &object),
            Kind::Workflow(scope) => {
                self.enter(instance, scope, object);
                Ok(())
            }
            Kind::Expression => self.express(instance, object),
            Kind::Operation => Ok(()),
        }
    }

    fn size(&mut self, instance: usize, object: &Record) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        let mut amounts = BTreeMap::new();
        let mut inputs = None;
        for (name, computed) in place.effective.amounts() {
            let amount = match computed {
                Computed::Literal(amount) => *amount,
                Computed::Expression(template) => {
                    let slot = Slot::Resource(name.to_owned());
                    let value = if let Some(value) = self.found(instance, &slot) {
                        Value::clone(value)
                    } else {
                        let inputs = inputs.get_or_insert_with(|| Value::Record(object.clone()));
                        let value = evaluate(template, inputs, &Value::Null, place.process_library.as_deref());
                        let Some(value) = value.map_err(|message| expression(format!("{name}: {message}")))? else {
                            self.want(instance, slot);
                            continue;
                        };
                        value
                    };
                    let Some(amount) = value.as_f64() else {
                        let found = value.type_name();
                        return Err(expression(format!("{name}: `{}` must be a number, got {found}", template.source)));
                    };
                    amount
                }
            };
            amounts.insert(name, amount);
        }
        if matches!(self.state.instances[instance].stage, Stage::Preparing(_, 0)) {
            let resources = request(&amounts, &intent.policy.default_resources);
            self.make_ready(instance, resources.map_err(|error| rejected(error.to_string()))?);
        }
        Ok(())
    }

    fn express(&mut self, instance: usize, object: Record) -> Prepared {
        let intent = self.intent;
        let place = &intent.graph.places[self.state.instances[instance].place];
        let Process::ExpressionTool(tool) = &intent.package.processes[place.run.0] else { return Ok(()) };
        let value = if let Some(value) = self.found(instance, &Slot::Expression) {
            Value::clone(value)
        } else {
            let value =
                evaluate(&tool.expression, &Value::Record(object), &Value::Null, place.process_library.as_deref());
            let Some(value) = value.map_err(expression)? else {
                self.want(instance, Slot::Expression);
                return Ok(());
            };
            value
        };
        let Value::Record(mut results) = value else {
            return Err(expression(format!(
                "the expression must give an object with the outputs, got {}",
                value.type_name()
            )));
        };
        let mut outputs = Record::new();
        for output in &tool.outputs {
            let result = results.shift_remove(&output.id).unwrap_or_default();
            let result = conform_output(&output.type_, result).map_err(|mismatch| Refusal {
                class: FailureClass::OutputInvalid,
                message: format!("output `{}`: {mismatch}", output.id),
            })?;
            outputs.insert(output.id.clone(), result);
        }
        self.succeed(instance, outputs);
        Ok(())
    }
}

/// What an incarnation at this place asks for at first, if no expression decides it.
pub(crate) fn fixed_resources(place: &Place, default: &Resources) -> Option<Resources> {
    let mut amounts = BTreeMap::new();
    for (name, computed) in place.effective.amounts() {
        let Computed::Literal(amount) = computed else { return None };
        amounts.insert(name, *amount);
    }
    request(&amounts, default).ok()
}

/// What the stated amounts ask for; what they do not state is the job's default.
fn request(amounts: &BTreeMap<&str, f64>, default: &Resources) -> Result<Resources, ResourceError> {
    let states = |field: &str| amounts.contains_key(field);
    let mut request = ResourceRequest::from_fields(|field| amounts.get(field).copied())?;
    if !states("coresMin") && !states("coresMax") {
        request.cores = default.cores;
    }
    if !states("ramMin") && !states("ramMax") {
        request.ram_mib = default.ram_mib;
    }
    if !states("tmpdirMin") && !states("tmpdirMax") {
        request.tmpdir_mib = default.tmpdir_mib;
    }
    if !states("outdirMin") && !states("outdirMax") {
        request.outdir_mib = default.outdir_mib;
    }
    if !states("cudaDeviceCountMin") && !states("cudaDeviceCountMax") {
        request.gpus = default.gpus;
    }
    let ResourceRequest { cores, ram_mib, tmpdir_mib, outdir_mib, gpus, .. } = request;
    Ok(Resources { cores, ram_mib, tmpdir_mib, outdir_mib, gpus })
}

/// The action that finds out what an instance wants.
pub(crate) fn ask(intent: &Intent, state: &State, instance: usize, slot: &Slot) -> Option<Action> {
    let place = &intent.graph.places[state.instances[instance].place];
    let process = &intent.package.processes[place.run.0];
    let path = state.path(&intent.graph, instance);
    let entry =
        |id: &String| -> Option<(usize, &In)> { place.inputs.iter().enumerate().find(|(_, input)| input.id == *id) };
    let evaluation = |template: &Template, inputs: Value, self_: Arc<Value>, library: &Option<Arc<[String]>>| {
        Action::Evaluate(Evaluation {
            instance: path.clone(),
            slot: slot.clone(),
            template: template.clone(),
            inputs: Arc::new(inputs),
            self_,
            runtime: Arc::default(),
            library: library.clone(),
        })
    };
    let object = || process_object(intent, state, instance).map(Value::Record).ok();
    match slot {
        Slot::StepLoad(id) => {
            let (index, input) = entry(id)?;
            let what = What::of_step_input(place, input);
            Some(Action::Load(Load {
                instance: path,
                slot: slot.clone(),
                value: step_value(intent, state, instance, index, Until::Scattered),
                contents: what.contents,
                listing: what.listing,
                version: place.version,
            }))
        }
        Slot::ValueFrom(id) => {
            let (index, input) = entry(id)?;
            let inputs = step_object(intent, state, instance, Until::Loaded);
            let self_ = step_value(intent, state, instance, index, Until::Loaded);
            Some(evaluation(input.value_from.as_ref()?, inputs, self_, &place.library))
        }
        Slot::When => {
            let inputs = step_object(intent, state, instance, Until::ValueFrom);
            Some(evaluation(place.when.as_ref()?, inputs, Arc::default(), &place.library))
        }
        Slot::InputLoad(id) => {
            let parameter = process.header().inputs.iter().find(|input| input.id == *id)?;
            let What { contents, listing, .. } = What::of_process_input(process, place, parameter);
            let value = process_object(intent, state, instance).ok()?.shift_remove(id)?;
            let version = process.header().version;
            let value = Arc::new(value);
            Some(Action::Load(Load { instance: path, slot: slot.clone(), value, contents, listing, version }))
        }
        Slot::Resource(name) => {
            let (_, computed) = place.effective.amounts().find(|(field, _)| field == name)?;
            let Computed::Expression(template) = computed else { return None };
            Some(evaluation(template, object()?, Arc::default(), &place.process_library))
        }
        Slot::Expression => {
            let Process::ExpressionTool(tool) = process else { return None };
            Some(evaluation(&tool.expression, object()?, Arc::default(), &place.process_library))
        }
    }
}
