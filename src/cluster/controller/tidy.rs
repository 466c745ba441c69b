//! What is over: pods that nobody looks after, ProcessJobs after their time, the store's objects of deleted jobs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use weir_api::Phase;
use weir_api::kubernetes::ProcessJob;
use weir_api::kubernetes::conditions::{ACCEPTED, FAILED, MALFORMED};
use weir_store::JobKeys;

use super::index::Key;
use crate::context::Services;
use crate::job::{Backoff, Object, Shared, belongs, delete, in_time};
use crate::limits::FAILED_PODS_KEPT_FOR;

/// When a deletion that failed is tried again.
pub(super) const EXPIRE_AGAIN: Duration = Duration::from_mins(1);

/// How often the cleaning of the store is tried.
const CLEAN_TRIES: u32 = 10;

/// A pod without what nobody reads.
pub(super) fn slim(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.tolerations = None;
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            (container.env, container.volume_mounts, container.security_context) = (None, None, None);
        }
    }
    pod
}

/// When a job whose status says that it is over is to be deleted, and until when its failed pods are kept.
pub(super) fn over(job: &ProcessJob, default_seconds: u64) -> Option<(Instant, Instant)> {
    let status = job.status.as_ref()?;
    status.phase.filter(|phase| phase.is_final())?;
    let finished = status.finished.as_ref().map_or_else(jiff::Timestamp::now, |finished| finished.0);
    let since = jiff::Timestamp::now().as_second().saturating_sub(finished.as_second());
    let since = Duration::from_secs(u64::try_from(since).unwrap_or(0));
    let asked = job.spec.ttl_seconds_after_finished.and_then(|seconds| u64::try_from(seconds).ok());
    let kept = Duration::from_secs(asked.unwrap_or(default_seconds));
    let now = Instant::now();
    Some((now + kept.saturating_sub(since), now + FAILED_PODS_KEPT_FOR.saturating_sub(since)))
}

/// Whether the pod ended without success. Such a one holds nothing but its logs.
pub(super) fn has_failed(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Failed"))
}

/// Whether the pod has begun and its end was not seen.
pub(super) fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
}

/// Deletes a pod in the background.
pub(super) fn delete_pod(shared: &Shared, pod: &Pod) {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let api = Api::namespaced(shared.client.clone(), &namespace);
    tokio::spawn(delete(api, pod.clone(), None, Arc::clone(&shared.pod_requests)));
}

/// Deletes a ProcessJob whose time is over. The watch tells when it is gone.
pub(super) async fn expire(client: kube::Client, object: Object) {
    let preconditions = Some(Preconditions { uid: Some(object.uid.clone()), resource_version: None });
    let propagation_policy = Some(PropagationPolicy::Background);
    let parameters = DeleteParams { preconditions, propagation_policy, ..DeleteParams::default() };
    if let Err(error) = in_time(object.jobs(&client).delete(&object.name, &parameters)).await {
        tracing::warn!(job = %object, %error, "cannot be deleted for now");
    }
}

/// Removes the objects of a deleted job; if it is `doubted`, only those of a run whose journal says that it is its own.
/// Published results stand elsewhere and stay.
pub(super) async fn clean(services: Arc<Services>, keys: JobKeys, doubted: Option<Key>, cleanups: Arc<Semaphore>) {
    let root = keys.root();
    let _permit = cleanups.acquire().await;
    let mut backoff = Backoff::default();
    for _ in 0..CLEAN_TRIES {
        if let Some((namespace, name)) = &doubted {
            match belongs(&*services.store, &keys, namespace, name).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%root, %error, "the store cannot be cleaned for now");
                    backoff.wait().await;
                    continue;
                }
            }
        }
        let found = services.store.list(Some(&root)).map_ok(|object| object.location).boxed();
        let removed = services.store.delete_stream(found).try_for_each(async |_| Ok(())).await;
        match removed {
            Ok(()) => return,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%root, %error, "the store cannot be cleaned for now"),
        }
        backoff.wait().await;
    }
}

/// Writes into the status of a ProcessJob that cannot be read, why not.
pub(super) async fn tell_malformed(client: kube::Client, key: Key, generation: Option<i64>, message: String) {
    let (namespace, name) = key;
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &ApiResource::erase::<ProcessJob>(&()));
    let condition = |type_: &str, status: &str| Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: MALFORMED.to_owned(),
        message: message.clone(),
        last_transition_time: Time(jiff::Timestamp::now()),
        observed_generation: generation,
    };
    let conditions = [condition(ACCEPTED, "False"), condition(FAILED, "True")];
    let patch = json!({ "status": { "phase": Phase::Failed, "message": message, "conditions": conditions } });
    let mut backoff = Backoff::default();
    loop {
        match in_time(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch))).await {
            Ok(_) => return,
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 422) => return,
            Err(error) => tracing::warn!(namespace, name, %error, "the status cannot be written for now"),
        }
        backoff.wait().await;
    }
}
