//! The command line: what the user typed ([`Command`]) becomes validated settings in each command's own file.

pub mod demo;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs Earth-observation application packages (CWL): on this machine with nothing installed, or on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    disable_help_subcommand = true,
    after_help = "New here? `weir demo` makes water masks from two bundled Landsat scenes and shows how to go on."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make water masks from the bundled Landsat scenes: the main job in one command
    Demo(DemoArgs),
    /// Run a package with its inputs on this machine
    Run(RunArgs),
    /// Check a package; print its OGC process description if it is sound
    Validate(ValidateArgs),
    /// Run a process as the CWL conformance suite asks for (also when called as `cwl-runner`)
    #[command(name = "cwl-runner", hide = true)]
    CwlRunner(CwlRunnerArgs),
}

/// Options of `weir demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the example package, its inputs and its scenes are written
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// Options of `weir run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The package: a CWL file or URL, with `#process` to choose a process in it
    #[arg(value_name = "PACKAGE", required_unless_present = "resume")]
    pub package: Option<String>,
    /// The inputs: a YAML or JSON file
    #[arg(value_name = "INPUTS")]
    pub inputs: Option<PathBuf>,
    /// One input; may be repeated; wins over the file. The value is read as YAML, so `-i 'bands=[green, nir]'` works
    #[arg(short = 'i', long = "input", value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    #[command(flatten)]
    pub execution: ExecutionArgs,
}

/// How and where a job runs; the same for `demo` and `run`.
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
    /// Where weir keeps the state of its jobs
    #[arg(long, value_name = "DIR", default_value = ".weir", env = "WEIR_STATE_DIR")]
    pub state_dir: PathBuf,
    /// Keep the working directories of steps after the job has ended well
    #[arg(long)]
    pub keep_work: bool,
    /// Print one JSON document on stdout: job, outputs, steps and their usage
    #[arg(long, conflicts_with = "quiet")]
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

/// Options of `cwl-runner`, the contract of `cwltest`.
#[derive(Debug, Args)]
pub struct CwlRunnerArgs {
    /// The process
    pub process: String,
    /// The input object: a file
    pub job: Option<String>,
    /// Inputs as `--name value`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
    /// Where the outputs go
    #[arg(long, default_value = ".")]
    pub outdir: PathBuf,
    /// Print nothing but the output object and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Run tools that require a container on this machine
    #[arg(long)]
    pub no_container: bool,
}
