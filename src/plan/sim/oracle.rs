//! What a workflow must give, by plain recursion over the document: no state, no events, no order. Written apart from
//! the core's data flow, so that an error would have to be made twice.

use std::cell::Cell;
use std::collections::HashMap;

use weir_cwl::document::{Link, LinkMerge, PickValue, Port, ScatterMethod, Step};
use weir_cwl::expression::Context;
use weir_cwl::{Package, Process, ProcessIndex, Record, Template, Value, Workflow};

use super::generate::Case;
use super::tool::{Scripts, behaviour, try_tool};
use crate::retry::{Verdict, judge};

/// The output object, or `None` if a step fails.
pub fn expected(case: &Case) -> Option<Record> {
    Oracle { package: &case.package, case, tools: Cell::new(0) }.process(case.package.entry, &case.inputs)
}

/// Tool runs of a story at most; a case that takes more is not told.
const RUNS_MAX: usize = 60;

/// Whether the case is worth a story: some tool runs, but not too many.
pub(crate) fn is_worth_telling(case: &Case, runs_min: usize) -> bool {
    let oracle = Oracle { package: &case.package, case, tools: Cell::new(0) };
    let _ = oracle.process(case.package.entry, &case.inputs);
    (runs_min..=RUNS_MAX).contains(&oracle.tools.get())
}

struct Oracle<'a> {
    package: &'a Package,
    case: &'a Case,
    tools: Cell<usize>,
}

impl Oracle<'_> {
    fn process(&self, index: ProcessIndex, inputs: &Record) -> Option<Record> {
        let process = &self.package.processes[index.0];
        let declared = &process.header().inputs;
        let inputs: Record =
            declared.iter().map(|input| (input.id.clone(), inputs.get(&input.id).cloned().unwrap_or_default())).collect();
        match process {
            Process::CommandLineTool(tool) => {
                self.tools.set(self.tools.get() + 1);
                (self.tools.get() <= RUNS_MAX).then_some(())?;
                self.tool(&tool.header.id, &inputs)
            }
            Process::ExpressionTool(tool) => {
                let value = evaluate(&tool.expression, &Value::Record(inputs), &Value::Null)?;
                value.as_record().cloned()
            }
            Process::Workflow(workflow) => self.workflow(workflow, &inputs),
            Process::Operation(_) => None,
        }
    }

    /// Tries as often as the rules allow.
    fn tool(&self, id: &str, inputs: &Record) -> Option<Record> {
        let behaviour = behaviour(id, inputs, self.case.trouble);
        let policy = &self.case.policy;
        let (mut attempt, mut resources) = (1, policy.default_resources);
        loop {
            match try_tool(&behaviour, attempt, resources.ram_mib) {
                Ok(outputs) => return Some(outputs),
                Err(class) => match judge(policy, class, attempt, 0, resources) {
                    Verdict::Again { attempt: next, resources: more, .. } => (attempt, resources) = (next, more),
                    Verdict::Permanent(_) => return None,
                },
            }
        }
    }

    fn workflow(&self, workflow: &Workflow, inputs: &Record) -> Option<Record> {
        let mut done: HashMap<usize, Record> = HashMap::new();
        while done.len() < workflow.steps.len() {
            for (index, step) in workflow.steps.iter().enumerate() {
                let sources = step.inputs.iter().flat_map(|input| &input.link.sources);
                let exists = |port: &Port| match port {
                    Port::Input(_) => true,
                    Port::Step { step, .. } => done.contains_key(step),
                };
                if !done.contains_key(&index) && sources.clone().all(exists) {
                    let outputs = self.step(step, inputs, &done)?;
                    done.insert(index, outputs);
                }
            }
        }
        let output = |link: &Link| pick(link, inputs, &done);
        workflow.outputs.iter().map(|one| Some((one.id.clone(), output(&one.link)?))).collect()
    }

    fn step(&self, step: &Step, inputs: &Record, done: &HashMap<usize, Record>) -> Option<Record> {
        let mut object = Record::new();
        for input in &step.inputs {
            let value = pick(&input.link, inputs, done)?;
            let value = if value.is_null() { input.default.clone().unwrap_or_default() } else { value };
            object.insert(input.id.clone(), value);
        }
        let Some(scatter) = &step.scatter else { return self.element(step, &object) };
        let mut lists = Vec::new();
        for id in &scatter.inputs {
            lists.push(object.get(id)?.as_array()?.to_vec());
        }
        match scatter.method {
            ScatterMethod::DotProduct => {
                lists.iter().all(|list| list.len() == lists[0].len()).then_some(())?;
                let mut elements = Vec::new();
                for at in 0..lists[0].len() {
                    let mut object = object.clone();
                    for (id, list) in scatter.inputs.iter().zip(&lists) {
                        object.insert(id.clone(), list[at].clone());
                    }
                    elements.push(self.element(step, &object)?);
                }
                Some(transpose(step, elements))
            }
            method => self.cross(step, &object, &scatter.inputs, &lists, method == ScatterMethod::FlatCrossProduct),
        }
    }

    fn cross(
        &self,
        step: &Step,
        object: &Record,
        ids: &[String],
        lists: &[Vec<Value>],
        is_flat: bool,
    ) -> Option<Record> {
        let Some((id, ids)) = ids.split_first() else { return self.element(step, object) };
        let mut elements = Vec::new();
        for member in &lists[0] {
            let mut object = object.clone();
            object.insert(id.clone(), member.clone());
            elements.push(self.cross(step, &object, ids, &lists[1..], is_flat)?);
        }
        let gathered = transpose(step, elements);
        if !is_flat || ids.is_empty() {
            return Some(gathered);
        }
        let flatten = |value: Value| match value {
            Value::Array(rows) => Value::Array(
                rows.into_iter().flat_map(|row| if let Value::Array(row) = row { row } else { vec![row] }).collect(),
            ),
            other => other,
        };
        Some(gathered.into_iter().map(|(id, value)| (id, flatten(value))).collect())
    }

    fn element(&self, step: &Step, object: &Record) -> Option<Record> {
        let before = Value::Record(object.clone());
        let mut object = object.clone();
        for input in &step.inputs {
            if let Some(template) = &input.value_from {
                let value = evaluate(template, &before, &before.as_record()?[&input.id])?;
                object.insert(input.id.clone(), value);
            }
        }
        if let Some(when) = &step.when {
            match evaluate(when, &Value::Record(object.clone()), &Value::Null)? {
                Value::Bool(true) => {}
                Value::Bool(false) => return Some(step.outputs.iter().map(|id| (id.clone(), Value::Null)).collect()),
                _ => return None,
            }
        }
        self.process(step.run, &object)
    }
}

