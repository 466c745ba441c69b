//! The embedded backend of the OGC façade: processes and jobs of several tenants as files in one directory.
//!
//! | step | file |
//! |---|---|
//! | where things stand | [`layout`] |
//! | a deployed process is a file | [`processes`] |
//! | a request becomes a job of the engine, event 0 of its journal | [`request`], [`tenant`] |
//! | the job waits for its places, runs, ends | [`life`] |
//! | what its journal amounts to is what it shows | [`record`], [`jobs`], [`texts`] |
//! | its outputs become objects of the S3 store | [`results`] |
//! | the tenant reads them there | [`keys`] |
//! | whoever subscribed is told | [`notices`] |
//! | it becomes a small record | [`finished`] |
//!
//! Tenants share the machine, not their things (invariant I9): every lookup begins in the folder and the tables of one
//! tenant, and results are found through its jobs. Tools run as child processes with the rights of whoever started weir:
//! who may deploy may run programs here.

pub mod finished;
pub mod jobs;
pub mod keys;
pub mod layout;
pub mod life;
pub mod limits;
pub mod notices;
pub mod processes;
pub mod record;
pub mod request;
pub mod results;
pub mod tenant;
pub mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tokio::sync::{Semaphore, watch};
use weir_api::Phase;
use weir_fetch::Rules;
use weir_http::backend::{
    Backend, BackendError, ByteStream, JobId, JobRecord, NewJob, NewProcess, Notice, ProcessId, ProcessRecord, Storage,
    Tenant, TextRecord,
};
use weir_store::RunId;
use weir_store::server::Objects;

use crate::backend::{BackendError as EngineError, LocalBackend};
use crate::lock::{LockError, RunLock};
use crate::run::Control;
use crate::settings::Settings;
use jobs::Job;
use keys::Keys;
use layout::Layout;
use limits::{FINISHED_MAX, KEPT_DAYS, TENANTS_MAX, UNFINISHED_MAX, UPKEEP};
use notices::Notices;
use results::IntoStore;
use tenant::{Shared, TenantJobs, Unfinished};

/// How the façade's backend keeps and runs things.
#[derive(Clone)]
pub struct FacadeSettings {
    /// Its directory. Created if missing.
    pub dir: PathBuf,
    /// The engine's settings; the directory, the publisher and [`Settings::reach`] are replaced.
    pub engine: Settings,
    /// From where inputs are fetched.
    pub reach: Rules,
    /// Who may use it; `None`: any tenant.
    pub tenants: Option<BTreeSet<Tenant>>,
    /// Jobs that run at once.
    pub jobs: usize,
    /// Jobs of one tenant that run at once.
    pub jobs_of_tenant: usize,
    /// Unfinished jobs of one tenant at most.
    pub unfinished_max: usize,
    /// How long a job may take.
    pub time_limit: Option<Duration>,
    /// How long finished jobs are kept.
    pub kept: Duration,
    /// Where tenants get key pairs of the S3 listener; `None`: it is not their affair.
    pub keys: Option<Arc<Keys>>,
    /// Where clients reach the S3 listener.
    pub s3_endpoint: Option<String>,
}

impl FacadeSettings {
    /// The defaults for a directory: any tenant, four jobs a core, inputs from public addresses only.
    pub fn new(dir: PathBuf, engine: Settings) -> Self {
        // Short jobs wait for the disk more than for a core; tools share the cores in any case.
        let jobs = 4 * std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            dir,
            engine,
            reach: Rules::default(),
            tenants: None,
            jobs,
            jobs_of_tenant: jobs.div_ceil(2),
            unfinished_max: UNFINISHED_MAX,
            time_limit: None,
            kept: Duration::from_hours(24 * KEPT_DAYS),
            keys: None,
            s3_endpoint: None,
        }
    }
}

/// Why the backend does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the directory.
    #[error("`{0}` is used by another weir; stop that one, or choose another directory")]
    Used(PathBuf),
    /// The directory is unusable.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tenants' key pairs.
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
    /// What stands there cannot be read.
    #[error("cannot read what stands in the directory: {0}")]
    Read(BackendError),
}

/// Keeps one directory for this process. Taken before anything else in it is touched.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    _lock: RunLock,
}

impl DirLock {
    /// Creates the directory if it is missing and locks it. Blocks.
    pub fn take(dir: &std::path::Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: dir.to_owned(), source };
        // Inputs and logs are nobody else's. A directory that was there keeps its mode.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let dir = dir.canonicalize().map_err(io)?;
        match RunLock::take(&dir) {
            Ok(lock) => Ok(Self { dir, _lock: lock }),
            Err(LockError::Held(_)) => Err(OpenError::Used(dir)),
            Err(LockError::Io { path, source }) => Err(OpenError::Io { path, source }),
        }
    }

    /// The directory: absolute, without symbolic links.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }
}

