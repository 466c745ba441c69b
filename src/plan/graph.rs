//! The workflow tree, expanded once: every static place where a process stands, and who reads whose output.
//!
//! A subworkflow that is used twice is expanded twice, because requirements are inherited along the way.

use std::sync::Arc;

use weir_api::limits::WORKFLOW_DEPTH_MAX;
use weir_cwl::document::{self, CwlVersion, Link, Port};
use weir_cwl::requirement::Effective;
use weir_cwl::schema::LoadListing;
use weir_cwl::{Package, Process, ProcessIndex, Template, Type, Value, Workflow};

use crate::intent::IntentError;
use crate::limits::PLACES_MAX;

/// The expanded tree. Place 0 is the entry process itself; it stands in no workflow.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub places: Vec<Place>,
    pub scopes: Vec<Scope>,
}

/// A static place of a process: the entry, or a step of a workflow.
#[derive(Debug, Clone)]
pub struct Place {
    /// The step's short id; for the entry, the process's id.
    pub id: String,
    /// Step ids from the outermost workflow, joined by `/`; empty for an entry workflow.
    pub path: String,
    /// What runs here.
    pub run: ProcessIndex,
    /// Its class.
    pub kind: Kind,
    /// Nesting: 0 for the entry.
    pub depth: usize,
    /// Requirements and hints of the process here, inheritance applied.
    pub effective: Arc<Effective>,
    pub(crate) version: CwlVersion,
    pub(crate) inputs: Vec<In>,
    pub(crate) outputs: Vec<String>,
    pub(crate) scatter: Option<document::Scatter>,
    pub(crate) when: Option<Template>,
    /// `expressionLib` for the step's own expressions.
    pub(crate) library: Option<Arc<[String]>>,
    /// The same for the process's expressions.
    pub(crate) process_library: Option<Arc<[String]>>,
    /// Places below it that are no workflows, itself if it is none: how much of the whole it may be.
    pub(crate) leaves: usize,
}

/// What a place runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A CommandLineTool: has incarnations.
    Tool,
    /// An ExpressionTool: evaluated by the core or by `Action::Evaluate`.
    Expression,
    /// A Workflow: a scope of its own.
    Workflow(ScopeId),
    /// An Operation, which cannot run.
    Operation,
}

/// Index of a workflow's static place; opaque outside of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeId(pub(crate) usize);

/// An entry of a step's `in`.
#[derive(Debug, Clone)]
pub(crate) struct In {
    pub id: String,
    /// Ports of the scope, in the order of the link's sources.
    pub sources: Vec<usize>,
    pub link: Link,
    pub default: Option<Value>,
    pub value_from: Option<Template>,
    pub load_contents: bool,
    pub load_listing: Option<LoadListing>,
    /// Position among the scattered inputs.
    pub scattered: Option<usize>,
}

/// A workflow at its place. Ports are numbered: first the workflow's inputs, then the outputs of each step.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub inputs: Vec<String>,
    /// Places of the steps, in document order.
    pub steps: Vec<usize>,
    /// First port of each step's outputs.
    pub first_port: Vec<usize>,
    pub outputs: Vec<Out>,
    /// Who reads a port, once for each time it is named.
    pub readers: Vec<Vec<Reader>>,
}

/// An output of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    pub id: String,
    pub type_: Type,
    pub sources: Vec<usize>,
    pub link: Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Step(usize),
    Output(usize),
}

impl Graph {
    pub fn new(package: &Package) -> Result<Self, IntentError> {
        let mut graph = Self { places: Vec::new(), scopes: Vec::new() };
        let process = process(package, package.entry)?;
        let path = match process {
            Process::Workflow(_) => String::new(),
            other => other.header().id.clone(),
        };
        graph.places.push(Place {
            id: process.header().id.clone(),
            path,
            run: package.entry,
            kind: Kind::Operation,
            depth: 0,
            effective: Arc::default(),
            version: process.header().version,
            inputs: Vec::new(),
            outputs: outputs(process),
            scatter: None,
            when: None,
            library: None,
            process_library: None,
            leaves: 1,
        });
        graph.settle(package, 0, &Effective::default())?;
        Ok(graph)
    }

