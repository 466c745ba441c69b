//! From a launch to a tool that can be started: the work order is built, its files are put into place, its program is
//! found.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_api::FailureClass;
use weir_api::limits::DOCUMENT_BYTES_MAX;
use weir_cwl::command::{Layout, WorkOrder};
use weir_cwl::requirement::Docker;
use weir_cwl::runtime::Runtime;
use weir_cwl::{CommandLineTool, Process, stage_in, stage_out};
use weir_plan::action::Launch;

use crate::attempt::Context;
use crate::folder::remove_tree;
use crate::launcher::{Sink, Tool};
use crate::log;
use crate::reach;
use crate::stage::{StageError, materialise};

/// Bytes of one argument: the kernel's limit (`MAX_ARG_STRLEN`, 32 pages). Checked for a better message than `E2BIG`.
const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// What the built-in staging steps must know to reach an S3 store.
const STORE_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_S3_ENDPOINT",
    "SSL_CERT_FILE",
];

/// A tool ready to start, and what is needed to understand what it leaves behind.
#[derive(Debug)]
pub struct Prepared {
    /// For the launcher.
    pub process: Tool,
    /// As CWL sees it.
    pub order: WorkOrder,
    /// Its surroundings.
    pub runtime: Runtime,
    /// How long it may run.
    pub time_limit: Option<Duration>,
    /// Its log.
    pub log: PathBuf,
    /// Where in the log its own lines begin.
    pub log_start: u64,
}

/// Why a tool cannot be started.
#[derive(Debug)]
pub struct Refusal {
    /// One word.
    pub class: FailureClass,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Refusal {
    fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(class_of(error), format!("cannot {doing} `{}`: {error}", path.display()))
    }
}

/// The class of a failure of our own file operations.
pub fn class_of(error: &io::Error) -> FailureClass {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureClass::OutOfDisk,
        _ => FailureClass::Platform,
    }
}

/// Prepares one incarnation. Blocks: reads inputs, evaluates scripts, fetches.
pub fn prepare(context: &Context, launch: &Launch) -> Result<Prepared, Refusal> {
    let Process::CommandLineTool(tool) = &context.intent.package().processes[launch.tool.0] else {
        return Err(Refusal::new(FailureClass::Unsupported, "only a CommandLineTool can be launched"));
    };
    let base_command = native_command(context, launch)?;
    let folder = context.folder.incarnation(launch.incarnation);
    let (inputs, out, tmp) = (folder.join("in"), folder.join("out"), folder.join("tmp"));
    // Started but never claimed by an earlier weir: what it prepared is not trusted.
    remove_tree(&folder).map_err(|error| Refusal::io("remove", &folder, &error))?;
    for path in [&out, &tmp] {
        fs::create_dir_all(path).map_err(|error| Refusal::io("create the folder", path, &error))?;
    }
    let runtime = Runtime {
        outdir: text(&out),
        tmpdir: text(&tmp),
        cores: launch.resources.cores,
        ram_mib: launch.resources.ram_mib,
        outdir_size_mib: launch.resources.outdir_mib,
        tmpdir_size_mib: launch.resources.tmpdir_mib,
        exit_code: None,
    };
    let layout = Layout { inputs: text(&inputs), in_place: true, in_container: false, base_command };
    let mut files = context.files();
    let mut scripts = context.scripts.clone();
    let order =
        WorkOrder::build(tool, &launch.requirements, &launch.inputs, &runtime, &layout, &mut files, &mut scripts)
            .map_err(|error| Refusal::new(error.class(), error.to_string()))?;
    materialise(&order.placements, order.in_place_update, &files).map_err(|error| {
        let class = match &error {
            StageError::Source(_) => FailureClass::StageIn,
            StageError::Io { source, .. } => class_of(source),
        };
        Refusal::new(class, error.to_string())
    })?;
    let (log, log_start) = begin_log(context, launch)?;
    let process = process(context, tool, &order, &out, &log)?;
    let time_limit = order.time_limit;
    Ok(Prepared { process, order, runtime, time_limit, log, log_start })
}

