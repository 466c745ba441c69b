//! Changes of a Process: written over the object as it was read, judged by the leader, undone if they are refused.
//!
//! Other replicas write too, and so does the leader. Every write names the resource version that it was decided upon, and a
//! verdict counts for the one generation that it speaks of: what somebody else was promised is never undone.

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::time::{Instant, timeout};
use weir_api::kubernetes::Process;
use weir_api::kubernetes::names::{DEPLOYED, FIELD_MANAGER};
use weir_api::kubernetes::process::Package;
use weir_http::backend::BackendError;

use super::Cluster;
use super::entry::{Entry, Found};
use super::failure::{is_code, refused};
use super::index::Key;
use super::processes::{exists, no_process};
use crate::job::{Backoff, in_time};
use crate::limits::{FACADE_CHANGE_TRIES, FACADE_DEPLOY_WAIT, FACADE_SEEN_WAIT};

/// What a replacement writes; what is absent is taken away.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub package: Package,
    pub workflow: Option<String>,
    /// The annotation.
    pub besides: Option<String>,
}

impl Change {
    /// What makes an object say again what it said.
    fn back_to(before: &Process) -> Self {
        let (package, workflow) = (before.spec.package.clone(), before.spec.workflow.clone());
        Self { package, workflow, besides: before.annotations().get(DEPLOYED).cloned() }
    }

    /// Writes it over exactly this version of an object.
    async fn over(&self, api: &Api<Process>, object: &Process) -> kube::Result<Process> {
        let Package { inline, href, sha256, digest } = &self.package;
        let patch = json!({
            "metadata": {
                "uid": object.uid(),
                "resourceVersion": object.resource_version(),
                "annotations": {DEPLOYED: self.besides},
            },
            "spec": {
                "package": {"inline": inline, "href": href, "sha256": sha256, "digest": digest},
                "workflow": self.workflow,
            }
        });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        in_time(api.patch(&object.name_any(), &parameters, &Patch::Merge(&patch))).await
    }
}

impl Cluster {
    /// Writes a change, and gives the object as it was before and as it is then.
    pub(super) async fn change(
        &self,
        namespace: &str,
        entry: &Entry,
        change: &Change,
    ) -> Result<(Process, Process), BackendError> {
        let api = self.process_api(namespace);
        for _ in 0..FACADE_CHANGE_TRIES {
            let before = self.at_rest(namespace, entry).await?;
            match change.over(&api, &before).await {
                Ok(changed) => return Ok((before, changed)),
                // Somebody was faster; the leader writes its statuses too.
                Err(error) if is_code(&error, 409) => {}
                Err(error) if is_code(&error, 404) => return Err(no_process(&entry.id)),
                Err(error) => return Err(refused("replace the process", &error)),
            }
        }
        Err(BackendError::Unavailable(format!(
            "the process `{}` is being changed by others all the time: send it again",
            entry.id
        )))
    }

    /// The object once no other change of it is under way: what this one would be undone to must not be what another one
    /// is about to undo.
    async fn at_rest(&self, namespace: &str, entry: &Entry) -> Result<Process, BackendError> {
        let mut wait = self.index.wait(Key::Process(namespace.to_owned(), entry.name.clone()));
        let began = Instant::now();
        loop {
            let object = self.object(namespace, entry).await?.ok_or_else(|| no_process(&entry.id))?;
            let left = FACADE_DEPLOY_WAIT.saturating_sub(began.elapsed());
            match Entry::of(&object).and_then(|now| now.found) {
                Some(Found::Ready | Found::Taken(_)) => return Ok(object),
                // Whoever wrote it undoes it soon, or is not there any more.
                Some(Found::Refused(_) | Found::Unavailable(_)) => {
                    if timeout(left.min(FACADE_SEEN_WAIT), wait.changed()).await.is_err() {
                        return Ok(object);
                    }
                }
                None => {
                    if timeout(left, wait.changed()).await.is_err() {
                        return Err(not_looked_at(entry));
                    }
                }
            }
        }
    }

