//! The bucket of published results: small objects are put, everything else is copied by the store itself. All requests are
//! presigned, by the key pair of the store's own bucket.

use std::time::{Duration, SystemTime};

use reqwest::{Certificate, Client, Method, Response, StatusCode};
use weir_store::S3Settings;
use weir_store::presign::{PresignError, Presigned, PutTerms, Signer};

use crate::limits::{RESULT_ANSWER_BYTES_MAX, RESULT_REQUEST_TIME, RESULT_TRIES};

/// Time until a signature is no good any more: one request with its retries.
const SIGNED: Duration = Duration::from_hours(1);
/// What is said where the bucket is missing.
const NO_BUCKET: &str = "there is no such bucket: create it";
/// Before the first retry; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(200);

/// Reaches buckets of results in the service of the store.
#[derive(Debug)]
pub struct Results {
    client: Client,
    store: S3Settings,
}

/// Why the results' bucket cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// No requests can be made at all.
    #[error("cannot make requests to the store: {0}")]
    Client(#[from] reqwest::Error),
    /// The endpoint is wrong.
    #[error(transparent)]
    Presign(#[from] PresignError),
}

/// A request to the results' bucket that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {doing} `s3://{bucket}/{key}`: {reason}")]
pub struct RequestError {
    /// What was being done.
    pub doing: &'static str,
    /// To which bucket.
    pub bucket: String,
    /// And key.
    pub key: String,
    /// What the last try ended with.
    pub reason: String,
    /// Whether another try can help, now or once somebody has mended rights or the bucket.
    pub is_retryable: bool,
}

/// One bucket of results.
#[derive(Debug)]
pub struct Bucket<'a> {
    client: &'a Client,
    signer: Signer,
    store: &'a str,
    name: &'a str,
}

/// What a request ended with, of those that are no failure.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(String),
    NotFound,
    Exists,
}

impl Results {
    /// Buckets in the service of `store`, with its key pair. A process-wide TLS provider must be installed.
    pub fn new(store: &S3Settings) -> Result<Self, ResultsError> {
        let mut trusted = Certificate::from_pem_bundle(store.trusted.as_deref().unwrap_or_default())?;
        // The operator's image has no certificates of a system.
        for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            trusted.push(Certificate::from_der(certificate)?);
        }
        let client = Client::builder()
            .timeout(RESULT_REQUEST_TIME)
            .connect_timeout(Duration::from_secs(5))
            // Less than servers keep idle connections (`weir store`: 75 s).
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!store.allow_http)
            .tls_certs_merge(trusted)
            .build()?;
        Ok(Self { client, store: store.clone() })
    }

    /// A bucket by name.
    pub fn bucket<'a>(&'a self, name: &'a str) -> Result<Bucket<'a>, PresignError> {
        let S3Settings { endpoint, region, access_key, secret_key, .. } = &self.store;
        let signer = Signer::new(endpoint, region, name, access_key, secret_key)?;
        Ok(Bucket { client: &self.client, signer, store: &self.store.bucket, name })
    }
}

