//! Packages in the store: `<tenant>/packages/<digest>`, one JSON document each, never changed.

use std::collections::BTreeMap;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use weir_cwl::{Diagnostics, Fetch, FetchError, Package};
use weir_store::Tenant;
use weir_store::blob::Sha256Hex;

use crate::limits::STORED_PACKAGE_BYTES_MAX;

/// A package with every text that it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPackage {
    /// Absolute URL of the package; a fragment names the process to run.
    pub entry: String,
    /// Every text, by absolute URL without fragment.
    pub documents: BTreeMap<String, String>,
}

/// A package that cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoredPackageError {
    /// The store failed.
    #[error("cannot {doing} the package `{key}` in the store: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// There is none.
    #[error("there is no package of digest {0} in the store")]
    Missing(String),
    /// Its bytes are not those that were put.
    #[error("the package `{0}` in the store is damaged")]
    Damaged(Path),
}

impl StoredPackageError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store { .. })
    }
}

impl StoredPackage {
    /// SHA-256 of the document that is stored; equal packages have equal ones.
    pub fn digest(&self) -> String {
        Sha256Hex::of(&self.bytes()).as_str().to_owned()
    }

    /// The package that the texts make.
    pub fn load(&self) -> Result<Package, Diagnostics> {
        weir_cwl::load(&self.entry, &Texts(&self.documents))
    }

    /// Puts it, unless it is there already, and gives its digest.
    pub async fn put(&self, store: &dyn ObjectStore, tenant: &Tenant) -> Result<String, StoredPackageError> {
        let bytes = self.bytes();
        let digest = Sha256Hex::of(&bytes);
        let key = key(tenant, digest.as_str());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&key, PutPayload::from(bytes), options).await {
            // Whoever put it put the same bytes: they are its name.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(digest.into())
            }
            Err(source) => Err(StoredPackageError::Store { doing: "write", key, source }),
        }
    }

    /// Reads the package of a digest.
    pub async fn get(store: &dyn ObjectStore, tenant: &Tenant, digest: &str) -> Result<Self, StoredPackageError> {
        let key = key(tenant, digest);
        let failed = |source| match source {
            object_store::Error::NotFound { .. } => StoredPackageError::Missing(digest.to_owned()),
            source => StoredPackageError::Store { doing: "read", key: key.clone(), source },
        };
        let found = store.get(&key).await.map_err(failed)?;
        if found.meta.size > STORED_PACKAGE_BYTES_MAX {
            return Err(StoredPackageError::Damaged(key));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        if Sha256Hex::of(&bytes).as_str() != digest {
            return Err(StoredPackageError::Damaged(key));
        }
        serde_json::from_slice(&bytes).map_err(|_| StoredPackageError::Damaged(key))
    }

    fn bytes(&self) -> Vec<u8> {
        // A map of texts by text: nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn key(tenant: &Tenant, digest: &str) -> Path {
    Path::from(format!("{tenant}/packages/{digest}"))
}

struct Texts<'a>(&'a BTreeMap<String, String>);

impl Fetch for Texts<'_> {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        self.0.get(url).cloned().ok_or_else(|| FetchError("it is not among the package's frozen texts".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn package() -> StoredPackage {
        let text = "cwlVersion: v1.2\nclass: Workflow\nid: w\ninputs: {}\noutputs: {}\nsteps: {}\n";
        let documents = BTreeMap::from([("weir:a.cwl".to_owned(), text.to_owned())]);
        StoredPackage { entry: "weir:a.cwl#w".to_owned(), documents }
    }

    #[tokio::test]
    async fn a_package_is_read_as_it_was_put_however_often_that_was() {
        let (store, tenant) = (InMemory::new(), "acme".parse().unwrap());
        let digest = package().put(&store, &tenant).await.unwrap();
        assert_eq!(package().put(&store, &tenant).await.unwrap(), digest);
        assert_eq!(digest, package().digest());
        let read = StoredPackage::get(&store, &tenant, &digest).await.unwrap();
        assert_eq!(read, package());
        assert_eq!(read.load().unwrap().processes.len(), 1);
    }

    #[tokio::test]
    async fn tenants_do_not_read_each_others_packages_i9() {
        let store = InMemory::new();
        let digest = package().put(&store, &"acme".parse().unwrap()).await.unwrap();
        let refusal = StoredPackage::get(&store, &"other".parse().unwrap(), &digest).await.unwrap_err();
        assert!(matches!(refusal, StoredPackageError::Missing(_)) && !refusal.is_transient());
    }

    #[tokio::test]
    async fn other_bytes_than_those_of_the_digest_are_refused() {
        let (store, tenant) = (InMemory::new(), "acme".parse().unwrap());
        let digest = package().put(&store, &tenant).await.unwrap();
        store.put(&key(&tenant, &digest), "{}".into()).await.unwrap();
        let refusal = StoredPackage::get(&store, &tenant, &digest).await.unwrap_err();
        assert!(matches!(refusal, StoredPackageError::Damaged(_)), "{refusal}");
    }
}
