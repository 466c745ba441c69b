//! The operator's own certificate authority, and the certificate that it shows to agents.
//!
//! The authority is a key pair in the Secret [`SECRET`] of the operator's namespace, made once by whichever replica comes
//! first; `ca.crt` goes as PEM text into every step pod. The certificate of the agents' Service is made in memory and
//! renewed when half of its time is over. The authority's own time is ten years; agents take it for known and do not look
//! at that.
//!
//! # Changing the authority
//!
//! Pods that run know the `ca.crt` of their creation only. `ca.crt` may therefore hold several certificates, of which one
//! belongs to `ca.key`. To change without stopping a job: append the new certificate (subject
//! `CN=weir agents`) to `ca.crt` and restart the operator;
//! when every pod of before is gone, replace `ca.key` and restart; then take the old certificate out. To change at once,
//! because the key is known to others: delete the Secret and restart the operator; steps that run then cannot report, and
//! end at their pods' deadline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use weir_api::kubernetes::names::{FIELD_MANAGER, MANAGED_BY, WEIR};

use crate::limits::{AUTHORITY_TIME, CERTIFICATE_TIME, CLOCK_SKEW};

/// Name of the Secret with the authority's key pair.
pub const SECRET: &str = "weir-agents-ca";
/// Its certificates, PEM.
const CERTIFICATES: &str = "ca.crt";
/// Its private key, PEM.
const KEY: &str = "ca.key";
/// Subject of the authority. The issuer of every certificate says the same, so it never changes.
const AUTHORITY_NAME: &str = "weir agents";

/// Why agents cannot be given a certificate that they know.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The API server does not give the Secret.
    #[error("cannot read the Secret `{SECRET}` in namespace `{namespace}`: {source}")]
    Read {
        /// Where.
        namespace: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The API server does not take it.
    #[error("cannot write the Secret `{SECRET}` in namespace `{namespace}`: {source}")]
    Write {
        /// Where.
        namespace: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// Something is missing in it.
    #[error("the Secret `{SECRET}` has no text `{0}`; delete the Secret to have it made anew")]
    Incomplete(&'static str),
    /// The key is none.
    #[error("`{KEY}` in the Secret `{SECRET}` is no private key in PEM: {0}")]
    Key(rcgen::Error),
    /// The certificates are none.
    #[error("`{CERTIFICATES}` in the Secret `{SECRET}` holds something else than certificates in PEM: {0}")]
    Certificates(String),
    /// Key and certificates do not belong together.
    #[error(
        "agents that know `{CERTIFICATES}` of the Secret `{SECRET}` would not accept what `{KEY}` signs: {0}; \
         delete the Secret and restart the operator to have both made anew"
    )]
    Untrusted(rustls::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate for {names}: {source}")]
    Make {
        /// For which names.
        names: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// The agents' URL names no host.
    #[error("the agents' URL is `{0}`; it must be like https://weir-agents.weir.svc:8443")]
    Url(String),
    /// TLS itself does not work.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// A key pair as the Secret holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityPem {
    /// One certificate or more.
    pub certificates: String,
    /// Private key of one of them.
    pub key: String,
}

impl std::fmt::Debug for AuthorityPem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AuthorityPem").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl AuthorityPem {
    /// A new pair, good from `now` on for [`AUTHORITY_TIME`].
    pub fn generate(now: SystemTime) -> Result<Self, TlsError> {
        let make = |source| TlsError::Make { names: AUTHORITY_NAME.to_owned(), source };
        let key = KeyPair::generate().map_err(make)?;
        let mut params = authority_params();
        limit(&mut params, now, AUTHORITY_TIME);
        let certificate = params.self_signed(&key).map_err(make)?;
        Ok(Self { certificates: certificate.pem(), key: key.serialize_pem() })
    }

    /// The operator's pair: that of the Secret, which is filled if it is empty, as the chart makes it, and made if there is
    /// none. Replicas that do so at the same time end with the same pair.
    pub async fn of_cluster(client: &Client, namespace: &str, now: SystemTime) -> Result<Self, TlsError> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let read = |source| TlsError::Read { namespace: namespace.to_owned(), source: Box::new(source) };
        let there = secrets.get_opt(SECRET).await.map_err(read)?;
        if let Some(secret) = there.as_ref().filter(|secret| secret.data.as_ref().is_some_and(|data| !data.is_empty()))
        {
            return Self::from_secret(secret);
        }
        let new = Self::generate(now)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let written = match there {
            // The resource version goes with it: of two replicas one is refused.
            Some(empty) => secrets.replace(SECRET, &params, &Secret { data: new.to_secret().data, ..empty }).await,
            None => secrets.create(&params, &new.to_secret()).await,
        };
        match written {
            Ok(_) => Ok(new),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Self::from_secret(&secrets.get(SECRET).await.map_err(read)?)
            }
            Err(source) => Err(TlsError::Write { namespace: namespace.to_owned(), source: Box::new(source) }),
        }
    }

    fn from_secret(secret: &Secret) -> Result<Self, TlsError> {
        let text = |name: &'static str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(name));
            let text = bytes.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or(TlsError::Incomplete(name))
        };
        Ok(Self { certificates: text(CERTIFICATES)?, key: text(KEY)? })
    }

    fn to_secret(&self) -> Secret {
        let bytes = |text: &String| ByteString(text.clone().into_bytes());
        Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), WEIR.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([
                (CERTIFICATES.to_owned(), bytes(&self.certificates)),
                (KEY.to_owned(), bytes(&self.key)),
            ])),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }
    }
}

