//! Absolute URLs of the tenant's resources.
//!
//! From the setting `publicUrl`; else from the headers of a trusted proxy; else from `Host`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::header::{FORWARDED, HOST};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::names::Tenant;
use crate::problem::Problem;
use crate::tenant::Scope;

/// Link relations of the standards.
pub mod rel {
    /// 18-062r2: the declaration of conformance.
    pub const CONFORMANCE: &str = "http://www.opengis.net/def/rel/ogc/1.0/conformance";
    /// 18-062r2: the list of processes.
    pub const PROCESSES: &str = "http://www.opengis.net/def/rel/ogc/1.0/processes";
    /// 18-062r2: the list of jobs.
    pub const JOB_LIST: &str = "http://www.opengis.net/def/rel/ogc/1.0/job-list";
    /// 18-062r2: where a process is executed.
    pub const EXECUTE: &str = "http://www.opengis.net/def/rel/ogc/1.0/execute";
    /// 18-062r2: the results of a job.
    pub const RESULTS: &str = "http://www.opengis.net/def/rel/ogc/1.0/results";
    /// 18-062r2: why a job failed.
    pub const EXCEPTIONS: &str = "http://www.opengis.net/def/rel/ogc/1.0/exceptions";
}

/// An origin: scheme, authority and, behind a proxy, the path before `/{tenant}`; without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(String);

impl TryFrom<String> for PublicUrl {
    type Error = PublicUrlError;

    fn try_from(text: String) -> Result<Self, PublicUrlError> {
        text.parse()
    }
}

impl From<PublicUrl> for String {
    fn from(PublicUrl(text): PublicUrl) -> Self {
        text
    }
}

/// A public URL that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no public URL; write one like https://weir.example.org or https://example.org/eo")]
pub struct PublicUrlError(String);

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let error = || PublicUrlError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| error())?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host = uri.authority().is_some_and(is_plain);
        if !is_web || !has_host || uri.query().is_some() {
            return Err(error());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// Addresses of proxies whose forwarding headers are believed: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A network that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; write an address or one with the bits of its prefix: 10.0.0.0/8, ::1")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| error())?;
        if prefix > bits { Err(error()) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    /// Whether the address is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, ours, theirs) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (32, u128::from(ours.to_bits()), u128::from(theirs.to_bits())),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (128, ours.to_bits(), theirs.to_bits()),
            _ => return false,
        };
        // All bits shifted out: every address of the family.
        (ours ^ theirs).checked_shr(bits - u32::from(self.prefix)).unwrap_or(0) == 0
    }
}

/// The tenant's root, `http://host/acme/ogc-api`, and what is beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    origin: PublicUrl,
    tenant_url: String,
}

impl Base {
    /// The root of a tenant below an origin.
    pub fn new(origin: &PublicUrl, tenant: &Tenant) -> Self {
        Self { origin: origin.clone(), tenant_url: format!("{}/{tenant}", origin.0) }
    }

    /// What it is below.
    pub fn origin(&self) -> &PublicUrl {
        &self.origin
    }

    /// URL of a resource of the API: `jobs/…`; empty: the landing page.
    pub fn url(&self, path: &str) -> String {
        if path.is_empty() {
            return format!("{}/ogc-api", self.tenant_url);
        }
        format!("{}/ogc-api/{path}", self.tenant_url)
    }

    /// URL of something of the tenant beside the API: `temp/{processID}-{jobID}/{file}`.
    pub fn outside(&self, path: &str) -> String {
        format!("{}/{path}", self.tenant_url)
    }

    /// A link of the standard's `link.yaml` to a resource of the API.
    pub fn link(&self, path: &str, rel: &str, media_type: &str, title: &str) -> Json {
        link(&self.url(path), rel, media_type, title)
    }

    /// `self` in JSON and `alternate` in HTML of a resource: `path` with its query, if it has one.
    pub fn self_and_alternate(&self, path: &str) -> Vec<Json> {
        let sign = if path.contains('?') { '&' } else { '?' };
        vec![
            self.link(path, "self", "application/json", "This document"),
            self.link(&format!("{path}{sign}f=html"), "alternate", "text/html", "This document as HTML"),
        ]
    }
}

/// A link of the standard's `link.yaml`, to be written.
#[derive(Debug, Clone, Serialize)]
pub struct Link<'a> {
    /// Where it leads.
    pub href: String,
    /// How the two are related.
    pub rel: &'a str,
    /// What is there.
    #[serde(rename = "type")]
    pub media_type: &'a str,
    /// For people.
    pub title: Cow<'a, str>,
}

/// A link of the standard's `link.yaml`.
pub fn link(href: &str, rel: &str, media_type: &str, title: &str) -> Json {
    json!({"href": href, "rel": rel, "type": media_type, "title": title})
}

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Scope::from_request_parts(parts, state).await.map(|scope| scope.base)
    }
}

