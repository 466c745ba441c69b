//! What an executor must do. An action leaves no choice and carries its idempotency key: performing it twice is
//! performing it once.

use std::sync::Arc;

use weir_api::FailureClass;
use weir_cwl::document::CwlVersion;
use weir_cwl::requirement::Effective;
use weir_cwl::schema::LoadListing;
use weir_cwl::{ProcessIndex, Record, Template, Value};

use crate::event::{Event, Incarnation, Resources, Slot, Timestamp};
use crate::path::InstancePath;

/// How the failure reads of an incarnation that [`Action::Kill`] stopped.
pub fn words_of_kill(class: FailureClass) -> &'static str {
    match class {
        FailureClass::TimeLimit => "stopped because the job took too long",
        _ => "stopped because the job was stopped",
    }
}

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
    /// Read contents or listings of files and append `Evaluated`. Key: instance and slot.
    Load(Load),
    /// Create the incarnation, or give a spare that exists its work; its tool starts only after `Claimed`. Key:
    /// incarnation.
    Launch(Launch),
    /// Create a spare: an incarnation whose instance is not known yet. Append `Released` if it cannot be created or fails
    /// while it stands by. Key: incarnation.
    Prepare(Prepare),
    /// Stop the incarnation and append `Ended` with a failure of this class. Key: incarnation.
    Kill {
        /// Which.
        incarnation: Incarnation,
        /// Why: Dismissed when a person or another step's failure ends the job, TimeLimit when the job took too long.
        class: FailureClass,
    },
    /// Remove what is left of an ended or superseded incarnation or of a spare that was given up. Repeated as long as it
    /// is there. Key: incarnation.
    Remove {
        /// Which.
        incarnation: Incarnation,
    },
    /// Publish the output object (in the cluster with `Committed` before its first catalog) and append `Finished`. Key: the
    /// job.
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

/// Files whose content or directories whose listing an expression needs (CWL v1.2, `loadContents`, `loadListing`).
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Of which step instance.
    pub instance: InstancePath,
    /// Which of its values.
    pub slot: Slot,
    /// A File, a Directory, or arrays or records of them. The result is the same value with `contents`, `listing` and,
    /// where it can be told, every File's `size` filled in.
    pub value: Arc<Value>,
    /// Read the first 64 KiB of each File into `contents`.
    pub contents: bool,
    /// How much of each Directory's `listing` to read.
    pub listing: LoadListing,
    /// From v1.2 on a File beyond 64 KiB is an error; before, it is cut.
    pub version: CwlVersion,
}

/// An incarnation to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Its number.
    pub incarnation: Incarnation,
    /// The step instance.
    pub instance: InstancePath,
    /// Short id of its step.
    pub step: String,
    /// Where the step stands in the workflow tree: step ids from the outermost workflow, joined by `/`.
    pub place: String,
    /// Counted try, from 1.
    pub attempt: u32,
    /// Uncounted retries so far. One that has some was never created ahead.
    pub uncounted: u32,
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

/// A spare to be created. Whatever is created may depend on these values and nothing else: which instance it will serve is
/// decided later.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepare {
    /// Its number.
    pub incarnation: Incarnation,
    /// Short id of the step.
    pub step: String,
    /// Where the step stands in the workflow tree.
    pub place: String,
    /// The CommandLineTool.
    pub tool: ProcessIndex,
    /// Its requirements and hints after inheritance.
    pub requirements: Arc<Effective>,
    /// What it may use.
    pub resources: Resources,
}
