//! The guard. It resolves a name once and connects to an address that it has looked at, so that a name cannot lead elsewhere
//! the second time; it looks at every redirect again; it bounds time and size.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value as Json;
use weir_api::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_FETCH_SECONDS_MAX};

use crate::REDIRECTS_MAX;
use crate::rules::{RuleError, Rules};

/// Time to connect, name resolution included.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// What may be fetched by URL.
#[derive(Debug, Clone, Default)]
pub struct FetchSettings {
    /// Networks (`10.0.0.0/8`) or host names besides public addresses.
    pub allowed: Vec<String>,
}

/// The guarded client.
#[derive(Debug, Clone)]
pub struct Guarded {
    client: reqwest::Client,
    rules: Arc<Rules>,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A setting is wrong.
    #[error("cannot read what may be fetched: {0}")]
    Rule(#[from] RuleError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The client refuses its settings.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why something cannot be fetched. Messages name URLs without their query, which may be a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// Not a URL that is fetched.
    #[error("`{0}` is no http or https URL")]
    Url(String),
    /// The guard says no, or there is no such host: nobody learns from it which names and addresses there are inside.
    #[error(
        "`{url}` cannot be fetched: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` lets it reach an inner one, on Kubernetes the chart value network.allowed"
    )]
    Host {
        /// What was asked for.
        url: String,
        /// Whether the guard says no.
        is_forbidden: bool,
    },
    /// The server says that it is not there, or not for us.
    #[error("`{url}` cannot be fetched: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// It moves on and on.
    #[error("`{0}` is redirected more than {REDIRECTS_MAX} times")]
    Redirects(String),
    /// It is larger than its use allows.
    #[error("`{url}` has more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The server cannot give a part.
    #[error("`{0}` cannot be read in parts: the server ignores byte ranges")]
    NoRanges(String),
    /// Not a text.
    #[error("`{0}` is no text in UTF-8")]
    NotText(String),
    /// No answer in time.
    #[error("`{0}` did not come within {DOCUMENT_FETCH_SECONDS_MAX} s")]
    Time(String),
    /// No connection, or a broken one.
    #[error("`{url}` cannot be fetched: {reason}")]
    Network {
        /// What was asked for.
        url: String,
        /// Why.
        reason: String,
    },
}

impl FetchFailure {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Time(_) | Self::Network { .. } | Self::Host { is_forbidden: false, .. } => true,
            Self::Url(_)
            | Self::Host { .. }
            | Self::Redirects(_)
            | Self::TooLarge { .. }
            | Self::NoRanges(_)
            | Self::NotText(_) => false,
        }
    }
}

/// What a server says about something without sending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its size in bytes, if the server tells.
    pub size: Option<u64>,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// All of it.
    pub bytes: Vec<u8>,
    /// `Content-Type` as the server says it.
    pub media_type: Option<String>,
}

impl Guarded {
    /// A client that obeys the settings.
    pub fn new(settings: &FetchSettings) -> Result<Self, GuardError> {
        let rules = Arc::new(Rules::new(settings.allowed.iter().map(String::as_str))?);
        // Said explicitly: the image of the operator has no certificates of a system.
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Names(Arc::clone(&rules)))
            // A proxy would resolve names by itself.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules })
    }

    /// What stands at a URL, and its media type.
    pub async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Fetched, FetchFailure> {
        self.in_time(url, async {
            let response = self.request(Method::GET, url, |request| request).await?;
            let media_type =
                response.headers().get(CONTENT_TYPE).and_then(|type_| type_.to_str().ok()).map(str::to_owned);
            Ok(Fetched { bytes: body(response, url, bytes_max).await?, media_type })
        })
        .await
    }

    /// All bytes of a URL.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, FetchFailure> {
        self.fetch(url, bytes_max).await.map(|fetched| fetched.bytes)
    }

    /// Sends a document. What is answered is not read; only 2xx is success.
    pub async fn post_json(&self, url: &str, document: &Json) -> Result<(), FetchFailure> {
        self.in_time(url, async {
            self.request(Method::POST, url, |request| request.json(document)).await?;
            Ok(())
        })
        .await
    }

    /// A document: a text of bounded size.
    pub async fn document(&self, url: &str) -> Result<String, FetchFailure> {
        let bytes = self.get(url, DOCUMENT_BYTES_MAX).await?;
        String::from_utf8(bytes).map_err(|_| FetchFailure::NotText(shown(url)))
    }

    /// Whether something is there, and how large it is. Servers that know no HEAD, and URLs that are signed for GET only,
    /// are asked for one byte.
    pub async fn head(&self, url: &str) -> Result<Head, FetchFailure> {
        self.in_time(url, async {
            match self.request(Method::HEAD, url, |request| request).await {
                Ok(response) => Ok(Head { size: content_length(&response) }),
                Err(FetchFailure::Status { status: 400 | 403 | 405 | 501, .. }) => {
                    let response = self.request(Method::GET, url, |request| ranged(request, &(0..1))).await?;
                    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
                    let size = if is_part { total(&response) } else { content_length(&response) };
                    Ok(Head { size })
                }
                Err(failure) => Err(failure),
            }
        })
        .await
    }

    /// The bytes of a range, fewer if the whole has fewer.
    pub async fn read_range(&self, url: &str, range: Range<u64>) -> Result<Vec<u8>, FetchFailure> {
        let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        self.in_time(url, async {
            let response = match self.request(Method::GET, url, |request| ranged(request, &range)).await {
                // Beyond the end, or of an empty file.
                Err(FetchFailure::Status { status: 416, .. }) => return Ok(Vec::new()),
                other => other?,
            };
            if response.status() != StatusCode::PARTIAL_CONTENT && range.start > 0 {
                return Err(FetchFailure::NoRanges(shown(url)));
            }
            beginning(response, url, wanted).await
        })
        .await
    }

    /// Follows redirects, each looked at like the first URL.
    async fn request(
        &self,
        method: Method,
        url: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, FetchFailure> {
        let mut at = self.permitted(Url::parse(url).map_err(|_| FetchFailure::Url(shown(url)))?)?;
        for _ in 0..=REDIRECTS_MAX {
            let request = self.client.request(method.clone(), at.clone()).header(ACCEPT_ENCODING, "identity");
            let response = prepare(request).send().await.map_err(|error| failure(&at, error))?;
            let status = response.status();
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match location {
                Some(location) if is_followed(&method, status) => {
                    at = self.permitted(at.join(location).map_err(|_| FetchFailure::Url(shown(location)))?)?;
                }
                _ if status.is_success() => return Ok(response),
                _ => return Err(FetchFailure::Status { url: shown(at.as_str()), status: status.as_u16() }),
            }
        }
        Err(FetchFailure::Redirects(shown(url)))
    }

    /// Names are looked at when they are resolved; addresses in the URL itself here.
    fn permitted(&self, url: Url) -> Result<Url, FetchFailure> {
        let host = match url.scheme() {
            "http" | "https" => url.host_str().unwrap_or_default(),
            _ => return Err(FetchFailure::Url(shown(url.as_str()))),
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) if !self.rules.allow_address(address) => Err(forbidden(shown(url.as_str()), address)),
            _ => Ok(url),
        }
    }

    async fn in_time<T>(
        &self,
        url: &str,
        work: impl Future<Output = Result<T, FetchFailure>>,
    ) -> Result<T, FetchFailure> {
        let limit = Duration::from_secs(DOCUMENT_FETCH_SECONDS_MAX);
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(FetchFailure::Time(shown(url))))
    }
}

