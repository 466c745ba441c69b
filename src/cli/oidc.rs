//! The OpenID Connect provider of the façade, in the same words for `weir operator` and `weir serve`.

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use weir_http::auth::OidcSettings;

/// The OpenID Connect provider whose tokens requests to the façade need.
#[derive(Debug, Args)]
pub struct OidcArgs {
    /// OpenID Connect provider whose tokens requests to the façade need: the `iss` of its tokens [default: none; nobody has to
    /// say who he is]
    #[arg(long = "oidc-issuer", value_name = "URL", env = "WEIR_OIDC_ISSUER")]
    pub issuer: Option<String>,
    /// What `aud` of the tokens must be or hold
    #[arg(long = "oidc-audience", value_name = "NAME", env = "WEIR_OIDC_AUDIENCE")]
    pub audience: Option<String>,
    /// The claim that names tenants: a string or an array of strings; a JSON pointer, if it begins with `/`
    #[arg(
        long = "oidc-tenants-claim",
        value_name = "CLAIM",
        env = "WEIR_OIDC_TENANTS_CLAIM",
        default_value = "tenants"
    )]
    pub tenants_claim: String,
    /// Where the provider's keys are [default: as its configuration says]
    #[arg(long = "oidc-jwks-url", value_name = "URL", env = "WEIR_OIDC_JWKS_URL")]
    pub jwks_url: Option<String>,
}

impl OidcArgs {
    /// The provider, if there is one.
    pub fn provider(&self) -> Result<Option<OidcSettings>> {
        // A variable that is set to nothing says nothing.
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let Some(issuer) = stated(&self.issuer) else {
            ensure!(
                stated(&self.audience).is_none() && stated(&self.jwks_url).is_none(),
                "--oidc-audience and --oidc-jwks-url need --oidc-issuer: without it nobody has to say who he is"
            );
            return Ok(None);
        };
        let audience = stated(&self.audience);
        let audience =
            audience.context("--oidc-issuer needs --oidc-audience: tokens for others must not open this API")?;
        let jwks_url = stated(&self.jwks_url).map(|url| url.trim_end_matches('/').to_owned());
        let settings = OidcSettings { issuer, audience, tenants_claim: self.tenants_claim.clone(), jwks_url };
        settings.fetch_settings().context("--oidc-issuer, --oidc-jwks-url")?;
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(issuer: &str, audience: &str) -> OidcArgs {
        let given = |text: &str| Some(text.to_owned());
        OidcArgs { issuer: given(issuer), audience: given(audience), tenants_claim: "tenants".into(), jwks_url: None }
    }

    #[test]
    fn a_provider_is_stated_whole_or_not_at_all() {
        assert_eq!(args("", "").provider().unwrap(), None);
        assert_eq!(args("https://id.example", "weir").provider().unwrap().unwrap().audience, "weir");
        let refused = |issuer, audience| args(issuer, audience).provider().unwrap_err().to_string();
        insta::assert_snapshot!(refused("https://id.example", ""), @"--oidc-issuer needs --oidc-audience: tokens for others must not open this API");
        insta::assert_snapshot!(refused("", "weir"), @"--oidc-audience and --oidc-jwks-url need --oidc-issuer: without it nobody has to say who he is");
        insta::assert_snapshot!(refused("id.example", "weir"), @"--oidc-issuer, --oidc-jwks-url");
    }
}
