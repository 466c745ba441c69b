//! A store over which something happens at the worst moment.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Mutex;
use weir_plan::{Event, Recorded, Timestamp};
use weir_store::Journal;

use crate::job::Clock;

/// Something happens just before each write to a journal, or instead of it.
pub struct BeforeJournal {
    inner: Arc<dyn ObjectStore>,
    happens: Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>,
}

impl BeforeJournal {
    pub fn new(
        inner: Arc<dyn ObjectStore>,
        happens: impl Fn() -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, happens: Box::new(happens) }
    }

    /// Before the first write, an earlier leader writes to the same journal.
    pub fn overlap(inner: Arc<dyn ObjectStore>, earlier: Journal) -> Self {
        let earlier = Arc::new(Mutex::new(Some(earlier)));
        Self::new(inner, move || {
            let earlier = Arc::clone(&earlier);
            async move {
                if let Some(mut earlier) = earlier.lock().await.take() {
                    let at = Clock::new(Timestamp::default()).now();
                    let events = [Event::Suspended, Event::Resumed].map(|event| Recorded { at, event });
                    earlier.append(&events).await.unwrap();
                }
                Ok(())
            }
            .boxed()
        })
    }
}

impl fmt::Debug for BeforeJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BeforeJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store in which something happens")
    }
}

#[async_trait::async_trait]
impl ObjectStore for BeforeJournal {
    async fn put_opts(&self, key: &Path, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        if key.as_ref().contains("/journal/") {
            (self.happens)().await?;
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
