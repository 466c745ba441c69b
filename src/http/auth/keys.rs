//! The keys of a provider (RFC 7517), kept as long as they are good for.
//!
//! They are fetched when they are needed: the first time, when they are old, and when a token names one that is not there,
//! so that a new key works at once. Old ones are used on meanwhile: nobody whose key is known waits for the provider.
//! Whoever makes up names of keys causes no more than one request in [`KEYS_PAUSE`].

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fetcher::Fetcher;
use crate::limits::{KEYS_BYTES, KEYS_MAX, KEYS_PAUSE, KEYS_TIME};

/// Why there is no key for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The provider has none of that name.
    #[error("there is no such key")]
    Unknown,
    /// None are known, and the provider gives none.
    #[error("{0}")]
    Unavailable(String),
}

/// Keys of one provider.
pub struct Keys(Arc<Provider>);

struct Provider {
    fetcher: Arc<dyn Fetcher>,
    issuer: String,
    jwks_url: Option<String>,
    known: RwLock<Arc<Known>>,
    /// When they were last asked for, and what went wrong then. Held while they are asked for.
    asked: Mutex<Option<(Instant, Option<String>)>>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Key>,
    fetched: Option<Instant>,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < KEYS_TIME)
    }

    /// Keys that a token may be signed with: that of its `kid`; all of its algorithm, if it names none.
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let fits = |key: &&Key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid);
        self.keys.iter().filter(fits).map(|key| key.decoding.clone()).collect()
    }
}

impl Keys {
    /// Of a provider; nothing is fetched yet.
    pub fn new(fetcher: Arc<dyn Fetcher>, issuer: String, jwks_url: Option<String>) -> Self {
        let (known, asked) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Provider { fetcher, issuer, jwks_url, known, asked }))
    }

    /// Keys that a token may be signed with, at least one.
    pub async fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<DecodingKey>, KeysError> {
        let known = self.0.known();
        let found = known.candidates(kid, algorithm);
        if !found.is_empty() {
            if !known.is_fresh() && !self.0.is_being_asked() {
                let provider = Arc::clone(&self.0);
                tokio::spawn(async move { provider.refresh(&known).await });
            }
            return Ok(found);
        }
        let trouble = self.0.refresh(&known).await;
        let found = self.0.known().candidates(kid, algorithm);
        match trouble {
            _ if !found.is_empty() => Ok(found),
            Some(trouble) => Err(KeysError::Unavailable(trouble)),
            None => Err(KeysError::Unknown),
        }
    }
}

impl Provider {
    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody asks for the keys, or just did.
    fn is_being_asked(&self) -> bool {
        let Ok(asked) = self.asked.try_lock() else { return true };
        asked.as_ref().is_some_and(|(when, _)| when.elapsed() < KEYS_PAUSE)
    }

    /// Asks the provider, unless somebody else just did. Says what went wrong the last time.
    async fn refresh(&self, seen: &Arc<Known>) -> Option<String> {
        let mut asked = self.asked.lock().await;
        if let Some((when, trouble)) = &*asked
            && (when.elapsed() < KEYS_PAUSE || !Arc::ptr_eq(seen, &self.known()))
        {
            return trouble.clone();
        }
        let trouble = match self.fetch().await {
            Ok(keys) => {
                let known = Arc::new(Known { keys, fetched: Some(Instant::now()) });
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                None
            }
            Err(trouble) => {
                tracing::warn!(issuer = self.issuer, %trouble, "the keys of the OpenID Connect provider cannot be had");
                Some(trouble)
            }
        };
        *asked = Some((Instant::now(), trouble.clone()));
        trouble
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let set = self.json(&url).await?;
        let members = set["keys"].as_array().ok_or_else(|| format!("`{url}` holds no JSON Web Key Set"))?;
        Ok(members.iter().take(KEYS_MAX).filter_map(Key::of).collect())
    }

    /// OpenID Connect Discovery 1.0, §4.
    async fn discover(&self) -> Result<String, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let configuration = self.json(&url).await?;
        if configuration["issuer"] != self.issuer {
            return Err(format!("`{url}` is of another issuer, {}, not `{}`", configuration["issuer"], self.issuer));
        }
        configuration["jwks_uri"].as_str().map(str::to_owned).ok_or_else(|| format!("`{url}` states no jwks_uri"))
    }

    async fn json(&self, url: &str) -> Result<Json, String> {
        let fetched = self.fetcher.get(url, KEYS_BYTES).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&fetched.bytes).map_err(|error| format!("`{url}` is not JSON: {error}"))
    }
}

impl Key {
    /// A member of a set; `None` for those that are for something else, or unknown (RFC 7517, §5).
    fn of(member: &Json) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(member.clone()).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        let algorithm = match (decoding.family(), jwk.common.key_algorithm) {
            (AlgorithmFamily::Rsa, None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmFamily::Ec, None | Some(KeyAlgorithm::ES256)) if member["crv"] == "P-256" => Algorithm::ES256,
            _ => return None,
        };
        Some(Self { kid: jwk.common.key_id, algorithm, decoding })
    }
}
