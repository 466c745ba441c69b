//! The two HTTP clients: one for the operator, which knows only its own certificate authority, one for stores and data
//! servers.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::limits::{BODY_TIMEOUT, CONNECT_TIMEOUT, OPERATOR_CONNECT_TIMEOUT, RESPONSE_TIMEOUT};
use crate::settings::Pem;

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not readable.
    #[error("cannot read the certificates in `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not PEM, or empty.
    #[error("{0} holds no PEM certificate")]
    Empty(String),
}

/// The client for the operator. Without `ca` it trusts nobody, which is right for plain HTTP only.
pub fn operator(ca: Option<&Pem>) -> Result<ureq::Agent, CertificateError> {
    let trusted = ca.map(certificates).transpose()?.unwrap_or_default();
    let config = ureq::Agent::config_builder()
        .tls_config(tls(trusted))
        .timeout_connect(Some(OPERATOR_CONNECT_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .accept_encoding("identity")
        .proxy(None)
        .user_agent(concat!("weir-agent/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

/// The client for stores and data servers: trusts the public authorities, and those in `ca`.
pub fn data(ca: Option<&Pem>) -> Result<ureq::Agent, CertificateError> {
    let mut trusted: Vec<_> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|certificate| Certificate::from_der(certificate.as_ref()))
        .collect();
    trusted.extend(ca.map(certificates).transpose()?.unwrap_or_default());
    let config = ureq::Agent::config_builder()
        .tls_config(tls(trusted))
        // Bytes are digested, counted and resumed as they are stored.
        .accept_encoding("identity")
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(RESPONSE_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .timeout_send_body(Some(BODY_TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("weir-agent/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn tls(trusted: Vec<Certificate<'static>>) -> TlsConfig {
    // Said explicitly: there is no process-wide default.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(provider)
        .build()
}

fn certificates(pem: &Pem) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let (bytes, place) = match pem {
        Pem::Text(text) => (text.clone().into_bytes(), "WEIR_CA or WEIR_STORE_CA".to_owned()),
        Pem::File(path) => {
            let bytes = fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source })?;
            (bytes, format!("`{}`", path.display()))
        }
    };
    let found: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(CertificateError::Empty(place)) } else { Ok(found) }
}

/// A URL as a message may show it: without the query, in which a presigned URL has its signature, and without a password.
pub fn shown(url: &str) -> String {
    let (plain, query) = url.split_once('?').map_or((url, ""), |(plain, _)| (plain, "?..."));
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => plain.to_owned(),
    };
    plain + query
}

/// Whether another try may help after this status (RFC 9110 and RFC 6585: timeouts, overload, faults of the server).
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_secrets() {
        assert_eq!(shown("https://s/b/k?X-Amz-Signature=abc"), "https://s/b/k?...");
        assert_eq!(shown("https://u:p@s:1/b@c"), "https://s:1/b@c");
        assert_eq!(shown("nonsense"), "nonsense");
    }
}
