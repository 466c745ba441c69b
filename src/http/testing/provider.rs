//! An OpenID Connect provider on a loopback address: its keys, its configuration, its tokens.

#![allow(clippy::unwrap_used, reason = "a test whose provider cannot be made fails")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot::Receiver;

use super::lock;
use crate::auth::OidcSettings;

/// A key of a provider.
pub enum Secret {
    /// For RS256.
    Rsa(RsaKeyPair),
    /// For ES256.
    Ec(EcdsaKeyPair),
}

impl Secret {
    /// A new RSA key.
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// A new elliptic-curve key.
    pub fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    /// Its public half (RFC 7517).
    pub fn jwk(&self, kid: &str) -> Json {
        match self {
            Self::Rsa(pair) => {
                let modulus = BASE64.encode(pair.public_key().modulus().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB"})
            }
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
        }
    }

    /// A token with any header.
    pub fn sign(&self, header: &Json, claims: &Json) -> String {
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }

    /// A token that names its key.
    pub fn token(&self, kid: &str, claims: &Json) -> String {
        self.sign(&json!({"alg": self.algorithm(), "kid": kid, "typ": "JWT"}), claims)
    }
}

/// A provider that answers as long as the runtime lives.
pub struct Provider {
    /// Its URL.
    pub issuer: String,
    served: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    keys: Vec<Json>,
    issuer: String,
    asked: u32,
    is_down: bool,
    slow: Option<Receiver<()>>,
}

impl Provider {
    /// With these public keys.
    pub async fn with(keys: Vec<Json>) -> Self {
        type Shared = State<Arc<Mutex<Served>>>;
        let configuration = async |State(served): Shared| {
            let issuer = lock(&served).issuer.clone();
            axum::Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
        };
        let keys_of = async |State(served): Shared| {
            let slow = {
                let mut served = lock(&served);
                served.asked += 1;
                served.slow.take()
            };
            if let Some(slow) = slow {
                slow.await.unwrap();
            }
            let served = lock(&served);
            if served.is_down {
                Err(StatusCode::SERVICE_UNAVAILABLE)
            } else {
                Ok(axum::Json(json!({"keys": served.keys})))
            }
        };
        let served = Arc::new(Mutex::new(Served { keys, ..Served::default() }));
        let app = Router::new()
            .route("/realms/eo/.well-known/openid-configuration", get(configuration))
            .route("/realms/eo/keys", get(keys_of))
            .with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/eo", listener.local_addr().unwrap());
        lock(&served).issuer.clone_from(&issuer);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { issuer, served }
    }

    /// For the audience `weir`; the claim is `tenants`.
    pub fn settings(&self) -> OidcSettings {
        OidcSettings {
            issuer: self.issuer.clone(),
            audience: "weir".to_owned(),
            tenants_claim: "tenants".to_owned(),
            jwks_url: None,
        }
    }

    /// Good claims, with some of them others; null leaves one out.
    pub fn claims(&self, others: &Json) -> Json {
        let mut claims = json!({"iss": self.issuer, "aud": ["account", "weir"], "exp": now() + 300, "nbf": now() - 5,
            "tenants": ["acme", "other"], "sub": "jane"});
        for (name, value) in others.as_object().unwrap() {
            match value {
                Json::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// From now on it has these keys.
    pub fn set_keys(&self, keys: Vec<Json>) {
        lock(&self.served).keys = keys;
    }

    /// From now on it gives its keys to nobody, or does again.
    pub fn set_down(&self, is_down: bool) {
        lock(&self.served).is_down = is_down;
    }

    /// The next request for its keys is answered when something comes from there.
    pub fn wait_for(&self, slow: Receiver<()>) {
        lock(&self.served).slow = Some(slow);
    }

    /// From now on its configuration names another issuer.
    pub fn claim_to_be(&self, issuer: &str) {
        issuer.clone_into(&mut lock(&self.served).issuer);
    }

    /// Waits until its keys were asked for so many times.
    pub async fn is_asked(&self, times: u32) {
        while self.asked() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> u32 {
        lock(&self.served).asked
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
