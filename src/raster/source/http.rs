//! HTTP ranges (RFC 9110 §14), with retries, redirects resolved once, and optional S3 signatures.

use super::SourceError;
use super::href::shown;
use super::s3::Store;
use crate::limits;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

/// A remote object of known size. The URL that redirects led to is kept for all later ranges.
pub struct Object {
    asked: String,
    url: String,
    store: Option<Store>,
    size: u64,
    /// The object's first bytes, or all of it where the server ignores `Range`.
    head: Vec<u8>,
}

impl Object {
    /// Fetches the first bytes and learns the size.
    pub fn open(url: String, store: Option<Store>) -> Result<Self, SourceError> {
        let mut object = Self { asked: url.clone(), url, store, size: 0, head: Vec::new() };
        let (head, size) = object.range(0, limits::HEADER_FETCH_BYTES as u64)?;
        object.head = head;
        object.size = size;
        Ok(object)
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads exactly `length` bytes from `offset` on.
    pub fn read(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, SourceError> {
        let end = offset.saturating_add(length);
        if end <= self.head.len() as u64 {
            let (from, to) = (usize::try_from(offset).unwrap_or(0), usize::try_from(end).unwrap_or(0));
            return Ok(self.head[from..to].to_vec());
        }
        if end > self.size {
            return Err(self.fail(format!("it has {} bytes, byte {end} was wanted", self.size)));
        }
        let (bytes, size) = self.range(offset, length)?;
        if size != self.size {
            return Err(self.fail(format!("it changed while being read ({} bytes, then {size})", self.size)));
        }
        Ok(bytes)
    }

    fn fail(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Remote { location: shown(&self.asked), reason: reason.into() }
    }

    /// One range and the object's whole size. Tries again where trying again can help.
    fn range(&mut self, offset: u64, length: u64) -> Result<(Vec<u8>, u64), SourceError> {
        let mut resolved_again = false;
        let location = shown(&self.asked);
        retry(&location, || {
            let range = format!("bytes={offset}-{}", offset + length - 1);
            let (response, url) = follow(&self.url, self.store.as_ref(), Some(&range))?;
            let moved = url != self.asked;
            self.url = url;
            match response.status() {
                StatusCode::PARTIAL_CONTENT => partial(response, offset, length),
                StatusCode::OK if offset == 0 => whole(response),
                StatusCode::OK => Err(Failure::Final("the server ignored the range that it served before".into())),
                StatusCode::RANGE_NOT_SATISFIABLE if offset == 0 => Err(Failure::Final("it is empty".into())),
                // A signed address expires: ask the original one again, once.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE
                    if moved && !resolved_again =>
                {
                    resolved_again = true;
                    self.url.clone_from(&self.asked);
                    Err(Failure::Again(format!("HTTP {}", response.status()), Some(Duration::ZERO)))
                }
                _ => Err(status(&response)),
            }
        })
    }
}

/// Reads a document of at most `limit` bytes (the rest is not read).
pub fn get(url: &str, store: Option<&Store>, limit: u64) -> Result<Vec<u8>, SourceError> {
    retry(&shown(url), || {
        let (response, _) = follow(url, store, None)?;
        if response.status() != StatusCode::OK {
            return Err(status(&response));
        }
        body(response, limit, None)
    })
}

/// Reads a short text object, if it exists. To whoever may not list, S3 says 403 of an object that does not.
pub fn get_if_exists(url: &str, store: &Store) -> Result<Option<String>, SourceError> {
    retry(&shown(url), || {
        let (response, _) = follow(url, Some(store), None)?;
        match response.status() {
            StatusCode::OK => body(response, 4096, None).map(|b| Some(String::from_utf8_lossy(&b).into_owned())),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
            _ => Err(status(&response)),
        }
    })
}

/// Stores an object. `only_new`: fail (`Ok(false)`) where the key is taken.
pub fn put(
    url: &str,
    store: &Store,
    content: &Content<'_>,
    content_type: &str,
    only_new: bool,
) -> Result<bool, SourceError> {
    let digest = content.sha256().map_err(|source| SourceError::File { location: shown(url), source })?;
    retry(&shown(url), || {
        let mut request = agent().put(url).header("Content-Type", content_type);
        for (name, value) in store.sign("PUT", url, &digest) {
            request = request.header(name, value);
        }
        if only_new {
            request = request.header("If-None-Match", "*");
        }
        let sent = match content {
            Content::Bytes(bytes) => request.send(*bytes),
            Content::File(path) => match std::fs::File::open(path) {
                Ok(file) => request.send(file),
                Err(e) => return Err(Failure::Final(format!("{}: {e}", path.display()))),
            },
        };
        let response = sent.map_err(|e| transport(&e))?;
        match response.status() {
            s if s.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT if only_new => Ok(false),
            _ => Err(status(&response)),
        }
    })
}

/// What is stored.
pub enum Content<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// A file, streamed.
    File(&'a std::path::Path),
}

impl Content<'_> {
    fn sha256(&self) -> std::io::Result<String> {
        use aws_lc_rs::digest::{Context, SHA256};
        let mut context = Context::new(&SHA256);
        match self {
            Self::Bytes(bytes) => context.update(bytes),
            Self::File(path) => {
                let mut file = std::fs::File::open(path)?;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    match file.read(&mut buffer)? {
                        0 => break,
                        n => context.update(&buffer[..n]),
                    }
                }
            }
        }
        Ok(super::s3::hex(context.finish().as_ref()))
    }
}

