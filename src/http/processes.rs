//! Processes as they are shown: the built-in ones and those that the backend has.

use std::sync::Arc;

use axum::Router;
use serde_json::{Map, Value as Json};

use crate::Facade;
use crate::backend::{BackendError, ProcessRecord};
use crate::links::{Base, rel};
use crate::names::{ProcessId, Tenant};
use crate::problem::Problem;

mod describe;
mod list;

/// `GET /processes`, `GET /processes/{processID}`
pub fn routes() -> Router<Arc<Facade>> {
    Router::new().merge(list::routes()).merge(describe::routes())
}

impl Facade {
    /// All processes that jobs can be started of, in order. A built-in one hides a deployed one of its id.
    pub async fn process_ids(&self, tenant: &Tenant) -> Result<Vec<ProcessId>, Problem> {
        let mut ids = self.backend.process_ids(tenant).await?;
        ids.extend(self.built_ins.iter().map(|process| process.id.clone()));
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// Some of them, as far as they are there and can be read: one that cannot harms only itself (invariant I11).
    pub async fn processes(&self, tenant: &Tenant, ids: &[ProcessId]) -> Result<Vec<Arc<ProcessRecord>>, Problem> {
        let mut processes = Vec::with_capacity(ids.len());
        for id in ids {
            let found = match self.built_in(id) {
                Some(process) => Ok(Some(Arc::clone(process))),
                None => self.backend.process(tenant, id).await,
            };
            match found {
                Ok(found) => processes.extend(found),
                Err(BackendError::NotFound(_)) => {}
                Err(error @ BackendError::Internal(_)) => tracing::warn!(%tenant, process = %id, %error, "left out"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(processes)
    }

    /// One of them.
    pub async fn process(&self, tenant: &Tenant, id: &ProcessId) -> Result<Arc<ProcessRecord>, Problem> {
        match self.built_in(id) {
            Some(process) => Ok(Arc::clone(process)),
            None => found(id, self.backend.process(tenant, id).await),
        }
    }

    /// The same, as a job would run it now.
    pub async fn process_to_run(&self, tenant: &Tenant, id: &ProcessId) -> Result<Arc<ProcessRecord>, Problem> {
        match self.built_in(id) {
            Some(process) => Ok(Arc::clone(process)),
            None => found(id, self.backend.process_to_run(tenant, id).await),
        }
    }

    /// Whether a process, runnable or not, may be replaced and undeployed; `None`: there is none.
    pub async fn is_mutable(&self, tenant: &Tenant, id: &ProcessId) -> Result<Option<bool>, Problem> {
        match self.built_in(id) {
            Some(process) => Ok(Some(process.mutable)),
            None => Ok(self.backend.is_mutable(tenant, id).await?),
        }
    }

    /// The built-in process of an id.
    pub fn built_in(&self, id: &ProcessId) -> Option<&Arc<ProcessRecord>> {
        self.built_ins.iter().find(|process| process.id == *id)
    }
}

fn found(
    id: &ProcessId,
    found: Result<Option<Arc<ProcessRecord>>, BackendError>,
) -> Result<Arc<ProcessRecord>, Problem> {
    match found {
        Ok(Some(process)) => Ok(process),
        Ok(None) => Err(Problem::no_such_process(id.as_str())),
        Err(error @ BackendError::NotFound(_)) => {
            Err(Problem { detail: error.to_string(), ..Problem::no_such_process(id.as_str()) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Members of a description that are not in a summary (18-062r2, `processSummary.yaml`).
const NOT_IN_SUMMARY: [&str; 2] = ["inputs", "outputs"];

/// The summary of a process (18-062r2, `processSummary.yaml`), as lists and deployments answer it.
pub fn summary(id: &ProcessId, description: &Map<String, Json>, is_mutable: bool, base: &Base) -> Json {
    let members = description.iter().filter(|(key, _)| !NOT_IN_SUMMARY.contains(&key.as_str()));
    let mut summary: Map<String, Json> = members.map(|(key, member)| (key.clone(), member.clone())).collect();
    summary.insert("mutable".into(), is_mutable.into());
    let path = format!("processes/{id}");
    let links = vec![
        base.link(&path, "self", "application/json", "Description of the process"),
        base.link(&format!("{path}?f=html"), "alternate", "text/html", "Description of the process as HTML"),
        base.link(&format!("{path}/execution"), rel::EXECUTE, "application/json", "Execution of the process"),
    ];
    add_links(&mut summary, links);
    Json::Object(summary)
}

/// The description of a process (18-062r2, `process.yaml`).
pub fn description(process: &ProcessRecord, base: &Base) -> Json {
    let mut description = Map::clone(&process.description);
    description.insert("mutable".into(), process.mutable.into());
    let id = &process.id;
    let path = format!("processes/{id}");
    let mut links = base.self_and_alternate(&path);
    links.extend([
        base.link(&format!("{path}/execution"), rel::EXECUTE, "application/json", "Execution of the process"),
        base.link(&format!("jobs?processID={id}"), rel::JOB_LIST, "application/json", "Jobs of the process"),
        base.link("processes", "up", "application/json", "All processes"),
    ]);
    if process.mutable {
        let package = format!("{path}/package");
        links.push(base.link(&package, "related", "application/cwl", "The package, as it was deployed"));
    }
    add_links(&mut description, links);
    Json::Object(description)
}

/// Ours, then those that were deployed with the description.
fn add_links(description: &mut Map<String, Json>, mut links: Vec<Json>) {
    if let Some(Json::Array(deployed)) = description.get("links") {
        links.extend(deployed.iter().cloned());
    }
    description.insert("links".into(), Json::Array(links));
}
