//! Whose tokens the façade asks for: options of `weir serve` and `weir operator`.

use anyhow::Result;
use clap::Args;
use weir_http::auth::OidcSettings;

/// An OpenID Connect provider.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tokens")]
pub struct OidcArgs {
    /// Ask for tokens of this OpenID Connect provider (`https://id.example.org/realms/eo`) [default: whoever reaches the API
    /// may use it in the name of every tenant]
    #[arg(long, value_name = "URL", env = "WEIR_OIDC_ISSUER", requires = "oidc_audience")]
    pub oidc_issuer: Option<String>,
    /// For whom tokens must be issued: what their `aud` is or holds
    #[arg(long, value_name = "NAME", env = "WEIR_OIDC_AUDIENCE", requires = "oidc_issuer")]
    pub oidc_audience: Option<String>,
    /// The claim that names the tenants of a token: a string or an array of strings; below others by a JSON pointer
    /// (`/realm_access/roles`)
    #[arg(long, value_name = "CLAIM", env = "WEIR_OIDC_TENANTS_CLAIM", default_value = "tenants")]
    pub oidc_tenants_claim: String,
    /// Where the provider's keys are [default: where its configuration says]
    #[arg(long, value_name = "URL", env = "WEIR_OIDC_JWKS_URL", requires = "oidc_issuer")]
    pub oidc_jwks_url: Option<String>,
}

impl OidcArgs {
    /// The provider, if there is one.
    pub fn settings(&self) -> Result<Option<OidcSettings>> {
        let Some((issuer, audience)) = self.oidc_issuer.clone().zip(self.oidc_audience.clone()) else {
            return Ok(None);
        };
        let tenants_claim = self.oidc_tenants_claim.clone();
        let settings = OidcSettings { issuer, audience, tenants_claim, jwks_url: self.oidc_jwks_url.clone() };
        settings.check()?;
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        oidc: OidcArgs,
    }

    fn settings(options: &str) -> Result<Option<OidcSettings>> {
        Line::try_parse_from(format!("weir {options}").split_whitespace())?.oidc.settings()
    }

    #[test]
    fn a_provider_needs_an_audience_and_is_checked_before_anything_starts() {
        assert_eq!(settings("").unwrap(), None);
        let whole = settings("--oidc-issuer https://id.example.org --oidc-audience weir").unwrap().unwrap();
        assert_eq!((whole.tenants_claim.as_str(), whole.jwks_url), ("tenants", None));
        for wrong in [
            "--oidc-issuer https://id.example.org",
            "--oidc-audience weir",
            "--oidc-jwks-url https://id.example.org/keys",
            "--oidc-issuer id.example.org --oidc-audience weir",
            "--oidc-issuer https://id.example.org --oidc-audience weir --oidc-jwks-url keys",
        ] {
            assert!(settings(wrong).is_err(), "{wrong}");
        }
    }
}