/// What replaces `baseCommand`: the image map's prefix. A required image that is not mapped cannot run here.
fn native_command(context: &Context, launch: &Launch) -> Result<Option<Vec<String>>, Refusal> {
    let Some((docker, required)) = launch.requirements.docker() else { return Ok(None) };
    if let Some(prefix) = image(docker).and_then(|image| context.settings.images.get(image)) {
        return Ok((!prefix.is_empty()).then(|| prefix.to_vec()));
    }
    if !required {
        return Ok(None);
    }
    let image = image(docker).unwrap_or("(none)");
    let message = format!(
        "the tool requires the container image `{image}`, and there are no containers here; map the image to a local \
         program (--map-image), or make DockerRequirement a hint if the program is installed"
    );
    Err(Refusal::new(FailureClass::Unsupported, message))
}

fn image(docker: &Docker) -> Option<&str> {
    docker.pull.as_deref().or(docker.image_id.as_deref())
}

fn begin_log(context: &Context, launch: &Launch) -> Result<(PathBuf, u64), Refusal> {
    let path = context.folder.log(&launch.log);
    let start = log::begin(&path, launch.attempt, launch.incarnation.0)
        .map_err(|error| Refusal::io("write the log", &path, &error))?;
    Ok((path, start))
}

fn process(
    context: &Context,
    tool: &CommandLineTool,
    order: &WorkOrder,
    out: &Path,
    log: &Path,
) -> Result<Tool, Refusal> {
    let mut env = order.env.clone();
    if !env.iter().any(|(name, _)| name == "PATH") {
        env.insert(0, ("PATH".to_owned(), context.settings.path.clone()));
    }
    env.extend(from_this_machine(context, tool, &env));
    if let Some(rules) = context.settings.reach.as_ref().filter(|_| is_staging(tool)) {
        // Whatever a package or a request says.
        env.retain(|(name, _)| name != reach::VARIABLE);
        env.push((reach::VARIABLE.to_owned(), rules.to_string()));
    }
    let Some((arg0, arguments)) = order.argv.split_first() else {
        return Err(Refusal::new(FailureClass::Rejected, "the command line is empty"));
    };
    check_size(&order.argv)?;
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path.as_str());
    let program = find_program(context, arg0, path, out).ok_or_else(|| not_found(context, tool, order, arg0))?;
    let sink = |name: &Option<String>| -> Result<Sink, Refusal> {
        let Some(name) = name else { return Ok(Sink::Append(log.to_owned())) };
        own_place(out, name).map(Sink::File)
    };
    let (mut stdout, mut stderr) = (sink(&order.stdout)?, sink(&order.stderr)?);
    if let (Sink::File(first), Sink::File(second)) = (&stdout, &stderr)
        && first == second
    {
        // Both write into one file: it is emptied here, then both append.
        let path = first.clone();
        fs::write(&path, "").map_err(|error| Refusal::io("write", &path, &error))?;
        stdout = Sink::Append(path.clone());
        stderr = Sink::Append(path);
    }
    Ok(Tool {
        program,
        arg0: arg0.clone(),
        args: arguments.to_vec(),
        env,
        cwd: out.to_owned(),
        stdin: order.stdin.as_ref().map(PathBuf::from),
        stdout,
        stderr,
    })
}

/// The path of a captured stream, made ready. What `InitialWorkDirRequirement` put there are links to inputs, and writing
/// through one would change the original: a link of that name gives way, a folder behind a link is refused.
fn own_place(out: &Path, name: &str) -> Result<PathBuf, Refusal> {
    let path = out.join(name);
    let parent = path.parent().unwrap_or(out);
    fs::create_dir_all(parent).map_err(|error| Refusal::io("create the folder", parent, &error))?;
    let real = parent.canonicalize().map_err(|error| Refusal::io("find the folder", parent, &error))?;
    if !real.starts_with(out) {
        let message =
            format!("`{name}` would be written into an input folder; choose another name, or list it writable");
        return Err(Refusal::new(FailureClass::Rejected, message));
    }
    if path.is_symlink() {
        fs::remove_file(&path).map_err(|error| Refusal::io("replace the link", &path, &error))?;
    }
    Ok(path)
}