/// Processes and jobs in a directory.
pub struct Embedded {
    settings: FacadeSettings,
    shared: Shared,
    objects: Objects,
    tenants: RwLock<BTreeMap<Tenant, Arc<TenantJobs>>>,
    /// Held while a tenant is added.
    adding: tokio::sync::Mutex<()>,
    notices: Arc<Notices>,
    stopped: watch::Sender<bool>,
    _lock: DirLock,
}

impl Embedded {
    /// Opens the directory, and goes on with the jobs that are not over (invariant I1). `objects` is the store that the S3
    /// listener serves; it has the bucket [`results::BUCKET`]. Must be called in a tokio runtime.
    pub async fn open(lock: DirLock, mut settings: FacadeSettings, objects: Objects) -> Result<Arc<Self>, OpenError> {
        settings.dir = lock.dir().to_owned();
        let layout = Layout::new(settings.dir.clone());
        let mut engine = settings.engine.clone();
        engine.state_dir = layout.tenants();
        engine.publisher = Arc::new(IntoStore(objects.clone()));
        // Removed here: this process lives long, and its launcher with it.
        engine.keep_attempts = true;
        // Jobs are other people's.
        engine.lends_credentials = false;
        engine.reach = Some(settings.reach.clone());
        let backend = LocalBackend::open(engine)?;
        let notices = Arc::new(Notices::default());
        let shared = Shared {
            layout,
            backend,
            places: Arc::new(Semaphore::new(settings.jobs.max(1))),
            places_of_one: settings.jobs_of_tenant.max(1),
            unfinished_max: settings.unfinished_max,
            time_limit: settings.time_limit,
            unfinished: Arc::default(),
            notices: Arc::clone(&notices),
        };
        let embedded = Arc::new(Self {
            settings,
            shared,
            objects,
            tenants: RwLock::default(),
            adding: tokio::sync::Mutex::default(),
            notices,
            stopped: watch::Sender::new(false),
            _lock: lock,
        });
        embedded.recover().await?;
        tokio::spawn(upkeep(Arc::downgrade(&embedded)));
        Ok(embedded)
    }

    /// Stops working: nothing is started any more, and no notice is given. Jobs that run are gone on with at the next
    /// start; their tools end with this process.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    async fn recover(&self) -> Result<(), OpenError> {
        let folders = self.shared.layout.tenants();
        let io = |source| OpenError::Io { path: folders.clone(), source };
        let mut unfinished = Vec::new();
        for entry in fs::read_dir(&folders).map_err(io)? {
            let Some(name) = entry.map_err(io)?.file_name().to_str().and_then(|name| name.parse::<Tenant>().ok())
            else {
                continue;
            };
            let (tenant, jobs) = TenantJobs::open(name.clone(), &self.shared).await.map_err(OpenError::Read)?;
            self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&tenant));
            unfinished.extend(jobs.into_iter().map(|job| (Arc::clone(&tenant), job)));
        }
        if let Some(keys) = &self.settings.keys {
            let tenants: Vec<_> = self.tenants.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
            told(keys, &keys.add(&tenants)?);
        }
        if !unfinished.is_empty() {
            tracing::info!(jobs = unfinished.len(), "going on with unfinished jobs");
        }
        // In the order in which they were accepted, whoever's they are.
        unfinished.sort_by_key(|(_, job)| job.live.record().created);
        for (tenant, job) in unfinished {
            start(tenant, job, self.stopped.subscribe());
        }
        Ok(())
    }

    /// A tenant that has something. Looking for one creates nothing.
    fn known(&self, tenant: &Tenant) -> Option<Arc<TenantJobs>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// A tenant that is about to have something.
    async fn known_or_new(&self, tenant: &Tenant) -> Result<Arc<TenantJobs>, BackendError> {
        if let Some(known) = self.known(tenant) {
            return Ok(known);
        }
        if !self.allows(tenant) {
            return Err(BackendError::NotFound(format!("tenant `{tenant}`")));
        }
        let _adding = self.adding.lock().await;
        if let Some(known) = self.known(tenant) {
            return Ok(known);
        }
        if self.tenants.read().unwrap_or_else(PoisonError::into_inner).len() >= TENANTS_MAX {
            return Err(BackendError::Refused(format!("this weir has {TENANTS_MAX} tenants and takes no more")));
        }
        if let Some(keys) = self.settings.keys.clone() {
            let tenants = [tenant.clone()];
            let added = tokio::task::spawn_blocking(move || keys.add(&tenants).map(|new| told(&keys, &new))).await;
            added
                .map_err(|error| BackendError::Internal(error.to_string()))?
                .map_err(|error| BackendError::Unavailable(error.to_string()))?;
        }
        let (new, _) = TenantJobs::open(tenant.clone(), &self.shared).await?;
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), Arc::clone(&new));
        Ok(new)
    }

    fn allows(&self, tenant: &Tenant) -> bool {
        self.settings.tenants.as_ref().is_none_or(|allowed| allowed.contains(tenant))
    }

    /// A tenant's job.
    fn found(&self, tenant: &Tenant, id: &JobId) -> Result<(Arc<TenantJobs>, Job), BackendError> {
        let missing = || BackendError::NotFound(format!("job `{id}`"));
        let known = self.known(tenant).filter(|_| self.allows(tenant)).ok_or_else(missing)?;
        let job = known.jobs.get(id).ok_or_else(missing)?;
        Ok((known, job))
    }

    /// Removes finished jobs that are too old or too many.
    async fn tidy(&self) {
        let kept = jiff::SignedDuration::try_from(self.settings.kept).unwrap_or(jiff::SignedDuration::MAX);
        let oldest = Timestamp::now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        let tenants: Vec<_> = self.tenants.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for tenant in tenants {
            for id in tenant.jobs.outdated(oldest, FINISHED_MAX) {
                if let Err(error) = tenant.remove(&id).await {
                    tracing::warn!(tenant = %tenant.name, job = %id, %error, "an old job stays");
                }
            }
        }
    }
}

