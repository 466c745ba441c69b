//! Presigned URLs: one request for one object that its holder may make until it expires (AWS Signature Version 4 in the
//! query, <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).
//!
//! Headers that are signed must be sent as they are: so a presigned PUT writes these bytes only, and once only.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use sha2::{Digest as _, Sha256};

use crate::blob::Sha256Hex;

/// A presigned URL lasts this long at most (SigV4: seven days).
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Signs requests to one bucket by path (`<endpoint>/<bucket>/<key>`).
#[derive(Clone)]
pub struct Signer {
    scheme: String,
    /// As the `Host` header gives it: with the port unless it is the scheme's own.
    host: String,
    /// What stands between host and bucket; empty, or begins with a slash.
    base: String,
    region: String,
    bucket: String,
    access_key: String,
    secret_key: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("host", &self.host).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// What a PUT must be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutTerms {
    /// The bytes have this digest; the store verifies it.
    pub sha256: Option<Sha256Hex>,
    /// There is no object of this key yet (`If-None-Match: *`).
    pub create: bool,
    /// It has this many bytes.
    pub length: Option<u64>,
    /// Media type that is kept with it; ASCII.
    pub content_type: Option<String>,
}

/// A request that its holder may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// Where to.
    pub url: String,
    /// Headers that must be sent with it, besides `Host`.
    pub headers: Vec<(String, String)>,
}

/// A URL that cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresignError {
    /// The endpoint is not usable.
    #[error("`{0}` is no endpoint of an S3 service: `https://host[:port][/path]`")]
    Endpoint(String),
    /// It would last too long.
    #[error("a presigned URL lasts 1 second to 7 days, not {0} s")]
    Expires(u64),
}

