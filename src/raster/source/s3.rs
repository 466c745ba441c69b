//! S3 addresses and Signature Version 4 (AWS "Signing AWS API requests"), from the usual environment variables.

use super::SourceError;
use aws_lc_rs::{digest, hmac};

/// SHA-256 of nothing, in hex: the payload of a GET.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An S3-compatible store and how to sign for it.
#[derive(Clone, Debug)]
pub struct Store {
    /// Without trailing slash; `None`: Amazon's own.
    endpoint: Option<String>,
    region: String,
    keys: Option<Keys>,
}

#[derive(Clone)]
struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.id)
    }
}

impl Store {
    /// Reads `AWS_S3_ENDPOINT` (or `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), `AWS_REGION` (or `AWS_DEFAULT_REGION`),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`. Without keys requests are not signed.
    pub fn from_env() -> Result<Self, SourceError> {
        Self::from(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    }

    fn from(var: impl Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let endpoint = ["AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(&var);
        let endpoint = endpoint.map(|e| if e.contains("://") { e } else { format!("https://{e}") });
        if let Some(e) = &endpoint
            && !e.starts_with("http://")
            && !e.starts_with("https://")
        {
            return Err(SourceError::Address {
                address: e.clone(),
                reason: "the S3 endpoint must be an http or https URL".into(),
            });
        }
        let keys = var("AWS_ACCESS_KEY_ID").zip(var("AWS_SECRET_ACCESS_KEY"));
        Ok(Self {
            endpoint: endpoint.map(|e| e.trim_end_matches('/').to_owned()),
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".into()),
            keys: keys.map(|(id, secret)| Keys { id, secret, token: var("AWS_SESSION_TOKEN") }),
        })
    }

    /// The URL of an object: path style at an endpoint of one's own, virtual-hosted at Amazon.
    pub fn url(&self, bucket: &str, key: &str) -> String {
        let key = encode(key, true);
        match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{bucket}/{key}"),
            None if bucket.contains('.') => format!("https://s3.{}.amazonaws.com/{bucket}/{key}", self.region),
            None => format!("https://{bucket}.s3.{}.amazonaws.com/{key}", self.region),
        }
    }

    /// The headers that sign a request without query, now.
    pub fn sign(&self, method: &str, url: &str, payload_sha256: &str) -> Vec<(&'static str, String)> {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        self.sign_at(method, url, payload_sha256, &now)
    }

    fn sign_at(&self, method: &str, url: &str, payload_sha256: &str, now: &str) -> Vec<(&'static str, String)> {
        let Some(keys) = &self.keys else { return Vec::new() };
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let day = &now[..8];
        let mut headers = vec![("host", host.to_owned())];
        headers.push(("x-amz-content-sha256", payload_sha256.to_owned()));
        headers.push(("x-amz-date", now.to_owned()));
        if let Some(token) = &keys.token {
            headers.push(("x-amz-security-token", token.clone()));
        }
        let names = headers.iter().map(|h| h.0).collect::<Vec<_>>().join(";");
        let lines = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect::<String>();
        let request = format!("{method}\n{path}\n\n{lines}\n{names}\n{payload_sha256}");
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}");
        let key = [day, &self.region, "s3", "aws4_request"]
            .into_iter()
            .fold(format!("AWS4{}", keys.secret).into_bytes(), |key, part| mac(&key, part));
        let signature = hex(&mac(&key, &to_sign));
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}", keys.id);
        headers.remove(0);
        headers.push(("authorization", authorization));
        headers
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Percent-encodes all but unreserved characters; slashes stay if `slashes`.
pub fn encode(text: &str, slashes: bool) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(b as char),
            b'/' if slashes => out.push('/'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(endpoint: Option<&str>) -> Store {
        Store::from(|name| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKIAIOSFODNN7EXAMPLE".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into()),
            "AWS_ENDPOINT_URL" => endpoint.map(Into::into),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn urls_are_path_style_at_an_endpoint_and_virtual_hosted_at_amazon() {
        assert_eq!(store(Some("http://h:4566/")).url("b", "a b/c"), "http://h:4566/b/a%20b/c");
        assert_eq!(store(None).url("b", "k"), "https://b.s3.us-east-1.amazonaws.com/k");
    }

    #[test]
    fn a_signature_covers_host_payload_and_date() {
        let signed = store(None).sign_at("GET", "https://b.s3.us-east-1.amazonaws.com/k", EMPTY_SHA256, "20130524T000000Z");
        let authorization = &signed.iter().find(|h| h.0 == "authorization").unwrap().1;
        assert!(authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="
        ));
    }

    #[test]
    fn without_keys_nothing_is_signed() {
        let anonymous = Store::from(|_| None).unwrap();
        assert!(anonymous.sign("GET", "https://h/k", EMPTY_SHA256).is_empty());
    }
}
