//! Authorisation: every request is signed by a key pair that is known, and stays within that pair's scope (invariant I9).

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    CopyObjectInput, CopySource, DeleteObjectsInput, ListObjectsInput, ListObjectsV2Input, UploadPartCopyInput,
};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::credentials::{Access, Credentials, KeyPair};

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
pub struct Guard(pub Credentials);

#[async_trait::async_trait]
impl S3Auth for Guard {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let pair = self.0.find(access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId, "unknown access key"))?;
        Ok(SecretKey::from(pair.secret_key))
    }
}

impl Guard {
    fn pair(&self, credentials: Option<&s3s::auth::Credentials>) -> S3Result<KeyPair> {
        let credentials = credentials.ok_or_else(|| s3_error!(AccessDenied, "requests must be signed"))?;
        self.0.find(&credentials.access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId, "unknown access key"))
    }

    fn check_source(&self, credentials: Option<&s3s::auth::Credentials>, source: &CopySource) -> S3Result<()> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "copy sources are `bucket/key`"));
        };
        if self.pair(credentials)?.covers_key(bucket, key) { Ok(()) } else { Err(denied()) }
    }

    fn check_prefix(
        &self,
        credentials: Option<&s3s::auth::Credentials>,
        bucket: &str,
        prefix: Option<&str>,
    ) -> S3Result<()> {
        if self.pair(credentials)?.covers_key(bucket, prefix.unwrap_or_default()) { Ok(()) } else { Err(denied()) }
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
        if allows(&pair, operation, cx.s3_path()) { Ok(()) } else { Err(denied()) }
    }

    async fn copy_object(&self, req: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        self.check_source(req.credentials.as_ref(), &req.input.copy_source)
    }

    async fn upload_part_copy(&self, req: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        self.check_source(req.credentials.as_ref(), &req.input.copy_source)
    }

    async fn list_objects(&self, req: &mut S3Request<ListObjectsInput>) -> S3Result<()> {
        self.check_prefix(req.credentials.as_ref(), &req.input.bucket, req.input.prefix.as_deref())
    }

    async fn list_objects_v2(&self, req: &mut S3Request<ListObjectsV2Input>) -> S3Result<()> {
        self.check_prefix(req.credentials.as_ref(), &req.input.bucket, req.input.prefix.as_deref())
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
        KeyPair { access_key: "a".into(), secret_key: "s".into(), access, bucket: own(bucket), prefix: own(prefix) }
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
}