/// Why one attempt failed.
enum Failure {
    /// Trying again would not help.
    Final(String),
    /// It might; the server may have said when.
    Again(String, Option<Duration>),
}

fn retry<T>(location: &str, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, SourceError> {
    let remote = |reason| SourceError::Remote { location: location.to_owned(), reason };
    let mut wait = limits::BACKOFF;
    for left in (0..limits::ATTEMPTS_MAX).rev() {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Final(reason)) => return Err(remote(reason)),
            Err(Failure::Again(reason, _)) if left == 0 => {
                return Err(remote(format!("{reason} ({} attempts)", limits::ATTEMPTS_MAX)));
            }
            Err(Failure::Again(_, after)) => {
                std::thread::sleep(after.unwrap_or(wait).min(limits::RETRY_AFTER_MAX));
                wait *= 2;
            }
        }
    }
    Err(remote("no attempt was made".into()))
}

/// GET, redirects followed by hand so that the last URL is known.
fn follow(url: &str, store: Option<&Store>, range: Option<&str>) -> Result<(Response<Body>, String), Failure> {
    let mut url = url.to_owned();
    for _ in 0..=limits::REDIRECTS_MAX {
        let mut request = agent().get(&url).header("Accept-Encoding", "identity");
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        for (name, value) in store.iter().flat_map(|s| s.sign("GET", &url, super::s3::EMPTY_SHA256)) {
            request = request.header(name, value);
        }
        let response = request.call().map_err(|e| transport(&e))?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((response, url));
        }
        let target =
            header(response.headers(), "location").ok_or_else(|| Failure::Final("it redirects to nowhere".into()))?;
        url = match super::Location::Http(url).join(target) {
            Ok(super::Location::Http(next)) => next,
            Ok(other) => return Err(Failure::Final(format!("it redirects to {other}"))),
            Err(e) => return Err(Failure::Final(format!("it redirects to a bad address: {e}"))),
        };
    }
    Err(Failure::Final(format!("it redirects more than {} times", limits::REDIRECTS_MAX)))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn transport(error: &ureq::Error) -> Failure {
    let text = match error {
        ureq::Error::HostNotFound => "the host's name cannot be resolved".to_owned(),
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::Other(reason) => reason.to_string(),
        other => other.to_string(),
    };
    match error {
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => {
            Failure::Again(text, None)
        }
        _ => Failure::Final(text),
    }
}

fn status(response: &Response<Body>) -> Failure {
    let status = response.status();
    let text = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or("")).trim_end().to_owned();
    if matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504) {
        let after =
            header(response.headers(), "retry-after").and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        // "0" means soon, not at once.
        Failure::Again(text, after.map(|a| a.max(Duration::from_millis(20))))
    } else {
        Failure::Final(text)
    }
}

/// `Content-Range: bytes first-last/size`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, size.trim().parse().ok()?))
}

fn partial(response: Response<Body>, offset: u64, length: u64) -> Result<(Vec<u8>, u64), Failure> {
    let text = header(response.headers(), "content-range").unwrap_or("").to_owned();
    let Some((first, last, size)) = content_range(&text) else {
        return Err(Failure::Final(format!("it answers 206 with Content-Range {text:?}")));
    };
    let wanted_last = (offset + length).min(size).saturating_sub(1);
    if first != offset || last != wanted_last {
        return Err(Failure::Final(format!("bytes {offset}-{wanted_last} were asked, {first}-{last} came")));
    }
    let length = last - first + 1;
    Ok((body(response, length, Some(length))?, size))
}

