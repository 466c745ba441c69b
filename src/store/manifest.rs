//! What an incarnation left behind: a path of its output directory -> the object that holds the file.
//!
//! An outcome names files by incarnation and path; the manifest (`…/att/<incarnation>/manifest.json`) says where they
//! are. It is written once, before the outcome becomes durable, and never changed.

use std::collections::BTreeMap;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use weir_api::limits::LISTING_ENTRIES_MAX;

use crate::blob::Sha256Hex;
use crate::layout::JobKeys;

/// Bytes of a manifest: one entry is a path and less than 200 bytes more, and paths of 400 bytes on average are long.
const BYTES_MAX: u64 = (LISTING_ENTRIES_MAX as u64) * 600;

/// Files and directories by path. Paths are relative to the output directory, `/`-separated, without `.`, `..` or empty
/// parts. A directory with members is not mentioned itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Member>", into = "BTreeMap<String, Member>")]
pub struct Manifest(BTreeMap<String, Member>);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Member {
    /// A file.
    File(Stored),
    /// A directory that holds nothing.
    Empty {},
}

/// A file of the job in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Its object, below the job's root: `att/3/0`. Several paths may have the same one, also one of another incarnation.
    pub object: String,
    /// Digest of its bytes.
    pub sha256: Sha256Hex,
    /// Bytes.
    pub size: u64,
}

/// What a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A file.
    File(&'a Stored),
    /// A directory.
    Directory,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A path that may not stand in it.
    #[error("`{0}` cannot stand in a manifest: relative paths without `.`, `..` or empty parts only")]
    Path(String),
    /// The store failed.
    #[error("cannot {doing} `{key}`: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// There is another one of that incarnation.
    #[error("`{0}` is there already and says something else")]
    Differs(Path),
    /// Too large.
    #[error("`{key}` has {size} bytes; a manifest has at most {BYTES_MAX}")]
    TooLarge {
        /// Which.
        key: Path,
        /// Its bytes.
        size: u64,
    },
    /// Not a manifest.
    #[error("`{key}` is no manifest: {reason}")]
    Unreadable {
        /// Which.
        key: Path,
        /// Why not.
        reason: String,
    },
}

impl ManifestError {
    /// Whether another try can help: the store is at fault, not what is in it.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Store { .. })
    }
}

impl Manifest {
    /// Adds a member; one that stood there is replaced.
    pub fn insert(&mut self, path: &str, member: Member) -> Result<(), ManifestError> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
            return Err(ManifestError::Path(path.to_owned()));
        }
        self.0.insert(path.to_owned(), member);
        Ok(())
    }

    /// How many members are mentioned.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is mentioned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands at a path; the empty path is the output directory itself.
    pub fn look(&self, path: &str) -> Option<Found<'_>> {
        match self.0.get(path) {
            Some(Member::File(stored)) => Some(Found::File(stored)),
            Some(Member::Empty {}) => Some(Found::Directory),
            None if path.is_empty() || self.below(path).next().is_some() => Some(Found::Directory),
            None => None,
        }
    }

    /// Everything mentioned below a directory, at any depth: paths relative to it, sorted.
    pub fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Member)> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let from = self.0.range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded));
        let from: Box<dyn Iterator<Item = _>> = Box::new(from);
        let length = prefix.len();
        from.take_while(move |(path, _)| path.starts_with(&prefix)).map(move |(path, member)| (&path[length..], member))
    }

    /// Names and kinds of the direct members of a directory, sorted.
    pub fn list(&self, directory: &str) -> Vec<(&str, Found<'_>)> {
        let mut names: Vec<(&str, Found<'_>)> = Vec::new();
        for (path, member) in self.below(directory) {
            let (name, found) = match (path.split_once('/'), member) {
                (Some((name, _)), _) => (name, Found::Directory),
                (None, Member::Empty {}) => (path, Found::Directory),
                (None, Member::File(stored)) => (path, Found::File(stored)),
            };
            names.push((name, found));
        }
        // `a-b` sorts before `a/c`, so members of one directory need not follow each other.
        names.sort_by_key(|(name, _)| *name);
        names.dedup_by_key(|(name, _)| *name);
        names
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

/// Writes the manifest of an incarnation unless an equal one is there already.
pub async fn put(
    store: &dyn ObjectStore,
    keys: &JobKeys,
    incarnation: u64,
    manifest: &Manifest,
) -> Result<(), ManifestError> {
    let key = keys.manifest(incarnation);
    let unreadable =
        |error: serde_json::Error| ManifestError::Unreadable { key: key.clone(), reason: error.to_string() };
    let bytes = serde_json::to_vec(manifest).map_err(unreadable)?;
    let size = bytes.len() as u64;
    if size > BYTES_MAX {
        return Err(ManifestError::TooLarge { key, size });
    }
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&key, PutPayload::from(bytes), options).await {
        Ok(_) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            let there = get(store, keys, incarnation).await?;
            if there.as_ref() == Some(manifest) { Ok(()) } else { Err(ManifestError::Differs(key)) }
        }
        Err(source) => Err(ManifestError::Store { doing: "write", key, source }),
    }
}

