//! The store in a bucket of an S3-compatible service, such as `weir store`.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use crate::presign::{PresignError, Signer};

/// A request is given up after this long, its retries not counted.
const REQUEST_TIME: Duration = Duration::from_mins(1);

/// A connection is made within this time.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Idle connections are dropped before servers drop them (`weir store`: 75 s), so that no request meets a closing one.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// Retries of one request end after this many, or after [`RETRY_TIME`]. Whoever asked decides what to do then.
const RETRIES: usize = 5;

/// See [`RETRIES`].
const RETRY_TIME: Duration = Duration::from_secs(20);

/// A bucket and how to reach it.
#[derive(Clone)]
pub struct S3Settings {
    /// `https://host[:port]`; `http` only with [`S3Settings::allow_http`].
    pub endpoint: String,
    /// What the service wants to be signed for; `us-east-1` where it has no regions.
    pub region: String,
    /// The bucket; it exists.
    pub bucket: String,
    /// The public half of the key pair.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
    /// Whether requests may go unencrypted: within a cluster or a machine only. They are signed in any case.
    pub allow_http: bool,
    /// Certificates (PEM) that are trusted besides the public authorities'.
    pub trusted: Option<Vec<u8>>,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// What signs URLs of this bucket.
    pub fn signer(&self) -> Result<Signer, PresignError> {
        Signer::new(&self.endpoint, &self.region, &self.bucket, &self.access_key, &self.secret_key)
    }
}

/// Opens the bucket. Makes no request: [`probe`](crate::probe::probe) does.
///
/// Addressed by path; creates and overwrites are conditional by ETag, which the journal lives by.
pub fn s3(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let mut client = ClientOptions::new()
        .with_allow_http(settings.allow_http)
        .with_timeout(REQUEST_TIME)
        .with_connect_timeout(CONNECT_TIME)
        .with_pool_idle_timeout(IDLE_TIME);
    for certificate in Certificate::from_pem_bundle(settings.trusted.as_deref().unwrap_or_default())? {
        client = client.with_root_certificate(certificate);
    }
    // The operator's image has no certificates of a system.
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        client = client.with_root_certificate(Certificate::from_der(certificate)?);
    }
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    let store = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIME })
        .with_endpoint(&settings.endpoint)
        .with_region(&settings.region)
        .with_bucket_name(&settings.bucket)
        .with_access_key_id(&settings.access_key)
        .with_secret_access_key(&settings.secret_key)
        .with_virtual_hosted_style_request(false)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()?;
    Ok(Arc::new(store))
}
