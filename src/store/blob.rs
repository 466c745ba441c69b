//! Content-addressed bytes of a job: `…/blobs/sha256/<hex>`. What weir itself puts: inputs, literals, packages of files.

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::layout::JobKeys;

/// A SHA-256 digest as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sha256Hex(String);

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store failed.
    #[error("cannot {doing} `{key}`: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// The bytes are not those that were put.
    #[error("`{key}` is damaged: its SHA-256 is {found}")]
    Damaged {
        /// The blob.
        key: Path,
        /// What its bytes digest to.
        found: String,
    },
    /// Not a digest.
    #[error("`{0}` is no SHA-256 digest (64 lower-case hexadecimal digits)")]
    Digest(String),
}

impl Sha256Hex {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Sha256Hex> for String {
    fn from(digest: Sha256Hex) -> Self {
        digest.0
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = BlobError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() == 64 && digits { Ok(Self(text)) } else { Err(BlobError::Digest(text)) }
    }
}

/// Puts `bytes` unless they are there already; equal bytes are stored once.
pub async fn put(store: &dyn ObjectStore, keys: &JobKeys, bytes: bytes::Bytes) -> Result<Sha256Hex, BlobError> {
    let digest = Sha256Hex::of(&bytes);
    let key = keys.blob(digest.as_str());
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&key, PutPayload::from_bytes(bytes), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(digest),
        Err(source) => Err(BlobError::Store { doing: "write", key, source }),
    }
}

/// The bytes of a blob, verified against its digest.
pub async fn get(store: &dyn ObjectStore, keys: &JobKeys, digest: &Sha256Hex) -> Result<bytes::Bytes, BlobError> {
    let key = keys.blob(digest.as_str());
    let read = async { store.get(&key).await?.bytes().await };
    let bytes = read.await.map_err(|source| BlobError::Store { doing: "read", key: key.clone(), source })?;
    let found = Sha256Hex::of(&bytes);
    if found == *digest { Ok(bytes) } else { Err(BlobError::Damaged { key, found: found.0 }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> JobKeys {
        JobKeys::new("t".parse().unwrap(), "r".parse().unwrap())
    }

    #[tokio::test]
    async fn equal_bytes_are_stored_once_and_read_back() {
        let store = object_store::memory::InMemory::new();
        let first = put(&store, &keys(), "water".into()).await.unwrap();
        let second = put(&store, &keys(), "water".into()).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(get(&store, &keys(), &first).await.unwrap(), "water");
    }

    #[tokio::test]
    async fn damaged_bytes_are_not_returned() {
        let store = object_store::memory::InMemory::new();
        let digest = put(&store, &keys(), "water".into()).await.unwrap();
        store.put(&keys().blob(digest.as_str()), "wine".into()).await.unwrap();
        assert!(matches!(get(&store, &keys(), &digest).await, Err(BlobError::Damaged { .. })));
    }
}
