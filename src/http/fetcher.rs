//! What the façade asks of the world outside: documents that requests name, and subscribers to be told. Only a guarded
//! client answers in earnest (invariant I9); tests bring their own.

use serde_json::Value as Json;
use weir_fetch::Guarded;
pub use weir_fetch::{FetchFailure as FetchError, Fetched};

/// Reaches URLs that requests name.
#[async_trait::async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// What stands at a URL, if it has no more bytes than the limit.
    async fn get(&self, url: &str, limit_bytes: usize) -> Result<Fetched, FetchError>;

    /// Sends a document; success is any 2xx.
    async fn post_json(&self, url: &str, document: &Json) -> Result<(), FetchError>;
}

#[async_trait::async_trait]
impl Fetcher for Guarded {
    async fn get(&self, url: &str, limit_bytes: usize) -> Result<Fetched, FetchError> {
        self.fetch(url, limit_bytes).await
    }

    async fn post_json(&self, url: &str, document: &Json) -> Result<(), FetchError> {
        Guarded::post_json(self, url, document).await
    }
}
