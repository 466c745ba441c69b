//! Published results: the output object, and the bytes of files below the job's own prefix.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use serde_json::{Map, Value as Json};
use weir_api::Phase;
use weir_cwl::uri;
use weir_http::backend::{BackendError, ByteStream, JobId, Storage, Tenant};

use super::Cluster;
use super::record::Job;
use crate::data::{MARKER, RequestError, owner};
use crate::intake::is_uuid;
use crate::job::in_time;

/// `storage:platform` and `storage:tier` of what an S3 service keeps, in the words of the STAC storage extension.
const PLATFORM: &str = "weir";
const TIER: &str = "Standard";

/// How long the bytes of one published file may take: what is slower than that is not read through the façade.
const READ_TIME: Duration = Duration::from_hours(1);

impl Cluster {
    pub(super) async fn job_results(&self, tenant: &Tenant, id: &JobId) -> Result<Map<String, Json>, BackendError> {
        let (namespace, job) = self.the_job_as_it_is(tenant, id).await?;
        if job.record.phase != Phase::Successful {
            return Err(BackendError::NotFound(format!("results of job `{id}`: it is {}", job.record.phase)));
        }
        let key = self.job_keys(tenant, &namespace, &job).await?.results();
        let read = async { self.services.store.get(&key).await?.bytes().await };
        match read.await {
            Ok(text) => outputs(&text).ok_or_else(|| BackendError::Internal(format!("`{key}` is no output object"))),
            // The store was replaced, or somebody has cleaned up: the object may still know.
            Err(object_store::Error::NotFound { .. }) => {
                let found = in_time(self.job_api(&namespace).get_opt(id.as_str())).await;
                let found = found.map_err(|error| super::failure::refused("read the job", &error))?;
                let results = found.and_then(|object| object.status?.results);
                let results = results.and_then(|results| results.as_object().cloned());
                results.ok_or_else(|| BackendError::NotFound(format!("results of job `{id}`: `{key}` is gone")))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    pub(super) async fn read_published(
        &self,
        tenant: &Tenant,
        id: &JobId,
        location: &str,
    ) -> Result<ByteStream, BackendError> {
        let (namespace, job) = self.the_job(tenant, id).await?;
        let keys = self.job_keys(tenant, &namespace, &job).await?;
        let foreign = || BackendError::NotFound(format!("`{location}` among the results of job `{id}`"));
        let bucket = self.services.settings.results_bucket.replace("{tenant}", keys.tenant().as_str());
        let place = result_id(&job).to_owned();
        let key = own_key(&bucket, &place, location).ok_or_else(foreign)?;
        let bucket =
            self.services.results.bucket(&bucket).map_err(|error| BackendError::Internal(error.to_string()))?;
        let claimed = (keys.root(), place.clone());
        if self.owned.get(&claimed).is_none() {
            // The name alone proves nothing: another tenant's job of the same name may have published there (invariant I9).
            if bucket.owner(&format!("{place}/{MARKER}")).await.map_err(|error| failed(&error))? != Some(owner(&keys)) {
                return Err(foreign());
            }
            self.owned.put(claimed, (), 1);
        }
        let response = bucket.read(&key, READ_TIME).await.map_err(|error| failed(&error))?.ok_or_else(foreign)?;
        let chunks = stream::try_unfold(response, |mut response| async {
            let chunk = response.chunk().await.map_err(|error| unavailable(&error.without_url()))?;
            Ok(chunk.map(|chunk: Bytes| (chunk, response)))
        });
        Ok(chunks.boxed())
    }

    pub(super) fn storage_of(&self) -> Storage {
        let settings = &self.services.settings;
        let endpoint = settings.facade.results_endpoint.as_ref().unwrap_or(&settings.store.endpoint);
        Storage {
            platform: PLATFORM.to_owned(),
            region: settings.store.region.clone(),
            tier: TIER.to_owned(),
            endpoint: Some(endpoint.clone()),
        }
    }
}

fn outputs(text: &[u8]) -> Option<Map<String, Json>> {
    match serde_json::from_slice(text) {
        Ok(Json::Object(outputs)) => Some(outputs),
        _ => None,
    }
}

/// First segment of the results' keys.
fn result_id(job: &Job) -> &str {
    if is_uuid(job.record.id.as_str()) { job.record.id.as_str() } else { &job.run_id }
}

/// The key that a location names, if it is one of the job's own.
fn own_key(bucket: &str, place: &str, location: &str) -> Option<String> {
    let (named, path) = location.strip_prefix("s3://")?.split_once('/')?;
    let key = uri::decode(path);
    let rest = key.strip_prefix(place)?.strip_prefix('/')?;
    let is_plain = rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (named == bucket && is_plain && rest != MARKER).then_some(key)
}

fn failed(error: &RequestError) -> BackendError {
    if error.is_retryable { unavailable(error) } else { BackendError::Internal(error.to_string()) }
}

fn unavailable(error: &dyn std::error::Error) -> BackendError {
    BackendError::Unavailable(format!("the store cannot be read now: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_job_published_has_a_key_i9() {
        let key = |location: &str| own_key("results", "id", location);
        assert_eq!(key("s3://results/id/catalog.json").as_deref(), Some("id/catalog.json"));
        assert_eq!(key("s3://results/id/o/a%20b%23.tif").as_deref(), Some("id/o/a b#.tif"));
        for other in [
            "s3://results/other/catalog.json",
            "s3://results/id",
            "s3://results/id/",
            "s3://results/idx/catalog.json",
            "s3://weir/id/catalog.json",
            "s3://results/id/../other/catalog.json",
            "s3://results/id/%2e%2e/other/catalog.json",
            "s3://results/id/..%2Fother/catalog.json",
            "s3://results/id//catalog.json",
            "s3://results/id/.weir-owner",
            "https://results/id/catalog.json",
            "file:///etc/passwd",
            "id/catalog.json",
        ] {
            assert_eq!(key(other), None, "{other}");
        }
    }
}