/// Says where a new tenant's key pair is: nobody has seen it yet.
fn told(keys: &Keys, new: &[keys::NewKey]) {
    for key in new {
        let path = keys.path().display();
        tracing::info!(tenant = %key.tenant, "the key pair that reads the tenant's results by S3 is in {path}");
    }
}

/// Tidies up every now and then, as long as the backend lives.
async fn upkeep(embedded: Weak<Embedded>) {
    while let Some(embedded) = embedded.upgrade() {
        embedded.tidy().await;
        let mut stopped = embedded.stopped.subscribe();
        drop(embedded);
        if tokio::time::timeout(UPKEEP, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
            break;
        }
    }
}

/// Runs a job until it is over, or the backend stops.
fn start(tenant: Arc<TenantJobs>, job: Unfinished, mut stopped: watch::Receiver<bool>) {
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = tenant.run(job) => {}
        }
    });
}

fn run_of(id: &JobId) -> Result<RunId, BackendError> {
    id.as_str().parse().map_err(|_| BackendError::NotFound(format!("job `{id}`")))
}

#[async_trait::async_trait]
impl Backend for Embedded {
    async fn has_tenant(&self, tenant: &Tenant) -> Result<bool, BackendError> {
        Ok(self.allows(tenant))
    }

    fn ready(&self) -> Result<(), String> {
        if *self.stopped.borrow() { Err("weir is stopping".to_owned()) } else { Ok(()) }
    }

    async fn process_ids(&self, tenant: &Tenant) -> Result<Vec<ProcessId>, BackendError> {
        let known = self.known(tenant).filter(|_| self.allows(tenant));
        Ok(known.map(|known| known.processes.ids()).unwrap_or_default())
    }

    async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<Arc<ProcessRecord>>, BackendError> {
        let known = self.known(tenant).filter(|_| self.allows(tenant));
        Ok(known.and_then(|known| known.processes.get(id)))
    }

    async fn deploy(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        let known = self.known_or_new(tenant).await?;
        known.processes.put(process, false).await
    }

    async fn replace(&self, tenant: &Tenant, process: NewProcess) -> Result<(), BackendError> {
        let known = self.known(tenant).filter(|_| self.allows(tenant));
        let known = known.ok_or_else(|| BackendError::NotFound(format!("process `{}`", process.id)))?;
        known.processes.put(process, true).await
    }

    async fn undeploy(&self, tenant: &Tenant, id: &ProcessId) -> Result<(), BackendError> {
        let known = self.known(tenant).filter(|_| self.allows(tenant));
        let known = known.ok_or_else(|| BackendError::NotFound(format!("process `{id}`")))?;
        known.processes.remove(id).await
    }

    async fn create(&self, tenant: &Tenant, job: NewJob) -> Result<Arc<JobRecord>, BackendError> {
        if *self.stopped.borrow() {
            return Err(BackendError::Unavailable("weir is stopping".to_owned()));
        }
        let known = self.known_or_new(tenant).await?;
        let process = known.processes.get(&job.process);
        let stopped = self.stopped.subscribe();
        // Goes on when the client does not wait: what is durable must run.
        let accepted = tokio::spawn(async move {
            let job = known.accept(job, process).await?;
            let record = job.live.record();
            start(known, job, stopped);
            Ok(record)
        });
        accepted.await.map_err(|error| BackendError::Internal(error.to_string()))?
    }

