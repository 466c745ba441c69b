//! The command line: what the user typed ([`Command`]) becomes validated settings in each command's own file.

#[cfg(feature = "embedded")]
mod conformance;
#[cfg(feature = "embedded")]
mod demo;
mod documents;
#[cfg(feature = "embedded")]
mod execution;
mod findings;
mod generate;
mod inputs;
mod oidc;
#[cfg(feature = "cluster")]
mod operator;
mod paths;
#[cfg(feature = "embedded")]
mod progress;
#[cfg(feature = "embedded")]
pub mod raster;
#[cfg(feature = "embedded")]
mod run;
#[cfg(feature = "embedded")]
mod serve;
mod store;
#[cfg(feature = "embedded")]
mod summary;
mod telemetry;
mod validate;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Exit codes (CWL v1.2 has 33 for what an implementation does not support; 130 is the shell's for Ctrl-C).
pub mod exit {
    /// Something is wrong with the package, its inputs, or a step failed.
    pub const FAILURE: u8 = 1;
    /// The package needs something that weir does not support here.
    pub const UNSUPPORTED: u8 = 33;
    /// The job was cancelled.
    #[cfg(feature = "embedded")]
    pub const CANCELLED: u8 = 130;
}

/// Whether this program was called by the given name.
#[cfg(feature = "embedded")]
pub fn called_as(name: &str) -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&called).file_name().is_some_and(|file| file == name)
}

/// Parses, dispatches, reports what went wrong on one line.
pub fn main() -> ExitCode {
    #[cfg(feature = "embedded")]
    if called_as("cwl-runner") {
        return done(conformance::run(&CwlRunner::parse().args));
    }
    done(match Cli::parse().command {
        #[cfg(feature = "embedded")]
        Command::Demo(args) => demo::demo(&args),
        #[cfg(feature = "embedded")]
        Command::Run(args) => run::run(&args),
        Command::Validate(args) => validate::validate(&args),
        #[cfg(feature = "embedded")]
        Command::Serve(args) => serve::serve(&args),
        Command::Store(args) => store::store(&args),
        #[cfg(feature = "cluster")]
        Command::Operator(args) => operator::operator(&args),
        Command::Generate(args) => generate::generate(&args),
        #[cfg(feature = "embedded")]
        Command::CwlRunner(args) => conformance::run(&args),
    })
}

fn done(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("{}", describe(&error));
        #[cfg(feature = "embedded")]
        if matches!(error.downcast_ref(), Some(weir_local::BackendError::Interrupted)) {
            return ExitCode::from(exit::CANCELLED);
        }
        ExitCode::from(exit::FAILURE)
    })
}

/// Messages of the loader stand for themselves; all others are one line.
fn describe(error: &anyhow::Error) -> String {
    match error.downcast_ref::<weir_cwl::Diagnostics>() {
        Some(diagnostics) => diagnostics.to_string(),
        None => format!("weir: {}", chain(error)),
    }
}

/// An error and its causes; a cause that its message ends with already is not told twice.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Writes a line to stdout. A reader that went away is no failure.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Runs Earth-observation application packages (CWL), on this machine or on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[cfg(feature = "embedded")]
const AFTER_HELP: &str =
    "New here? `weir demo` makes water masks from two bundled Landsat scenes and shows how to go on.";
#[cfg(not(feature = "embedded"))]
const AFTER_HELP: &str = "This build has the parts for a cluster only; another one runs packages on one machine.";

#[cfg(feature = "embedded")]
const EXIT_CODES: &str = "\
Exit codes: 0 successful; 1 the package or its inputs are wrong, or the job failed; 2 wrong options; 33 the package needs \
something that weir does not support here; 130 cancelled (Ctrl-C once: cleanly, twice: at once).";

const VALIDATE_EXIT_CODES: &str = "\
Exit codes: 0 sound; 1 the package or its inputs are wrong; 2 wrong options; 33 the package needs something that weir does \
not support.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make water masks from two bundled Landsat scenes: a whole job in one command
    #[cfg(feature = "embedded")]
    Demo(DemoArgs),
    /// Run a package with its inputs on this machine
    #[cfg(feature = "embedded")]
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Check a package; print its OGC process description if it is sound
    #[command(after_help = VALIDATE_EXIT_CODES)]
    Validate(ValidateArgs),
    /// Serve OGC API - Processes on this machine: deploy packages, run jobs, read results over HTTP and S3
    #[cfg(feature = "embedded")]
    Serve(Box<serve::ServeArgs>),
    /// Serve a directory as an S3-compatible object store
    Store(StoreArgs),
    /// Run the jobs of a Kubernetes cluster
    #[cfg(feature = "cluster")]
    Operator(Box<operator::OperatorArgs>),
    /// Write files that follow from this program: custom resource definitions
    Generate(GenerateArgs),
    /// Run a process as the CWL conformance suite asks for (also when called as `cwl-runner`)
    #[cfg(feature = "embedded")]
    #[command(name = "cwl-runner", hide = true)]
    CwlRunner(CwlRunnerArgs),
}

