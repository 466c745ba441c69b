//! Packages and the processes in them (CWL v1.2 Workflow Description, §4.1; Command Line Tool Description, §4).

use std::fmt;

use indexmap::IndexMap;

use crate::diagnostic::Diagnostics;
use crate::expression::Template;
use crate::requirement::Requirements;
use crate::schema::{CommandLineBinding, InputParameter, OutputParameter, Type};
use crate::source::Span;
use crate::value::Value;

/// A loaded, resolved CWL document: every process that can be reached from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// All processes; [`ProcessIndex`] points into it. Inline `run:` processes stand here too.
    pub processes: Vec<Process>,
    /// The process to run, chosen by fragment, by `main`, or as the only Workflow.
    pub entry: ProcessIndex,
    /// Document-level metadata that weir reads: `s:softwareVersion`, `s:author` and the like, as written.
    pub metadata: IndexMap<String, Value>,
    /// `$namespaces`: prefix to IRI. Input objects may use them in formats.
    pub namespaces: IndexMap<String, String>,
    /// `$schemas` as absolute URLs: ontologies that format checks may need, fetched by nobody before.
    pub schemas: Vec<String>,
    /// What is doubtful or ignored in the documents.
    pub warnings: Diagnostics,
}

/// An index into [`Package::processes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessIndex(pub usize);

/// The version of CWL whose rules a process follows. Processes of several versions may stand in one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CwlVersion {
    /// v1.0
    V1_0,
    /// v1.1
    V1_1,
    /// v1.2
    V1_2,
}

/// A process of any class.
#[expect(clippy::large_enum_variant, reason = "a package holds few processes, and they are never moved")]
#[derive(Debug, Clone, PartialEq)]
pub enum Process {
    /// `class: CommandLineTool`
    CommandLineTool(CommandLineTool),
    /// `class: ExpressionTool`
    ExpressionTool(ExpressionTool),
    /// `class: Workflow`
    Workflow(Workflow),
    /// `class: Operation`: described, not runnable.
    Operation(Operation),
}

/// What all classes of process have.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Short id (after `#` or the last `/`), or the file's name where the document states none.
    pub id: String,
    /// Version whose rules apply.
    pub version: CwlVersion,
    /// `label`
    pub label: Option<String>,
    /// `doc`, paragraphs joined by line ends.
    pub doc: Option<String>,
    /// `intent`
    pub intent: Vec<String>,
    /// Inputs in written order.
    pub inputs: Vec<InputParameter>,
    /// `requirements`
    pub requirements: Requirements,
    /// `hints`
    pub hints: Requirements,
    /// Extension fields (`s:softwareVersion` …), as written.
    pub metadata: IndexMap<String, Value>,
    /// Where the process begins.
    pub span: Span,
}

/// `class: CommandLineTool`
#[derive(Debug, Clone, PartialEq)]
pub struct CommandLineTool {
    /// Common part.
    pub header: Header,
    /// Outputs in written order.
    pub outputs: Vec<OutputParameter>,
    /// `baseCommand`
    pub base_command: Vec<String>,
    /// `arguments`: a plain string is a binding with `valueFrom` only.
    pub arguments: Vec<CommandLineBinding>,
    /// `stdin`, or the path of an input of type `stdin`.
    pub stdin: Option<Template>,
    /// `stdout`; named by weir where an output of type `stdout` asks for it.
    pub stdout: Option<Template>,
    /// `stderr`; likewise.
    pub stderr: Option<Template>,
    /// `successCodes`; 0 where the tool states none.
    pub success_codes: Vec<i32>,
    /// `temporaryFailCodes`
    pub temporary_fail_codes: Vec<i32>,
    /// `permanentFailCodes`
    pub permanent_fail_codes: Vec<i32>,
}

/// `class: ExpressionTool`
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionTool {
    /// Common part.
    pub header: Header,
    /// Outputs in written order.
    pub outputs: Vec<OutputParameter>,
    /// `expression`
    pub expression: Template,
}

/// `class: Operation`
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Common part.
    pub header: Header,
    /// Outputs in written order.
    pub outputs: Vec<OutputParameter>,
}

