//! A package with everything that it imports, fetched, checked and frozen: what a Process or a job states becomes a
//! [`Resolved`].

use object_store::ObjectStore;
use tokio::runtime::Handle;
use weir_api::kubernetes::conditions;
use weir_cwl::diagnostic::Severity;
use weir_cwl::requirement::Unsupported;
use weir_cwl::uri::split_fragment;
use weir_cwl::{Diagnostics, Package, check};
use weir_plan::pinned::pin;
use weir_store::Tenant;
use weir_store::blob::Sha256Hex;

use super::stored::{StoredPackage, StoredPackageError};
use weir_fetch::{Documents, FetchFailure, Guarded};

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A text that is at hand, called by a URL of weir's own.
    Text {
        /// `weir:processes/<name>/package.cwl`: messages name it.
        url: String,
        /// CWL.
        text: String,
    },
    /// A URL.
    Href {
        /// http or https; a fragment names the process.
        url: String,
        /// What the text's SHA-256 must be.
        sha256: Option<String>,
    },
    /// The store.
    Digest(String),
}

/// A package that is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// As it was loaded.
    pub package: Package,
    /// Its frozen texts.
    pub stored: StoredPackage,
    /// SHA-256 of them.
    pub digest: String,
    /// What is doubtful, one a line.
    pub warnings: Vec<String>,
}

/// A package that cannot be used, for good or for now.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It is wrong.
    #[error("{0}")]
    Package(Diagnostics),
    /// It needs what weir does not have.
    #[error("{0}")]
    Unsupported(String),
    /// Part of it cannot be had.
    #[error("{told}")]
    Unavailable {
        /// What, and where it is imported.
        told: String,
        /// Why.
        failure: FetchFailure,
    },
    /// It is another one.
    #[error("`{url}` has the SHA-256 {found}, not {expected} as spec.package.sha256 says")]
    OtherText {
        /// Where it was fetched from.
        url: String,
        /// As stated.
        expected: String,
        /// As fetched.
        found: String,
    },
    /// The frozen package cannot be had.
    #[error(transparent)]
    Stored(#[from] StoredPackageError),
    /// weir itself failed.
    #[error("weir failed while it read the package: {0}")]
    Defect(String),
}

impl ResolveError {
    /// One word: a constant of `weir_api::kubernetes::conditions`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Package(_) | Self::Defect(_) => conditions::PACKAGE_INVALID,
            Self::Unsupported(_) => conditions::UNSUPPORTED,
            Self::Unavailable { .. }
            | Self::OtherText { .. }
            | Self::Stored(StoredPackageError::Missing(_) | StoredPackageError::Damaged(_)) => {
                conditions::PACKAGE_UNAVAILABLE
            }
            Self::Stored(StoredPackageError::Store { .. }) => conditions::STORE_UNAVAILABLE,
        }
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { failure, .. } => failure.is_transient(),
            Self::Stored(error) => error.is_transient(),
            Self::Package(_) | Self::Unsupported(_) | Self::OtherText { .. } | Self::Defect(_) => false,
        }
    }
}

/// Fetches, loads and checks a package. `workflow` names the process to run, and wins over a fragment.
pub async fn resolve(
    guarded: &Guarded,
    store: &dyn ObjectStore,
    tenant: &Tenant,
    source: &Source,
    workflow: Option<&str>,
) -> Result<Resolved, ResolveError> {
    let runtime = Handle::current();
    match source {
        Source::Text { url, text } => {
            let documents = Documents::new(guarded.clone(), runtime).with_text(url, text);
            freeze(chosen(url, workflow), documents).await
        }
        Source::Href { url, sha256 } => {
            let resolved = freeze(chosen(url, workflow), Documents::new(guarded.clone(), runtime)).await?;
            if let Some(expected) = sha256 {
                same_text(&resolved.stored, url, expected)?;
            }
            Ok(resolved)
        }
        Source::Digest(digest) => {
            let mut stored = StoredPackage::get(store, tenant, digest).await?;
            stored.entry = chosen(&stored.entry, workflow);
            blocking(move || sound(stored.load().map_err(ResolveError::Package)?, stored, Vec::new())).await
        }
    }
}

/// The reference of a process in a document.
fn chosen(reference: &str, workflow: Option<&str>) -> String {
    match workflow {
        Some(workflow) => format!("{}#{workflow}", split_fragment(reference).0),
        None => reference.to_owned(),
    }
}

async fn freeze(entry: String, documents: Documents) -> Result<Resolved, ResolveError> {
    blocking(move || {
        let pinned = pin(&entry, &documents).map_err(|found| match documents.failure() {
            Some(failure) => ResolveError::Unavailable { told: found.to_string(), failure },
            None => ResolveError::Package(found),
        })?;
        let stored = StoredPackage { entry, documents: pinned.documents };
        sound(pinned.package, stored, pinned.warnings)
    })
    .await
}

/// Reading a large package takes long, and fetching waits: neither belongs on the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ResolveError> + Send + 'static,
) -> Result<T, ResolveError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ResolveError::Defect(error.to_string())))
}

fn sound(package: Package, stored: StoredPackage, mut warnings: Vec<String>) -> Result<Resolved, ResolveError> {
    let mut found = check::check(&package);
    if found.has_errors() {
        found.0.retain(|one| one.severity == Severity::Error);
        return Err(ResolveError::Package(found));
    }
    let unsupported: Vec<_> = check::unsupported(&package).into_iter().map(Unsupported::diagnostic).collect();
    if !unsupported.is_empty() {
        return Err(ResolveError::Unsupported(Diagnostics(unsupported).to_string()));
    }
    warnings.extend(found.0.iter().map(ToString::to_string));
    let digest = stored.digest();
    Ok(Resolved { package, stored, digest, warnings })
}

fn same_text(stored: &StoredPackage, url: &str, expected: &str) -> Result<(), ResolveError> {
    let url = split_fragment(url).0;
    let text = stored.documents.get(url).map(String::as_str).unwrap_or_default();
    let found = Sha256Hex::of(text.as_bytes());
    if found.as_str() == expected {
        return Ok(());
    }
    Err(ResolveError::OtherText { url: url.to_owned(), expected: expected.to_owned(), found: found.into() })
}

#[cfg(test)]
mod tests;
