//! A store over which two leaders take turns at the worst moment.

use std::fmt;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Mutex;
use weir_plan::{Event, Recorded, Timestamp};
use weir_store::Journal;

use crate::job::Clock;

/// Just before the first write of the newer leader, the earlier one writes to the same journal.
#[derive(Debug)]
pub struct Overlap {
    inner: Arc<InMemory>,
    earlier: Mutex<Option<Journal>>,
}

impl Overlap {
    pub fn new(inner: &Arc<InMemory>, earlier: Journal) -> Self {
        Self { inner: Arc::clone(inner), earlier: Mutex::new(Some(earlier)) }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("store of two leaders")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Overlap {
    async fn put_opts(&self, key: &Path, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        if key.as_ref().contains("/journal/")
            && let Some(mut earlier) = self.earlier.lock().await.take()
        {
            let at = Clock::new(Timestamp::default()).now();
            let events = [Event::Suspended, Event::Resumed].map(|event| Recorded { at, event });
            earlier.append(&events).await.unwrap();
        }
        self.inner.put_opts(key, body, options).await
    }

    async fn put_multipart_opts(&self, key: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
