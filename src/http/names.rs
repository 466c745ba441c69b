//! Names in URLs, validated once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a process id at most.
pub const PROCESS_ID_LENGTH_MAX: usize = 253;

/// What a tenant's name consists of.
pub const TENANT_RULE: &str = "at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit";

/// A name that is not allowed, with the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not {rule}")]
pub struct NameError {
    name: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(name) {
                    return Ok(Self(name.to_owned()));
                }
                let name = name.chars().take(100).collect();
                Err(NameError { name, rule: $rule })
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A tenant: a DNS label (RFC 1123).
    Tenant,
    "a tenant: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
    |name| is_dns(name, 63) && !name.contains('.')
);

name!(
    /// The id of a process: also one that is no name for Kubernetes.
    ProcessId,
    "an id of a process: at most 253 letters, digits, `_`, `-`, `.` and `:`, beginning with a letter or digit",
    |name| {
        let mut bytes = name.bytes();
        name.len() <= PROCESS_ID_LENGTH_MAX
            && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
    }
);

name!(
    /// The id of a job: a name in Kubernetes, a UUID when created over HTTP.
    JobId,
    "an id of a job: at most 253 of a-z, 0-9, - and ., beginning and ending with a letter or digit",
    |name| is_dns(name, 253)
);

fn is_dns(name: &str, length_max: usize) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (first, last) = (name.bytes().next(), name.bytes().last());
    name.len() <= length_max
        && first.is_some_and(is_inner)
        && last.is_some_and(is_inner)
        && name.bytes().all(|byte| is_inner(byte) || byte == b'-' || byte == b'.')
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", "a%2fb", "A", "-a", "a-", "a..b", "a.b", "ä", "a\0"] {
            assert!(name.parse::<Tenant>().is_err(), "{name:?}");
        }
        for name in ["", ".", "..", "a/b", "a b", "-a", "a;b", "a,b", "$q$", "a\\b", "ä"] {
            assert!(name.parse::<ProcessId>().is_err(), "{name:?}");
        }
        for name in ["", "..", "a/b", "A", ".a", "a..b"] {
            assert!(name.parse::<JobId>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn usual_names_are_accepted() {
        assert!("acme".parse::<Tenant>().is_ok());
        assert!("water_bodies.v1:Main".parse::<ProcessId>().is_ok());
        assert!("50d10714-8ca6-4ed1-91e1-8e37d5888ec7".parse::<JobId>().is_ok());
    }
}
