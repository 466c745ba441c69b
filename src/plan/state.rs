//! The state of a job: what the journal says, digested. Only [`fold`](fn@crate::fold) changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};

use crate::event::{Failure, Incarnation, Resources, Slot, Timestamp, Usage};
use crate::graph::Graph;
use crate::intent::Intent;
use crate::path::{InstancePath, Segment};
use crate::scatter::Shape;

/// Derived from the journal alone: equal journals give equal states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// When event 0 was written.
    pub(crate) accepted: Option<Timestamp>,
    pub(crate) epoch: u64,
    /// Instance 0 is the entry. Elements of one scatter stand side by side.
    pub(crate) instances: Vec<Instance>,
    pub(crate) scopes: Vec<ScopeInstance>,
    /// Tools whose inputs exist, in the order of their turns.
    pub(crate) ready: BTreeSet<Turn>,
    /// Tools that wait for their next try.
    pub(crate) delayed: BTreeSet<(Timestamp, usize)>,
    /// What `Action::Evaluate` and `Action::Load` are to find out.
    pub(crate) wanted: BTreeSet<(usize, Slot)>,
    /// Started and not ended.
    pub(crate) live: BTreeMap<Incarnation, Live>,
    /// Created ahead and neither started nor given up.
    pub(crate) spares: BTreeMap<Incarnation, Spare>,
    /// For a place, when one of its spares was last given up.
    pub(crate) given_up: BTreeMap<usize, Timestamp>,
    pub(crate) last_incarnation: Incarnation,
    pub(crate) logs: Logs,
    pub(crate) suspended: bool,
    pub(crate) stop: Option<Stop>,
    pub(crate) committed: bool,
    /// The first permanent failure.
    pub(crate) failure: Option<Failure>,
    /// The entry's outputs, as they become known.
    pub(crate) outputs: Vec<Option<Arc<Value>>>,
    pub(crate) finished: Option<Finished>,
    /// One for each place.
    pub(crate) tallies: Vec<Tally>,
    /// Share of the job that is done, 0 to 1; never falls.
    pub(crate) done: f64,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// Successful, Failed or Dismissed.
    pub phase: Phase,
    /// The output object, published locations.
    pub outputs: Record,
    /// Why, unless successful.
    pub failure: Option<Failure>,
}

/// Why a job was asked to stop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stop {
    pub class: FailureClass,
    pub message: String,
}

/// Orders tools: document order of the steps, elements by index, a nested workflow before its next sibling. So a
/// scene is finished before the next one is begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub order: Box<[u32]>,
    pub instance: usize,
}

/// A step instance: a process at its place with its input object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instance {
    pub place: usize,
    /// The scope instance it stands in and the step's index there; `None` for the entry.
    pub parent: Option<(usize, usize)>,
    pub element: Option<u32>,
    pub stage: Stage,
    /// The scope instance of a workflow.
    pub inside: Option<usize>,
    /// Values that replace what the links gave: loads and `valueFrom`.
    pub found: Vec<(Slot, Arc<Value>)>,
    /// What the next incarnation asks for.
    pub resources: Resources,
    /// Counted tries, the current or next one included.
    pub attempt: u32,
    pub uncounted: u32,
    pub log: Option<Box<str>>,
    pub times: Option<Box<Times>>,
}

/// When an instance ran and what it used, over all its incarnations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Times {
    pub first_start: Timestamp,
    pub last_end: Option<Timestamp>,
    pub usage: Usage,
    pub exit_code: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    /// Its input object is being made; so many answers are awaited.
    Preparing(Part, u32),
    /// A tool that may start.
    Ready,
    /// A tool that may start again then.
    Delayed(Timestamp),
    /// A tool with an incarnation.
    Live(Incarnation),
    /// A workflow at work.
    Inside,
    Succeeded,
    Skipped,
    Failed,
    /// Ended because the job ends.
    Stopped,
}

/// How far the input object is, in the order that CWL v1.2 Workflow Description §4.1.3 ("WorkflowStepInput") and
/// "Conditional execution" prescribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    StepLoad,
    ValueFrom,
    When,
    InputLoad,
    /// Resources of a tool, the expression of an ExpressionTool.
    Process,
}

/// A workflow at work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScopeInstance {
    pub scope: usize,
    pub owner: usize,
    pub ports: Vec<Option<Arc<Value>>>,
    pub steps: Vec<StepState>,
    /// Sources that each output still lacks.
    pub outputs_missing: Vec<u32>,
    pub outputs_left: u32,
    pub steps_left: u32,
    /// Share of the job.
    pub weight: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StepState {
    /// So many sources do not exist yet.
    Waiting(u32),
    Expanded(Expansion),
    Failed,
}

/// A step whose sources exist: its elements, or the one instance of a step without scatter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expansion {
    /// Arena index of the first element.
    pub first: usize,
    pub count: usize,
    /// `None` without scatter.
    pub shape: Option<Shape>,
    /// Values of the step's inputs: links merged, defaults filled in, scattered ones still whole.
    pub base: Vec<Arc<Value>>,
    /// For each output, the elements' values so far; emptied once gathered.
    pub collected: Vec<Vec<Option<Arc<Value>>>>,
    pub collected_left: Vec<usize>,
    pub instances_left: usize,
}

/// An incarnation that was started and has not ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Live {
    pub instance: usize,
    pub attempt: u32,
    pub resources: Resources,
    pub started: Timestamp,
    pub uid: Option<String>,
}

