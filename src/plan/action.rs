//! What an executor must do. An action leaves no choice and carries its idempotency key: performing it twice is
//! performing it once.

use std::sync::Arc;

use weir_cwl::{ProcessIndex, Record, Template, Value, requirement::Effective};

use crate::event::{Event, Incarnation, Resources, Slot, Timestamp};
use crate::path::InstancePath;

/// The next things to do, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// To be performed in order. Records come first: they are made durable, folded, and planning starts again.
    pub actions: Vec<Action>,
    /// Plan again at this time at the latest, even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Append this event to the journal.
    Record(Event),
    /// Evaluate a script and append `Evaluated`. Key: instance and slot.
    Evaluate(Evaluation),
    /// Create the incarnation; its tool starts only after `Claimed`. Key: incarnation.
    Launch(Launch),
    /// Stop the incarnation and append `Ended`. Key: incarnation.
    Kill {
        /// Which.
        incarnation: Incarnation,
    },
    /// Remove what is left of an ended or superseded incarnation. Key: incarnation.
    Remove {
        /// Which.
        incarnation: Incarnation,
    },
    /// Publish the output object and append `Finished`. Key: the job.
    Publish {
        /// As the steps left it.
        outputs: Record,
    },
}

/// A script to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Of which step instance.
    pub instance: InstancePath,
    /// Which of its expressions.
    pub slot: Slot,
    /// The expression.
    pub template: Template,
    /// `inputs`
    pub inputs: Arc<Value>,
    /// `self`
    pub self_: Arc<Value>,
    /// `runtime`
    pub runtime: Arc<Value>,
    /// `expressionLib`; `None` where JavaScript is not allowed.
    pub library: Option<Arc<[String]>>,
}

/// An incarnation to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Its number.
    pub incarnation: Incarnation,
    /// The step instance.
    pub instance: InstancePath,
    /// Counted try, from 1.
    pub attempt: u32,
    /// The CommandLineTool.
    pub tool: ProcessIndex,
    /// Its requirements and hints after inheritance.
    pub requirements: Arc<Effective>,
    /// The tool's input object: defaults filled in, step-only entries taken out.
    pub inputs: Arc<Record>,
    /// What it may use.
    pub resources: Resources,
    /// Name of its log without suffix.
    pub log: String,
}
