//! The body of a request on its way to the disk: bounded in size and time, digested and checked as it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, TrailingHeaders, s3_error};

use super::disk::{Disk, DiskError, Draft};
use super::protocol::{blocking, refuse};
use crate::presign::base64;

/// Bytes of one PUT at most (S3: 5 GiB).
pub const PUT_BYTES: u64 = 5 << 30;

/// Bytes of a body that are collected before they are written.
const CHUNK_BYTES: usize = 1 << 20;

/// A client that sends nothing for this long is given up.
const IDLE: Duration = Duration::from_mins(1);

/// The algorithms of `x-amz-checksum-<name>`.
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// What a request says about its body.
pub struct Claims {
    /// `Content-MD5`: Base64.
    md5: Option<String>,
    /// `Content-Length`, or what it is after decoding of chunks.
    length: Option<u64>,
    /// Checksums of the headers: name -> Base64.
    checksums: BTreeMap<&'static str, String>,
    /// Checksums that come behind the body.
    trailing: Vec<&'static str>,
    trailers: Option<TrailingHeaders>,
}

/// A body that is on the disk and is what the request said.
pub struct Received {
    /// The bytes; more is appended to it only by [`Disk::finish`].
    pub draft: Draft,
    /// MD5 in hexadecimal digits.
    pub md5: String,
    /// Verified checksums: name -> Base64.
    pub checksums: BTreeMap<String, String>,
    /// Bytes.
    pub size: u64,
}

impl Claims {
    /// Reads the headers of a request whose body has `length` bytes, if that is known.
    pub fn of<T>(request: &S3Request<T>, length: Option<i64>) -> S3Result<Self> {
        let length = length.and_then(|length| u64::try_from(length).ok());
        if length.is_some_and(|length| length > PUT_BYTES) {
            return Err(refuse(DiskError::TooLarge(PUT_BYTES)));
        }
        let header = |name: &str| text(&request.headers, name);
        let trailing = header("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
        let trailing = trailing.split(',').filter_map(|name| name.trim().strip_prefix("x-amz-checksum-"));
        Ok(Self {
            md5: header("content-md5"),
            length,
            checksums: ALGORITHMS
                .into_iter()
                .filter_map(|name| Some((name, header(&format!("x-amz-checksum-{name}"))?)))
                .collect(),
            trailing: trailing.filter_map(|name| ALGORITHMS.into_iter().find(|known| *known == name)).collect(),
            trailers: request.trailing_headers.clone(),
        })
    }

    fn hasher(&self) -> ChecksumHasher {
        fn new<T: s3s::crypto::Checksum>(wanted: bool) -> Option<T> {
            wanted.then(T::new)
        }
        let wanted = |name| self.checksums.contains_key(name) || self.trailing.contains(&name);
        ChecksumHasher {
            crc32: new(wanted("crc32")),
            crc32c: new(wanted("crc32c")),
            sha1: new(wanted("sha1")),
            sha256: new(wanted("sha256")),
            crc64nvme: new(wanted("crc64nvme")),
        }
    }

    /// Writes the body to a draft and refuses it if it is not what the request said.
    pub async fn receive(mut self, disk: &Arc<Disk>, body: Option<StreamingBlob>) -> S3Result<Received> {
        let mut draft = None;
        let mut chunks: Vec<Bytes> = Vec::new();
        let (mut pending, mut size) = (0, 0);
        let mut body = body;
        while let Some(stream) = body.as_mut() {
            let next = tokio::time::timeout(IDLE, stream.next());
            let Some(chunk) = next.await.map_err(|_| s3_error!(RequestTimeout, "the body does not arrive"))? else {
                break;
            };
            let chunk = chunk.map_err(|error| broken_body(&*error))?;
            pending += chunk.len();
            size += chunk.len() as u64;
            chunks.push(chunk);
            if size > PUT_BYTES {
                return Err(refuse(DiskError::TooLarge(PUT_BYTES)));
            }
            if pending >= CHUNK_BYTES {
                draft = Some(self.write(disk, draft, std::mem::take(&mut chunks)).await?);
                pending = 0;
            }
        }
        if self.length.is_some_and(|length| length != size) {
            return Err(s3_error!(IncompleteBody, "the body has {size} bytes, not what Content-Length says"));
        }
        if let Some(trailers) = self.trailers.take() {
            let headers = trailers.take().unwrap_or_default();
            for name in &self.trailing {
                let Some(value) = text(&headers, &format!("x-amz-checksum-{name}")) else {
                    return Err(s3_error!(InvalidRequest, "the trailer x-amz-checksum-{name} is missing"));
                };
                self.checksums.insert(name, value);
            }
        }
        let mut draft = self.write(disk, draft, chunks).await?;
        let written = draft.digest();
        let checksums = computed(&written.sums);
        for (name, claimed) in &self.checksums {
            if checksums.get(*name) != Some(claimed) {
                return Err(s3_error!(BadDigest, "the body's {name} is not {claimed}"));
            }
        }
        if let Some(claimed) = &self.md5
            && *claimed != base64(&written.md5)
        {
            return Err(s3_error!(BadDigest, "the body's MD5 is not {claimed}"));
        }
        Ok(Received { draft, md5: hex::encode(written.md5), checksums, size })
    }

    async fn write(&self, disk: &Arc<Disk>, draft: Option<Draft>, chunks: Vec<Bytes>) -> S3Result<Draft> {
        let (disk, hasher) = (Arc::clone(disk), draft.is_none().then(|| self.hasher()));
        blocking(move || {
            let mut draft = match draft {
                Some(draft) => draft,
                None => disk.draft(hasher.unwrap_or_default())?,
            };
            chunks.iter().try_for_each(|chunk| draft.write(chunk))?;
            Ok(draft)
        })
        .await
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|value| value.trim().to_owned())
}

/// A signed chunk or digest that does not fit is told as such; the rest is a connection that broke.
fn broken_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    let message = error.to_string();
    if message.to_ascii_lowercase().contains("mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let mut refused = S3Error::with_message(code, "the body is not the one that was signed");
        refused.set_status_code(hyper::StatusCode::BAD_REQUEST);
        return refused;
    }
    s3_error!(IncompleteBody, "the body cannot be read: {message}")
}

fn computed(sums: &Checksum) -> BTreeMap<String, String> {
    let all = [
        ("crc32", &sums.checksum_crc32),
        ("crc32c", &sums.checksum_crc32c),
        ("crc64nvme", &sums.checksum_crc64nvme),
        ("sha1", &sums.checksum_sha1),
        ("sha256", &sums.checksum_sha256),
    ];
    all.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), sum.clone()?))).collect()
}
