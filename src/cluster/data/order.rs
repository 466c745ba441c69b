//! From a launch to what an agent is told to do: the work order is built, its placements are resolved to objects and URLs,
//! and for each claim they are signed afresh.
//!
//! Arguments and environment go from the operator to the shim without passing through the kubelet, so what is left of
//! `$(X)` in them needs no escaping: nobody expands it.

use std::time::SystemTime;

use weir_api::FailureClass;
use weir_api::agent::{AgentOrder, Content, Placement, PresignedPut};
use weir_cwl::Process;
use weir_cwl::command::{Content as Placed, Layout, Placement as CwlPlacement, WorkOrder};
use weir_cwl::runtime::Runtime;
use weir_plan::action::Launch;
use weir_script::Scripts;
use weir_store::presign::{PresignError, Presigned, PutTerms};

use super::discreet::discreet;
use super::files::{Source, StoreFiles};
use super::location::Location;
use crate::context::JobContext;
use crate::limits::{ARGUMENT_BYTES_MAX, ORDER_BYTES_MAX, PRESIGNED_LOG_TIME, PRESIGNED_TIME};

/// Everything that an agent writes lies below this folder of its pod.
pub const WORK: &str = "/weir/work";
/// Where inputs are placed.
const INPUTS: &str = "/weir/work/in";
/// Output and working directory of every tool.
pub const OUTDIR: &str = "/weir/work/out";
/// For temporary files: an `emptyDir` of the tool's container.
const TMPDIR: &str = "/tmp";

/// A tool that an agent can be told to run, and what is needed to understand what it leaves behind.
#[derive(Debug, Clone)]
pub struct Order {
    /// As CWL sees it.
    pub work: WorkOrder,
    /// Its surroundings.
    pub runtime: Runtime,
    /// What is placed, directories with all their members.
    pub placements: Vec<PlacedSource>,
    incarnation: u64,
    log: String,
}

/// Something that the tool finds when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSource {
    /// Where, absolute.
    pub path: String,
    /// What.
    pub source: Source,
    /// Whether the tool may change it.
    pub writable: bool,
}

/// Why a tool cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One word.
    pub class: FailureClass,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Refusal {
    fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: discreet(&message.into()) }
    }
}

impl From<PresignError> for Refusal {
    fn from(error: PresignError) -> Self {
        Self::new(FailureClass::Platform, error.to_string())
    }
}

/// Prepares one incarnation. Blocks: looks at inputs, evaluates scripts.
pub fn prepare(context: &JobContext, launch: &Launch) -> Result<Order, Refusal> {
    prepare_with(StoreFiles::new(context), context, launch)
}

/// Prepares one incarnation whose tool was started already, to understand what it leaves behind: what cannot be looked at
/// any more, such as a presigned input whose time is over, is no reason to end it. Blocks as [`prepare`] does.
pub fn prepare_again(context: &JobContext, launch: &Launch) -> Result<Order, Refusal> {
    prepare_with(StoreFiles::of_running(context), context, launch)
}

fn prepare_with(mut files: StoreFiles<'_>, context: &JobContext, launch: &Launch) -> Result<Order, Refusal> {
    let Process::CommandLineTool(tool) = &context.intent.package().processes[launch.tool.0] else {
        return Err(Refusal::new(FailureClass::Unsupported, "only a CommandLineTool can be launched"));
    };
    check_output_directory(launch)?;
    let runtime = Runtime {
        outdir: OUTDIR.to_owned(),
        tmpdir: TMPDIR.to_owned(),
        cores: launch.resources.cores,
        ram_mib: launch.resources.ram_mib,
        outdir_size_mib: launch.resources.outdir_mib,
        tmpdir_size_mib: launch.resources.tmpdir_mib,
        exit_code: None,
    };
    let layout = Layout { inputs: INPUTS.to_owned(), in_place: false, in_container: true, base_command: None };
    let mut scripts = Scripts(context.services.scripts.clone());
    let built =
        WorkOrder::build(tool, &launch.requirements, &launch.inputs, &runtime, &layout, &mut files, &mut scripts);
    let work = built.map_err(|error| match files.trouble() {
        // The store did not answer: the inputs are not to blame.
        Some(_) => Refusal::new(FailureClass::Platform, error.to_string()),
        None => Refusal::new(error.class(), error.to_string()),
    })?;
    check_size(&work.argv)?;
    let placements = resolve(&work.placements, &mut files)?;
    Ok(Order { work, runtime, placements, incarnation: launch.incarnation.0, log: launch.log.clone() })
}

/// A pod's folders are made before the tool's image is known to anybody, so an output directory of the image's own choice
/// cannot be had.
fn check_output_directory(launch: &Launch) -> Result<(), Refusal> {
    let wanted = launch.requirements.docker().and_then(|(docker, _)| docker.output_directory.as_deref());
    match wanted {
        Some(wanted) if wanted.trim_end_matches('/') != OUTDIR => {
            let message = format!(
                "dockerOutputDirectory `{wanted}` is not supported in a cluster: the output directory is `{OUTDIR}`; \
                 leave it out and use $(runtime.outdir)"
            );
            Err(Refusal::new(FailureClass::Unsupported, message))
        }
        _ => Ok(()),
    }
}

fn check_size(argv: &[String]) -> Result<(), Refusal> {
    let longest = argv.iter().map(String::len).max().unwrap_or(0);
    if longest < ARGUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the longest argument of the command line has {longest} bytes; an argument holds at most {ARGUMENT_BYTES_MAX}: \
         pass the value in a file"
    );
    Err(Refusal::new(FailureClass::Rejected, message))
}

