//! Authorisation: every request is signed by a key pair that is known, and stays within that pair's scope (invariant I9).

use s3s::access::{S3Access, S3AccessContext};
use std::sync::Arc;

use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    CopyObjectInput, CopySource, DeleteObjectsInput, ListObjectsInput, ListObjectsV2Input, UploadPartCopyInput,
};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::credentials::{Access, Credentials, KeyPair};
use super::disk::{Disk, DiskError, io_error};
use super::protocol::blocking;
use crate::layout::OWNER_MARKER;

/// Bytes of an owner marker that are read: a tenant's and a run's name.
const MARKER_BYTES: usize = 1 << 10;

/// What reads objects and buckets; everything else that is known writes.
const READS: &[&str] = &[
    "GetObject",
    "HeadObject",
    "ListObjects",
    "ListObjectsV2",
    "HeadBucket",
    "ListBuckets",
    "GetBucketLocation",
    "GetBucketVersioning",
];

/// What writes objects.
const WRITES: &[&str] = &[
    "PutObject",
    "DeleteObject",
    "DeleteObjects",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
];

/// What only a pair without limits may do.
const UNLIMITED: &[&str] = &["CreateBucket", "DeleteBucket", "ListMultipartUploads"];

/// Looks up secrets for the verification of signatures, and scopes after it.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Who is known.
    pub credentials: Credentials,
    /// Where the markers of owners are.
    pub disk: Arc<Disk>,
}

#[async_trait::async_trait]
impl S3Auth for Guard {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let pair =
            self.credentials.find(access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId, "unknown access key"))?;
        Ok(SecretKey::from(pair.secret_key))
    }
}

impl Guard {
    fn pair(&self, credentials: Option<&s3s::auth::Credentials>) -> S3Result<KeyPair> {
        let credentials = credentials.ok_or_else(|| s3_error!(AccessDenied, "requests must be signed"))?;
        self.credentials
            .find(&credentials.access_key)
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "unknown access key"))
    }

    fn check_source(&self, credentials: Option<&s3s::auth::Credentials>, source: &CopySource) -> S3Result<()> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "copy sources are `bucket/key`"));
        };
        if self.pair(credentials)?.covers_key(bucket, key) { Ok(()) } else { Err(denied()) }
    }

    async fn check_prefix(
        &self,
        credentials: Option<&s3s::auth::Credentials>,
        bucket: &str,
        prefix: Option<&str>,
    ) -> S3Result<()> {
        let (pair, prefix) = (self.pair(credentials)?, prefix.unwrap_or_default());
        if !pair.covers_key(bucket, prefix) {
            return Err(denied());
        }
        self.check_owner(&pair, bucket, prefix).await
    }

    /// Whether what lies below the first segment of `key` belongs to the pair's owner, if it has one. What is nobody's
    /// is refused like what is somebody else's: an answer tells nothing of it.
    async fn check_owner(&self, pair: &KeyPair, bucket: &str, key: &str) -> S3Result<()> {
        let Some(owner) = &pair.owner else { return Ok(()) };
        let Some((id, _)) = key.split_once('/') else { return Err(denied()) };
        let (disk, bucket, marker) = (Arc::clone(&self.disk), bucket.to_owned(), format!("{id}/{OWNER_MARKER}"));
        let text = blocking(move || match disk.get(&bucket, &marker) {
            Ok(object) => {
                let length = usize::try_from(object.attributes.size).unwrap_or(usize::MAX).min(MARKER_BYTES);
                object.read(0, length).map_err(io_error("read an owner marker"))
            }
            Err(DiskError::NoSuchKey(_) | DiskError::NoSuchBucket(_) | DiskError::InvalidKey) => Ok(Vec::new()),
            Err(error) => Err(error),
        });
        let text = text.await?;
        let is_own = text.strip_prefix(owner.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        if is_own { Ok(()) } else { Err(denied()) }
    }
}

fn denied() -> s3s::S3Error {
    s3_error!(AccessDenied, "the access key does not cover this")
}

