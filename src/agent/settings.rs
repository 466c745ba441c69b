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
    /// By which the operator is known (`WEIR_CA`, else `WEIR_CA_FILE`). Only plain HTTP does without.
    pub ca: Option<Pem>,
    /// By which stores and data servers may be known besides the public ones (`WEIR_STORE_CA`, else `WEIR_STORE_CA_FILE`).
    pub store_ca: Option<Pem>,
    /// Where the last words go (`WEIR_TERMINATION_LOG`, default `/dev/termination-log`).
    pub termination_log: PathBuf,
    /// Which incarnation this is (`WEIR_RUN_ID`, `WEIR_INCARNATION`, and from the downward API `WEIR_POD_UID`).
    pub claimant: Claimant,
}

/// Certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself, as it stands in the pod's specification.
    Text(String),
    /// A file with it.
    File(PathBuf),
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
        let pem = |text: &str, file: &str| {
            let text = variable(text).filter(|value| !value.trim().is_empty()).map(Pem::Text);
            text.or_else(|| path(file).map(Pem::File))
        };
        let operator = required("WEIR_OPERATOR_URL")?;
        let ca = pem("WEIR_CA", "WEIR_CA_FILE");
        match operator.split_once("://") {
            Some(("https", _)) if ca.is_none() => return Err(SettingsError::Missing("WEIR_CA")),
            Some(("https", _)) => {}
            Some(("http", _)) if allow_http => {}
            _ => return Err(SettingsError::Operator(operator)),
        }
        let incarnation = required("WEIR_INCARNATION")?;
        Ok(Self {
            folder: path("WEIR_FOLDER").unwrap_or_else(|| "/weir".into()),
            operator: operator.trim_end_matches('/').to_owned(),
            token_file: required("WEIR_TOKEN_FILE")?.into(),
            ca,
            store_ca: pem("WEIR_STORE_CA", "WEIR_STORE_CA_FILE"),
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

    fn read(url: &str, allow_http: bool, more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variable = |name: &str| match name {
            "WEIR_OPERATOR_URL" => Some(url.to_owned()),
            "WEIR_INCARNATION" => Some("7".to_owned()),
            "WEIR_TOKEN_FILE" | "WEIR_RUN_ID" => Some("x".to_owned()),
            "WEIR_POD_UID" => Some("uid".to_owned()),
            _ => more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        };
        Settings::read(variable, allow_http)
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear_unless_a_test_says_so() {
        assert_eq!(read("http://o", false, &[]), Err(SettingsError::Operator("http://o".to_owned())));
        assert!(read("http://o", true, &[]).is_ok());
        let settings = read("https://o/", false, &[("WEIR_CA", "pem")]).unwrap();
        assert_eq!(settings.operator, "https://o");
        assert_eq!(settings.claimant, Claimant { run_id: "x".to_owned(), incarnation: 7, pod_uid: "uid".to_owned() });
        assert_eq!(settings.folder, PathBuf::from("/weir"));
    }

    #[test]
    fn certificates_are_text_or_a_file_and_an_operator_needs_them() {
        assert_eq!(read("https://o", false, &[]), Err(SettingsError::Missing("WEIR_CA")));
        assert_eq!(read("https://o", false, &[("WEIR_CA", "\n")]), Err(SettingsError::Missing("WEIR_CA")));
        let file = ("WEIR_CA_FILE", "/ca.pem");
        assert_eq!(read("https://o", false, &[file]).unwrap().ca, Some(Pem::File("/ca.pem".into())));
        let both = [file, ("WEIR_CA", "pem"), ("WEIR_STORE_CA", "store")];
        let settings = read("https://o", false, &both).unwrap();
        assert_eq!(settings.ca, Some(Pem::Text("pem".to_owned())));
        assert_eq!(settings.store_ca, Some(Pem::Text("store".to_owned())));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Settings::read(|_| None, false).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable WEIR_OPERATOR_URL is not set");
    }
}
