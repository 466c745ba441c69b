//! A tool and its input object become a [`WorkOrder`] (CWL v1.2 Command Line Tool Description, §4 "Running a Command").
//!
//! The steps, in order: [`prepare`] completes the input files, `staging` says where the tool sees them, `workdir` fills
//! the output directory, `binding` makes the command line.

use std::time::Duration;

use weir_api::FailureClass;

use crate::document::{CommandLineTool, CwlVersion};
use crate::expression::{Context, Evaluate, EvaluationError, Template};
use crate::requirement::{Docker, Effective};
use crate::runtime::Runtime;
use crate::value::{Record, Value};

mod binding;
pub(crate) mod prepare;
mod probe;
mod staging;
pub(crate) mod workdir;

pub use binding::BindingError;
pub use prepare::{InputError, measured, prepare, text_of};
pub use probe::{Kind, Probe};
pub use staging::{Content, Layout, Placement};
pub use workdir::WorkDirError;

#[cfg(test)]
mod tests;

/// Everything an executor needs to run a tool once. All paths are absolute and in the tool's eyes.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkOrder {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The environment besides PATH and what the image sets, in order: HOME, TMPDIR, then `EnvVarRequirement`.
    pub env: Vec<(String, String)>,
    /// Path that standard input is read from.
    pub stdin: Option<String>,
    /// File that standard output goes to, relative to the output directory.
    pub stdout: Option<String>,
    /// File that standard error goes to, likewise. It may be the same as `stdout`.
    pub stderr: Option<String>,
    /// What to put into place before, in order. Those in the output directory come last.
    pub placements: Vec<Placement>,
    /// How long the tool may run.
    pub time_limit: Option<Duration>,
    /// Exit codes that mean success.
    pub success_codes: Vec<i32>,
    /// Exit codes after which another try may help.
    pub temporary_fail_codes: Vec<i32>,
    /// The input object with paths, as output expressions see it.
    pub inputs: Record,
    /// The container, and whether it is required rather than hinted.
    pub docker: Option<(Docker, bool)>,
    /// Whether writable placements are the originals (`InplaceUpdateRequirement`) rather than copies.
    pub in_place_update: bool,
    /// Whether the tool may use the network.
    pub network: bool,
}

/// A tool that cannot be run with these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An input is at fault.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The working directory is at fault.
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    /// An argument is at fault.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// Another expression failed.
    #[error("{what}: {source}")]
    Expression {
        /// Which one.
        what: String,
        /// Why.
        source: Box<EvaluationError>,
    },
    /// A negative time limit.
    #[error("ToolTimeLimit is {seconds} s; it must not be negative (0 means no limit)")]
    TimeLimit {
        /// As evaluated.
        seconds: i64,
    },
    /// A redirection out of the output directory.
    #[error("`{stream}: {path}` must be a file in the output directory")]
    Redirection {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// As evaluated.
        path: String,
    },
    /// There is no program to run.
    #[error("the command line is empty: the tool has neither `baseCommand` nor arguments")]
    Empty,
    /// A variable's name that no environment can hold.
    #[error("EnvVarRequirement: `{name}` cannot be the name of a variable")]
    VariableName {
        /// As written.
        name: String,
    },
    /// A NUL character.
    #[error("{what} holds a NUL character, which no program can be given")]
    Nul {
        /// Where.
        what: String,
    },
}

impl CommandError {
    /// What kind of failure a step ends with whose command line cannot be made.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Input(InputError::NotFound { .. } | InputError::Probe { .. }) => FailureClass::StageIn,
            Self::Input(InputError::Expression { .. }) | Self::Expression { .. } => FailureClass::Expression,
            _ => FailureClass::Rejected,
        }
    }
}

impl WorkOrder {
    /// Builds the work order. `inputs` have their defaults filled in; entries that the tool does not declare are left
    /// out.
    pub fn build(
        tool: &CommandLineTool,
        effective: &Effective,
        inputs: &Record,
        runtime: &Runtime,
        layout: &Layout,
        probe: &mut dyn Probe,
        scripts: &mut dyn Evaluate,
    ) -> Result<Self, CommandError> {
        let prepared = prepare(&tool.header, effective, inputs, probe, scripts)?;
        let (mut inputs, mut placements) = staging::stage(prepared, layout);
        let runtime_value = runtime.to_value();
        let library = effective.javascript_library();

        if let Some(listing) = effective.initial_work_dir() {
            let seen = Value::Record(inputs.clone());
            let context = Context { inputs: &seen, self_: &Value::Null, runtime: &runtime_value, library };
            let may_be_absolute = layout.in_container && effective.requirements.docker.is_some();
            let workdir = workdir::evaluate(
                listing,
                &context,
                scripts,
                &runtime.outdir,
                may_be_absolute,
                effective.inplace_update(),
            )?;
            staging::repoint(&mut inputs, &workdir.places);
            placements.extend(workdir.placements);
        }

        let seen = Value::Record(inputs.clone());
        let context = Context { inputs: &seen, self_: &Value::Null, runtime: &runtime_value, library };
        let mut builder = Builder { context, scripts };
        let base = layout.base_command.as_ref().unwrap_or(&tool.base_command);
        let argv = builder.argv(tool, effective, base, &inputs)?;
        Ok(Self {
            argv,
            env: builder.environment(effective, runtime)?,
            stdin: builder.text("stdin", tool.stdin.as_ref())?.map(|path| absolute(&runtime.outdir, path)),
            stdout: builder.redirection("stdout", tool.stdout.as_ref(), &runtime.outdir)?,
            stderr: builder.redirection("stderr", tool.stderr.as_ref(), &runtime.outdir)?,
            time_limit: builder.time_limit(effective)?,
            network: builder.network(tool.header.version, effective)?,
            placements,
            success_codes: tool.success_codes.clone(),
            temporary_fail_codes: tool.temporary_fail_codes.clone(),
            docker: effective.docker().map(|(docker, required)| (docker.clone(), required)),
            in_place_update: effective.inplace_update(),
            inputs,
        })
    }
}

