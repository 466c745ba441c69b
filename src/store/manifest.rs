//! A Directory in the store: a sorted list of relative paths and what stands there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blob::Sha256Hex;

/// What a directory holds, at any depth. Paths are relative, `/`-separated, without `.`, `..` or empty parts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Member>", into = "BTreeMap<String, Member>")]
pub struct Manifest(BTreeMap<String, Member>);

/// One member of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Member {
    /// A file.
    File {
        /// Digest of its bytes.
        sha256: Sha256Hex,
        /// Bytes.
        size: u64,
    },
    /// A directory that holds nothing.
    Empty {},
}

/// A path that may not stand in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot stand in a directory's manifest: relative paths without `.`, `..` or empty parts only")]
pub struct ManifestError(String);

impl Manifest {
    /// Adds a member; one that stood there is replaced.
    pub fn insert(&mut self, path: &str, member: Member) -> Result<(), ManifestError> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
            return Err(ManifestError(path.to_owned()));
        }
        self.0.insert(path.to_owned(), member);
        Ok(())
    }

    /// The members, sorted by path, bytewise.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.0.iter().map(|(path, member)| (path.as_str(), member))
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let size = |member: &Member| if let Member::File { size, .. } = member { *size } else { 0 };
        self.0.values().map(size).sum()
    }
}

impl From<Manifest> for BTreeMap<String, Member> {
    fn from(manifest: Manifest) -> Self {
        manifest.0
    }
}

impl TryFrom<BTreeMap<String, Member>> for Manifest {
    type Error = ManifestError;

    fn try_from(members: BTreeMap<String, Member>) -> Result<Self, Self::Error> {
        let mut manifest = Self::default();
        for (path, member) in members {
            manifest.insert(&path, member)?;
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_cannot_leave_its_directory() {
        let mut manifest = Manifest::default();
        manifest.insert("a/b.tif", Member::File { sha256: Sha256Hex::of(b"x"), size: 1 }).unwrap();
        manifest.insert("empty", Member::Empty {}).unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        assert_eq!(manifest.size(), 1);
        for bad in ["../x", "/x", "a//b", "a/./b", ""] {
            assert!(manifest.insert(bad, Member::Empty {}).is_err(), "{bad}");
        }
    }
}