impl Bucket<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Stores `token` under a key unless the key is taken; gives the token that is there now. A bucket that is not there is
    /// made, where the key pair may do that: the first job of a tenant that has a bucket of its own.
    pub async fn claim(&self, key: &str, token: &str) -> Result<String, RequestError> {
        match self.try_claim(key, token).await {
            Err(error) if error.reason == NO_BUCKET && self.create().await => self.try_claim(key, token).await,
            claimed => claimed,
        }
    }

    /// Makes the bucket; whether that worked.
    async fn create(&self) -> bool {
        let sign = |now| self.signer.bucket(now, SIGNED);
        let made = self.request("make the bucket of", "", Method::PUT, sign, &[]).await;
        if let Err(error) = &made {
            tracing::warn!(%error, "a bucket of results cannot be made");
        }
        made.is_ok()
    }

    async fn try_claim(&self, key: &str, token: &str) -> Result<String, RequestError> {
        let terms = PutTerms { create: true, content_type: Some("text/plain".to_owned()), ..PutTerms::default() };
        let sign = |now| self.signer.put(key, &terms, now, SIGNED);
        let put = self.request("claim", key, Method::PUT, sign, token.as_bytes()).await?;
        // After a lost answer the marker may be our own: whoever it is, it is read.
        match put {
            Answer::Done(_) => Ok(token.to_owned()),
            Answer::Exists | Answer::NotFound => {
                let sign = |now| self.signer.get(key, now, SIGNED);
                match self.request("read", key, Method::GET, sign, &[]).await? {
                    Answer::Done(there) => Ok(there),
                    Answer::Exists | Answer::NotFound => Err(self.error("read", key, "it is gone again", true)),
                }
            }
        }
    }

    /// The token under a key; `None` if there is none.
    pub async fn owner(&self, key: &str) -> Result<Option<String>, RequestError> {
        let sign = |now| self.signer.get(key, now, SIGNED);
        match self.request("read", key, Method::GET, sign, &[]).await? {
            Answer::Done(token) => Ok(Some(token)),
            Answer::Exists | Answer::NotFound => Ok(None),
        }
    }

    /// The object under a key as it comes, within `time`; `None` if there is none. Tried once: who reads can ask again.
    pub async fn read(&self, key: &str, time: Duration) -> Result<Option<Response>, RequestError> {
        let signed = self.signer.get(key, SystemTime::now(), SIGNED);
        let signed = signed.map_err(|error| self.error("read", key, error.to_string(), false))?;
        let answer = self.client.get(&signed.url).timeout(time).send().await;
        let answer = answer.map_err(|error| self.error("read", key, error.without_url().to_string(), true))?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                let is_temporary = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(self.error("read", key, format!("the store answers {}", status.as_u16()), is_temporary))
            }
        }
    }

    /// Stores bytes under a key, replacing what is there.
    pub async fn put(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<(), RequestError> {
        let terms = PutTerms { content_type: Some(content_type.to_owned()), ..PutTerms::default() };
        let sign = |now| self.signer.put(key, &terms, now, SIGNED);
        self.stored("write", key, &self.request("write", key, Method::PUT, sign, bytes).await?)
    }

    /// Copies an object of the store's bucket to a key, replacing what is there. It keeps its media type unless another
    /// one is given.
    pub async fn copy(&self, from: &str, key: &str, content_type: Option<&str>) -> Result<(), RequestError> {
        let sign = |now| self.signer.copy((self.store, from), key, content_type, now, SIGNED);
        self.stored("copy to", key, &self.request("copy to", key, Method::PUT, sign, &[]).await?)
    }

    fn stored(&self, doing: &'static str, key: &str, answer: &Answer) -> Result<(), RequestError> {
        match answer {
            Answer::Done(_) => Ok(()),
            Answer::NotFound => Err(self.error(doing, key, "what is to be copied is gone from the store", false)),
            Answer::Exists => Err(self.error(doing, key, "the store refuses to replace it (412)", true)),
        }
    }

    fn error(&self, doing: &'static str, key: &str, reason: impl Into<String>, is_retryable: bool) -> RequestError {
        let (bucket, key) = (self.name.to_owned(), key.to_owned());
        RequestError { doing, bucket, key, reason: reason.into(), is_retryable }
    }

    /// Makes a request, a few times if the store does not answer or cannot do it now.
    async fn request(
        &self,
        doing: &'static str,
        key: &str,
        method: Method,
        sign: impl Fn(SystemTime) -> Result<Presigned, PresignError>,
        body: &[u8],
    ) -> Result<Answer, RequestError> {
        let mut wait = BACKOFF;
        for tries in 1.. {
            let signed = sign(SystemTime::now()).map_err(|error| self.error(doing, key, error.to_string(), false))?;
            let mut request = self.client.request(method.clone(), &signed.url).body(body.to_vec());
            for (name, value) in &signed.headers {
                request = request.header(name, value);
            }
            let (reason, is_temporary) = match answer(request).await {
                // The URL with its signature stays out of messages.
                Err(error) => (error.without_url().to_string(), true),
                Ok((status, text)) if status.is_success() => {
                    match error_code(&text).filter(|_| method == Method::PUT) {
                        None => return Ok(Answer::Done(text)),
                        // A copy may fail after its answer has begun (Amazon S3, "CopyObject").
                        Some(code) => (format!("the store answers {code}"), true),
                    }
                }
                Ok((StatusCode::PRECONDITION_FAILED, _)) => return Ok(Answer::Exists),
                Ok((StatusCode::NOT_FOUND, text)) if error_code(&text) != Some("NoSuchBucket") => {
                    return Ok(Answer::NotFound);
                }
                Ok((status, text)) => {
                    let code = error_code(&text).unwrap_or("no reason");
                    let reason = match status {
                        StatusCode::NOT_FOUND => NO_BUCKET.to_owned(),
                        StatusCode::FORBIDDEN => {
                            format!("the store refuses it ({code}): the key pair of the operator must be allowed to")
                        }
                        status => format!("the store answers {} ({code})", status.as_u16()),
                    };
                    let is_temporary = status.is_server_error()
                        || matches!(
                            status,
                            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT
                        );
                    if !is_temporary {
                        let can_be_mended = matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
                        return Err(self.error(doing, key, reason, can_be_mended));
                    }
                    (reason, true)
                }
            };
            if tries >= RESULT_TRIES {
                return Err(self.error(doing, key, reason, is_temporary));
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(self.error(doing, key, "it was not tried", true))
    }
}

/// Status and the beginning of the answer.
async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, String), reqwest::Error> {
    let mut response = request.send().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = RESULT_ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == RESULT_ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok((response.status(), String::from_utf8_lossy(&bytes).into_owned()))
}

/// The code of an S3 error document.
fn error_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Error>")?;
    let (_, rest) = rest.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_document_is_found() {
        let text = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>m</Message></Error>";
        assert_eq!(error_code(text), Some("SlowDown"));
        assert_eq!(error_code("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"), None);
    }
}