impl Signer {
    /// Signs for `bucket` of the service at `endpoint`.
    pub fn new(
        endpoint: &str,
        region: &str,
        bucket: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<Self, PresignError> {
        let wrong = || PresignError::Endpoint(endpoint.to_owned());
        let (scheme, rest) = endpoint.split_once("://").ok_or_else(wrong)?;
        let own_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(wrong()),
        };
        let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || rest.contains(['?', '#', '@', ' ']) {
            return Err(wrong());
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.strip_suffix(own_port).unwrap_or(host).to_ascii_lowercase(),
            base: base.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        })
    }

    /// Reading an object.
    pub fn get(&self, key: &str, now: SystemTime, expires: Duration) -> Result<Presigned, PresignError> {
        self.sign("GET", &self.path(key), Vec::new(), now, expires)
    }

    /// Writing an object on these terms.
    pub fn put(
        &self,
        key: &str,
        terms: &PutTerms,
        now: SystemTime,
        expires: Duration,
    ) -> Result<Presigned, PresignError> {
        let mut headers = Vec::new();
        if let Some(length) = terms.length {
            headers.push(("content-length".to_owned(), length.to_string()));
        }
        if let Some(media) = &terms.content_type {
            headers.push(("content-type".to_owned(), media.clone()));
        }
        if terms.create {
            headers.push(("if-none-match".to_owned(), "*".to_owned()));
        }
        if let Some(digest) = &terms.sha256 {
            let bytes = hex::decode(digest.as_str()).unwrap_or_default();
            headers.push(("x-amz-checksum-sha256".to_owned(), base64(&bytes)));
        }
        self.sign("PUT", &self.path(key), headers, now, expires)
    }

    /// Copying an object of `source`, a bucket of the same service that the key pair may read, to a key of this bucket. The
    /// copy has the media type `content_type`, or all that the store keeps with the source if there is none.
    pub fn copy(
        &self,
        source: (&str, &str),
        key: &str,
        content_type: Option<&str>,
        now: SystemTime,
        expires: Duration,
    ) -> Result<Presigned, PresignError> {
        let mut headers = Vec::new();
        if let Some(media) = content_type {
            headers.push(("content-type".to_owned(), media.to_owned()));
        }
        let (bucket, from) = source;
        headers.push(("x-amz-copy-source".to_owned(), format!("/{}/{}", encode(bucket, false), encode(from, true))));
        if content_type.is_some() {
            headers.push(("x-amz-metadata-directive".to_owned(), "REPLACE".to_owned()));
        }
        self.sign("PUT", &self.path(key), headers, now, expires)
    }

    /// Making the bucket.
    pub fn bucket(&self, now: SystemTime, expires: Duration) -> Result<Presigned, PresignError> {
        let path = format!("{}/{}", self.base, encode(&self.bucket, false));
        self.sign("PUT", &path, Vec::new(), now, expires)
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{}/{}", self.base, encode(&self.bucket, false), encode(key, true))
    }

    /// `path` is encoded; names of `headers` are in lower case.
    fn sign(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(String, String)>,
        now: SystemTime,
        expires: Duration,
    ) -> Result<Presigned, PresignError> {
        let seconds = expires.as_secs();
        if seconds == 0 || expires > LONGEST {
            return Err(PresignError::Expires(seconds));
        }
        let time = jiff::Timestamp::try_from(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{}/{}/s3/aws4_request", &time[..8], self.region);
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.push(("host", &self.host));
        all.sort_unstable();
        let signed = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={seconds}\
             &X-Amz-SignedHeaders={}",
            encode(&format!("{}/{scope}", self.access_key), false),
            encode(&signed, false),
        );
        let canonical_headers: String = all.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}:{value}");
            text
        });
        let canonical = format!("{method}\n{path}\n{query}\n{canonical_headers}\n{signed}\nUNSIGNED-PAYLOAD");
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let signature = hex::encode(mac(&self.key(&time[..8]), &to_sign));
        let url = format!("{}://{}{path}?{query}&X-Amz-Signature={signature}", self.scheme, self.host);
        Ok(Presigned { url, headers })
    }

    /// The key of one day, region and service.
    fn key(&self, day: &str) -> Vec<u8> {
        let first = format!("AWS4{}", self.secret_key).into_bytes();
        [day, &self.region, "s3", "aws4_request"].iter().fold(first, |key, text| mac(&key, text))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Percent-encodes all but `A-Z a-z 0-9 - . _ ~`, and `/` where it may stand in a path (SigV4: UriEncode).
pub(crate) fn encode(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slashes => encoded.push('/'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Standard Base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // S3 API reference, "Authenticating Requests: Using Query Parameters", the example of a presigned GET. It names the
    // bucket in the host, so the path is the key alone.
    #[test]
    fn the_published_presigned_get_has_the_published_signature() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let endpoint = "https://examplebucket.s3.amazonaws.com";
        let signer = Signer::new(endpoint, "us-east-1", "-", "AKIAIOSFODNN7EXAMPLE", secret).unwrap();
        let now = SystemTime::from(jiff::Timestamp::constant(1_369_353_600, 0));
        let signed = signer.sign("GET", "/test.txt", Vec::new(), now, Duration::from_hours(24)).unwrap();
        assert_eq!(
            signed.url,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn a_put_names_every_header_that_must_be_sent() {
        let signer = Signer::new("http://store:9000/", "eu", "weir", "a", "b").unwrap();
        let terms =
            PutTerms { sha256: Some(Sha256Hex::of(b"water")), create: true, length: Some(5), content_type: None };
        let put = signer.put("t/é b", &terms, SystemTime::UNIX_EPOCH, Duration::from_mins(1)).unwrap();
        assert!(put.url.starts_with("http://store:9000/weir/t/%C3%A9%20b?"), "{}", put.url);
        assert!(put.url.contains("SignedHeaders=content-length%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256&"));
        let names: Vec<_> = put.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-length", "if-none-match", "x-amz-checksum-sha256"]);
    }

    #[test]
    fn a_copy_names_its_source_and_replaces_metadata_only_if_told() {
        let signer = Signer::new("http://store:9000/", "eu", "results", "a", "b").unwrap();
        let copy = |media| {
            let signed = signer.copy(("weir", "t/é b"), "k", media, SystemTime::UNIX_EPOCH, Duration::from_mins(1));
            let signed = signed.unwrap();
            assert!(signed.url.starts_with("http://store:9000/results/k?"), "{}", signed.url);
            signed.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(copy(None), ["x-amz-copy-source: /weir/t/%C3%A9%20b"]);
        assert_eq!(
            copy(Some("image/png")),
            ["content-type: image/png", "x-amz-copy-source: /weir/t/%C3%A9%20b", "x-amz-metadata-directive: REPLACE"]
        );
    }

    #[test]
    fn what_cannot_be_signed_is_refused() {
        for bad in ["store:9000", "ftp://x", "https://", "https://a@b", "https://a?b"] {
            assert!(Signer::new(bad, "r", "b", "a", "s").is_err(), "{bad}");
        }
        let signer = Signer::new("https://HOST:443", "r", "b", "a", "s").unwrap();
        assert_eq!(signer.host, "host");
        for bad in [Duration::ZERO, LONGEST + Duration::from_secs(1)] {
            assert!(signer.get("k", SystemTime::now(), bad).is_err());
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