    /// The place of a path: step ids from the outermost workflow, joined by `/`.
    pub fn find(&self, path: &str) -> Option<usize> {
        if path == self.places[0].path {
            return Some(0);
        }
        let mut found = 0;
        for id in path.split('/') {
            let Kind::Workflow(scope) = self.places[found].kind else { return None };
            let mut steps = self.scopes[scope.0].steps.iter();
            found = *steps.find(|place| self.places[**place].id == id)?;
        }
        Some(found)
    }

    /// Completes place `at` once its step's part is known: class, requirements, and the places below it. `around` is what
    /// the step and the workflows around it state.
    fn settle(&mut self, package: &Package, at: usize, around: &Effective) -> Result<(), IntentError> {
        let process = process(package, self.places[at].run)?;
        let effective = Effective::of(process.header()).inherit(&around.requirements, &around.hints);
        self.places[at].process_library = effective.javascript_library().map(Into::into);
        self.places[at].effective = Arc::new(effective);
        self.places[at].kind = match process {
            Process::CommandLineTool(_) => Kind::Tool,
            Process::ExpressionTool(_) => Kind::Expression,
            Process::Operation(_) => Kind::Operation,
            Process::Workflow(workflow) => {
                if self.places[at].depth >= WORKFLOW_DEPTH_MAX {
                    let path = self.places[at].path.clone();
                    return Err(IntentError::TooDeep { path, max: WORKFLOW_DEPTH_MAX });
                }
                Kind::Workflow(self.expand(package, at, workflow)?)
            }
        };
        Ok(())
    }

    /// Adds the places of a workflow's steps and all below them.
    fn expand(&mut self, package: &Package, at: usize, workflow: &Workflow) -> Result<ScopeId, IntentError> {
        let around = Arc::clone(&self.places[at].effective);
        let ports = Ports::of(workflow);
        let mut readers = vec![Vec::new(); ports.count];
        let prefix = match self.places[at].path.as_str() {
            "" => String::new(),
            path => format!("{path}/"),
        };
        refuse_cycles(workflow)?;
        let mut steps = Vec::new();
        for (local, step) in workflow.steps.iter().enumerate() {
            let path = format!("{prefix}{}", step.id);
            let mut inputs = Vec::new();
            for input in &step.inputs {
                let sources = ports.find(workflow, &input.link, || format!("{path}/{}", input.id))?;
                for port in &sources {
                    readers[*port].push(Reader::Step(local));
                }
                let scattered =
                    step.scatter.as_ref().and_then(|scatter| scatter.inputs.iter().position(|id| *id == input.id));
                inputs.push(In {
                    id: input.id.clone(),
                    sources,
                    link: input.link.clone(),
                    default: input.default.clone(),
                    value_from: input.value_from.clone(),
                    load_contents: input.load_contents,
                    load_listing: input.load_listing,
                    scattered,
                });
            }
            for input in step.scatter.iter().flat_map(|scatter| &scatter.inputs) {
                if !step.inputs.iter().any(|known| known.id == *input) {
                    return Err(IntentError::UnknownScatterInput { step: path, input: input.clone() });
                }
            }
            let own = Effective { requirements: step.requirements.clone(), hints: step.hints.clone() };
            let own = own.inherit(&around.requirements, &around.hints);
            let place = self.places.len();
            if place >= PLACES_MAX {
                return Err(IntentError::TooManyPlaces(PLACES_MAX));
            }
            steps.push(place);
            self.places.push(Place {
                id: step.id.clone(),
                path,
                run: step.run,
                kind: Kind::Operation,
                depth: self.places[at].depth + 1,
                effective: Arc::default(),
                version: workflow.header.version,
                inputs,
                outputs: step.outputs.clone(),
                scatter: step.scatter.clone(),
                when: step.when.clone(),
                library: own.javascript_library().map(Into::into),
                process_library: None,
                leaves: 1,
            });
            self.settle(package, place, &own)?;
        }
        let mut outputs = Vec::new();
        for (index, output) in workflow.outputs.iter().enumerate() {
            let sources = ports.find(workflow, &output.link, || format!("{prefix}{}", output.id))?;
            for port in &sources {
                readers[*port].push(Reader::Output(index));
            }
            outputs.push(Out {
                id: output.id.clone(),
                type_: output.type_.clone(),
                sources,
                link: output.link.clone(),
            });
        }
        let id = self.scopes.len();
        let leaves = steps.iter().map(|place| self.places[*place].leaves).sum();
        self.places[at].leaves = leaves;
        self.scopes.push(Scope {
            inputs: workflow.header.inputs.iter().map(|input| input.id.clone()).collect(),
            steps,
            first_port: ports.first,
            outputs,
            readers,
        });
        Ok(ScopeId(id))
    }
}

