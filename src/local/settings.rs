//! What the machine's owner decides: where state lives, what jobs may use, which programs stand for which images.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use weir_fetch::Rules;
use weir_plan::observed::Capacity;
use weir_store::Tenant;

use crate::image::ImageMap;
use crate::publish::{IntoFolder, Publisher};

/// Settings of the embedded backend.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where journals, step outputs and logs are kept. Created if missing.
    pub state_dir: PathBuf,
    /// Whose jobs these are.
    pub tenant: Tenant,
    /// Cores that all steps of a job may use together.
    pub cores: f64,
    /// Mebibytes of memory that they may use together.
    pub ram_mib: u64,
    /// GPUs that all jobs may use together.
    pub gpus: u32,
    /// Steps at once; `None`: as many as cores and memory allow.
    pub parallelism: Option<u32>,
    /// Images that run natively.
    pub images: ImageMap,
    /// Programs that are found under these names before `PATH` is searched: the path of the program, which sees the
    /// name as its own.
    pub self_tools: BTreeMap<String, PathBuf>,
    /// The program that becomes launcher and script worker when called by their names; this one unless set.
    pub program: PathBuf,
    /// `PATH` that tools see and that their programs are searched in.
    pub path: String,
    /// Variables of this program's environment that every tool sees, by name; all others are kept from the tools.
    pub preserved_environment: Vec<String>,
    /// Whether the built-in staging steps get the credentials of S3 stores that are in this program's environment. Off
    /// where jobs are not the user's own.
    pub lends_credentials: bool,
    /// From where weir itself fetches inputs of jobs by http(s); `None`: from wherever this machine can. Stated where jobs
    /// are not the user's own (invariant I9).
    pub reach: Option<Rules>,
    /// Keep the folders of attempts when a job has succeeded.
    pub keep_attempts: bool,
    /// Flush everything that is written to the journal to the disk: jobs then outlive a power failure too.
    pub fsync: bool,
    /// Puts the outputs of jobs where they are to be found.
    pub publisher: Arc<dyn Publisher>,
    /// Between SIGTERM and SIGKILL when a tool is stopped.
    pub grace: Duration,
}

impl Settings {
    /// The defaults for this machine: all its cores and memory, state in `./.weir`, `weir-eo` is this program.
    pub fn for_this_machine() -> std::io::Result<Self> {
        // Leads to the running program even after an upgrade has replaced its file; the launcher is the same program.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { link } else { std::env::current_exe()? };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = u32::try_from(cores).map_or(1.0, f64::from);
        Ok(Self {
            state_dir: PathBuf::from(".weir"),
            tenant: "local".parse().map_err(std::io::Error::other)?,
            cores,
            ram_mib: memory_mib(),
            gpus: gpus(),
            parallelism: None,
            images: ImageMap::default(),
            self_tools: BTreeMap::from([("weir-eo".to_owned(), program.clone())]),
            program,
            path: std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            preserved_environment: Vec::new(),
            lends_credentials: true,
            reach: None,
            keep_attempts: false,
            fsync: false,
            publisher: Arc::new(IntoFolder),
            grace: Duration::from_secs(5),
        })
    }

    /// What the planner may give to the steps of one job.
    pub(crate) fn capacity(&self) -> Capacity {
        Capacity { cores: Some(self.cores), ram_mib: Some(self.ram_mib), incarnations: self.parallelism }
    }
}

/// NVIDIA's devices, as its driver shows them: `/dev/nvidia0` and so on.
fn gpus() -> u32 {
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_gpu = |name: &str| name.strip_prefix("nvidia").is_some_and(|number| number.parse::<u32>().is_ok());
    let gpus = devices.filter(|device| device.file_name().to_str().is_some_and(is_gpu)).count();
    u32::try_from(gpus).unwrap_or(u32::MAX)
}

/// Mebibytes of memory of this machine, or what its control group allows if that is less.
fn memory_mib() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    });
    let total = total.map_or(u64::MAX, |kib| kib / 1024);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.into_iter().filter_map(read).find_map(|text| text.trim().parse::<u64>().ok());
    limit.map_or(total, |bytes| total.min(bytes >> 20))
}
