//! Where results go: a folder of this machine or a bucket, by the same keys.

use crate::output::{self, OutputError, OutputFile};
use crate::source::http::{self, Content};
use crate::source::s3::{self, Store};
use crate::source::{DownloadError, Location, SourceError};
use std::io;
use std::path::{Path, PathBuf};

/// A place for results.
pub enum Destination {
    /// Keys are paths below this folder (absolute).
    Folder(PathBuf),
    /// Keys are object keys behind `prefix` (empty or ending in `/`).
    Bucket {
        /// The store.
        store: Store,
        /// The bucket.
        bucket: String,
        /// What all keys start with.
        prefix: String,
    },
    /// A folder whose content somebody else will copy to a bucket: written here, without credentials, and spoken of as
    /// if it were there.
    Layout {
        /// Keys are paths below this folder.
        folder: PathBuf,
        /// `s3://bucket/` and what all keys start with there; ends in `/`.
        base: String,
    },
}

impl Destination {
    /// Reads `s3://bucket[/prefix]`, `file:///folder` or a path.
    pub fn parse(address: &str) -> Result<Self, SourceError> {
        if let Some(rest) = address.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return Self::bucket(bucket, prefix);
        }
        match Location::parse(address)? {
            Location::Path(path) => {
                let absolute = std::path::absolute(&path)
                    .map_err(|source| SourceError::File { location: address.to_owned(), source })?;
                Ok(Self::Folder(absolute))
            }
            _ => Err(SourceError::Address {
                address: address.to_owned(),
                reason: "results go to a folder or to s3://bucket/prefix".into(),
            }),
        }
    }

    /// Lays out in `folder` what will be at `address`: `s3://bucket[/prefix]`.
    pub fn layout(address: &str, folder: &Path) -> Result<Self, SourceError> {
        let wrong = || SourceError::Address {
            address: address.to_owned(),
            reason: "what is laid out goes to s3://bucket[/prefix]".into(),
        };
        let place = address.strip_prefix("s3://").map(|rest| rest.trim_matches('/')).ok_or_else(wrong)?;
        if place.is_empty() {
            return Err(wrong());
        }
        let folder = std::path::absolute(folder)
            .map_err(|source| SourceError::File { location: folder.display().to_string(), source })?;
        Ok(Self::Layout { folder, base: format!("s3://{place}/") })
    }

    /// A bucket of the store that the environment names.
    pub fn bucket(bucket: &str, prefix: &str) -> Result<Self, SourceError> {
        if bucket.is_empty() {
            return Err(SourceError::Address {
                address: "s3://".into(),
                reason: "expected s3://bucket[/prefix]".into(),
            });
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::Bucket { store: Store::from_env()?, bucket: bucket.into(), prefix })
    }

    /// The absolute URL of a key.
    pub fn url(&self, key: &str) -> String {
        match self {
            Self::Folder(root) => format!("file://{}", s3::encode(&root.join(key).to_string_lossy(), true)),
            Self::Bucket { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}{key}"),
            Self::Layout { base, .. } => format!("{base}{key}"),
        }
    }

    /// How the document at key `from` refers to key `to`: absolute in a bucket, relative in a folder,
    /// so that the folder can be moved.
    pub fn href(&self, from: &str, to: &str) -> String {
        match self {
            Self::Bucket { .. } | Self::Layout { .. } => self.url(to),
            Self::Folder(_) => relative(from, to),
        }
    }

    /// Stores bytes under a key.
    pub fn put(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<(), DownloadError> {
        match self {
            Self::Folder(root) | Self::Layout { folder: root, .. } => {
                let path = root.join(key);
                output::create_dir(path.parent().unwrap_or(root))?;
                output::write(&path, bytes)?;
            }
            Self::Bucket { store, bucket, .. } => {
                http::put(&store.url(bucket, &self.object(key)), store, &Content::Bytes(bytes), content_type, false)?;
            }
        }
        Ok(())
    }

    /// Stores a file under a key.
    pub fn put_file(&self, key: &str, file: &Path, content_type: &str) -> Result<(), DownloadError> {
        match self {
            Self::Folder(root) | Self::Layout { folder: root, .. } => {
                let path = root.join(key);
                output::create_dir(path.parent().unwrap_or(root))?;
                let mut out = OutputFile::create(&path)?;
                crate::source::download(&Location::Path(file.to_owned()), &mut out)?;
                out.commit()?;
            }
            Self::Bucket { store, bucket, .. } => {
                http::put(&store.url(bucket, &self.object(key)), store, &Content::File(file), content_type, false)?;
            }
        }
        Ok(())
    }

    /// Stores `token` under a key unless the key is taken; gives the token that is there now. What is only laid out is
    /// claimed by whoever copies it.
    pub fn claim(&self, key: &str, token: &str) -> Result<String, DownloadError> {
        match self {
            Self::Layout { .. } => Ok(token.to_owned()),
            Self::Folder(root) => claim_file(&root.join(key), token).map_err(Into::into),
            Self::Bucket { store, bucket, .. } => {
                let url = store.url(bucket, &self.object(key));
                if let Some(there) = http::get_if_exists(&url, store)? {
                    return Ok(there);
                }
                let created = http::put(&url, store, &Content::Bytes(token.as_bytes()), "text/plain", true)?;
                // A store that does not know conditions lets the last writer win: look who that was.
                let there = http::get_if_exists(&url, store)?;
                Ok(there.unwrap_or_else(|| if created { token.to_owned() } else { "unknown".into() }))
            }
        }
    }

    fn object(&self, key: &str) -> String {
        match self {
            Self::Folder(_) | Self::Layout { .. } => key.to_owned(),
            Self::Bucket { prefix, .. } => format!("{prefix}{key}"),
        }
    }
}