/// The names by which agents call the operator: the host of their URL.
pub fn names(agents_url: &str) -> Result<Vec<String>, TlsError> {
    let url: Option<http::Uri> = agents_url.parse().ok();
    let host = url.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| TlsError::Url(agents_url.to_owned()))?;
    Ok(vec![host.trim_start_matches('[').trim_end_matches(']').to_owned()])
}

/// What the operator shows to agents: a certificate that is always young enough.
pub struct Certificates {
    names: Vec<String>,
    trusted: String,
    issuer: Issuer<'static, KeyPair>,
    provider: Arc<CryptoProvider>,
    current: Mutex<Issued>,
}

struct Issued {
    key: Arc<CertifiedKey>,
    renewed_from: SystemTime,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Certificates").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Certificates for `names`, which are DNS names or IP addresses. Proves that an agent that knows the authority
    /// accepts them.
    pub fn new(authority: &AuthorityPem, names: Vec<String>, now: SystemTime) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(&authority.key).map_err(TlsError::Key)?;
        let issuer = Issuer::new(authority_params(), key);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let first = issue(&issuer, &names, &provider, now)?;
        verify(authority, &first, &names, &provider, now)?;
        let current = Mutex::new(Issued { key: Arc::new(first), renewed_from: now + CERTIFICATE_TIME / 2 });
        Ok(Self { names, trusted: authority.certificates.clone(), issuer, provider, current })
    }

    /// What an agent must know, PEM: goes into the pods.
    pub fn trusted_pem(&self) -> &str {
        &self.trusted
    }

    /// TLS 1.3 for agents.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // An agent connects a few times in its life; a handshake costs less than to remember it.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    fn current(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.renewed_from {
            match issue(&self.issuer, &self.names, &self.provider, now) {
                Ok(key) => *current = Issued { key: Arc::new(key), renewed_from: now + CERTIFICATE_TIME / 2 },
                Err(error) => tracing::error!(%error, "the agents' certificate is not renewed"),
            }
        }
        Arc::clone(&current.key)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(SystemTime::now()))
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    names: &[String],
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<CertifiedKey, TlsError> {
    let make = |source| TlsError::Make { names: names.join(", "), source };
    let mut params = CertificateParams::new(names).map_err(make)?;
    params.distinguished_name = common_name("weir operator");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    limit(&mut params, now, CERTIFICATE_TIME);
    let key = KeyPair::generate().map_err(make)?;
    let certificate = params.signed_by(&key, issuer).map_err(make)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider.key_provider.load_private_key(key).map_err(TlsError::Tls)?;
    Ok(CertifiedKey::new(vec![certificate.into()], key))
}

