//! Jobs: created, looked up, waited for, ended, removed.

use std::ops::ControlFlow;
use std::sync::Arc;

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::names::FIELD_MANAGER;
use weir_api::kubernetes::schema::INLINE_LENGTH_MAX;
use weir_api::limits::DOCUMENT_BYTES_MAX;
use weir_http::backend::{BackendError, JobId, JobRecord, NewJob, Tenant};

use super::Cluster;
use super::failure::{is_code, is_in_doubt, refused};
use super::index::Key;
use super::processes::not_ready;
use super::record::{self, Inputs, Job, Runs};
use crate::intake::OWN_INPUTS;
use crate::job::{Backoff, in_time};
use crate::limits::{
    FACADE_CREATE_TRIES, FACADE_DISMISS_WAIT, FACADE_OUTPUTS_BYTES_MAX, FACADE_RETRY_AFTER_SECONDS, FACADE_SEEN_WAIT,
    INLINE_INPUTS_BYTES_MAX,
};

/// A job whose creation was not answered with the job.
enum Uncreated {
    /// There is none, and will be none.
    Surely(BackendError),
    /// There may be one all the same.
    InDoubt(BackendError),
}

impl Cluster {
    pub(super) async fn create_job(&self, tenant: &Tenant, mut new: NewJob) -> Result<Arc<JobRecord>, BackendError> {
        let namespace = self.namespace(tenant)?;
        let id = new_id()?;
        let runs = match &new.package {
            Some(package) if package.chars().count() > INLINE_LENGTH_MAX as usize => {
                return Err(BackendError::TooLarge(format!(
                    "the package of `{}` has more than {INLINE_LENGTH_MAX} characters",
                    new.process
                )));
            }
            Some(package) => Runs::Package(package.clone()),
            None => {
                let entry = self.entry_to_run(&namespace, &new.process, new.version.as_deref()).await?;
                let ready = self.ready_process(tenant, &namespace, &entry).await?;
                let (Some(digest), Some(ready)) = (entry.digest.clone(), ready) else { return Err(not_ready(&entry)) };
                // Whatever becomes of the process until the job is accepted, it has what was promised.
                let given = std::mem::replace(&mut new.inputs, (*ready.defaults).clone());
                new.inputs.extend(given);
                Runs::Process { name: entry.name.clone(), digest }
            }
        };
        let outputs = new.asked.outputs.as_ref().map_or(0, |outputs| json!(outputs).to_string().len());
        if outputs > FACADE_OUTPUTS_BYTES_MAX {
            return Err(BackendError::TooLarge(format!(
                "`outputs` has {outputs} bytes as JSON; at most {FACADE_OUTPUTS_BYTES_MAX} are kept with a job"
            )));
        }
        let most = self.services.settings.facade.unfinished_jobs_max;
        self.index.reserve(&namespace, id.as_str(), most).map_err(|taken| BackendError::TooMany {
            message: format!(
                "the tenant has {taken} jobs that are not over, of {most} that it may have: wait for one to end, or dismiss one"
            ),
            retry_after: FACADE_RETRY_AFTER_SECONDS,
        })?;
        match self.create_object(tenant, &namespace, &id, &new, runs).await {
            Ok(created) => Ok(self.known(&created)?.record),
            // It may be there all the same: its place counts until it is seen, or long enough was not.
            Err(Uncreated::InDoubt(error)) => Err(error),
            Err(Uncreated::Surely(error)) => {
                self.index.release(&namespace, id.as_str());
                Err(error)
            }
        }
    }

    async fn create_object(
        &self,
        tenant: &Tenant,
        namespace: &str,
        id: &JobId,
        new: &NewJob,
        runs: Runs,
    ) -> Result<ProcessJob, Uncreated> {
        let inputs =
            self.place_inputs(tenant, id, Json::Object(new.inputs.clone())).await.map_err(Uncreated::Surely)?;
        let is_stored = matches!(inputs, Inputs::Key(_));
        let object = record::object(namespace, id, new, runs, inputs);
        let created = self.create_once(namespace, id, &object).await;
        // A job that may be there needs them; of one that is not, the sweep finds them.
        if is_stored && matches!(created, Err(Uncreated::Surely(_))) {
            self.remove_inputs(tenant, id).await;
        }
        created
    }