/// Characters of a token in the name of its draft: names of files have 255 bytes at most.
const DRAFT_NAME_MAX: usize = 200;

/// Creates a file with its content at once (a link of a complete one), unless it exists.
fn claim_file(path: &Path, token: &str) -> Result<String, OutputError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    output::create_dir(folder)?;
    // Who claims again after it was killed half way takes up its own draft, and removes it.
    let name: String = token
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(DRAFT_NAME_MAX)
        .collect();
    let draft = folder.join(format!(".owner-{name}"));
    let linked = std::fs::write(&draft, token).and_then(|()| std::fs::hard_link(&draft, path));
    // Whether it was linked or not, the draft has done its service.
    let _ = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => Ok(token.to_owned()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::read_to_string(path).map_err(OutputError::at(path))
        }
        Err(e) => Err(OutputError::at(path)(e)),
    }
}

/// The relative reference from one key to another.
fn relative(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let folders = from.len() - 1;
    let shared = from[..folders].iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(folders - shared);
    format!("{}{}", if up.is_empty() { "./" } else { &up }, to[shared..].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_between_keys_are_relative() {
        assert_eq!(relative("j/catalog.json", "j/j/collection.json"), "./j/collection.json");
        assert_eq!(relative("j/j/i/i.json", "j/catalog.json"), "../../catalog.json");
        assert_eq!(relative("j/j/i/i.json", "j/j/i/otsu.tif"), "./otsu.tif");
        assert_eq!(relative("j/j/collection.json", "j/j/i/i.json"), "./i/i.json");
    }

    #[test]
    fn the_first_owner_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = Destination::Folder(dir.path().to_owned());
        assert_eq!(place.claim("j/.weir-owner", "a").unwrap(), "a");
        assert_eq!(place.claim("j/.weir-owner", "b").unwrap(), "a");
        assert_eq!(std::fs::read_dir(dir.path().join("j")).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_claim_that_was_killed_half_way_leaves_no_draft_once_it_is_made_again() {
        for is_linked in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (draft, marker) = (dir.path().join(".owner-tenant_run-1"), dir.path().join(".weir-owner"));
            std::fs::write(&draft, if is_linked { "tenant/run-1" } else { "ten" }).unwrap();
            if is_linked {
                std::fs::hard_link(&draft, &marker).unwrap();
            }
            let place = Destination::Folder(dir.path().to_owned());
            assert_eq!(place.claim(".weir-owner", "tenant/run-1").unwrap(), "tenant/run-1");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_bucket_needs_a_name() {
        assert!(Destination::parse("s3://").is_err());
        assert!(Destination::parse("https://h/x").is_err());
        for wrong in ["s3://", "folder", "https://h/x"] {
            assert!(Destination::layout(wrong, Path::new(".")).is_err(), "{wrong}");
        }
    }
}