/// Resolves names, and gives those addresses that may be reached.
struct Names(Arc<Rules>);

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} is no public address")]
    Inner(IpAddr),
    #[error("{0}")]
    Unknown(#[from] std::io::Error),
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let anywhere = rules.allow_host(host);
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await.map_err(Refused::Unknown)?.collect();
            let first = found.first().map(SocketAddr::ip);
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| anywhere || rules.allow_address(address.ip())).collect();
            match first {
                Some(address) if allowed.is_empty() => Err(Refused::Inner(address).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn failure(url: &Url, error: reqwest::Error) -> FetchFailure {
    let url = shown(url.as_str());
    // It would say the whole URL.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    loop {
        match cause.downcast_ref() {
            Some(Refused::Inner(address)) => return forbidden(url, *address),
            Some(Refused::Unknown(error)) => {
                tracing::debug!(url, %error, "a host is not known");
                return FetchFailure::Host { url, is_forbidden: false };
            }
            None => {}
        }
        match cause.source() {
            Some(source) => cause = source,
            // The innermost cause is the one that says something.
            None => return FetchFailure::Network { url, reason: cause.to_string() },
        }
    }
}

/// Where it leads is for the operator alone.
fn forbidden(url: String, address: IpAddr) -> FetchFailure {
    tracing::info!(url, %address, "not fetched: no public address, and none that the settings allow");
    FetchFailure::Host { url, is_forbidden: true }
}

/// A URL without user, password, query and fragment.
fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            let _cannot_have_one = (url.set_username(""), url.set_password(None));
            url.into()
        }
        Err(_) => url.chars().take_while(|c| !matches!(c, '?' | '#')).take(200).collect(),
    }
}

fn ranged(request: RequestBuilder, range: &Range<u64>) -> RequestBuilder {
    request.header(RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))
}

/// A document is sent again only where the status says that the method stays (RFC 9110, §15.4).
fn is_followed(method: &Method, status: StatusCode) -> bool {
    match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => *method != Method::POST && status.is_redirection(),
    }
}

/// By the header: the body of an answer to HEAD is empty, whatever it says.
fn content_length(response: &Response) -> Option<u64> {
    response.headers().get(reqwest::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `Content-Range: bytes 0-0/1234`
fn total(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// The whole body.
async fn body(response: Response, url: &str, bytes_max: usize) -> Result<Vec<u8>, FetchFailure> {
    let bytes = beginning(response, url, bytes_max.saturating_add(1)).await?;
    if bytes.len() > bytes_max {
        return Err(FetchFailure::TooLarge { url: shown(url), bytes_max });
    }
    Ok(bytes)
}

/// The first bytes of the body; the rest is left where it is.
async fn beginning(mut response: Response, url: &str, bytes: usize) -> Result<Vec<u8>, FetchFailure> {
    let mut read = Vec::new();
    let network =
        |error: reqwest::Error| FetchFailure::Network { url: shown(url), reason: error.without_url().to_string() };
    while read.len() < bytes {
        let Some(chunk) = response.chunk().await.map_err(network)? else { break };
        read.extend_from_slice(&chunk[..chunk.len().min(bytes - read.len())]);
    }
    Ok(read)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
