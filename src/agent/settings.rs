//! Where the agent is and whom it works for: environment variables of its container, read once.

use std::path::PathBuf;

use weir_api::agent::Claimant;

/// The agent's surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The shared volume (`WEIR_FOLDER`, default `/weir`).
    pub folder: PathBuf,
    /// Base URL of the operator without a slash at its end (`WEIR_OPERATOR_URL`).
    pub operator: String,
    /// Bearer token, read anew for every request (`WEIR_TOKEN_FILE`).
    pub token_file: PathBuf,
    /// PEM certificates by which the operator is known (`WEIR_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// PEM certificates that stores and data servers may have besides the public ones (`WEIR_STORE_CA_FILE`).
    pub store_ca_file: Option<PathBuf>,
    /// Where the last words go (`WEIR_TERMINATION_LOG`, default `/dev/termination-log`).
    pub termination_log: PathBuf,
    /// Which incarnation this is (`WEIR_RUN_ID`, `WEIR_INCARNATION`, `WEIR_POD_UID`).
    pub claimant: Claimant,
}

/// A setting that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Not a number.
    #[error("the environment variable WEIR_INCARNATION is `{0}`; it must be a number")]
    Incarnation(String),
    /// Not a URL that can be used.
    #[error("the environment variable WEIR_OPERATOR_URL is `{0}`; it must begin with https://")]
    Operator(String),
}

impl Settings {
    /// Reads them by `variable`. `allow_http` is for tests: the token would travel in the clear.
    pub fn read(variable: impl Fn(&str) -> Option<String>, allow_http: bool) -> Result<Self, SettingsError> {
        let required =
            |name: &'static str| variable(name).filter(|value| !value.is_empty()).ok_or(SettingsError::Missing(name));
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let operator = required("WEIR_OPERATOR_URL")?;
        let is_allowed = operator.starts_with("https://") || allow_http && operator.starts_with("http://");
        if !is_allowed {
            return Err(SettingsError::Operator(operator));
        }
        let incarnation = required("WEIR_INCARNATION")?;
        Ok(Self {
            folder: path("WEIR_FOLDER").unwrap_or_else(|| "/weir".into()),
            operator: operator.trim_end_matches('/').to_owned(),
            token_file: required("WEIR_TOKEN_FILE")?.into(),
            ca_file: path("WEIR_CA_FILE"),
            store_ca_file: path("WEIR_STORE_CA_FILE"),
            termination_log: path("WEIR_TERMINATION_LOG").unwrap_or_else(|| "/dev/termination-log".into()),
            claimant: Claimant {
                run_id: required("WEIR_RUN_ID")?,
                incarnation: incarnation.parse().map_err(|_| SettingsError::Incarnation(incarnation))?,
                pod_uid: required("WEIR_POD_UID")?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, allow_http: bool) -> Result<Settings, SettingsError> {
        let variable = |name: &str| match name {
            "WEIR_OPERATOR_URL" => Some(url.to_owned()),
            "WEIR_INCARNATION" => Some("7".to_owned()),
            "WEIR_TOKEN_FILE" | "WEIR_RUN_ID" | "WEIR_POD_UID" => Some("x".to_owned()),
            _ => None,
        };
        Settings::read(variable, allow_http)
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear_unless_a_test_says_so() {
        assert_eq!(read("http://o", false), Err(SettingsError::Operator("http://o".to_owned())));
        assert!(read("http://o", true).is_ok());
        let settings = read("https://o/", false).unwrap();
        assert_eq!(settings.operator, "https://o");
        assert_eq!(settings.claimant.incarnation, 7);
        assert_eq!(settings.folder, PathBuf::from("/weir"));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Settings::read(|_| None, false).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable WEIR_OPERATOR_URL is not set");
    }
}
