//! Who may ask: bearer tokens of an OpenID Connect provider (RFC 6750, RFC 7519; OpenID Connect Core 1.0, §3.1.3.7).
//!
//! Optional. With it, every request of a tenant needs a token that names the tenant: 401 without one, 403 with one for
//! others. Whether there is such a tenant is not told to either.

pub mod claims;
pub mod keys;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value as Json, json};
use weir_fetch::FetchSettings;

use crate::fetcher::Fetcher;
use crate::limits::{TOKEN_BYTES, TOKEN_LEEWAY};
use crate::names::Tenant;
use crate::problem::Problem;
use keys::{Keys, KeysError};

/// Signatures that are accepted: those that every provider has.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// Name of the scheme in the API's definition.
pub const SECURITY_SCHEME: &str = "bearer";

/// A provider and what is asked of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// `iss` of tokens, and where the provider's configuration is found, if [`Self::jwks_url`] is not stated.
    pub issuer: String,
    /// What `aud` of tokens must be or hold.
    pub audience: String,
    /// The claim that names tenants: a string or an array of strings. A JSON pointer, if it begins with `/`
    /// (`/realm_access/roles`).
    pub tenants_claim: String,
    /// Where the provider's keys are; `None`: as its configuration says.
    pub jwks_url: Option<String>,
}

/// Settings of a provider that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// No http or https URL.
    #[error("`{0}` is no URL of an OpenID Connect provider; write one like https://id.example.org/realms/eo")]
    Url(String),
    /// Nothing where something must be.
    #[error("the {0} of the OpenID Connect provider is not stated")]
    Missing(&'static str),
}

impl OidcSettings {
    /// What a guarded client for the provider's keys may reach: hosts that the operator names, wherever they are.
    pub fn fetch_settings(&self) -> Result<FetchSettings, OidcError> {
        let urls = [Some(&self.issuer), self.jwks_url.as_ref()];
        let hosts: Result<Vec<String>, OidcError> = urls.into_iter().flatten().map(|url| host(url)).collect();
        Ok(FetchSettings { allowed: hosts? })
    }
}

/// Looks at the tokens of requests.
pub struct Bearer {
    settings: OidcSettings,
    validation: Validation,
    keys: Keys,
}

impl Bearer {
    /// Of a provider; its keys come through the fetcher, the first time that they are needed.
    pub fn new(settings: OidcSettings, fetcher: Arc<dyn Fetcher>) -> Result<Self, OidcError> {
        settings.fetch_settings()?;
        for (text, what) in [(&settings.audience, "audience"), (&settings.tenants_claim, "claim that names tenants")] {
            if text.is_empty() {
                return Err(OidcError::Missing(what));
            }
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = ALGORITHMS.to_vec();
        validation.leeway = TOKEN_LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        let keys = Keys::new(fetcher, settings.issuer.clone(), settings.jwks_url.clone());
        Ok(Self { settings, validation, keys })
    }

    /// Lets a request pass whose token is valid and names the tenant.
    pub async fn admit(&self, headers: &HeaderMap, tenant: &Tenant) -> Result<(), Problem> {
        let claims = self.claims(token(headers)?).await?;
        let named = claims::tenants(&claims, &self.settings.tenants_claim);
        if named.contains(&tenant.as_str()) {
            return Ok(());
        }
        let detail =
            format!("the token does not name the tenant `{tenant}` in its claim `{}`", self.settings.tenants_claim);
        Err(challenged(Problem::forbidden(detail), Some("insufficient_scope")))
    }

    async fn claims(&self, token: &str) -> Result<Map<String, Json>, Problem> {
        let header = decode_header(token).map_err(|error| invalid(&format!("it cannot be read: {error}")))?;
        let kid = acceptable(&header)?;
        let candidates = self.keys.candidates(kid, header.alg).await.map_err(|error| match error {
            KeysError::Unknown => invalid("the provider has no key that it is signed with"),
            KeysError::Unavailable(reason) => {
                Problem::unavailable(format!("the keys of the OpenID Connect provider cannot be had: {reason}"))
            }
        })?;
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let mut refusal = None;
        for key in &candidates {
            match decode::<Map<String, Json>>(token, key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => refusal = Some(self.reason(error.kind())),
            }
        }
        Err(invalid(refusal.as_deref().unwrap_or("the provider has no key that it is signed with")))
    }

    fn reason(&self, kind: &ErrorKind) -> String {
        match kind {
            ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
            ErrorKind::ExpiredSignature => "it has expired".to_owned(),
            ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
            ErrorKind::InvalidIssuer => format!("its iss is not `{}`", self.settings.issuer),
            ErrorKind::InvalidAudience => format!("its aud is not `{}`", self.settings.audience),
            ErrorKind::MissingRequiredClaim(claim) => format!("it has no {claim}"),
            other => format!("{other:?}"),
        }
    }

    /// The scheme in the API's definition (OpenAPI 3.0.3, "Security Scheme Object"), by the name [`SECURITY_SCHEME`].
    pub fn security_scheme(&self) -> Json {
        let OidcSettings { issuer, audience, tenants_claim, .. } = &self.settings;
        json!({
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": format!(
                "A token of the OpenID Connect provider {issuer} for the audience `{audience}`, signed with RS256 or ES256. \
                 Its claim `{tenants_claim}` names the tenants that it is good for."
            ),
        })
    }
}

/// The token of `Authorization: Bearer …`.
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        // RFC 6750, §3.1: no error code where there are no credentials.
        return Err(challenged(Problem::unauthorized("send a token: `Authorization: Bearer …`"), None));
    };
    let (scheme, token) = authorization.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    match token.trim() {
        token if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES => Ok(token),
        token if token.len() > TOKEN_BYTES => Err(invalid(&format!("it has more than {TOKEN_BYTES} bytes"))),
        _ => Err(invalid("send it as `Authorization: Bearer …`")),
    }
}

/// The `kid` of a token that may be looked at.
fn acceptable(header: &Header) -> Result<Option<&str>, Problem> {
    if !ALGORITHMS.contains(&header.alg) {
        return Err(invalid(&format!("it is signed with {:?}; RS256 and ES256 are accepted", header.alg)));
    }
    Ok(header.kid.as_deref())
}

fn invalid(reason: &str) -> Problem {
    challenged(Problem::unauthorized(format!("the token is not accepted: {reason}")), Some("invalid_token"))
}

/// With what RFC 6750, §3 wants in `WWW-Authenticate`.
fn challenged(mut problem: Problem, error: Option<&str>) -> Problem {
    let challenge = match error {
        Some(error) => format!("Bearer realm=\"weir\", error=\"{error}\""),
        None => "Bearer realm=\"weir\"".to_owned(),
    };
    problem.headers.retain(|(name, _)| *name != WWW_AUTHENTICATE);
    problem.headers.extend(HeaderValue::from_str(&challenge).ok().map(|challenge| (WWW_AUTHENTICATE, challenge)));
    problem
}

/// Host of an http or https URL.
fn host(url: &str) -> Result<String, OidcError> {
    let uri: axum::http::Uri = url.parse().map_err(|_| OidcError::Url(url.to_owned()))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) => Ok(host.trim_matches(['[', ']']).to_owned()),
        _ => Err(OidcError::Url(url.to_owned())),
    }
}

#[cfg(test)]
mod tests;