/// Options of `weir demo`.
#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the example package, its inputs and its scenes are written
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// Options of `weir run`.
#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The package: a CWL file or URL, with `#process` to choose a process in it
    #[arg(value_name = "PACKAGE", required_unless_present = "resume")]
    pub package: Option<String>,
    /// The inputs: a YAML or JSON file
    #[arg(value_name = "INPUTS")]
    pub inputs: Option<PathBuf>,
    /// One input; may be repeated; wins over the file. A text or a path is taken as it stands, anything else is read as
    /// YAML: `-i aoi=1,2,3,4 -i 'bands=[green, nir]'`
    #[arg(short = 'i', long = "input", value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// How and where a job runs; the same for `demo` and `run`.
#[cfg(feature = "embedded")]
#[derive(Debug, Args, Clone)]
pub struct ExecutionArgs {
    /// Where the outputs go [default: ./weir-results/<jobID>]
    #[arg(long, value_name = "DIR")]
    pub outdir: Option<PathBuf>,
    /// Publish STAC catalogs as <jobID>/catalog.json under a directory or an s3://bucket/prefix. S3 credentials come
    /// from the AWS_… variables of the environment
    #[arg(long, value_name = "URL|DIR")]
    pub stage_out: Option<String>,
    /// The job's id [default: a new UUID]
    #[arg(long, value_name = "ID")]
    pub job_id: Option<String>,
    /// Go on with a job that was interrupted: nothing that is finished runs again. Without an id: the latest one
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
    /// Steps that run at once [default: as many as cores and memory allow]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallelism: Option<u32>,
    /// Cancel the job after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub time_limit: Option<u64>,
    /// Run the tools of an image by a command of this machine, as in `ghcr.io/org/tool=/opt/tool/run --fast`
    #[arg(long, value_name = "IMAGE=COMMAND")]
    pub map_image: Vec<String>,
    /// Let every tool see this variable of the environment; may be repeated. Tools see no other ones
    #[arg(long, value_name = "NAME")]
    pub preserve_environment: Vec<String>,
    /// Where weir keeps the state of its jobs
    #[arg(long, value_name = "DIR", default_value = ".weir", env = "WEIR_STATE_DIR")]
    pub state_dir: PathBuf,
    /// Keep the working directories of steps after the job has ended well
    #[arg(long)]
    pub keep_work: bool,
    /// Print one JSON document on stdout: job, outputs, steps and their usage
    #[arg(long)]
    pub json: bool,
    /// Print nothing but the output object and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `weir validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The package: a CWL file or URL, with `#process` to choose a process in it
    #[arg(value_name = "PACKAGE")]
    pub package: String,
    /// Check these inputs as well: a YAML or JSON file
    #[arg(value_name = "INPUTS")]
    pub inputs: Option<PathBuf>,
    /// Print nothing if the package is sound
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `weir store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Where the objects are kept; one process at a time may serve it
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
    pub listen: std::net::SocketAddr,
    /// Key pairs and what they allow, a JSON file that is read again when it changes: `{"keys": [{"accessKey": …,
    /// "secretKey": …, "access": "readOnly", "bucket": …, "prefix": …}]}`; the last three may be left out. `"owner": TENANT` limits a
    /// read-only pair to the results of a tenant. The key pair of
    /// WEIR_STORE_ACCESS_KEY and WEIR_STORE_SECRET_KEY, which may do everything, is good besides
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
    /// Create this bucket if it does not exist; may be repeated
    #[arg(long, value_name = "NAME")]
    pub bucket: Vec<String>,
    /// Answer a write only once it would outlive a power failure
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub fsync: bool,
}

/// Options of `weir generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    pub what: Generated,
}

#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Definitions of the custom resources Process and ProcessJob, to be given to `kubectl apply`
    Crds(CrdsArgs),
    /// The definition of the HTTP API in OpenAPI 3.0
    Openapi(OpenapiArgs),
}

/// Options of `weir generate crds`.
#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "crds")]
    pub dir: PathBuf,
    /// Write nothing; fail if the files there are others
    #[arg(long)]
    pub check: bool,
}

/// Options of `weir generate openapi`.
#[derive(Debug, Args)]
pub struct OpenapiArgs {
    /// Where the file goes
    #[arg(long, value_name = "DIR", default_value = "src/http/openapi")]
    pub dir: PathBuf,
    /// Write nothing; fail if the file there is another
    #[arg(long)]
    pub check: bool,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Parser)]
#[command(name = "cwl-runner", version, about = "Runs one CWL process and prints its output object")]
struct CwlRunner {
    #[command(flatten)]
    args: CwlRunnerArgs,
}

/// Options of `cwl-runner`, the contract of `cwltest`.
#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub struct CwlRunnerArgs {
    /// The process: a CWL file or URL, with `#process` to choose one in it
    #[arg(value_name = "PROCESS")]
    pub process: String,
    /// The input object: a YAML or JSON file
    #[arg(value_name = "JOB")]
    pub job: Option<PathBuf>,
    /// Where the outputs go
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub outdir: PathBuf,
    /// Print nothing but the output object and errors
    #[arg(long, short)]
    pub quiet: bool,
}