/// What stands behind each placement; directories become placements of their members.
fn resolve(placements: &[CwlPlacement], files: &mut StoreFiles<'_>) -> Result<Vec<PlacedSource>, Refusal> {
    let mut placed = Vec::with_capacity(placements.len());
    for CwlPlacement { path, content, writable } in placements {
        check_place(path)?;
        let mut place = |path: String, source| placed.push(PlacedSource { path, source, writable: *writable });
        let location = match content {
            Placed::Literal(text) => {
                place(path.clone(), Source::Literal(text.clone()));
                continue;
            }
            Placed::Directory => {
                place(path.clone(), Source::Folder);
                continue;
            }
            Placed::Link(location) => location,
        };
        let unseen = |message, files: &StoreFiles<'_>| {
            let class = if files.trouble().is_some() { FailureClass::Platform } else { FailureClass::StageIn };
            Refusal::new(class, message)
        };
        let source = files.resolve(location).map_err(|message| unseen(message, files))?;
        let source = source.ok_or_else(|| {
            Refusal::new(FailureClass::StageIn, format!("there is nothing at {location}, which is to be at `{path}`"))
        })?;
        let directory = Location::parse(location).filter(|_| source == Source::Folder);
        place(path.clone(), source);
        if let Some(directory) = directory {
            for (below, source) in files.below(&directory).map_err(|message| unseen(message, files))? {
                place(format!("{path}/{below}"), source);
            }
        }
    }
    Ok(placed)
}

/// Agents refuse what lies elsewhere; said here, where the message can say what would be right.
fn check_place(path: &str) -> Result<(), Refusal> {
    let below = path.strip_prefix(WORK).and_then(|rest| rest.strip_prefix('/'));
    if below.is_some_and(|below| below.split('/').all(|part| !matches!(part, "" | "." | "..")) && !below.contains('\0'))
    {
        return Ok(());
    }
    let message = format!(
        "nothing can be placed at `{path}`: in a pod only the folder `{WORK}` is shared with the tool; use a relative \
         `entryname`, and names without slashes for files"
    );
    Err(Refusal::new(FailureClass::Unsupported, message))
}

impl Order {
    /// What the agent is told, with URLs signed at `now`: inputs can be fetched for [`PRESIGNED_TIME`], the log stored for
    /// [`PRESIGNED_LOG_TIME`].
    ///
    /// The log of each incarnation is an object of its own ([`weir_store::JobKeys::incarnation_log`]); whoever shows the
    /// log of a step instance puts those of its incarnations in a row, in the order of their numbers.
    pub fn to_agent(&self, context: &JobContext, now: SystemTime) -> Result<AgentOrder, Refusal> {
        let signer = &context.services.signer;
        let mut placements = Vec::with_capacity(self.placements.len());
        for PlacedSource { path, source, writable } in &self.placements {
            let content = match source {
                Source::Folder => Content::Directory {},
                Source::Literal(text) => Content::Literal(text.clone()),
                // The size that a server states need not be that of the decoded bytes, so it is not checked.
                Source::Remote { url, .. } => Content::Url { url: url.clone(), sha256: None, size: None },
                Source::Stored(stored) => {
                    let key = format!("{}/{}", context.keys.root(), stored.object);
                    let Presigned { url, .. } = signer.get(&key, now, PRESIGNED_TIME)?;
                    let sha256 = Some(stored.sha256.as_str().to_owned());
                    Content::Url { url, sha256, size: Some(stored.size) }
                }
            };
            placements.push(Placement { path: path.clone(), content, writable: *writable });
        }
        let log = context.keys.incarnation_log(&self.log, self.incarnation);
        let terms = PutTerms { content_type: Some("text/plain".to_owned()), ..PutTerms::default() };
        let Presigned { url, headers } = signer.put(log.as_ref(), &terms, now, PRESIGNED_LOG_TIME)?;
        let order = AgentOrder {
            argv: self.work.argv.clone(),
            env: self.work.env.clone(),
            outdir: self.runtime.outdir.clone(),
            tmpdir: Some(self.runtime.tmpdir.clone()),
            stdin: self.work.stdin.clone(),
            stdout: self.work.stdout.clone(),
            stderr: self.work.stderr.clone(),
            placements,
            time_limit_seconds: self.work.time_limit.map(|limit| limit.as_secs()),
            deny_network: context.services.settings.pods.enforce_network_access && !self.work.network,
            log: Some(PresignedPut { url, headers }),
        };
        let bytes = serde_json::to_vec(&order).map(|text| text.len());
        match bytes {
            Ok(bytes) if bytes <= ORDER_BYTES_MAX => Ok(order),
            Ok(bytes) => {
                let message = format!(
                    "the order for the tool has {bytes} bytes, at most {ORDER_BYTES_MAX} can be sent: it places {} \
                     files; give the tool fewer inputs at once, or smaller literals",
                    order.placements.len()
                );
                Err(Refusal::new(FailureClass::Unsupported, message))
            }
            Err(error) => Err(Refusal::new(FailureClass::Platform, error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_of_the_shared_folder_is_refused() {
        for good in ["/weir/work/in/1/a", "/weir/work/out/d/..a"] {
            check_place(good).unwrap();
        }
        for bad in ["/weir/work", "/weir/work/", "/etc/passwd", "/weir/work/../x", "/weir/worker/a", "in/a"] {
            assert_eq!(check_place(bad).unwrap_err().class, FailureClass::Unsupported, "{bad}");
        }
    }
}
