//! Who may do what: key pairs with their scopes, read from a file that may change while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

/// Bytes of a credentials file at most.
const FILE_BYTES: u64 = 1024 * 1024;

/// One key pair.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPair {
    /// The public half, `AWS_ACCESS_KEY_ID` of a client.
    pub access_key: String,
    /// The secret half, `AWS_SECRET_ACCESS_KEY` of a client.
    pub secret_key: String,
    /// What it allows.
    #[serde(default)]
    pub access: Access,
    /// Limits it to one bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Limits it to keys that begin with this; needs `bucket`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Limits it to what lies below the `<id>/` of results that belong to this tenant ([`crate::OWNER_MARKER`]); needs
    /// `bucket` and [`Access::ReadOnly`].
    #[serde(default)]
    pub owner: Option<String>,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What a key pair allows within its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Everything.
    #[default]
    ReadWrite,
    /// GET, HEAD and listing.
    ReadOnly,
}

/// The file: `{"keys": [{"accessKey": …, "secretKey": …, "access": "readOnly", "bucket": …, "prefix": …,
/// "owner": …}]}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<KeyPair>,
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read the credentials in `{path}`: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// The file does not say what it must.
    #[error("the credentials in `{path}` are not usable: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any secret.
        reason: String,
    },
    /// A key pair is not usable.
    #[error("the key pair `{access_key}` is not usable: {reason}")]
    KeyPair {
        /// Its public half.
        access_key: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The key pairs that are valid now.
#[derive(Debug, Clone)]
pub struct Credentials {
    file: Option<PathBuf>,
    /// Valid whatever the file says.
    fixed: Vec<KeyPair>,
    state: Arc<RwLock<State>>,
}

#[derive(Debug)]
struct State {
    text: Vec<u8>,
    keys: Vec<KeyPair>,
}

impl Credentials {
    /// Key pairs that never change.
    pub fn fixed(keys: Vec<KeyPair>) -> Result<Self, CredentialsError> {
        keys.iter().try_for_each(check)?;
        Ok(Self { file: None, fixed: keys, state: Arc::new(RwLock::new(State { text: Vec::new(), keys: Vec::new() })) })
    }

    /// Key pairs of a file.
    pub fn file(path: &Path) -> Result<Self, CredentialsError> {
        let text = read(path)?;
        let keys = parse(path, &text)?;
        let state = Arc::new(RwLock::new(State { text, keys }));
        Ok(Self { file: Some(path.to_owned()), fixed: Vec::new(), state })
    }

    /// Another key pair, which the file cannot take away.
    pub fn and(mut self, pair: KeyPair) -> Result<Self, CredentialsError> {
        check(&pair)?;
        self.fixed.push(pair);
        Ok(self)
    }

    /// Reads the file again; says whether it has changed. After an error the old key pairs stay valid.
    pub fn reload(&self) -> Result<bool, CredentialsError> {
        let Some(path) = &self.file else { return Ok(false) };
        let text = read(path)?;
        if self.state.read().unwrap_or_else(PoisonError::into_inner).text == text {
            return Ok(false);
        }
        let keys = parse(path, &text);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Also when it is wrong: said once, not at every look.
        state.text = text;
        state.keys = keys?;
        Ok(true)
    }

    /// The key pair with this public half.
    pub fn find(&self, access_key: &str) -> Option<KeyPair> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        self.fixed.iter().chain(&state.keys).find(|pair| pair.access_key == access_key).cloned()
    }
}