    async fn job(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let known = self.known(tenant).filter(|_| self.allows(tenant));
        Ok(known.and_then(|known| known.jobs.get(id)).map(|job| job.record()))
    }

    async fn jobs(
        &self,
        tenant: &Tenant,
        visit: &mut (dyn for<'a> FnMut(&'a Arc<JobRecord>) -> ControlFlow<()> + Send),
    ) -> Result<(), BackendError> {
        if let Some(known) = self.known(tenant).filter(|_| self.allows(tenant)) {
            known.jobs.visit(visit);
        }
        Ok(())
    }

    async fn finished(&self, tenant: &Tenant, id: &JobId) -> Result<Option<Arc<JobRecord>>, BackendError> {
        match self.found(tenant, id) {
            Err(BackendError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
            Ok((_, Job::Over(past))) => Ok(Some(past.record)),
            Ok((_, Job::Live(live))) => {
                let mut shown = live.shown.subscribe();
                drop(live);
                let mut stopped = self.stopped.subscribe();
                tokio::select! {
                    biased;
                    // The sender goes after the end was shown, or with the whole backend.
                    ended = shown.wait_for(|record| record.phase.is_final()) => {
                        Ok(ended.ok().map(|record| Arc::clone(&record)))
                    }
                    _ = stopped.wait_for(|stopped| *stopped) => {
                        Err(BackendError::Unavailable("weir is stopping; the job goes on at its next start".to_owned()))
                    }
                }
            }
        }
    }

    async fn dismiss(&self, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, BackendError> {
        match self.found(tenant, id)?.1 {
            Job::Over(past) => return Ok(past.record),
            Job::Live(live) => live.control.send_if_modified(|order| {
                let is_new = *order < Control::Cancel;
                *order = (*order).max(Control::Cancel);
                is_new
            }),
        };
        let ended = self.finished(tenant, id).await?;
        ended.ok_or_else(|| BackendError::Unavailable("weir is stopping".to_owned()))
    }

    async fn remove(&self, tenant: &Tenant, id: &JobId) -> Result<(), BackendError> {
        self.found(tenant, id)?.0.remove(id).await
    }

    async fn results(&self, tenant: &Tenant, id: &JobId) -> Result<Map<String, Json>, BackendError> {
        let (known, job) = self.found(tenant, id)?;
        if job.record().phase != Phase::Successful {
            return Err(BackendError::NotFound(format!("result of job `{id}`, which is {}", job.record().phase)));
        }
        let path = known.backend.folder(&run_of(id)?).results();
        let text = tokio::fs::read(&path).await;
        let text = text.map_err(|error| BackendError::Unavailable(format!("results cannot be read: {error}")))?;
        serde_json::from_slice(&text).map_err(|error| BackendError::Internal(format!("results are damaged: {error}")))
    }

    async fn read_result(&self, tenant: &Tenant, id: &JobId, location: &str) -> Result<ByteStream, BackendError> {
        let (_, job) = self.found(tenant, id)?;
        if job.record().phase != Phase::Successful {
            return Err(BackendError::NotFound(format!("result of job `{id}`, which is {}", job.record().phase)));
        }
        results::read(&self.objects, id, location).await
    }

    fn storage(&self, _: &Tenant) -> Storage {
        Storage {
            platform: "weir".to_owned(),
            region: "us-east-1".to_owned(),
            tier: "Standard".to_owned(),
            endpoint: self.settings.s3_endpoint.clone(),
        }
    }

    async fn texts(&self, tenant: &Tenant, id: &JobId) -> Result<Vec<TextRecord>, BackendError> {
        Ok(texts::list(&self.found(tenant, id)?.1))
    }

    async fn text(&self, tenant: &Tenant, id: &JobId, name: &str) -> Result<Option<ByteStream>, BackendError> {
        let (known, job) = self.found(tenant, id)?;
        let settings = known.backend.settings();
        texts::read(&job, &known.backend.folder(&run_of(id)?), name, settings.cores, settings.ram_mib).await
    }

    async fn next_notice(&self) -> Option<Notice> {
        self.notices.next(self.stopped.subscribe()).await
    }

    async fn noticed(&self, notice: &Notice) {
        let Some(known) = self.known(&notice.tenant) else { return };
        let Ok(run) = run_of(&notice.job.id) else { return };
        let (folder, fsync) = (known.backend.folder(&run), known.backend.settings().fsync);
        let phase = notice.job.phase;
        let told = tokio::task::spawn_blocking(move || {
            // It may have been removed meanwhile.
            if folder.root().is_dir() { notices::tell(folder.root(), phase, fsync) } else { Ok(()) }
        });
        if let Ok(Err(error)) = told.await {
            tracing::warn!(job = %notice.job.id, %error, "a subscriber may be told twice");
        }
    }
}