    /// Creates the object once, also when an answer is lost: its name is new, so whatever is there is ours.
    async fn create_once(&self, namespace: &str, id: &JobId, object: &ProcessJob) -> Result<ProcessJob, Uncreated> {
        let api = self.job_api(namespace);
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let (mut tries, mut backoff) = (0, Backoff::default());
        loop {
            tries += 1;
            let error = match in_time(api.create(&parameters, object)).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            let told = refused("create the job", &error);
            let is_refused = !is_in_doubt(&error);
            if is_refused && tries == 1 {
                return Err(Uncreated::Surely(told));
            }
            if is_refused || tries >= FACADE_CREATE_TRIES {
                // What an earlier try has done may be the very reason of a refusal: a name that is taken, a quota.
                return match in_time(api.get_opt(id.as_str())).await {
                    Ok(Some(created)) => Ok(created),
                    _ => Err(Uncreated::InDoubt(told)),
                };
            }
            backoff.wait().await;
        }
    }

    /// Where the input object goes: small ones into the job, larger ones into the store until the job is accepted.
    async fn place_inputs(&self, tenant: &Tenant, id: &JobId, inputs: Json) -> Result<Inputs, BackendError> {
        let text = inputs.to_string();
        if text.len() <= INLINE_INPUTS_BYTES_MAX {
            return Ok(Inputs::Inline(inputs));
        }
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(BackendError::TooLarge(format!(
                "the inputs have {} bytes as JSON; a job takes {DOCUMENT_BYTES_MAX}. Give large files by href",
                text.len()
            )));
        }
        let key = inputs_key(id);
        let put = self.services.store.put(&Path::from(format!("{tenant}/{key}")), PutPayload::from(text)).await;
        put.map_err(|error| BackendError::Unavailable(format!("the inputs cannot be stored now: {error}")))?;
        Ok(Inputs::Key(key))
    }

    async fn remove_inputs(&self, tenant: &Tenant, id: &JobId) {
        let path = Path::from(format!("{tenant}/{}", inputs_key(id)));
        match self.services.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%path, %error, "inputs that nobody needs cannot be removed"),
        }
    }

    /// A job: as the watch saw it, else as the API server has it now.
    pub(super) async fn find_job(&self, namespace: &str, id: &JobId) -> Result<Option<Arc<Job>>, BackendError> {
        if let Some(job) = self.index.job(namespace, id.as_str()) {
            return Ok(Some(job));
        }
        self.job_as_it_is(namespace, id).await
    }

    /// A job as the API server has it now. One that the watch saw over stays as it is.
    pub(super) async fn job_as_it_is(&self, namespace: &str, id: &JobId) -> Result<Option<Arc<Job>>, BackendError> {
        if let Some(job) = self.index.job(namespace, id.as_str()).filter(|job| job.record.phase.is_final()) {
            return Ok(Some(job));
        }
        let object: Option<ProcessJob> = self.look_up(namespace, id.as_str()).await?;
        Ok(object.and_then(|object| Job::of(&object, |name| self.process_id(namespace, name))).map(Arc::new))
    }

    pub(super) async fn the_job(&self, tenant: &Tenant, id: &JobId) -> Result<(String, Arc<Job>), BackendError> {
        let namespace = self.namespace(tenant)?;
        let job = self.find_job(&namespace, id).await?.ok_or_else(|| no_job(id))?;
        Ok((namespace, job))
    }

    /// Likewise; an error if there is none.
    pub(super) async fn the_job_as_it_is(
        &self,
        tenant: &Tenant,
        id: &JobId,
    ) -> Result<(String, Arc<Job>), BackendError> {
        let namespace = self.namespace(tenant)?;
        let job = self.job_as_it_is(&namespace, id).await?.ok_or_else(|| no_job(id))?;
        Ok((namespace, job))
    }

    pub(super) fn visit_jobs(
        &self,
        tenant: &Tenant,
        visit: &mut (dyn FnMut(&Arc<JobRecord>) -> ControlFlow<()> + Send),
    ) -> Result<(), BackendError> {
        self.index.visit(&self.namespace(tenant)?, visit);
        Ok(())
    }

    /// The job once it is over; `None` if it vanishes.
    pub(super) async fn finished_job(
        &self,
        namespace: &str,
        id: &JobId,
    ) -> Result<Option<Arc<JobRecord>>, BackendError> {
        let mut wait = self.index.wait(Key::Job(namespace.to_owned(), id.to_string()));
        loop {
            match self.find_job(namespace, id).await? {
                None => return Ok(None),
                Some(job) if job.record.phase.is_final() => return Ok(Some(Arc::clone(&job.record))),
                Some(_) => wait.changed().await,
            }
        }
    }

    pub(super) async fn dismiss_job(&self, tenant: &Tenant, id: &JobId) -> Result<Arc<JobRecord>, BackendError> {
        let (namespace, job) = self.the_job(tenant, id).await?;
        if job.record.phase.is_final() {
            return Ok(Arc::clone(&job.record));
        }
        let patch = json!({"metadata": {"uid": job.uid}, "spec": {"dismiss": true}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = in_time(self.job_api(&namespace).patch(id.as_str(), &parameters, &Patch::Merge(&patch))).await;
        let object = patched.map_err(|error| {
            if is_code(&error, 404) || is_code(&error, 409) { no_job(id) } else { refused("dismiss the job", &error) }
        })?;
        match timeout(FACADE_DISMISS_WAIT, self.finished_job(&namespace, id)).await {
            Ok(over) => over?.ok_or_else(|| no_job(id)),
            // Its steps take their time to stop. It is marked for good.
            Err(_) => match self.index.job(&namespace, id.as_str()) {
                Some(job) => Ok(Arc::clone(&job.record)),
                None => Ok(self.known(&object)?.record),
            },
        }
    }

    pub(super) async fn remove_job(&self, tenant: &Tenant, id: &JobId) -> Result<(), BackendError> {
        let (namespace, job) = self.the_job_as_it_is(tenant, id).await?;
        if !job.record.phase.is_final() {
            return Err(BackendError::Refused(format!("the job `{id}` is not over: dismiss it first")));
        }
        let mut wait = self.index.wait(Key::Job(namespace.clone(), id.to_string()));
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(job.uid.clone()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match in_time(self.job_api(&namespace).delete(id.as_str(), &parameters)).await {
            Ok(_) => {}
            Err(error) if is_code(&error, 404) || is_code(&error, 409) => return Err(no_job(id)),
            Err(error) => return Err(refused("remove the job", &error)),
        }
        self.remove_inputs(tenant, id).await;
        let gone = async {
            while self.index.job(&namespace, id.as_str()).is_some_and(|now| now.uid == job.uid) {
                wait.changed().await;
            }
        };
        // The API server has it deleted; that this replica sees it too is a courtesy.
        let _ = timeout(FACADE_SEEN_WAIT, gone).await;
        Ok(())
    }

    pub(super) fn job_api(&self, namespace: &str) -> Api<ProcessJob> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// What an object means that the API server gave back.
    fn known(&self, object: &ProcessJob) -> Result<Job, BackendError> {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let job = Job::of(object, |name| self.process_id(&namespace, name));
        job.ok_or_else(|| BackendError::Internal("the API server gives back another job than was sent".to_owned()))
    }
}

/// A UUID of version 7, so that ids sort by time.
fn new_id() -> Result<JobId, BackendError> {
    uuid::Uuid::now_v7().to_string().parse().map_err(|error| BackendError::Internal(format!("{error}")))
}

/// Where inputs wait for a job to be accepted, below the tenant's prefix.
fn inputs_key(id: &JobId) -> String {
    format!("{OWN_INPUTS}{id}.json")
}

pub(super) fn no_job(id: &JobId) -> BackendError {
    BackendError::NotFound(format!("job `{id}`"))
}
