//! The port: what the façade asks of whoever holds processes and runs jobs. The cluster and the embedded backend implement
//! it; nothing else of them is known here.
//!
//! Every method is about one tenant, and must find nothing of another's (invariant I9). Names come from requests: they are
//! syntactically valid ([`Tenant`], [`ProcessId`], [`JobId`]), nothing more.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use weir_api::Phase;
use weir_cwl::Package;

use crate::links::PublicUrl;
pub use crate::names::{JobId, ProcessId, Tenant};

/// A deployed process.
#[derive(Debug, Clone)]
pub struct ProcessRecord {
    /// Its id.
    pub id: ProcessId,
    /// Its description (OGC 18-062r2, `process.yaml`) without links, as [`weir_cwl::description::process_description`] makes
    /// it and a deployed `processDescription` corrects it.
    pub description: Arc<Map<String, Json>>,
    /// Whether it may be replaced and undeployed (20-044, `/req/deploy-replace-undeploy/static-indicator`).
    pub mutable: bool,
    /// The package, resolved: what inputs are validated against.
    pub package: Arc<Package>,
    /// What was deployed.
    pub deployed: Arc<Deployed>,
    /// Names exactly this, the package and all else, to the backend that gave it; `None`: it does not tell versions apart.
    pub version: Option<String>,
}

/// A package as it was deployed, and as `GET …/package` gives it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The CWL text that runs: as it was sent, fetched, or made of a container description.
    pub cwl: String,
    /// Where the text was fetched from, without fragment: what it imports by a relative reference lies beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Texts that it imports, frozen, by absolute URL without fragment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imports: BTreeMap<String, String>,
    /// The entry: as `w=` named it, or as it was chosen; `None`: the only process, which has no id.
    pub workflow: Option<String>,
    /// The `application/ogcapppkg+json` document around it, if there was one.
    pub application_package: Option<String>,
}

impl Deployed {
    /// Absolute URL of the process to run, and every text of the package by URL, as jobs are pinned and packages stored.
    /// A text that was not fetched is called `url`.
    pub fn frozen(&self, url: &str) -> (String, BTreeMap<String, String>) {
        let url = self.url.as_deref().unwrap_or(url);
        let entry = match &self.workflow {
            Some(workflow) => format!("{url}#{workflow}"),
            None => url.to_owned(),
        };
        let mut documents = self.imports.clone();
        documents.insert(url.to_owned(), self.cwl.clone());
        (entry, documents)
    }
}

/// A process to be deployed, or to replace one. Valid: its package has been loaded and checked.
#[derive(Debug, Clone)]
pub struct NewProcess {
    /// Its id.
    pub id: ProcessId,
    /// What was sent.
    pub deployed: Deployed,
    /// Its description without links.
    pub description: Map<String, Json>,
    /// The package, resolved.
    pub package: Arc<Package>,
}

/// A job to be created. Valid: its inputs fit its process.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The process.
    pub process: ProcessId,
    /// The [`ProcessRecord::version`] against which the inputs were checked; `None`: the process as it is now.
    pub version: Option<String>,
    /// The package of a built-in process; `None`: the deployed process of this id.
    pub package: Option<String>,
    /// CWL input object.
    pub inputs: Map<String, Json>,
    /// What is to become of the outputs, as the request said.
    pub asked: Asked,
    /// Whom to tell.
    pub subscriber: Option<Subscriber>,
}

/// What a request asks of its outputs. Kept with the job: its results are given accordingly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// `outputs`: which, in which form; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Map<String, Json>>,
    /// `response`: `raw` or `document`; `None`: not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseForm>,
}

/// Form of an answer with several outputs (18-062r2, §7.11.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseForm {
    /// The values themselves.
    Raw,
    /// One JSON document.
    Document,
}

/// Where changes of a job are to be told (18-062r2, §7.14 "callback"). Only http and https URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscriber {
    /// Gets the results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_uri: Option<String>,
    /// Gets statusInfo when the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress_uri: Option<String>,
    /// Gets statusInfo when the job has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_uri: Option<String>,
    /// What links begin with where nothing else says it: the origin that the request was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<PublicUrl>,
}

