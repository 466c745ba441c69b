//! The job as it was asked for, validated once.

use std::sync::Arc;

use weir_api::limits;
use weir_cwl::conform::{conform, describe};
use weir_cwl::{Package, Record, Value};

use crate::event::Resources;
use crate::graph::{Graph, Kind, Place};
use crate::prepare::fixed_resources;

/// What a job is to do: a package, its input object and the rules of its execution. Immutable; a restart rebuilds an
/// equal one from event 0.
#[derive(Debug, Clone)]
pub struct Intent {
    pub(crate) package: Arc<Package>,
    pub(crate) inputs: Record,
    pub(crate) policy: Policy,
    pub(crate) graph: Graph,
    /// For each place, what its incarnations ask for at first: where a tool runs unconditionally, once, and no expression
    /// decides what it needs.
    pub(crate) foreseeable: Vec<Option<Resources>>,
}

/// The rules of execution that the package does not state.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Incarnations at once, at least 1.
    pub parallelism: u32,
    /// Counted attempts of one step instance, the first included, at least 1.
    pub attempts_max: u32,
    /// Uncounted retries of one step instance.
    pub uncounted_retries_max: u32,
    /// The wait before a retry.
    pub backoff: Backoff,
    /// Milliseconds from event 0 after which the job is stopped.
    pub time_limit_ms: Option<u64>,
    /// Mebibytes that a step asks for at most after it ran out of memory.
    pub memory_cap_mib: u64,
    /// What a step gets that states no resources.
    pub default_resources: Resources,
    /// What a permanent failure of one step does to the others.
    pub on_failure: OnFailure,
}

/// The wait before a retry: doubled from `first_ms` up to `max_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Milliseconds before the first retry.
    pub first_ms: u64,
    /// Milliseconds at most.
    pub max_ms: u64,
}

/// What a permanent failure of one step does to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Nothing new starts, what runs is killed, the job fails.
    #[default]
    Stop,
    /// Everything that does not depend on the failed step still runs, then the job fails.
    Continue,
}

/// A job that can never run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IntentError {
    /// The package's own indices are broken.
    #[error("the package names process {0}, but has only {1}")]
    NoSuchProcess(usize, usize),
    /// An input that the process needs was not given.
    #[error("input `{0}` of `{1}` is missing; give it a value of type {2}")]
    MissingInput(String, String, String),
    /// An input has the wrong type.
    #[error("input `{input}` of `{process}`: {message}")]
    WrongInput {
        /// The input's id.
        input: String,
        /// The process's id.
        process: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A source names nothing.
    #[error("`{place}` takes its value from {source_}, which does not exist")]
    UnknownSource {
        /// The step input or workflow output.
        place: String,
        /// What it names.
        source_: String,
    },
    /// A scattered input is no input of the step.
    #[error("step `{step}` scatters over `{input}`, which is not among its inputs")]
    UnknownScatterInput {
        /// Path of the step.
        step: String,
        /// The name.
        input: String,
    },
    /// Steps wait for each other.
    #[error("the steps {0} of workflow `{1}` wait for each other")]
    Cycle(String, String),
    /// Nested too deeply, or a workflow that runs itself.
    #[error("workflows nest deeper than {max} at `{path}`; does a workflow run itself?")]
    TooDeep {
        /// Path of the step.
        path: String,
        /// The limit.
        max: usize,
    },
    /// Expansion explodes.
    #[error("the workflow has more than {0} steps after its subworkflows are expanded")]
    TooManyPlaces(usize),
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: limits::RETRY_BACKOFF_MS, max_ms: limits::RETRY_BACKOFF_MAX_MS }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            parallelism: u32::MAX,
            attempts_max: limits::ATTEMPTS_MAX,
            uncounted_retries_max: limits::UNCOUNTED_RETRIES_MAX,
            backoff: Backoff::default(),
            time_limit_ms: None,
            memory_cap_mib: u64::MAX,
            default_resources: Resources {
                cores: limits::DEFAULT_CORES,
                ram_mib: limits::DEFAULT_RAM_MIB,
                tmpdir_mib: limits::DEFAULT_DISK_MIB,
                outdir_mib: limits::DEFAULT_DISK_MIB,
                gpus: 0,
            },
            on_failure: OnFailure::default(),
        }
    }
}

