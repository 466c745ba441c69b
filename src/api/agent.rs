//! The words between the operator and the agent in a step's pod.
//!
//! Three requests, each a POST with a JSON body and a bearer token: [`CLAIM_PATH`] takes a [`Claim`] and answers a
//! [`ClaimAnswer`], [`EXITED_PATH`] an [`Exited`] and an [`ExitedAnswer`], [`COMPLETE_PATH`] a [`Complete`] and a
//! [`CompleteAnswer`]. Each may be sent again with the same meaning until it is answered, also to another replica or
//! after a restart: every request says all that its answer depends on. Status 410 means *superseded*; 5xx means that the
//! operator cannot answer now; 401 and 403 that it does not know the token, or not for this claimant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::FailureClass;

/// Asks for the work order; the operator may hold the answer back for some time (long poll).
pub const CLAIM_PATH: &str = "/agent/v1/claim";
/// Reports how the tool ended, or that it could not be started.
pub const EXITED_PATH: &str = "/agent/v1/exited";
/// Reports that everything is uploaded.
pub const COMPLETE_PATH: &str = "/agent/v1/complete";

/// Which incarnation speaks, and from which pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claimant {
    /// The job's run id.
    pub run_id: String,
    /// Number of the incarnation, never used twice in a run.
    pub incarnation: u64,
    /// `metadata.uid` of the pod.
    pub pod_uid: String,
}

/// Asks for the work order of an incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Who asks.
    pub claimant: Claimant,
}

/// What the operator says to a [`Claim`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimAnswer {
    /// Nothing to do yet: ask again at once.
    Wait {},
    /// Another pod has the claim, or the step is over: leave without starting the tool.
    Superseded {},
    /// The claim is durable; run this.
    Order(Box<AgentOrder>),
}

/// One tool to be run once. Paths are absolute and those that the tool sees, unless they say otherwise; everything that
/// is written lies below the pod's working folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentOrder {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Laid in this order over the environment of the image.
    pub env: Vec<(String, String)>,
    /// Output and working directory; made empty before the placements.
    pub outdir: String,
    /// Directory for temporary files, made if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpdir: Option<String>,
    /// File that is read as standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// File for standard output, relative to `outdir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// File for standard error, likewise; it may be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// What to put into place, in order: a later one wins where two have the same path.
    #[serde(default)]
    pub placements: Vec<Placement>,
    /// Seconds that the tool may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_seconds: Option<u64>,
    /// Whether the tool is to be kept from the network (CWL `NetworkAccess`, enforced).
    #[serde(default)]
    pub deny_network: bool,
    /// Where the log goes; valid as long as the pod may live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PresignedPut>,
}

/// Something that the tool finds when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Where. Its parent directories are made.
    pub path: String,
    /// What.
    pub content: Content,
    /// Whether the tool may change it.
    #[serde(default)]
    pub writable: bool,
}

/// What a [`Placement`] is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A file to be fetched.
    #[serde(rename_all = "camelCase")]
    Url {
        /// Plain or presigned, `http` or `https`.
        url: String,
        /// 64 lower-case hexadecimal digits; checked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Bytes; checked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// A text file.
    Literal(String),
    /// An empty directory; its members are placements of their own.
    Directory {},
}

/// A request that stores one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresignedPut {
    /// With its signature.
    pub url: String,
    /// Headers that were signed, to be sent as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// How the tool ended and what it left behind. Sent again with `contents` after an answer [`ExitedAnswer::Read`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exited {
    /// Who reports.
    pub claimant: Claimant,
    /// How it ended.
    pub ending: Ending,
    /// What may have been the cause.
    pub hints: Hints,
    /// What was used.
    pub usage: Usage,
    /// End of standard error, at most [`crate::limits::STDERR_TAIL_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
    /// What is in the output directory; empty if the tool never ran.
    pub listing: Listing,
    /// What the operator asked to read, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<String, Contents>,
    /// Bytes of the log, if it is in the store already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
}

/// How a tool ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was not started, or how it ended is not known.
    Failed {
        /// One word: StageIn, OutOfDisk, ToolFailed (no such program), Platform.
        class: FailureClass,
        /// For the user.
        message: String,
    },
}