/// A job as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Its process.
    pub process: ProcessId,
    /// Where it stands.
    pub phase: Phase,
    /// Its results are becoming visible: it goes on until they are, whoever asks it to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_committed: bool,
    /// Percent of its step instances that are over, 0 to 100.
    pub progress: u8,
    /// What a person would want to know now.
    pub message: Option<String>,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its first step was started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// When any of this changed last.
    pub updated: Timestamp,
    /// Why it failed.
    pub failure: Option<JobFailure>,
    /// Its steps, in the order in which they were first started.
    pub steps: Vec<StepRecord>,
    /// What the request asked of its outputs.
    pub asked: Asked,
    /// Whom to tell.
    pub subscriber: Option<Subscriber>,
}

impl JobRecord {
    /// A job that was just accepted: nothing of it has begun.
    pub fn accepted(
        id: JobId,
        process: ProcessId,
        created: Timestamp,
        asked: Asked,
        subscriber: Option<Subscriber>,
    ) -> Self {
        Self {
            id,
            process,
            phase: Phase::Accepted,
            is_committed: false,
            progress: 0,
            message: None,
            created,
            started: None,
            finished: None,
            updated: created,
            failure: None,
            steps: Vec::new(),
            asked,
            subscriber,
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// Failure class in one word: `OutOfMemory`.
    pub class: String,
    /// The whole story.
    pub message: String,
    /// The step instance.
    pub step: Option<String>,
    /// The tool's exit code.
    pub exit_code: Option<i32>,
    /// The end of what the tool wrote to its standard error.
    pub stderr: Option<String>,
}

/// A step of a job, over all of its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its id.
    pub name: String,
    /// Instances known so far.
    pub total: u32,
    /// Of these, at work.
    pub running: u32,
    /// Done.
    pub succeeded: u32,
    /// Given up.
    pub failed: u32,
}

/// A text of a job: the log of a step instance (`node_crop.log`, `node_crop_2.log`, numbered in the order of their starts)
/// or `usage.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRecord {
    /// File name.
    pub name: String,
    /// `text/plain` or `application/json`.
    pub media_type: &'static str,
}

/// Where published results lie, for the `storage:*` fields of assets (STAC storage extension; water-bodies.md §5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// `storage:platform`
    pub platform: String,
    /// `storage:region`
    pub region: String,
    /// `storage:tier`
    pub tier: String,
    /// The S3 endpoint, as clients reach it.
    pub endpoint: Option<String>,
}

/// Why a backend did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is a process or job of this id.
    #[error("there is already {0}")]
    Exists(String),
    /// There is none, or none any more.
    #[error("there is no {0}")]
    NotFound(String),
    /// It may not be changed.
    #[error("{0}")]
    Immutable(String),
    /// The platform refuses it for good: a quota of objects, a policy.
    #[error("{0}")]
    Refused(String),
    /// It cannot be held: beyond a limit, with its unit.
    #[error("{0}")]
    TooLarge(String),
    /// The tenant has as many unfinished jobs as it may.
    #[error("{message}")]
    TooMany {
        /// How many, and what may be done.
        message: String,
        /// Seconds after which to try again.
        retry_after: u32,
    },
    /// The API server or the store cannot be reached for now.
    #[error("{0}")]
    Unavailable(String),
    /// A defect of weir.
    #[error("{0}")]
    Internal(String),
}

impl BackendError {
    /// The process is another version than the one that a request was checked against ([`NewJob::version`]).
    pub fn changed(process: &ProcessId) -> Self {
        Self::Unavailable(format!("the process `{process}` was changed while the request was looked at: send it again"))
    }
}

/// Bytes of a text or of a published file, as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, BackendError>>;