impl KeyPair {
    /// A pair that may do everything.
    pub fn unlimited(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            access: Access::ReadWrite,
            bucket: None,
            prefix: None,
            owner: None,
        }
    }

    /// Whether its scope holds the object `key` of `bucket`.
    pub fn covers_key(&self, bucket: &str, key: &str) -> bool {
        self.covers_bucket(bucket) && self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Whether its scope holds `bucket` or a part of it.
    pub fn covers_bucket(&self, bucket: &str) -> bool {
        self.bucket.as_ref().is_none_or(|own| own == bucket)
    }

    /// Whether its scope has no limits.
    pub fn covers_all(&self) -> bool {
        self.bucket.is_none() && self.prefix.is_none() && self.owner.is_none()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let failed = |reason| CredentialsError::Read { path: path.to_owned(), reason };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
        let reason = format!("it has more than {FILE_BYTES} bytes");
        return Err(CredentialsError::Invalid { path: path.to_owned(), reason });
    }
    std::fs::read(path).map_err(failed)
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<KeyPair>, CredentialsError> {
    let invalid = |reason: String| CredentialsError::Invalid { path: path.to_owned(), reason };
    let document: Document = serde_json::from_slice(text).map_err(|error| invalid(error.to_string()))?;
    if document.keys.is_empty() {
        return Err(invalid("`keys` is empty".to_owned()));
    }
    for (index, pair) in document.keys.iter().enumerate() {
        check(pair).map_err(|error| invalid(error.to_string()))?;
        if document.keys[..index].iter().any(|other| other.access_key == pair.access_key) {
            return Err(invalid(format!("`{}` stands in it twice", pair.access_key)));
        }
    }
    Ok(document.keys)
}

fn check(pair: &KeyPair) -> Result<(), CredentialsError> {
    let reason = if pair.access_key.is_empty() || pair.access_key.contains(['/', ',', ' ']) {
        "the access key must not be empty nor hold `/`, `,` or a space"
    } else if pair.secret_key.len() < 8 {
        "the secret key must have 8 characters at least"
    } else if pair.prefix.is_some() && pair.bucket.is_none() {
        "a `prefix` needs a `bucket`"
    } else if pair.owner.is_some() && (pair.bucket.is_none() || pair.access != Access::ReadOnly) {
        "an `owner` needs a `bucket` and `\"access\": \"readOnly\"`"
    } else if pair.owner.as_ref().is_some_and(|owner| owner.parse::<crate::Tenant>().is_err()) {
        "an `owner` is the name of a tenant"
    } else {
        return Ok(());
    };
    Err(CredentialsError::KeyPair { access_key: pair.access_key.clone(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"keys": [{"accessKey": "a", "secretKey": "12345678"}]}"#).unwrap();
        let credentials = Credentials::file(file.path()).unwrap();
        assert!(!credentials.reload().unwrap());
        std::fs::write(file.path(), r#"{"keys": [{"accessKey": "b", "secretKey": "12345678"}]}"#).unwrap();
        assert!(credentials.reload().unwrap());
        assert!(credentials.find("a").is_none());
        let writer = r#"{"keys": [{"accessKey": "b", "secretKey": "12345678", "bucket": "results", "owner": "acme"}]}"#;
        for broken in [r#"{"keys": []}"#, "x", r#"{"keys": [{"accessKey": "b", "secretKey": "short"}]}"#, writer] {
            std::fs::write(file.path(), broken).unwrap();
            assert!(credentials.reload().is_err(), "{broken}");
            assert!(credentials.find("b").is_some());
        }
    }

    #[test]
    fn a_pair_beside_the_file_is_there_whatever_the_file_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let limited =
            r#"{"keys": [{"accessKey": "KEY", "secretKey": "12345678", "access": "readOnly", "bucket": "results"}]}"#;
        std::fs::write(file.path(), limited.replace("KEY", "reader")).unwrap();
        let own = KeyPair::unlimited("own", "87654321");
        let credentials = Credentials::file(file.path()).unwrap().and(own).unwrap();
        assert_eq!(credentials.find("reader").unwrap().access, Access::ReadOnly);
        // A pair of the same name in the file does not weaken it.
        std::fs::write(file.path(), limited.replace("KEY", "own")).unwrap();
        assert!(credentials.reload().unwrap());
        assert!(credentials.find("reader").is_none());
        assert!(credentials.find("own").unwrap().covers_all());
    }

    #[test]
    fn a_message_holds_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"keys": [{"accessKey": "a", "secretKey": "hunter2"}]}"#).unwrap();
        let error = Credentials::file(file.path()).unwrap_err().to_string();
        assert!(error.contains("`a`") && !error.contains("hunter2"), "{error}");
    }
}