/// What may explain an ending; the operator decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hints {
    /// The time limit of the order was exceeded and the tool was killed for it.
    #[serde(default)]
    pub time_limit: bool,
    /// Processes of the tool's container that the kernel killed for memory.
    #[serde(default)]
    pub oom_kills: u64,
    /// The working folder's volume has no space left.
    #[serde(default)]
    pub disk_full: bool,
    /// The pod was asked to end (SIGTERM) while the tool ran.
    #[serde(default)]
    pub terminated: bool,
}

/// What a tool used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU seconds, user and system, of the tool and all its descendants.
    pub cpu_seconds: f64,
    /// Peak resident bytes of the largest of these processes (`ru_maxrss`).
    pub memory_peak_bytes: u64,
    /// Peak of the container's cgroup in bytes, page cache included, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_peak_bytes: Option<u64>,
    /// Milliseconds since the Unix epoch when the tool was started (0: never).
    pub started_ms: u64,
    /// The same when it had ended.
    pub finished_ms: u64,
    /// Milliseconds that fetching and placing its inputs took.
    pub stage_in_ms: u64,
}

/// What stands in an output directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// Sorted bytewise by path; a directory stands before its members. Sockets, devices and pipes are left out.
    pub entries: Vec<ListedEntry>,
    /// Why something is missing, if the listing is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// A member of an output directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedEntry {
    /// Relative to the output directory, without `.` and `..`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What a listed path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its bytes.
        size: u64,
    },
    /// A directory; its members are entries of their own.
    Directory {},
    /// A symbolic link, followed to its end.
    Link(LinkTarget),
}

/// Where a symbolic link leads. Only a target inside of the output directory is known to exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkTarget {
    /// To this entry of the same listing; empty for the output directory itself.
    Inside(String),
    /// To a staged input, or something in one: its absolute path.
    Staged(String),
    /// Anywhere else: the absolute path in the tool's container.
    Outside(String),
}

/// Content of a file that the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Contents {
    /// UTF-8 text.
    Text(String),
    /// Other bytes, in lower-case hexadecimal digits.
    Hex(String),
    /// It cannot be read.
    Unreadable(String),
}

/// What the operator says to an [`Exited`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExitedAnswer {
    /// Send these contents, with everything else once more.
    Read {
        /// Which.
        files: Vec<ReadRequest>,
    },
    /// Upload these files, then [`Complete`].
    Upload {
        /// Which.
        files: Vec<UploadRequest>,
    },
    /// Recorded, nothing to upload.
    Done {},
    /// Another pod has the claim.
    Superseded {},
}

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadRequest {
    /// Relative to the output directory; links inside of it are followed.
    pub path: String,
    /// Its first bytes, at most so many and never more than [`crate::limits::OUTPUT_OBJECT_BYTES_MAX`].
    pub bytes_max: u64,
}

/// A file to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadRequest {
    /// Relative to the output directory; links inside of it are followed.
    pub path: String,
    /// Where to. 412 is taken for success only after an own try whose end is unknown.
    pub put: PresignedPut,
}

/// Everything is uploaded, or it failed for good. It carries the whole report once more, so that an operator that was
/// started again since the [`ExitedAnswer::Upload`] needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Complete {
    /// Who reports.
    pub claimant: Claimant,
    /// The report that was answered with [`ExitedAnswer::Upload`], of the same claimant, with all contents.
    pub exited: Exited,
    /// Each file of [`ExitedAnswer::Upload`].
    pub uploaded: Vec<Uploaded>,
    /// Why it failed; the operator then takes the attempt for failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<UploadFailure>,
    /// Bytes of the log, if it is in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uploaded {
    /// As requested.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why outputs could not be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadFailure {
    /// Platform (the store) or OutputInvalid (the file).
    pub class: FailureClass,
    /// For the user.
    pub message: String,
}

/// What the operator says to a [`Complete`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CompleteAnswer {
    /// Durable: the pod is free to end.
    Done {},
    /// Another pod has the claim.
    Superseded {},
}

/// The agent's termination message: what the operator reads from the pod's status if a report was lost. Compact JSON of
/// at most [`crate::limits::TERMINATION_MESSAGE_BYTES`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminationMessage {
    /// What the agent has to say of itself (superseded, completed, gave up because ...).
    pub agent: String,
    /// How the tool ended, if the agent came that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// As reported.
    #[serde(default)]
    pub hints: Hints,
    /// As reported.
    #[serde(default)]
    pub usage: Usage,
    /// As reported, cut at the front as far as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
}