/// Holds processes and runs jobs.
#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whether there is such a tenant.
    async fn has_tenant(&self, tenant: &Tenant) -> Result<bool, BackendError>;

    /// Whether requests can be served now; otherwise why not.
    fn ready(&self) -> Result<(), String>;

    /// Deployed processes that jobs can be started of, in order. May lag behind by a second.
    async fn process_ids(&self, tenant: &Tenant) -> Result<Vec<ProcessId>, BackendError>;

    /// One of them. May lag behind by a second, but finds what any replica has deployed. [`BackendError::NotFound`] says why
    /// jobs cannot be started of one that there is.
    async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<Arc<ProcessRecord>>, BackendError>;

    /// The same, as a job would run it now: never older than what any replica has answered a change with (invariant I4).
    async fn process_to_run(
        &self,
        tenant: &Tenant,
        id: &ProcessId,
    ) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        self.process(tenant, id).await
    }

    /// Whether the process of this id may be replaced and undeployed, also if no job can be started of it; `None`: there is
    /// none. As it is now.
    async fn is_mutable(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<bool>, BackendError> {
        Ok(self.process(tenant, id).await?.map(|process| process.mutable))
    }

    /// Deploys a process: durable, and found by everybody, when this returns (invariant I4). [`BackendError::Exists`] if
    /// the id is taken.
    async fn deploy(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError>;

    /// Replaces a process. Jobs keep the package that they were accepted with.
    async fn replace(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError>;

    /// Undeploys a process. Jobs go on.
    async fn undeploy(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError>;

    /// Creates a job of exactly the version of its process that it states: durable when this returns, and found by every
    /// later [`Self::job`] on every replica (invariant I4).
    async fn create(&self, tenant: &Tenant, job: NewJob) -> Result<Arc<JobRecord>, BackendError>;

    /// One job. May lag behind by a second, but is found on every replica, whichever created it.
    async fn job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError>;

    /// The same; one that was not seen to be over is shown as it is now: whoever was told by another replica that it is over
    /// gets its results here, and removes it here.
    async fn job_now(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        self.job(tenant, id).await
    }

    /// One job, if it is at hand: nobody else is asked, so that one that was just created elsewhere may be missing.
    fn known_job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError>;

    /// Shows all jobs of the tenant, newest first, until the visitor breaks. May lag behind by a second.
    async fn jobs(
        &self,
        tenant: &Tenant,
        visit: &mut (dyn for<'a> FnMut(&'a Arc<JobRecord>) -> ControlFlow<()> + Send),
    ) -> Result<(), BackendError>;

    /// Waits until the job is in a final phase, and gives it; `None` if it vanishes. The caller sets the deadline.
    async fn finished(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError>;

    /// Ends a job that is not over: its steps stop, it stays, dismissed. One that [is too late](JobRecord::is_committed) ends
    /// with its results. Gives the job as it is then.
    async fn dismiss(&self, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, BackendError>;

    /// Removes a job that is over from the list, with its journal and logs. Published results stay.
    async fn remove(&self, tenant: &Tenant, id: &JobId) -> Result<(), BackendError>;

    /// The CWL output object of a successful job, as it was published: locations are URLs of files that
    /// [`Self::read_result`] reads.
    async fn results(&self, tenant: &Tenant, id: &JobId) -> Result<Map<String, Json>, BackendError>;

    /// The bytes of a published file, by a location in the job's output object, or a path below a Directory's location.
    /// Anything that the job did not publish is [`BackendError::NotFound`].
    async fn read_result(&self, tenant: &Tenant, id: &JobId, location: &str) -> Result<ByteStream, BackendError>;

    /// Where the tenant's results lie.
    fn storage(&self, tenant: &Tenant) -> Storage;

    /// Texts that the job has so far, in the order of their starts.
    async fn texts(&self, tenant: &Tenant, id: &JobId) -> Result<Vec<TextRecord>, BackendError>;

    /// A text as far as it is written: live while its step runs, complete afterwards, also when the pod is gone. A retry is
    /// separated by a line that says so. `None` if there is none.
    async fn text(&self, tenant: &Tenant, id: &JobId, name: &str) -> Result<Option<ByteStream>, BackendError>;

    /// Changes of jobs that have a [`Subscriber`] and have not been told yet, each once to exactly one replica as far as
    /// can be known; waits for the next one. `None` when the backend shuts down.
    async fn next_notice(&self) -> Option<Notice>;

    /// The notice has been delivered, or given up: do not give it again.
    async fn noticed(&self, notice: &Notice);
}

/// A change of a job that its subscriber is to be told.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Whose.
    pub tenant: Tenant,
    /// The job, as it was.
    pub job: Arc<JobRecord>,
}