/// The origin under which the client has sent its request.
pub(crate) fn origin(
    headers: &HeaderMap,
    uri: &Uri,
    peer: Option<IpAddr>,
    trusted: &[Network],
) -> Result<PublicUrl, Problem> {
    let is_trusted = peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(peer)));
    let forwarded = if is_trusted { Forwarded::of(headers) } else { Forwarded::default() };
    let host = forwarded.host.or_else(|| text(headers.get(HOST)));
    let host = host.or_else(|| uri.authority().map(ToString::to_string));
    let host = host.ok_or_else(|| Problem::invalid_parameter("Host", "missing", "HTTP/1.1 requires it"))?;
    let is_host = host.parse::<Authority>().is_ok_and(|authority| is_plain(&authority));
    if !is_host {
        return Err(Problem::invalid_parameter("Host", "not a host", "send a name or address, with or without a port"));
    }
    let scheme = if forwarded.is_https { "https" } else { "http" };
    Ok(PublicUrl(format!("{scheme}://{host}{}", forwarded.prefix)))
}

/// Refuses requests that are addressed to another machine: a browser sends them when a name has been made to lead here.
pub(crate) fn must_be_loopback(headers: &HeaderMap) -> Result<(), Problem> {
    let host = text(headers.get(HOST)).and_then(|host| host.parse::<Authority>().ok());
    let is_loopback = host.is_some_and(|host| {
        let name = host.host();
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
    });
    if is_loopback {
        return Ok(());
    }
    let right = "this server listens for this machine alone: write localhost or 127.0.0.1";
    Err(Problem::invalid_parameter("Host", "names another machine", right))
}

/// Host and port, no user.
fn is_plain(authority: &Authority) -> bool {
    !authority.host().is_empty() && !authority.as_str().contains('@')
}

fn text(value: Option<&axum::http::HeaderValue>) -> Option<String> {
    value.and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// What a trusted proxy says of the request that it was sent.
#[derive(Debug, Default)]
struct Forwarded {
    host: Option<String>,
    is_https: bool,
    prefix: String,
}

impl Forwarded {
    /// `Forwarded` (RFC 7239), or the older `X-Forwarded-*`; the first of several values, which is the outermost proxy's.
    fn of(headers: &HeaderMap) -> Self {
        let first = |name: &str| {
            text(headers.get(name)).and_then(|value| value.split(',').next().map(|first| first.trim().to_owned()))
        };
        let standard = first(FORWARDED.as_str()).unwrap_or_default();
        let pair = |name: &str| {
            standard.split(';').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        let host = pair("host").or_else(|| first("x-forwarded-host")).filter(|host| !host.is_empty());
        let proto = pair("proto").or_else(|| first("x-forwarded-proto"));
        let prefix = first("x-forwarded-prefix").unwrap_or_default();
        let is_path = prefix.starts_with('/') && prefix.parse::<Uri>().is_ok_and(|uri| uri.query().is_none());
        Self {
            host,
            is_https: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            prefix: if is_path { prefix.trim_end_matches('/').to_owned() } else { String::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn origin_of(pairs: &[(&'static str, &str)], peer: Option<&str>) -> Result<String, String> {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let peer = peer.map(|peer| peer.parse().unwrap());
        origin(&headers(pairs), &"/x".parse().unwrap(), peer, &trusted)
            .map(|origin| origin.0)
            .map_err(|problem| problem.detail)
    }

    #[test]
    fn forwarding_headers_count_only_from_a_trusted_proxy() {
        let sent = [("host", "inside:8080"), ("x-forwarded-host", "eo.example"), ("x-forwarded-proto", "https")];
        assert_eq!(origin_of(&sent, Some("10.1.2.3")).unwrap(), "https://eo.example");
        assert_eq!(origin_of(&sent, Some("192.0.2.1")).unwrap(), "http://inside:8080");
        assert_eq!(origin_of(&sent, None).unwrap(), "http://inside:8080");
        let sent =
            [("host", "inside"), ("forwarded", "for=1.2.3.4;Proto=https;host=\"eo.example:8443\", for=10.0.0.1")];
        assert_eq!(origin_of(&sent, Some("10.1.2.3")).unwrap(), "https://eo.example:8443");
        let sent = [("host", "inside"), ("x-forwarded-prefix", "/eo/")];
        assert_eq!(origin_of(&sent, Some("10.1.2.3")).unwrap(), "http://inside/eo");
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for host in ["user@eo.example", "a b", "<script>", "eo.example/x", ""] {
            assert!(origin_of(&[("host", host)], None).is_err(), "{host}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "10.0.0.1"));
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "x".parse::<Network>().is_err());
    }

    #[test]
    fn public_urls_have_no_slash_at_their_end() {
        let base = Base::new(&"https://eo.example/weir/".parse().unwrap(), &"acme".parse().unwrap());
        assert_eq!(base.url(""), "https://eo.example/weir/acme/ogc-api");
        assert_eq!(base.url("jobs/1"), "https://eo.example/weir/acme/ogc-api/jobs/1");
        assert_eq!(base.outside("temp/p-1/a.log"), "https://eo.example/weir/acme/temp/p-1/a.log");
        for wrong in ["eo.example", "ftp://eo.example", "https://u@eo.example", "https://eo.example/?a"] {
            assert!(wrong.parse::<PublicUrl>().is_err(), "{wrong}");
        }
    }
}