/// Looks at the certificate as an agent will.
fn verify(
    authority: &AuthorityPem,
    issued: &CertifiedKey,
    names: &[String],
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<(), TlsError> {
    let unreadable = |error: &dyn std::fmt::Display| TlsError::Certificates(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.certificates.as_bytes()) {
        roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unreadable(&error))?;
    let now = UnixTime::since_unix_epoch(since_epoch(now));
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|_| TlsError::Url(name.clone()))?;
        let leaf = issued.end_entity_cert().map_err(TlsError::Tls)?;
        verifier.verify_server_cert(leaf, &[], &name, &[], now).map_err(TlsError::Untrusted)?;
    }
    Ok(())
}

/// Good from a little before `now` until `time` after it.
fn limit(params: &mut CertificateParams, now: SystemTime, time: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = since_epoch(now);
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + time;
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    fn service() -> Vec<String> {
        names("https://weir-agents.weir.svc:8443").unwrap()
    }

    #[test]
    fn names_are_the_host_of_the_agents_url() {
        assert_eq!(service(), ["weir-agents.weir.svc"]);
        assert_eq!(names("https://127.0.0.1:8443").unwrap(), ["127.0.0.1"]);
        assert_eq!(names("https://[::1]:8443").unwrap(), ["::1"]);
        for url in ["", "weir agents", "/path"] {
            assert!(matches!(names(url), Err(TlsError::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_when_half_of_its_time_is_over() {
        let authority = AuthorityPem::generate(now()).unwrap();
        let mut names = service();
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        let certificates = Certificates::new(&authority, names.clone(), now()).unwrap();
        let first = certificates.current(now());
        assert!(Arc::ptr_eq(&first, &certificates.current(now() + CERTIFICATE_TIME / 3)));
        let later = now() + CERTIFICATE_TIME / 2;
        let second = certificates.current(later);
        assert!(!Arc::ptr_eq(&first, &second));
        let provider = Arc::clone(&certificates.provider);
        verify(&authority, &second, &names, &provider, now() + CERTIFICATE_TIME * 5 / 4).unwrap();
        let late = verify(&authority, &first, &names, &provider, now() + CERTIFICATE_TIME * 5 / 4);
        assert!(matches!(late, Err(TlsError::Untrusted(_))));
    }

    #[test]
    fn an_authority_whose_own_time_is_over_stops_no_agent() {
        let authority = AuthorityPem::generate(now()).unwrap();
        assert!(Certificates::new(&authority, service(), now() + AUTHORITY_TIME * 2).is_ok());
    }

    #[test]
    fn an_authority_can_be_changed_step_by_step() {
        let (old, new) = (AuthorityPem::generate(now()).unwrap(), AuthorityPem::generate(now()).unwrap());
        let certificates = format!("{}{}", old.certificates, new.certificates);
        for key in [&old.key, &new.key] {
            let both = AuthorityPem { certificates: certificates.clone(), key: key.clone() };
            let made = Certificates::new(&both, service(), now()).unwrap();
            assert_eq!(made.trusted_pem(), certificates);
        }
        let mixed = AuthorityPem { certificates: old.certificates, key: new.key };
        let error = Certificates::new(&mixed, service(), now()).unwrap_err();
        assert!(matches!(error, TlsError::Untrusted(_)) && error.to_string().contains("delete the Secret"), "{error}");
    }

    /// An API server that has one Secret at most. `loses` is another replica's, created just before ours.
    fn api_server(secret: Option<Secret>, loses: Option<Secret>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, secret) = (Arc::clone(&asked), Arc::new(Mutex::new(secret)));
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (noted, secret, loses) = (Arc::clone(&noted), Arc::clone(&secret), loses.clone());
            async move {
                noted.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
                let (status, body) = if request.method() == http::Method::GET {
                    match &*secret.lock().unwrap() {
                        Some(secret) => (200, serde_json::to_vec(secret).unwrap()),
                        None => (404, failure(404, "NotFound")),
                    }
                } else if let Some(other) = loses {
                    *secret.lock().unwrap() = Some(other);
                    (409, failure(409, "AlreadyExists"))
                } else {
                    let body = request.into_body().collect_bytes().await.unwrap();
                    *secret.lock().unwrap() = Some(serde_json::from_slice(&body).unwrap());
                    (201, body.to_vec())
                };
                Ok::<_, kube::Error>(
                    http::Response::builder().status(status).body(kube::client::Body::from(body)).unwrap(),
                )
            }
        });
        (Client::new(service, "default"), asked)
    }

    fn failure(code: u16, reason: &str) -> Vec<u8> {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": reason});
        status.to_string().into_bytes()
    }

    #[tokio::test]
    async fn the_authority_is_made_once_and_replicas_agree() {
        let (client, asked) = api_server(None, None);
        let first = AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap();
        assert_eq!(AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap(), first);
        let get = format!("GET /api/v1/namespaces/weir/secrets/{SECRET}");
        let create = "POST /api/v1/namespaces/weir/secrets".to_owned();
        assert_eq!(*asked.lock().unwrap(), [get.clone(), create.clone(), get.clone()]);

        let other = AuthorityPem::generate(now()).unwrap();
        let (client, asked) = api_server(None, Some(other.to_secret()));
        assert_eq!(AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap(), other);
        assert_eq!(*asked.lock().unwrap(), [get.clone(), create, get]);
    }

    #[tokio::test]
    async fn an_empty_secret_is_filled_once_and_replicas_agree() {
        let metadata = ObjectMeta { resource_version: Some("7".to_owned()), ..ObjectMeta::default() };
        let made_by_the_chart = || Secret { metadata: metadata.clone(), ..Secret::default() };
        let (client, asked) = api_server(Some(made_by_the_chart()), None);
        let first = AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap();
        assert_eq!(AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap(), first);
        let get = format!("GET /api/v1/namespaces/weir/secrets/{SECRET}");
        let replace = format!("PUT /api/v1/namespaces/weir/secrets/{SECRET}");
        assert_eq!(*asked.lock().unwrap(), [get.clone(), replace, get]);

        let other = AuthorityPem::generate(now()).unwrap();
        let (client, _) = api_server(Some(made_by_the_chart()), Some(other.to_secret()));
        assert_eq!(AuthorityPem::of_cluster(&client, "weir", now()).await.unwrap(), other);
    }

    #[test]
    fn a_secret_that_was_damaged_is_named() {
        let good = AuthorityPem::generate(now()).unwrap();
        assert_eq!(AuthorityPem::from_secret(&good.to_secret()).unwrap(), good);
        assert!(!format!("{good:?}").contains("PRIVATE"));
        let mut secret = good.to_secret();
        secret.data.as_mut().unwrap().remove(KEY);
        let error = AuthorityPem::from_secret(&secret).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the Secret `weir-agents-ca` has no text `ca.key`; delete the Secret to have it made anew"
        );
        let broken = |certificates: &str, key: &str| {
            let broken = AuthorityPem { certificates: certificates.to_owned(), key: key.to_owned() };
            Certificates::new(&broken, service(), now()).unwrap_err()
        };
        assert!(matches!(broken(&good.certificates, "x"), TlsError::Key(_)));
        assert!(matches!(broken("x", &good.key), TlsError::Certificates(_)));
    }
}