fn transpose(step: &Step, elements: Vec<Record>) -> Record {
    let column = |id: &String| elements.iter().map(|element| element.get(id).cloned().unwrap_or_default()).collect();
    step.outputs.iter().map(|id| (id.clone(), Value::Array(column(id)))).collect()
}

fn evaluate(template: &Template, inputs: &Value, self_: &Value) -> Option<Value> {
    let context = Context { inputs, self_, runtime: &Value::Null, library: Some(&[]) };
    template.evaluate(&context, &mut Scripts).ok()
}

fn pick(link: &Link, inputs: &Record, done: &HashMap<usize, Record>) -> Option<Value> {
    let read = |port: &Port| match port {
        Port::Input(id) => inputs.get(id).cloned().unwrap_or_default(),
        Port::Step { step, output } => done[step].get(output).cloned().unwrap_or_default(),
    };
    let values: Vec<Value> = link.sources.iter().map(read).collect();
    if values.is_empty() {
        return Some(Value::Null);
    }
    let is_single = values.len() == 1 && link.link_merge.is_none();
    let merged = match link.link_merge {
        _ if is_single => values.into_iter().next()?,
        Some(LinkMerge::Flattened) => {
            let spread = |value| if let Value::Array(items) = value { items } else { vec![value] };
            Value::Array(values.into_iter().flat_map(spread).collect())
        }
        _ => Value::Array(values),
    };
    let Some(rule) = link.pick_value else { return Some(merged) };
    let members = merged.as_array()?.iter().filter(|member| !member.is_null()).cloned().collect::<Vec<_>>();
    match rule {
        PickValue::AllNonNull => Some(Value::Array(members)),
        PickValue::FirstNonNull => members.first().cloned(),
        PickValue::TheOnlyNonNull => (members.len() == 1).then(|| members[0].clone()),
    }
}