/// The manifest of an incarnation; `None` if it left none.
pub async fn get(store: &dyn ObjectStore, keys: &JobKeys, incarnation: u64) -> Result<Option<Manifest>, ManifestError> {
    let key = keys.manifest(incarnation);
    let failed = |source| ManifestError::Store { doing: "read", key: key.clone(), source };
    let found = match store.get(&key).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let size = found.meta.size;
    if size > BYTES_MAX {
        return Err(ManifestError::TooLarge { key, size });
    }
    let bytes = found.bytes().await.map_err(failed)?;
    let manifest = serde_json::from_slice(&bytes);
    manifest.map(Some).map_err(|error| ManifestError::Unreadable { key: key.clone(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(object: &str) -> Member {
        Member::File(Stored { object: object.to_owned(), sha256: Sha256Hex::of(b"x"), size: 1 })
    }

    fn manifest(members: &[(&str, Member)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (path, member) in members {
            manifest.insert(path, member.clone()).unwrap();
        }
        manifest
    }

    #[test]
    fn a_manifest_is_read_back_and_cannot_leave_its_directory() {
        let mut manifest = manifest(&[("a/b.tif", file("att/1/0")), ("empty", Member::Empty {})]);
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        for bad in ["../x", "/x", "a//b", "a/./b", ""] {
            assert!(manifest.insert(bad, Member::Empty {}).is_err(), "{bad}");
            let text = format!("{{\"{bad}\": {{}}}}");
            assert!(serde_json::from_str::<Manifest>(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn directories_are_where_members_are() {
        let manifest = manifest(&[
            ("a/c/d", file("1")),
            ("a/e", file("2")),
            ("a-b", file("3")),
            ("z", Member::Empty {}),
            ("ab", file("4")),
        ]);
        let names = |path| manifest.list(path).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(""), ["a", "a-b", "ab", "z"]);
        assert_eq!(names("a"), ["c", "e"]);
        assert_eq!(names("z"), Vec::<&str>::new());
        assert_eq!(manifest.look("a/c"), Some(Found::Directory));
        assert_eq!(manifest.look("z"), Some(Found::Directory));
        assert!(matches!(manifest.look("a-b"), Some(Found::File(_))));
        assert_eq!(manifest.look("a/x"), None);
        assert_eq!(manifest.below("a").map(|(path, _)| path).collect::<Vec<_>>(), ["c/d", "e"]);
    }

    #[tokio::test]
    async fn it_is_written_once_and_an_equal_one_again_changes_nothing() {
        let store = object_store::memory::InMemory::new();
        let keys = JobKeys::new("t".parse().unwrap(), "r".parse().unwrap());
        assert_eq!(get(&store, &keys, 1).await.unwrap(), None);
        let one = manifest(&[("a", file("att/1/0"))]);
        put(&store, &keys, 1, &one).await.unwrap();
        put(&store, &keys, 1, &one).await.unwrap();
        let other = manifest(&[("a", file("att/1/1"))]);
        let error = put(&store, &keys, 1, &other).await.unwrap_err();
        assert!(matches!(error, ManifestError::Differs(_)) && !error.is_temporary(), "{error}");
        assert_eq!(get(&store, &keys, 1).await.unwrap(), Some(one));
    }
}