/// A number that is reserved for a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spare {
    pub place: usize,
    pub resources: Resources,
    pub prepared: Timestamp,
}

/// Log names that are taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Logs {
    pub taken: BTreeSet<Box<str>>,
    /// Instances started of each step id.
    pub counts: BTreeMap<String, u32>,
}

/// Counts and sums of one place.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    pub total: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub skipped: u32,
    pub stopped: u32,
    pub retries: u32,
    pub first_start: Option<Timestamp>,
    pub last_end: Option<Timestamp>,
    pub cpu_seconds: f64,
    pub memory_peak_bytes: u64,
    pub output_bytes: u64,
}

impl State {
    /// How the job ended, if it did.
    pub fn finished(&self) -> Option<&Finished> {
        self.finished.as_ref()
    }

    /// The highest epoch in the journal.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The token of the claim of a started, un-ended incarnation; `None` if it is not claimed.
    pub fn claim(&self, incarnation: Incarnation) -> Option<&str> {
        self.live.get(&incarnation)?.uid.as_deref()
    }

    /// Whether the incarnation was started and has not ended: only such a one may be claimed or reported on.
    pub fn is_live(&self, incarnation: Incarnation) -> bool {
        self.live.contains_key(&incarnation)
    }

    /// Whether nothing new starts until the job is resumed.
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Why the job is to stop, if somebody or a limit asked for it: Dismissed or TimeLimit, and words for the user.
    pub fn stop(&self) -> Option<(FailureClass, &str)> {
        self.stop.as_ref().map(|stop| (stop.class, stop.message.as_str()))
    }

    /// Whether the results may be visible: the job cannot be stopped any more.
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// The highest incarnation number that is used up.
    pub fn last_incarnation(&self) -> Incarnation {
        self.last_incarnation
    }

    /// Whether the incarnation is a spare: it may be started later, and until then its claim must wait.
    pub fn is_spare(&self, incarnation: Incarnation) -> bool {
        self.spares.contains_key(&incarnation)
    }

    /// The numbers of all spares.
    pub fn spares(&self) -> impl Iterator<Item = Incarnation> {
        self.spares.keys().copied()
    }

    /// The first permanent failure of a step.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Where the job stands.
    pub fn phase(&self) -> Phase {
        match &self.finished {
            Some(finished) => finished.phase,
            None if self.last_incarnation > Incarnation::default() => Phase::Running,
            None => Phase::Accepted,
        }
    }

    /// Whether a spare may serve the next incarnation of an instance. After an uncounted retry none does: the executor may
    /// then create the incarnation in another way.
    pub(crate) fn serves(&self, spare: &Spare, instance: usize) -> bool {
        let instance = &self.instances[instance];
        spare.place == instance.place && spare.resources == instance.resources && instance.uncounted == 0
    }

    pub(crate) fn path(&self, graph: &Graph, instance: usize) -> InstancePath {
        let mut segments = Vec::new();
        let mut at = instance;
        loop {
            let instance = &self.instances[at];
            let place = &graph.places[instance.place];
            let Some((scope, _)) = instance.parent else {
                if !place.path.is_empty() {
                    segments.push(Segment { step: place.id.clone(), element: None });
                }
                break;
            };
            segments.push(Segment { step: place.id.clone(), element: instance.element });
            at = self.scopes[scope].owner;
        }
        segments.reverse();
        InstancePath(segments)
    }

    pub(crate) fn turn(&self, instance: usize) -> Turn {
        let mut order = Vec::new();
        let mut at = instance;
        while let Some((scope, step)) = self.instances[at].parent {
            order.push(self.instances[at].element.unwrap_or(0));
            order.push(u32::try_from(step).unwrap_or(u32::MAX));
            at = self.scopes[scope].owner;
        }
        order.reverse();
        Turn { order: order.into(), instance }
    }

    /// The instance of this path, if it exists by now.
    pub(crate) fn find(&self, intent: &Intent, path: &InstancePath) -> Option<usize> {
        let graph = &intent.graph;
        let mut segments = path.0.as_slice();
        let entry = self.instances.first()?;
        if !graph.places[0].path.is_empty() {
            let (first, rest) = segments.split_first()?;
            (first.step == graph.places[0].id && first.element.is_none() && rest.is_empty()).then_some(())?;
            segments = rest;
        }
        let mut found = 0;
        let mut inside = entry.inside;
        for segment in segments {
            let instance = &self.scopes[inside?];
            let steps = &graph.scopes[instance.scope].steps;
            let step = steps.iter().position(|place| graph.places[*place].id == segment.step)?;
            let StepState::Expanded(expansion) = &instance.steps[step] else { return None };
            let element = match (segment.element, &expansion.shape) {
                (Some(element), Some(_)) => usize::try_from(element).ok()?,
                (None, None) => 0,
                _ => return None,
            };
            (element < expansion.count).then_some(())?;
            found = expansion.first + element;
            inside = self.instances[found].inside;
        }
        Some(found)
    }
}

impl Part {
    pub fn next(self) -> Option<Self> {
        match self {
            Self::StepLoad => Some(Self::ValueFrom),
            Self::ValueFrom => Some(Self::When),
            Self::When => Some(Self::InputLoad),
            Self::InputLoad => Some(Self::Process),
            Self::Process => None,
        }
    }
}

impl Stage {
    /// Whether nothing can change any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Failed | Self::Stopped)
    }
}