impl Intent {
    /// Validates a job: the input object is completed with defaults and checked against the entry process's types, the
    /// workflow tree is expanded into static places. Inputs that the process does not declare are dropped, as CWL
    /// implementations do.
    pub fn new(package: Arc<Package>, inputs: Record, policy: Policy) -> Result<Self, IntentError> {
        let graph = Graph::new(&package)?;
        let header = package.processes[package.entry.0].header();
        let mut given = inputs;
        let mut inputs = Record::new();
        for parameter in &header.inputs {
            let value = given.shift_remove(&parameter.id).filter(|value| *value != Value::Null);
            let value = value.or_else(|| parameter.default.clone()).unwrap_or(Value::Null);
            let is_missing = value == Value::Null;
            let value = conform(&parameter.type_, value).map_err(|mismatch| {
                let (input, process) = (parameter.id.clone(), header.id.clone());
                if is_missing {
                    IntentError::MissingInput(input, process, describe(&parameter.type_))
                } else {
                    IntentError::WrongInput { input, process, message: mismatch.to_string() }
                }
            })?;
            inputs.insert(parameter.id.clone(), value);
        }
        let is_certain = |place: &&Place| place.kind == Kind::Tool && place.when.is_none() && place.scatter.is_none();
        let foresee = |place: &Place| {
            let place = Some(place).filter(is_certain)?;
            fixed_resources(place, &policy.default_resources)
        };
        let foreseeable = graph.places.iter().map(foresee).collect();
        Ok(Self { package, inputs, policy, graph, foreseeable })
    }

    /// The package.
    pub fn package(&self) -> &Arc<Package> {
        &self.package
    }

    /// The input object, complete and of the declared types.
    pub fn inputs(&self) -> &Record {
        &self.inputs
    }

    /// The rules of execution.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Every static place where a process stands in the workflow tree, the entry first, parents before children, steps
    /// in document order.
    pub fn places(&self) -> &[Place] {
        &self.graph.places
    }
}

#[cfg(test)]
mod tests {
    use weir_cwl::Process;
    use weir_cwl::document::ScatterMethod;

    use super::*;
    use crate::builder::{anything, package, step, tool, workflow};

    fn refusal(processes: Vec<Process>) -> String {
        Intent::new(package(processes), Record::new(), Policy::default()).unwrap_err().to_string()
    }

    fn one() -> Process {
        tool("one", &[("a", anything())], &[("out", anything())])
    }

    #[test]
    fn steps_that_wait_for_each_other_are_named() {
        let steps = vec![
            step("a", 0, &["out"]).input("a", "b/out"),
            step("b", 0, &["out"]).input("a", "a/out"),
            step("c", 0, &["out"]),
        ];
        let main = workflow("main", &[], steps, &[]);
        insta::assert_snapshot!(refusal(vec![one(), main]), @"the steps `a`, `b` of workflow `main` wait for each other");
    }

    #[test]
    fn sources_that_do_not_exist_are_named() {
        let main = workflow("main", &[], vec![step("a", 0, &["out"]).input("a", "nothing")], &[]);
        insta::assert_snapshot!(refusal(vec![one(), main]), @"`a/a` takes its value from input `nothing`, which does not exist");
        let main = workflow("main", &[], vec![step("a", 0, &["out"])], &[("o", anything(), "a/other")]);
        insta::assert_snapshot!(refusal(vec![one(), main]), @"`o` takes its value from output `other` of step `a`, which does not exist");
        let scattered = step("a", 0, &["out"]).scatter(&["b"], ScatterMethod::DotProduct);
        let main = workflow("main", &[], vec![scattered], &[]);
        insta::assert_snapshot!(refusal(vec![one(), main]), @"step `a` scatters over `b`, which is not among its inputs");
    }

    #[test]
    fn a_workflow_that_runs_itself_is_refused() {
        let main = workflow("main", &[], vec![step("again", 0, &[])], &[]);
        assert!(refusal(vec![main]).starts_with("workflows nest deeper than 32 at `again/again/again"));
    }

    #[test]
    fn a_package_that_doubles_at_every_level_is_refused_before_the_memory_is_full() {
        let mut processes = vec![one()];
        for level in 0..30 {
            let steps = vec![step("a", level, &[]), step("b", level, &[])];
            processes.push(workflow("w", &[], steps, &[]));
        }
        insta::assert_snapshot!(refusal(processes), @"the workflow has more than 100000 steps after its subworkflows are expanded");
    }

    #[test]
    fn a_subworkflow_that_is_used_twice_stands_in_two_places() {
        let inner = workflow("inner", &[], vec![step("t", 0, &["out"])], &[("o", anything(), "t/out")]);
        let main = workflow("main", &[], vec![step("x", 1, &["o"]), step("y", 1, &["o"])], &[]);
        let intent = Intent::new(package(vec![one(), inner, main]), Record::new(), Policy::default()).unwrap();
        let paths: Vec<&str> = intent.places().iter().map(|place| place.path.as_str()).collect();
        assert_eq!(paths, ["", "x", "x/t", "y", "y/t"]);
    }
}
