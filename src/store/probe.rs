//! A look at a store before it is trusted: a journal on one that ignores conditions would have two writers.

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

/// Why a store cannot keep journals of several replicas.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The store cannot be used at all.
    #[error("the store is not usable: cannot {doing} `{key}`: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// It took a second object where one was.
    #[error(
        "the store ignores `If-None-Match: *` and overwrites: two replicas could not keep out of each other's way, so \
         more than one replica is refused. Use a store that honours conditional writes, or run one replica"
    )]
    Unconditional,
}

/// Proves that the store creates an object only if there is none. Leaves nothing behind.
pub async fn probe(store: &dyn ObjectStore) -> Result<(), ProbeError> {
    let key = Path::from(format!("weir-probe/{}", uuid::Uuid::new_v4().simple()));
    let create = |text: &'static str| {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&key, PutPayload::from_static(text.as_bytes()), options)
    };
    let failed = |doing: &'static str, source| ProbeError::Store { doing, key: key.clone(), source };
    create("first").await.map_err(|source| failed("create", source))?;
    let second = create("second").await;
    let found = async { store.get(&key).await?.bytes().await };
    let found = found.await.map_err(|source| failed("read", source));
    store.delete(&key).await.map_err(|source| failed("delete", source))?;
    match second {
        Ok(_) => Err(ProbeError::Unconditional),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            if found?.as_ref() == b"first" { Ok(()) } else { Err(ProbeError::Unconditional) }
        }
        Err(source) => Err(failed("create", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_honours_conditions_passes_and_is_left_empty() {
        let store = object_store::memory::InMemory::new();
        probe(&store).await.unwrap();
        let left: Vec<_> = futures_util::TryStreamExt::try_collect(store.list(None)).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