fn process(package: &Package, index: ProcessIndex) -> Result<&Process, IntentError> {
    package.processes.get(index.0).ok_or(IntentError::NoSuchProcess(index.0, package.processes.len()))
}

/// Ids of a process's outputs.
fn outputs(process: &Process) -> Vec<String> {
    match process {
        Process::CommandLineTool(tool) => tool.outputs.iter().map(|output| output.id.clone()).collect(),
        Process::ExpressionTool(tool) => tool.outputs.iter().map(|output| output.id.clone()).collect(),
        Process::Operation(operation) => operation.outputs.iter().map(|output| output.id.clone()).collect(),
        Process::Workflow(workflow) => workflow.outputs.iter().map(|output| output.id.clone()).collect(),
    }
}

struct Ports {
    first: Vec<usize>,
    count: usize,
}

impl Ports {
    fn of(workflow: &Workflow) -> Self {
        let mut count = workflow.header.inputs.len();
        let mut first = Vec::new();
        for step in &workflow.steps {
            first.push(count);
            count += step.outputs.len();
        }
        Self { first, count }
    }

    fn find(&self, workflow: &Workflow, link: &Link, place: impl Fn() -> String) -> Result<Vec<usize>, IntentError> {
        let find = |port: &Port| match port {
            Port::Input(id) => workflow.header.inputs.iter().position(|input| input.id == *id),
            Port::Step { step, output } => {
                let outputs = &workflow.steps.get(*step)?.outputs;
                Some(self.first[*step] + outputs.iter().position(|id| id == output)?)
            }
        };
        let name = |port: &Port| match port {
            Port::Input(id) => format!("input `{id}`"),
            Port::Step { step, output } => match workflow.steps.get(*step) {
                Some(step) => format!("output `{output}` of step `{}`", step.id),
                None => format!("output `{output}` of step number {step}"),
            },
        };
        let missing = |port| IntentError::UnknownSource { place: place(), source_: name(port) };
        link.sources.iter().map(|port| find(port).ok_or_else(|| missing(port))).collect()
    }
}

/// Steps that wait for each other would wait for ever (invariant I6).
fn refuse_cycles(workflow: &Workflow) -> Result<(), IntentError> {
    let mut waits_for = vec![0; workflow.steps.len()];
    let mut readers = vec![Vec::new(); workflow.steps.len()];
    for (reader, step) in workflow.steps.iter().enumerate() {
        for port in step.inputs.iter().flat_map(|input| &input.link.sources) {
            // A source that does not exist is reported elsewhere.
            if let Port::Step { step: source, .. } = port
                && let Some(known) = readers.get_mut(*source)
            {
                known.push(reader);
                waits_for[reader] += 1;
            }
        }
    }
    let mut free: Vec<usize> = (0..workflow.steps.len()).filter(|step| waits_for[*step] == 0).collect();
    while let Some(step) = free.pop() {
        for reader in std::mem::take(&mut readers[step]) {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                free.push(reader);
            }
        }
    }
    let stuck = workflow.steps.iter().zip(waits_for).filter(|(_, count)| *count > 0);
    let names: Vec<String> = stuck.map(|(step, _)| format!("`{}`", step.id)).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(IntentError::Cycle(names.join(", "), workflow.header.id.clone()))
}
