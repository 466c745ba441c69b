//! Texts of a job: a log for each step instance, and `usage.json`.
//!
//! The journal says which logs there are, in the order of their starts, and which incarnations wrote each. An incarnation
//! that is over has left its log in the store; one that runs is read from its pod.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::io::{AsyncRead, AsyncReadExt as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use object_store::ObjectStoreExt as _;
use weir_api::kubernetes::names::{INCARNATION, RUN, TOOL_CONTAINER};
use weir_api::limits::LOG_BYTES_MAX;
use weir_http::backend::{BackendError, ByteStream, JobId, Tenant, TextRecord};
use weir_plan::{Event, Recorded};
use weir_store::{JobKeys, journal};

use super::Cluster;
use super::failure::{is_code, refused};
use crate::build::name::label_value;
use crate::job::in_time;
use crate::observe::quote;

/// Name of the report of what a job used.
const USAGE: &str = "usage.json";
/// How long the journal of a job that runs is not read again for its logs.
const FRESH: Duration = Duration::from_secs(1);
/// Bytes of a live log that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The log of a step instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// Without suffix: `node_crop_2`.
    name: String,
    /// Whoever wrote it, in order.
    tries: Vec<Try>,
}

/// One incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Try {
    incarnation: u64,
    attempt: u32,
    end: End,
}

/// How an incarnation ended, as far as that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    NotYet,
    Well,
    /// Why not, in one line.
    Failed(String),
}

/// Logs of a job as they were known at some time.
#[derive(Debug, Clone)]
pub(super) struct Known {
    logs: Arc<Vec<Log>>,
    has_usage: bool,
    since: Instant,
    /// Whether nothing can be added any more.
    is_over: bool,
}

/// Which logs there are, and who wrote them. Pure.
fn logs(events: &[Recorded]) -> Vec<Log> {
    let mut logs: Vec<Log> = Vec::new();
    for recorded in events {
        match &recorded.event {
            Event::StartAttempt { incarnation, attempt, log, .. } => {
                let new = Try { incarnation: incarnation.0, attempt: *attempt, end: End::NotYet };
                match logs.iter_mut().find(|known| known.name == *log) {
                    Some(known) => known.tries.push(new),
                    None => logs.push(Log { name: log.clone(), tries: vec![new] }),
                }
            }
            Event::Ended { incarnation, outcome } => {
                let tries = logs.iter_mut().flat_map(|log| &mut log.tries);
                if let Some(ended) = tries.into_iter().find(|one| one.incarnation == incarnation.0) {
                    let why = |failure: &weir_plan::event::Failure| {
                        let first = failure.message.lines().next().unwrap_or_default();
                        format!("{}: {}", failure.class, quote(first))
                    };
                    ended.end = outcome.failure.as_ref().map_or(End::Well, |failure| End::Failed(why(failure)));
                }
            }
            _ => {}
        }
    }
    logs
}

impl Log {
    /// What stands above the text of a try; nothing above the first.
    fn heading(&self, index: usize) -> String {
        let Some(before) = index.checked_sub(1).and_then(|before| self.tries.get(before)) else { return String::new() };
        let why = match &before.end {
            End::Failed(why) => format!(" ({why})"),
            End::NotYet | End::Well => String::new(),
        };
        let attempt = self.tries.get(index).map_or(0, |one| one.attempt);
        format!("\n[weir] the step did not end well{why}; it is tried again: attempt {attempt}\n")
    }
}

impl Cluster {
    pub(super) async fn job_texts(&self, tenant: &Tenant, id: &JobId) -> Result<Vec<TextRecord>, BackendError> {
        let known = self.known_logs(tenant, id).await?;
        let logs = known.logs.iter();
        let logs = logs.map(|log| TextRecord { name: format!("{}.log", log.name), media_type: "text/plain" });
        let usage = TextRecord { name: USAGE.to_owned(), media_type: "application/json" };
        Ok(logs.chain(known.has_usage.then_some(usage)).collect())
    }

    pub(super) async fn job_text(
        &self,
        tenant: &Tenant,
        id: &JobId,
        name: &str,
    ) -> Result<Option<ByteStream>, BackendError> {
        let (namespace, job) = self.the_job(tenant, id).await?;
        let keys = self.job_keys(tenant, &namespace, &job).await?;
        if name == USAGE {
            return self.stored(&keys.usage()).await;
        }
        let Some(name) = name.strip_suffix(".log") else { return Ok(None) };
        let known = self.known_logs(tenant, id).await?;
        let Some(log) = known.logs.iter().find(|log| log.name == name).cloned() else { return Ok(None) };
        let parts = (0..log.tries.len()).map(|index| {
            let (this, log, keys, namespace) = (self.clone(), log.clone(), keys.clone(), namespace.clone());
            async move {
                let heading = stream::once(std::future::ready(Ok(Bytes::from(log.heading(index)))));
                let text = this.text_of(&namespace, &keys, &log.name, &log.tries[index]).await;
                match text {
                    Ok(text) => heading.chain(text).boxed(),
                    Err(error) => heading.chain(stream::once(std::future::ready(Err(error)))).boxed(),
                }
            }
        });
        let text = stream::iter(parts.collect::<Vec<_>>()).then(|part| part).flatten();
        Ok(Some(text.try_filter(|bytes| std::future::ready(!bytes.is_empty())).boxed()))
    }

