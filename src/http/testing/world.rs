//! The world outside, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

use super::lock;
use crate::fetcher::{FetchError, Fetched, Fetcher};

/// Knows some documents, and keeps what is sent.
#[derive(Debug, Default)]
pub struct World {
    documents: Mutex<BTreeMap<String, Fetched>>,
    sent: Mutex<Vec<(String, Json)>>,
}

impl World {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on this stands at the URL.
    pub fn put(&self, url: &str, media_type: &str, bytes: impl Into<Vec<u8>>) {
        let fetched = Fetched { bytes: bytes.into(), media_type: Some(media_type.to_owned()) };
        lock(&self.documents).insert(url.to_owned(), fetched);
    }

    /// What was sent so far, with its URL.
    pub fn sent(&self) -> Vec<(String, Json)> {
        lock(&self.sent).clone()
    }
}

#[async_trait::async_trait]
impl Fetcher for World {
    async fn get(&self, url: &str, limit_bytes: usize) -> Result<Fetched, FetchError> {
        match lock(&self.documents).get(url) {
            None => Err(FetchError::Status { url: url.to_owned(), status: 404 }),
            Some(fetched) if fetched.bytes.len() > limit_bytes => {
                Err(FetchError::TooLarge { url: url.to_owned(), bytes_max: limit_bytes })
            }
            Some(fetched) => Ok(fetched.clone()),
        }
    }

    async fn post_json(&self, url: &str, document: &Json) -> Result<(), FetchError> {
        lock(&self.sent).push((url.to_owned(), document.clone()));
        Ok(())
    }
}
