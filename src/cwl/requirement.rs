//! Requirements and hints (CWL v1.2 Workflow Description, §4.6 to §4.8 and the Command Line Tool Description, §4.4).
//!
//! One field a class: "is it there" is a look at a field, never a search in a list.

use crate::diagnostic::Diagnostic;
use crate::document::{CwlVersion, Header, Package, Process};
use crate::expression::{Computed, Template};
use crate::load::what_is_right;
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
    /// `CUDARequirement` of cwltool's namespace.
    pub cuda: Option<Cuda>,
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

impl Unsupported {
    /// The message about a requirement: its package must not be run.
    pub fn diagnostic(&self) -> Diagnostic {
        let message = format!("weir does not support `{}`", self.class);
        Diagnostic::error(&self.span, message).help(what_is_right(&self.class))
    }
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

/// A member of an `InitialWorkDir` listing.
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

/// `CUDARequirement`, an extension of cwltool: GPUs of NVIDIA. At least one of the two is there. The driver's version and
/// the devices' abilities, which it states too, are nothing that weir could ask for or check.
#[derive(Debug, Clone, PartialEq)]
pub struct Cuda {
    /// `cudaDeviceCountMin`
    pub device_count_min: Option<Computed<f64>>,
    /// `cudaDeviceCountMax`
    pub device_count_max: Option<Computed<f64>>,
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
    /// What a process states itself.
    pub fn of(header: &Header) -> Self {
        Self { requirements: header.requirements.clone(), hints: header.hints.clone() }
    }

    /// Adds the level outside of this one: what is stated already stays, what is not is taken over. A class is replaced
    /// as a whole, never merged. Because requirements are looked at before hints, an outer requirement overrides an inner
    /// hint and an inner requirement overrides both.
    #[must_use]
    pub fn inherit(self, outer_requirements: &Requirements, outer_hints: &Requirements) -> Self {
        Self { requirements: self.requirements.or(outer_requirements), hints: self.hints.or(outer_hints) }
    }

    fn find<'a, T: ?Sized>(&'a self, field: impl Fn(&'a Requirements) -> Option<&'a T>) -> Option<&'a T> {
        field(&self.requirements).or_else(|| field(&self.hints))
    }

    /// `DockerRequirement`, and whether it is required rather than hinted.
    pub fn docker(&self) -> Option<(&Docker, bool)> {
        match (&self.requirements.docker, &self.hints.docker) {
            (Some(docker), _) => Some((docker, true)),
            (None, Some(docker)) => Some((docker, false)),
            (None, None) => None,
        }
    }

    /// `ResourceRequirement`
    pub fn resource(&self) -> Option<&Resource> {
        self.find(|level| level.resource.as_ref())
    }

    /// `CUDARequirement`. A hint asks like a requirement: a container sees no GPU that was not asked for. Where hints are
    /// not to ask, they are taken out: [`Package::without_hinted_gpus`].
    pub fn cuda(&self) -> Option<&Cuda> {
        self.find(|level| level.cuda.as_ref())
    }

    /// `EnvVarRequirement`, in written order.
    pub fn env_var(&self) -> &[EnvironmentDef] {
        self.find(|level| level.env_var.as_deref()).unwrap_or_default()
    }

    /// `expressionLib`; `None` where JavaScript is not allowed.
    pub fn javascript_library(&self) -> Option<&[String]> {
        self.find(|level| level.inline_javascript.as_ref()).map(|javascript| javascript.expression_lib.as_slice())
    }

    /// `InitialWorkDirRequirement`
    pub fn initial_work_dir(&self) -> Option<&InitialWorkDir> {
        self.find(|level| level.initial_work_dir.as_ref())
    }

    /// Whether `ShellCommandRequirement` is there.
    pub fn shell_command(&self) -> bool {
        self.find(|level| level.shell_command.as_ref()).is_some()
    }

    /// `ToolTimeLimit`, seconds.
    pub fn time_limit(&self) -> Option<&Computed<i64>> {
        self.find(|level| level.time_limit.as_ref())
    }

    /// `InplaceUpdateRequirement`
    pub fn inplace_update(&self) -> bool {
        self.find(|level| level.inplace_update.as_ref()).copied().unwrap_or(false)
    }

    /// `NetworkAccess`, if stated. Without it v1.0 documents may use the network and later ones may not.
    pub fn network_access(&self) -> Option<&Computed<bool>> {
        self.find(|level| level.network_access.as_ref())
    }

    /// `LoadListingRequirement`, or the default of the version: v1.0 documents load everything, later ones nothing.
    pub fn load_listing(&self, version: CwlVersion) -> LoadListing {
        let default = if version == CwlVersion::V1_0 { LoadListing::Deep } else { LoadListing::No };
        self.find(|level| level.load_listing.as_ref()).copied().unwrap_or(default)
    }
}

impl Package {
    /// The package without the GPUs that it only hints at: a hint may be ignored, and where there is no GPU it must be.
    #[must_use]
    pub fn without_hinted_gpus(mut self) -> Self {
        for process in &mut self.processes {
            process.header_mut().hints.cuda = None;
            if let Process::Workflow(workflow) = process {
                workflow.steps.iter_mut().for_each(|step| step.hints.cuda = None);
            }
        }
        self
    }
}

impl Requirements {
    /// This level over `outer`.
    fn or(self, outer: &Self) -> Self {
        let mut unsupported = self.unsupported;
        unsupported.extend(outer.unsupported.iter().cloned());
        Self {
            inline_javascript: self.inline_javascript.or_else(|| outer.inline_javascript.clone()),
            docker: self.docker.or_else(|| outer.docker.clone()),
            env_var: self.env_var.or_else(|| outer.env_var.clone()),
            initial_work_dir: self.initial_work_dir.or_else(|| outer.initial_work_dir.clone()),
            resource: self.resource.or_else(|| outer.resource.clone()),
            cuda: self.cuda.or_else(|| outer.cuda.clone()),
            shell_command: self.shell_command.or(outer.shell_command),
            load_listing: self.load_listing.or(outer.load_listing),
            time_limit: self.time_limit.or_else(|| outer.time_limit.clone()),
            work_reuse: self.work_reuse.or_else(|| outer.work_reuse.clone()),
            network_access: self.network_access.or_else(|| outer.network_access.clone()),
            inplace_update: self.inplace_update.or(outer.inplace_update),
            scatter: self.scatter.or(outer.scatter),
            subworkflow: self.subworkflow.or(outer.subworkflow),
            multiple_input: self.multiple_input.or(outer.multiple_input),
            step_input_expression: self.step_input_expression.or(outer.step_input_expression),
            unsupported,
        }
    }
}