    /// Waits until the controller of Processes has looked at an object as it was written.
    pub(super) async fn settled(&self, namespace: &str, written: &Process) -> Result<(), BackendError> {
        let Some(entry) = Entry::of(written) else {
            return Err(BackendError::Internal("the API server gives back another process than was sent".to_owned()));
        };
        let mut wait = self.index.wait(Key::Process(namespace.to_owned(), entry.name.clone()));
        let mut trouble = None;
        let looked_at = async {
            let mut was_seen = false;
            loop {
                let now = self.index.process_named(namespace, &entry.name).filter(|now| now.uid == entry.uid);
                match &now {
                    None if was_seen => return Err(no_process(&entry.id)),
                    Some(now) if now.generation > entry.generation => {
                        return Err(BackendError::Unavailable(format!(
                            "the process `{}` was changed by somebody else before its package was looked at: look at it, and send \
                             yours again if it is still wanted",
                            entry.id
                        )));
                    }
                    Some(now) if now.generation == entry.generation => match &now.found {
                        Some(Found::Ready) => return Ok(()),
                        Some(Found::Taken(_)) => return Err(exists(&entry.id)),
                        Some(Found::Refused(message)) => return Err(BackendError::Refused(message.clone())),
                        // It is tried again.
                        Some(Found::Unavailable(message)) => trouble = Some(message.clone()),
                        None => {}
                    },
                    _ => {}
                }
                was_seen |= now.is_some();
                wait.changed().await;
            }
        };
        match timeout(FACADE_DEPLOY_WAIT, looked_at).await {
            Ok(settled) => settled,
            Err(_) => Err(trouble.map_or_else(|| not_looked_at(&entry), BackendError::Unavailable)),
        }
    }

    /// Makes an object what it was before it was written, or removes it if there was none, unless somebody has changed it
    /// since.
    pub(super) async fn undo(&self, namespace: &str, written: &Process, before: Option<&Process>) {
        let (api, name) = (self.process_api(namespace), written.name_any());
        let mut backoff = Backoff::default();
        for _ in 0..FACADE_CHANGE_TRIES {
            match self.undone(&api, namespace, written, before).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(namespace, process = name, %error, "a refused change is not undone yet"),
            }
            backoff.wait().await;
        }
        tracing::warn!(namespace, process = name, "a refused change stays: replace or undeploy the process");
    }

    async fn undone(
        &self,
        api: &Api<Process>,
        namespace: &str,
        written: &Process,
        before: Option<&Process>,
    ) -> kube::Result<()> {
        let now = in_time(api.get_opt(&written.name_any())).await?;
        let is_same =
            |now: &Process| now.uid() == written.uid() && now.metadata.generation == written.metadata.generation;
        let Some(now) = now.filter(is_same) else { return Ok(()) };
        let Some(before) = before else {
            let uid = now.uid().unwrap_or_default();
            return self.delete(namespace, &now.name_any(), &uid, now.resource_version()).await;
        };
        let restored = Change::back_to(before).over(api, &now).await?;
        // That it can be run again when this is answered is a courtesy.
        let _ = timeout(FACADE_SEEN_WAIT, self.settled(namespace, &restored)).await;
        Ok(())
    }

    /// Deletes exactly this object, in exactly this version if one is named, and waits until this replica sees that.
    pub(super) async fn delete(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: Option<String>,
    ) -> kube::Result<()> {
        let mut wait = self.index.wait(Key::Process(namespace.to_owned(), name.to_owned()));
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        in_time(self.process_api(namespace).delete(name, &parameters)).await?;
        let gone = async {
            while self.index.process_named(namespace, name).is_some_and(|now| now.uid == uid) {
                wait.changed().await;
            }
        };
        // The API server has it deleted: that it is seen too is a courtesy.
        let _ = timeout(FACADE_SEEN_WAIT, gone).await;
        Ok(())
    }

    pub(super) fn process_api(&self, namespace: &str) -> Api<Process> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn not_looked_at(entry: &Entry) -> BackendError {
    BackendError::Unavailable(format!(
        "the package of process `{}` was not looked at within {} s: no replica of the operator leads, or it is very busy",
        entry.id,
        FACADE_DEPLOY_WAIT.as_secs()
    ))
}