fn absolute(outdir: &str, path: String) -> String {
    if path.starts_with('/') { path } else { format!("{outdir}/{path}") }
}

struct Builder<'a> {
    context: Context<'a>,
    scripts: &'a mut dyn Evaluate,
}

impl Builder<'_> {
    fn argv(
        &mut self,
        tool: &CommandLineTool,
        effective: &Effective,
        base: &[String],
        inputs: &Record,
    ) -> Result<Vec<String>, CommandError> {
        let quoted = |text: &String| binding::Argument { text: text.clone(), quoted: true };
        let mut arguments: Vec<_> = base.iter().map(quoted).collect();
        arguments.extend(binding::arguments(tool, inputs, &self.context, self.scripts)?);
        if arguments.is_empty() {
            return Err(CommandError::Empty);
        }
        if let Some(at) = arguments.iter().position(|argument| argument.text.contains('\0')) {
            return Err(CommandError::Nul { what: format!("argument {at} of the command line") });
        }
        Ok(if effective.shell_command() {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), binding::shell_line(&arguments)]
        } else {
            arguments.into_iter().map(|argument| argument.text).collect()
        })
    }

    fn environment(&mut self, effective: &Effective, runtime: &Runtime) -> Result<Vec<(String, String)>, CommandError> {
        let mut env = indexmap::IndexMap::new();
        env.insert("HOME".to_owned(), runtime.outdir.clone());
        env.insert("TMPDIR".to_owned(), runtime.tmpdir.clone());
        for definition in effective.env_var() {
            let name = &definition.name;
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(CommandError::VariableName { name: name.clone() });
            }
            let what = format!("EnvVarRequirement `{name}`");
            let value = definition
                .value
                .evaluate(&self.context, self.scripts)
                .map_err(|source| CommandError::Expression { what: what.clone(), source: source.into() })?;
            let value = if value.is_null() { String::new() } else { binding::text(&value) };
            if value.contains('\0') {
                return Err(CommandError::Nul { what });
            }
            env.insert(name.clone(), value);
        }
        Ok(env.into_iter().collect())
    }

    fn text(&mut self, what: &str, template: Option<&Template>) -> Result<Option<String>, CommandError> {
        let Some(template) = template else { return Ok(None) };
        template
            .evaluate_text(&self.context, self.scripts)
            .map(|text| text.filter(|text| !text.is_empty()))
            .map_err(|source| CommandError::Expression { what: what.to_owned(), source: source.into() })
    }

    fn redirection(
        &mut self,
        stream: &'static str,
        template: Option<&Template>,
        outdir: &str,
    ) -> Result<Option<String>, CommandError> {
        let Some(path) = self.text(stream, template)? else { return Ok(None) };
        let below = path.strip_prefix(outdir).filter(|rest| rest.starts_with('/')).unwrap_or(&path);
        let is_outside = below.starts_with('/') && below.len() == path.len();
        match workdir::normalised(below) {
            Some(relative) if !is_outside && !relative.is_empty() => Ok(Some(relative)),
            _ => Err(CommandError::Redirection { stream, path }),
        }
    }

    fn time_limit(&mut self, effective: &Effective) -> Result<Option<Duration>, CommandError> {
        let Some(limit) = effective.time_limit() else { return Ok(None) };
        let seconds = limit
            .evaluate(&self.context, self.scripts)
            .map_err(|source| CommandError::Expression { what: "ToolTimeLimit".to_owned(), source: source.into() })?
            .unwrap_or(0);
        match u64::try_from(seconds) {
            Ok(0) => Ok(None),
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(CommandError::TimeLimit { seconds }),
        }
    }

    fn network(&mut self, version: CwlVersion, effective: &Effective) -> Result<bool, CommandError> {
        // v1.0 knew no NetworkAccess and allowed the network; later versions do not unless asked.
        let default = version == CwlVersion::V1_0;
        let Some(access) = effective.network_access() else { return Ok(default) };
        let access = access
            .evaluate(&self.context, self.scripts)
            .map_err(|source| CommandError::Expression { what: "NetworkAccess".to_owned(), source: source.into() })?;
        Ok(access.unwrap_or(default))
    }
}