fn whole(response: Response<Body>) -> Result<(Vec<u8>, u64), Failure> {
    let limit = limits::WHOLE_BODY_BYTES_MAX;
    let too_large = || {
        Failure::Final(format!(
            "the server ignores byte ranges, and the file has more than {} MiB; a server with range requests is needed",
            limit >> 20
        ))
    };
    let stated = response.body().content_length();
    if stated.is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    let bytes = body(response, limit + 1, stated)?;
    let size = bytes.len() as u64;
    if size > limit { Err(too_large()) } else { Ok((bytes, size)) }
}

/// Reads at most `limit` bytes; `exact`: as many as these, or the connection broke.
fn body(response: Response<Body>, limit: u64, exact: Option<u64>) -> Result<Vec<u8>, Failure> {
    if let Some(encoding) = header(response.headers(), "content-encoding")
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Failure::Final(format!("it is sent with encoding {encoding}, although identity was asked")));
    }
    let capacity = exact.or(response.body().content_length()).unwrap_or(0).min(limit).min(limits::WHOLE_BODY_BYTES_MAX);
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or(0));
    let read = response.into_body().into_with_config().limit(u64::MAX).reader().take(limit).read_to_end(&mut bytes);
    match (read, exact) {
        (Err(e), _) => Err(Failure::Again(format!("the connection broke: {e}"), None)),
        (Ok(got), Some(wanted)) if got as u64 != wanted.min(limit) => {
            Err(Failure::Again(format!("the connection broke after {got} of {wanted} bytes"), None))
        }
        _ => Ok(bytes),
    }
}

/// Whether a host may be connected to at one of its addresses.
type Allows = dyn Fn(&str, IpAddr) -> bool + Send + Sync;

/// Says what may be connected to.
struct Judge {
    allows: Box<Allows>,
    refusal: &'static str,
}

static JUDGE: OnceLock<Judge> = OnceLock::new();

/// From now on only addresses that pass are connected to, those of redirects too, and no proxy is used: it would connect
/// for us. What leads nowhere else is refused in the same words as a name that there is not. For a program that runs the
/// tools for others; to be called before the first request, and once.
pub fn judge_by(allows: impl Fn(&str, IpAddr) -> bool + Send + Sync + 'static, refusal: &'static str) {
    // The first one stays.
    let _ = JUDGE.set(Judge { allows: Box::new(allows), refusal });
}

/// The process's one client: connections are reused.
fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(root_certs())
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder();
        let config = if JUDGE.get().is_some() { config.proxy(None) } else { config };
        let config = config
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(limits::CONNECT_TIMEOUT))
            .timeout_connect(Some(limits::CONNECT_TIMEOUT))
            .timeout_recv_response(Some(limits::READ_TIMEOUT))
            .timeout_per_read(Some(limits::READ_TIMEOUT))
            .input_buffer_size(256 << 10)
            .user_agent(concat!("weir-eo/", env!("CARGO_PKG_VERSION")))
            .build();
        Agent::with_parts(config, DefaultConnector::default(), Names::default())
    })
}

/// Resolves names as the system does, but `localhost` itself (RFC 6761 §6.3): an image from scratch has no hosts file.
#[derive(Debug, Default)]
struct Names(DefaultResolver);

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.lookup(uri, config, timeout);
        let Some(Judge { allows, refusal }) = JUDGE.get() else { return found };
        let mut allowed = self.empty();
        for address in found.iter().flatten() {
            if allows(uri.host().unwrap_or_default(), address.ip()) {
                allowed.push(*address);
            }
        }
        if allowed.is_empty() { Err(ureq::Error::Other((*refusal).into())) } else { Ok(allowed) }
    }
}

impl Names {
    fn lookup(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if !uri.host().is_some_and(|host| host.eq_ignore_ascii_case("localhost")) {
            return self.0.resolve(uri, config, timeout);
        }
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = self.empty();
        addresses.push((Ipv4Addr::LOCALHOST, port).into());
        addresses.push((Ipv6Addr::LOCALHOST, port).into());
        Ok(addresses)
    }
}

/// The built-in roots (an image from scratch has none), or those of `SSL_CERT_FILE` (a site's own authority).
fn root_certs() -> RootCerts {
    let file = std::env::var_os("SSL_CERT_FILE").and_then(|path| std::fs::read(path).ok());
    let certs: Vec<_> = file
        .iter()
        .flat_map(|pem| ureq::tls::parse_pem(pem))
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(cert)) => Some(cert),
            _ => None,
        })
        .collect();
    if certs.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(certs)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_content_range_is_believed() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, 100)));
        assert_eq!(content_range("bytes 0-9/*"), None);
        assert_eq!(content_range("bytes */100"), None);
        assert_eq!(content_range(""), None);
    }
}