/// Whether a pair may do `operation` at `path`, as far as these two tell.
fn allows(pair: &KeyPair, operation: &str, path: &S3Path) -> bool {
    let allowed = READS.contains(&operation)
        || pair.access == Access::ReadWrite
            && (WRITES.contains(&operation) || UNLIMITED.contains(&operation) && pair.covers_all());
    allowed
        && match path {
            S3Path::Root => true,
            S3Path::Bucket { bucket } => pair.covers_bucket(bucket),
            S3Path::Object { bucket, key } => pair.covers_key(bucket, key),
        }
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let pair = self.pair(cx.credentials())?;
        let operation = cx.s3_op().name();
        if ![READS, WRITES, UNLIMITED].iter().any(|known| known.contains(&operation)) {
            return Err(s3_error!(NotImplemented, "{operation} is not implemented"));
        }
        if !allows(&pair, operation, cx.s3_path()) {
            return Err(denied());
        }
        match cx.s3_path() {
            S3Path::Object { bucket, key } => self.check_owner(&pair, bucket, key).await,
            // Listings are checked with their prefix, below.
            S3Path::Root | S3Path::Bucket { .. } => Ok(()),
        }
    }

    async fn copy_object(&self, req: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        self.check_source(req.credentials.as_ref(), &req.input.copy_source)
    }

    async fn upload_part_copy(&self, req: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        self.check_source(req.credentials.as_ref(), &req.input.copy_source)
    }

    async fn list_objects(&self, req: &mut S3Request<ListObjectsInput>) -> S3Result<()> {
        self.check_prefix(req.credentials.as_ref(), &req.input.bucket, req.input.prefix.as_deref()).await
    }

    async fn list_objects_v2(&self, req: &mut S3Request<ListObjectsV2Input>) -> S3Result<()> {
        self.check_prefix(req.credentials.as_ref(), &req.input.bucket, req.input.prefix.as_deref()).await
    }

    async fn delete_objects(&self, req: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let pair = self.pair(req.credentials.as_ref())?;
        let covered = |key: &str| pair.covers_key(&req.input.bucket, key);
        if req.input.delete.objects.iter().all(|object| covered(&object.key)) { Ok(()) } else { Err(denied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(access: Access, bucket: Option<&str>, prefix: Option<&str>) -> KeyPair {
        let own = |text: Option<&str>| text.map(str::to_owned);
        KeyPair { access, bucket: own(bucket), prefix: own(prefix), ..KeyPair::unlimited("a", "s") }
    }

    #[test]
    fn a_pair_of_one_tenant_reads_only_below_its_prefix() {
        let tenant = pair(Access::ReadOnly, Some("results"), Some("acme/"));
        let own = S3Path::object("results", "acme/x");
        assert!(allows(&tenant, "GetObject", &own));
        assert!(!allows(&tenant, "PutObject", &own));
        assert!(!allows(&tenant, "GetObject", &S3Path::object("results", "acme2/x")));
        assert!(!allows(&tenant, "GetObject", &S3Path::object("other", "acme/x")));
        assert!(!allows(&tenant, "ListParts", &own));
        assert!(!allows(&tenant, "CreateBucket", &S3Path::bucket("results")));
    }

    #[test]
    fn only_a_pair_without_limits_makes_buckets() {
        let limited = pair(Access::ReadWrite, Some("results"), None);
        assert!(allows(&limited, "PutObject", &S3Path::object("results", "x")));
        assert!(!allows(&limited, "CreateBucket", &S3Path::bucket("results")));
        assert!(allows(&pair(Access::ReadWrite, None, None), "CreateBucket", &S3Path::bucket("results")));
    }

    #[tokio::test]
    async fn a_pair_of_an_owner_reads_only_what_is_marked_as_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::open(&folder.path().join("store"), false).unwrap());
        disk.create_bucket("results").unwrap();
        let objects = super::super::own::Objects::new(Arc::clone(&disk));
        for (id, owner) in [("own", "acme/run"), ("foreign", "globex/run"), ("alike", "acme2/run"), ("empty", "")] {
            objects.claim("results", &format!("{id}/{OWNER_MARKER}"), owner).unwrap();
        }
        let guard = Guard { credentials: Credentials::fixed(Vec::new()).unwrap(), disk };
        let mut reader = pair(Access::ReadOnly, Some("results"), None);
        reader.owner = Some("acme".to_owned());
        assert!(guard.check_owner(&reader, "results", "own/catalog.json").await.is_ok());
        assert!(guard.check_owner(&reader, "results", "own/").await.is_ok());
        for key in
            ["foreign/catalog.json", "alike/x", "empty/x", "nobody/x", "", "own", "ow", "foreign/../own/x", "/own/x"]
        {
            assert!(guard.check_owner(&reader, "results", key).await.is_err(), "{key}");
        }
        assert!(guard.check_owner(&pair(Access::ReadOnly, None, None), "results", "foreign/x").await.is_ok());
    }
}