    /// The logs that a job has, from its journal: read again while the job runs, once when it is over.
    async fn known_logs(&self, tenant: &Tenant, id: &JobId) -> Result<Known, BackendError> {
        let (namespace, job) = self.the_job(tenant, id).await?;
        let keys = self.job_keys(tenant, &namespace, &job).await?;
        let is_over = job.record.phase.is_final();
        if let Some(known) = self.logs.get(&keys.root())
            && (known.is_over || (!is_over && known.since.elapsed() < FRESH))
        {
            return Ok(known);
        }
        let unavailable = |error: &dyn std::error::Error| {
            BackendError::Unavailable(format!("the journal of job `{id}` cannot be read now: {error}"))
        };
        let since = Instant::now();
        let events = match journal::read(&*self.services.store, &keys).await {
            Ok(events) => events,
            // Segments are merged while they are read: once more.
            Err(_) => journal::read(&*self.services.store, &keys).await.map_err(|error| unavailable(&error))?,
        };
        let has_usage = is_over
            && match self.services.store.head(&keys.usage()).await {
                Ok(_) => true,
                Err(object_store::Error::NotFound { .. }) => false,
                Err(error) => return Err(unavailable(&error)),
            };
        let known = Known { logs: logs(&events).into(), has_usage, since, is_over };
        self.logs.put(keys.root(), known.clone(), known.logs.len() + 1);
        Ok(known)
    }

    /// What one incarnation wrote.
    async fn text_of(
        &self,
        namespace: &str,
        keys: &JobKeys,
        name: &str,
        one: &Try,
    ) -> Result<ByteStream, BackendError> {
        let key = keys.incarnation_log(name, one.incarnation);
        if let Some(stored) = self.stored(&key).await? {
            return Ok(stored);
        }
        if let Some(live) = self.live(namespace, keys.run().as_str(), one.incarnation).await? {
            return Ok(live);
        }
        // It may have been stored just as its pod was removed.
        if let Some(stored) = self.stored(&key).await? {
            return Ok(stored);
        }
        let lost = if one.end == End::NotYet { "" } else { "[weir] what the tool wrote was lost with its pod\n" };
        Ok(stream::once(std::future::ready(Ok(Bytes::from_static(lost.as_bytes())))).boxed())
    }

    async fn stored(&self, key: &object_store::path::Path) -> Result<Option<ByteStream>, BackendError> {
        let failed = |error: object_store::Error| BackendError::Unavailable(format!("`{error}`"));
        match self.services.store.get(key).await {
            Ok(found) => Ok(Some(found.into_stream().map_err(failed).boxed())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// What a pod's tool has written so far; `None` if there is no such pod.
    async fn live(&self, namespace: &str, run: &str, incarnation: u64) -> Result<Option<ByteStream>, BackendError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let selector = format!("{RUN}={},{INCARNATION}={incarnation}", label_value(run));
        let doing = "read the log of the step";
        let found = in_time(pods.list_metadata(&ListParams::default().labels(&selector))).await;
        let found = found.map_err(|error| refused(doing, &error))?;
        let Some(pod) = found.items.first().map(kube::ResourceExt::name_any) else { return Ok(None) };
        let parameters = LogParams {
            container: Some(TOOL_CONTAINER.to_owned()),
            limit_bytes: i64::try_from(LOG_BYTES_MAX).ok(),
            ..LogParams::default()
        };
        match in_time(pods.log_stream(&pod, &parameters)).await {
            Ok(log) => Ok(Some(chunks(log))),
            // Its container has not started.
            Err(error) if is_code(&error, 400) => Ok(Some(stream::empty().boxed())),
            Err(error) if is_code(&error, 404) => Ok(None),
            Err(error) => Err(refused(doing, &error)),
        }
    }
}

/// What is read, as it comes.
fn chunks(read: impl AsyncRead + Send + 'static) -> ByteStream {
    let read = Box::pin(read);
    stream::try_unfold(read, |mut read| async {
        let mut chunk = vec![0; CHUNK_BYTES];
        let bytes = read.read(&mut chunk).await;
        let bytes =
            bytes.map_err(|error| BackendError::Unavailable(format!("the log of the step broke off: {error}")))?;
        chunk.truncate(bytes);
        Ok((bytes > 0).then(|| (Bytes::from(chunk), read)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<Recorded> {
        let resources = json!({"cores": 1.0, "ramMib": 1, "tmpdirMib": 1, "outdirMib": 1});
        let start = |instance: &str, attempt: u32, incarnation: u64, log: &str| {
            json!({"at": 1, "event": "StartAttempt", "instance": instance, "attempt": attempt,
                   "incarnation": incarnation, "resources": resources, "log": log})
        };
        let usage = json!({"started": 0, "finished": 0, "cpuSeconds": 0.0, "memoryPeakBytes": 0, "outputBytes": 0});
        let failure = json!({"class": "OutOfMemory", "message": "no memory\nmore"});
        let failed =
            json!({"at": 2, "event": "Ended", "incarnation": 3, "outcome": {"failure": failure, "usage": usage}});
        let events = [start("s[1]", 1, 3, "s"), start("s[0]", 1, 2, "s_2"), failed, start("s[1]", 2, 4, "s")];
        events.into_iter().map(|event| serde_json::from_value(event).unwrap()).collect()
    }

    #[test]
    fn logs_stand_in_the_order_of_their_starts_with_all_that_wrote_them() {
        let logs = logs(&events());
        let shape: Vec<(&str, Vec<u64>)> =
            logs.iter().map(|log| (log.name.as_str(), log.tries.iter().map(|one| one.incarnation).collect())).collect();
        assert_eq!(shape, [("s", vec![3, 4]), ("s_2", vec![2])]);
        assert_eq!(logs[0].heading(0), "");
        insta::assert_snapshot!(logs[0].heading(1).trim(), @"[weir] the step did not end well (OutOfMemory: no memory); it is tried again: attempt 2");
    }
}
