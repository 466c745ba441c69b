//! What weir keeps, over any `object_store::ObjectStore`: a directory when embedded, S3 in a cluster.
//!
//! | file | what stands there |
//! |---|---|
//! | [`layout`] | the keys of a job |
//! | [`journal`] | the append-only log of a job's events |
//! | [`blob`] | content-addressed bytes of a job |
//! | [`manifest`] | what an incarnation left behind, by path |
//! | [`media`] | media types of published files |
//! | [`presign`] | URLs that allow one request for one object |
//! | [`mod@s3`] | the store in a bucket |
//! | [`probe`] | proves that a store honours conditions |
//! | [`usage`] | what the steps of a job used |
//! | [`server`] | the S3 server of `weir store` |

pub mod blob;
pub mod journal;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod presign;
pub mod probe;
pub mod s3;
pub mod server;
pub mod usage;

pub use journal::{Journal, JournalError};
pub use layout::{JobKeys, OWNER_MARKER, RunId, Tenant};
pub use s3::{S3Settings, s3};

/// The store in the directory `root`, which is created if it does not exist.
///
/// Puts are atomic (written beside and linked into place), so a killed process leaves an object whole or absent. With
/// `fsync` they also outlive a power failure, at the price of one disk flush each.
pub fn directory(
    root: &std::path::Path,
    fsync: bool,
) -> Result<std::sync::Arc<dyn object_store::ObjectStore>, object_store::Error> {
    let store = object_store::local::LocalFileSystem::new_with_prefix(root)?.with_fsync(fsync);
    Ok(std::sync::Arc::new(store))
}
