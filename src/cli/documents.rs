//! Fetches documents for the loader from files and by HTTP, within limits.

use std::path::Path;

use anyhow::{Context, Result, bail};
use weir_api::limits::DOCUMENT_BYTES_MAX;
use weir_cwl::load::{Fetch, FetchError};
use weir_cwl::uri;

use super::paths;

/// The documents of this machine and of the web.
#[derive(Debug, Clone, Copy)]
pub struct Documents;

impl Fetch for Documents {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        match uri::to_path(url) {
            Some(path) => read_file(Path::new(&path)),
            None => read_http(url),
        }
        .map_err(|error| FetchError(format!("{error:#}")))
    }

    fn name(&self, url: &str) -> Option<String> {
        uri::to_path(url).map(|path| paths::shown(path.as_ref()))
    }
}

/// What the user typed for a document as an absolute URL, its `#fragment` kept.
pub fn reference(typed: &str) -> Result<String> {
    if typed.starts_with("http://") || typed.starts_with("https://") || typed.starts_with("file:") {
        return Ok(typed.to_owned());
    }
    let (path, fragment) = match typed.rsplit_once('#') {
        Some((path, fragment)) if !Path::new(typed).exists() => (path, Some(fragment)),
        _ => (typed, None),
    };
    let url = file_url(Path::new(path))?;
    Ok(match fragment {
        Some(fragment) => format!("{url}#{fragment}"),
        None => url,
    })
}

/// The absolute `file:` URL of an existing file.
pub fn file_url(path: &Path) -> Result<String> {
    let absolute = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
    match absolute.to_str() {
        Some(text) => Ok(uri::from_path(text)),
        None => bail!("the path {} is not UTF-8", absolute.display()),
    }
}

fn read_file(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > DOCUMENT_BYTES_MAX as u64 {
        bail!("it has {size} bytes; documents may have {DOCUMENT_BYTES_MAX}");
    }
    Ok(std::fs::read_to_string(path)?)
}

#[cfg(feature = "embedded")]
fn read_http(url: &str) -> Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(std::time::Duration::from_secs(weir_api::limits::DOCUMENT_FETCH_SECONDS_MAX)))
        .tls_config(
            ureq::tls::TlsConfig::builder()
                .unversioned_rustls_crypto_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .build(),
        )
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    Ok(response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX as u64).read_to_string()?)
}

/// The operator fetches by a client of its own; this program of its image has no other.
#[cfg(not(feature = "embedded"))]
fn read_http(_: &str) -> Result<String> {
    bail!("this build of weir reads files only: download it first")
}