/// Variables of weir's own environment that the tool gets besides CWL's: those that the settings name, and for the
/// built-in staging steps the credentials of their stores, where the settings allow it. They are never journalled.
fn from_this_machine(context: &Context, tool: &CommandLineTool, stated: &[(String, String)]) -> Vec<(String, String)> {
    let credentials = if is_staging(tool) && context.settings.lends_credentials { STORE_VARIABLES } else { &[] };
    let preserved = context.settings.preserved_environment.iter().map(String::as_str);
    preserved
        .chain(credentials.iter().copied())
        .filter(|name| !stated.iter().any(|(known, _)| known == name))
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// Whether a tool is a staging step of weir's own.
fn is_staging(tool: &CommandLineTool) -> bool {
    [stage_in::TOOL_URL, stage_out::TOOL_URL].contains(&tool.header.span.source.url.as_str())
}

fn check_size(argv: &[String]) -> Result<(), Refusal> {
    let total: usize = argv.iter().map(String::len).sum();
    let longest = argv.iter().map(String::len).max().unwrap_or(0);
    if longest < ARGUMENT_BYTES_MAX && total < DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the command line has {total} bytes, its longest argument {longest}; an argument holds at most \
         {ARGUMENT_BYTES_MAX}: pass the value in a file"
    );
    Err(Refusal::new(FailureClass::Rejected, message))
}

/// The program that a name means: a path, a tool of our own, or the first executable of that name in `PATH`.
fn find_program(context: &Context, name: &str, path: &str, cwd: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(cwd.join(name)).filter(|program| is_executable(program));
    }
    if let Some(program) = context.settings.self_tools.get(name) {
        return Some(program.clone());
    }
    path.split(':').map(|folder| cwd.join(folder).join(name)).find(|program| is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn not_found(context: &Context, tool: &CommandLineTool, order: &WorkOrder, name: &str) -> Refusal {
    let place = if name.contains('/') { "is no executable file" } else { "is not in PATH" };
    let message = format!("tool `{}`: program `{name}` {place}", tool.header.id);
    match order.docker.as_ref().and_then(|(docker, _)| image(docker)) {
        Some(image) if context.settings.images.get(image).is_some() => {
            let advice = format!(
                "{message}; it stands for the image `{image}`: map that to a program that is there, by \
                 --map-image {image}=COMMAND"
            );
            Refusal::new(FailureClass::Unsupported, advice)
        }
        Some(image) => {
            let advice = format!(
                "{message}; it belongs to the image `{image}`, which stands for no program of this machine: say which \
                 by --map-image {image}=COMMAND, or install `{name}`"
            );
            Refusal::new(FailureClass::Unsupported, advice)
        }
        None => Refusal::new(FailureClass::ToolFailed, message),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_captured_stream_never_goes_into_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (input, out) = (root.join("input"), root.join("out"));
        for path in [&input, &out] {
            fs::create_dir(path).unwrap();
        }
        fs::write(input.join("a"), "water").unwrap();
        symlink(input.join("a"), out.join("a")).unwrap();
        symlink(&input, out.join("d")).unwrap();
        fs::write(own_place(&out, "a").unwrap(), "new").unwrap();
        assert_eq!(own_place(&out, "d/a").unwrap_err().class, FailureClass::Rejected);
        assert_eq!(own_place(&out, "new/a").unwrap(), out.join("new/a"));
        assert_eq!(fs::read_to_string(input.join("a")).unwrap(), "water");
    }
}