/// `class: Workflow`
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Common part.
    pub header: Header,
    /// Outputs in written order.
    pub outputs: Vec<WorkflowOutput>,
    /// Steps in written order.
    pub steps: Vec<Step>,
}

/// An output of a Workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowOutput {
    /// Short id.
    pub id: String,
    /// Type.
    pub type_: Type,
    /// The type as written.
    pub type_source: String,
    /// `label`
    pub label: Option<String>,
    /// `doc`
    pub doc: Option<String>,
    /// Where its value comes from.
    pub link: Link,
    /// Where it stands.
    pub span: Span,
}

/// `source` or `outputSource` with its merge rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Link {
    /// The sources in written order; empty means unconnected.
    pub sources: Vec<Port>,
    /// Whether the document wrote a list. A list of one without `linkMerge` behaves as a plain source.
    pub is_list: bool,
    /// `linkMerge`, if stated. Lists default to `merge_nested`.
    pub link_merge: Option<LinkMerge>,
    /// `pickValue`
    pub pick_value: Option<PickValue>,
}

/// What a link reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// An input of the enclosing workflow, by id.
    Input(String),
    /// An output of a step of the enclosing workflow.
    Step {
        /// The step's index in [`Workflow::steps`].
        step: usize,
        /// The output's short id.
        output: String,
    },
}

/// `linkMerge`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMerge {
    /// `merge_nested`
    Nested,
    /// `merge_flattened`
    Flattened,
}

/// `pickValue`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickValue {
    /// `first_non_null`
    FirstNonNull,
    /// `the_only_non_null`
    TheOnlyNonNull,
    /// `all_non_null`
    AllNonNull,
}

/// A step of a Workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Short id.
    pub id: String,
    /// `label`
    pub label: Option<String>,
    /// `run`
    pub run: ProcessIndex,
    /// `in`, in written order.
    pub inputs: Vec<StepInput>,
    /// `out`: short ids.
    pub outputs: Vec<String>,
    /// `scatter`
    pub scatter: Option<Scatter>,
    /// `when`
    pub when: Option<Template>,
    /// `requirements`
    pub requirements: Requirements,
    /// `hints`
    pub hints: Requirements,
    /// Where it stands.
    pub span: Span,
}

/// An entry of a step's `in`.
#[derive(Debug, Clone, PartialEq)]
pub struct StepInput {
    /// Short id. It may name no input of the process: then only expressions of the step see it.
    pub id: String,
    /// `source` with its merge rules.
    pub link: Link,
    /// `default`: used where the link yields null.
    pub default: Option<Value>,
    /// `valueFrom`
    pub value_from: Option<Template>,
    /// `loadContents`
    pub load_contents: bool,
    /// `loadListing`
    pub load_listing: Option<crate::schema::LoadListing>,
    /// Where it stands.
    pub span: Span,
}

/// `scatter` and `scatterMethod`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scatter {
    /// Ids of the scattered step inputs, in written order, at least one.
    pub inputs: Vec<String>,
    /// How they combine.
    pub method: ScatterMethod,
}

/// `scatterMethod`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScatterMethod {
    /// `dotproduct`
    DotProduct,
    /// `nested_crossproduct`
    NestedCrossProduct,
    /// `flat_crossproduct`
    FlatCrossProduct,
}

impl Process {
    /// The common part, to be changed.
    pub fn header_mut(&mut self) -> &mut Header {
        match self {
            Self::CommandLineTool(tool) => &mut tool.header,
            Self::ExpressionTool(tool) => &mut tool.header,
            Self::Workflow(workflow) => &mut workflow.header,
            Self::Operation(operation) => &mut operation.header,
        }
    }

    /// The common part.
    pub fn header(&self) -> &Header {
        match self {
            Self::CommandLineTool(tool) => &tool.header,
            Self::ExpressionTool(tool) => &tool.header,
            Self::Workflow(workflow) => &workflow.header,
            Self::Operation(operation) => &operation.header,
        }
    }
}

impl fmt::Display for CwlVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0 => "v1.0",
            Self::V1_1 => "v1.1",
            Self::V1_2 => "v1.2",
        })
    }
}
