//! Published documents, read within limits.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;

use super::reading::Reading;
use crate::backend::{BackendError, ByteStream};
use crate::limits::{RESULT_BYTES, RESULT_DOCUMENT_BYTES, RESULT_READS_AT_ONCE};
use crate::names::JobId;
use crate::problem::Problem;

/// What one job has published.
pub struct Published<'a> {
    reading: &'a Reading<'a>,
    job: &'a JobId,
    /// Bytes of documents that may still be read.
    left: AtomicUsize,
}

impl<'a> Published<'a> {
    /// By this job.
    pub fn new(reading: &'a Reading<'a>, job: &'a JobId) -> Self {
        Self { reading, job, left: AtomicUsize::new(RESULT_BYTES) }
    }

    /// A file of any size.
    pub async fn stream(&self, location: &str) -> Result<ByteStream, BackendError> {
        self.reading.facade.backend.read_result(self.reading.tenant, self.job, location).await
    }

    /// A JSON document; `None`: the job has not published it.
    pub async fn document(&self, location: &str) -> Result<Option<Json>, Problem> {
        let mut stream = match self.stream(location).await {
            Ok(stream) => stream,
            Err(BackendError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > RESULT_DOCUMENT_BYTES {
                return Err(Problem::too_large(location, RESULT_DOCUMENT_BYTES));
            }
            let take = |left: usize| left.checked_sub(chunk.len());
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
                return Err(Problem::too_large("the result as a whole", RESULT_BYTES));
            }
            self.reading.take_text(chunk.len())?;
        }
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Problem::internal(format_args!("the result {location} is no JSON: {error}")))
    }

    /// Several documents, in their order; those that the job has not published are left out.
    pub async fn documents(&self, locations: Vec<String>) -> Result<Vec<(String, Json)>, Problem> {
        let reads = locations.into_iter().map(async |location| {
            let document = self.document(&location).await?;
            Ok::<_, Problem>(document.map(|document| (location, document)))
        });
        let all: Vec<_> = stream::iter(reads).buffered(RESULT_READS_AT_ONCE).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }
}
