//! Listing in the byte order of the keys: a walk over folders that enters only those that can hold an answer.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::disk::{Disk, DiskError, io_error};
use super::key::{self, Kind, Piece};
use super::object::{Attributes, Object};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Keys begin with this.
    pub prefix: String,
    /// Keys that share what stands before its next occurrence after the prefix are shown as one common prefix. Not empty.
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: After,
    /// Objects and common prefixes at most.
    pub limit: usize,
}

/// Where a listing begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum After {
    /// With the first key.
    #[default]
    Nothing,
    /// Behind this key.
    Key(String),
    /// Behind all keys with this prefix.
    Prefix(String),
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// What is known of it.
        attributes: Attributes,
    },
    /// A common prefix; ends with the delimiter.
    Prefix(String),
}

impl Entry {
    /// Where the listing goes on behind this entry.
    pub fn after(&self) -> After {
        match self {
            Self::Object { key, .. } => After::Key(key.clone()),
            Self::Prefix(prefix) => After::Prefix(prefix.clone()),
        }
    }
}

impl After {
    /// An opaque word for a continuation token.
    pub fn token(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Key(key) => hex::encode(format!("k{key}")),
            Self::Prefix(prefix) => hex::encode(format!("p{prefix}")),
        }
    }

    /// Reads a token; `None` if this store never made it.
    pub fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
        let (kind, rest) = text.split_at_checked(1)?;
        match kind {
            "k" => Some(Self::Key(rest.to_owned())),
            "p" => Some(Self::Prefix(rest.to_owned())),
            _ => None,
        }
    }
}

impl Disk {
    /// Lists objects of a bucket in byte order, and says whether there are more.
    pub fn list(&self, bucket: &str, listing: &Listing) -> Result<(Vec<Entry>, bool), DiskError> {
        self.check_bucket(bucket)?;
        if listing.prefix.len() > key::BYTES {
            return Ok((Vec::new(), false));
        }
        let (after, skip) = match &listing.after {
            After::Nothing => (None, None),
            After::Key(key) => (Some(key.clone().into_bytes()), None),
            After::Prefix(prefix) => (Some(prefix.clone().into_bytes()), Some(prefix.clone().into_bytes())),
        };
        let mut walk = Walk { prefix: listing.prefix.as_bytes(), after, skip, levels: Vec::new() };
        let mut entries = Vec::new();
        walk.enter(self.bucket_path(bucket), Vec::new()).map_err(io_error("list a bucket"))?;
        while let Some((key, path)) = walk.next().map_err(io_error("list a bucket"))? {
            let common = listing.delimiter.as_ref().and_then(|delimiter| {
                let rest = key.get(listing.prefix.len()..)?;
                rest.find(delimiter.as_str()).map(|at| key[..listing.prefix.len() + at + delimiter.len()].to_owned())
            });
            let entry = if let Some(prefix) = common {
                walk.skip = Some(prefix.clone().into_bytes());
                Entry::Prefix(prefix)
            } else {
                match Object::open(&path) {
                    Ok(object) => Entry::Object { key, attributes: object.attributes },
                    // Deleted since its folder was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    // One bad object harms only itself: it is listed, can be overwritten and removed, and not read.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        tracing::error!(%error, "an object is damaged");
                        Entry::Object { key, attributes: Attributes::default() }
                    }
                    Err(error) => return Err(io_error("list an object")(error)),
                }
            };
            if entries.len() == listing.limit {
                return Ok((entries, true));
            }
            entries.push(entry);
        }
        Ok((entries, false))
    }
}

/// A depth-first walk.
struct Walk<'a> {
    prefix: &'a [u8],
    /// Only keys behind this one.
    after: Option<Vec<u8>>,
    /// No keys that begin with this.
    skip: Option<Vec<u8>>,
    levels: Vec<Level>,
}

/// A folder on the way: its entries that are still to come, the last one first.
struct Level {
    path: PathBuf,
    /// What keys below it begin with.
    begin: Vec<u8>,
    entries: Vec<Piece>,
}

impl Walk<'_> {
    /// The next key and its file.
    fn next(&mut self) -> io::Result<Option<(String, PathBuf)>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(piece) = level.entries.pop() else {
                self.levels.pop();
                continue;
            };
            let mut begin = level.begin.clone();
            begin.extend(piece.order());
            let path = level.path.join(piece.name());
            if !wanted(self.prefix, self.after.as_deref(), self.skip.as_deref(), &begin, piece.kind) {
                continue;
            }
            if piece.kind == Kind::Object {
                // A name that holds no UTF-8 is not one of ours.
                if let Ok(key) = String::from_utf8(begin) {
                    return Ok(Some((key, path)));
                }
            } else {
                self.enter(path, begin)?;
            }
        }
        Ok(None)
    }

    /// Reads a folder; one that is gone is empty.
    fn enter(&mut self, path: PathBuf, begin: Vec<u8>) -> io::Result<()> {
        let mut entries = Vec::new();
        let ahead = self.prefix.get(begin.len()..).unwrap_or_default();
        if let (piece, Some(_)) = Piece::first(ahead) {
            // The prefix names the only entry that can hold an answer.
            entries.push(piece);
        } else {
            let folder = match fs::read_dir(&path) {
                Ok(folder) => folder,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut keyed = Vec::new();
            for entry in folder {
                let Some(piece) = entry?.file_name().to_str().and_then(Piece::parse) else { continue };
                let mut full = begin.clone();
                full.extend(piece.order());
                if wanted(self.prefix, self.after.as_deref(), self.skip.as_deref(), &full, piece.kind) {
                    keyed.push((full, piece));
                }
            }
            keyed.sort_unstable_by(|one, other| other.0.cmp(&one.0));
            entries.extend(keyed.into_iter().map(|(_, piece)| piece));
        }
        self.levels.push(Level { path, begin, entries });
        Ok(())
    }
}

/// Whether an entry is, or can hold, a key that is asked for. `begin`: the key, or what keys below begin with.
fn wanted(prefix: &[u8], after: Option<&[u8]>, skip: Option<&[u8]>, begin: &[u8], kind: Kind) -> bool {
    if skip.is_some_and(|skip| begin.starts_with(skip)) {
        return false;
    }
    if kind == Kind::Object {
        return begin.starts_with(prefix) && after.is_none_or(|after| begin > after);
    }
    let inside = begin.starts_with(prefix) || prefix.starts_with(begin);
    inside && after.is_none_or(|after| begin > after || after.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::disk::Condition;
    use super::*;

    fn put(disk: &Disk, key: &str) {
        let mut draft = disk.draft(s3s::checksum::ChecksumHasher::default()).unwrap();
        draft.write(key.as_bytes()).unwrap();
        let attributes = Attributes { size: key.len() as u64, ..Attributes::default() };
        let staged = disk.finish(draft, &attributes).unwrap();
        disk.commit(&staged, "bucket", key, &Condition::None).unwrap();
    }

    fn put_all(disk: &Disk, keys: &BTreeSet<String>) {
        for key in keys {
            put(disk, key);
        }
    }

    /// What S3 documents, on a sorted map.
    fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>, after: &str) -> Vec<String> {
        let mut shown = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with(prefix) && key.as_str() > after) {
            let rest = &key[prefix.len()..];
            let end = delimiter.and_then(|d| rest.find(d).map(|at| prefix.len() + at + d.len()));
            shown.insert(key[..end.unwrap_or(key.len())].to_owned());
        }
        shown.into_iter().collect()
    }

    fn name(entry: &Entry) -> String {
        match entry {
            Entry::Object { key, .. } | Entry::Prefix(key) => key.clone(),
        }
    }

    fn key() -> impl Strategy<Value = String> {
        let long = "x".repeat(crate::server::key::PIECE);
        prop_oneof![
            "[ab/!0.]{1,6}",
            "[ab/é]{1,4}",
            "[ab/!]{0,3}".prop_map(move |end| format!("a/{long}{end}")),
            "y{78,82}[/!0]{0,2}",
        ]
    }

    #[test]
    fn a_damaged_object_is_listed_and_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), false).unwrap();
        disk.create_bucket("bucket").unwrap();
        put(&disk, "a");
        std::fs::write(folder.path().join("buckets/bucket/b.o"), "").unwrap();
        let listing = Listing { limit: 10, ..Listing::default() };
        let (page, _) = disk.list("bucket", &listing).unwrap();
        assert_eq!(page.iter().map(name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(disk.get("bucket", "b").is_err());
        disk.delete("bucket", "b", &Condition::None).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn pages_of_a_listing_equal_a_sorted_map(
            keys in proptest::collection::btree_set(key(), 0..25),
            prefix in prop_oneof![Just(String::new()), "[ab/]{0,2}", "a/x{0,82}", "y{77,81}"],
            delimiter in proptest::option::of(prop_oneof![Just("/"), Just("b"), Just("a/")]),
            after in prop_oneof![Just(String::new()), "[ab/]{0,3}", "y{78,82}"],
            limit in 1_usize..7,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::open(folder.path(), false).unwrap();
            disk.create_bucket("bucket").unwrap();
            put_all(&disk, &keys);
            let start = if after.is_empty() { After::Nothing } else { After::Key(after.clone()) };
            let mut listing =
                Listing { prefix: prefix.clone(), delimiter: delimiter.map(str::to_owned), after: start, limit };
            let mut found = Vec::new();
            loop {
                let (page, more) = disk.list("bucket", &listing).unwrap();
                prop_assert!(page.len() <= limit);
                found.extend(page.iter().map(name));
                let Some(last) = page.last().filter(|_| more) else {
                    prop_assert!(!more);
                    break;
                };
                listing.after = After::parse(&last.after().token()).unwrap();
            }
            prop_assert_eq!(found, expected(&keys, &prefix, delimiter, &after));
        }

        #[test]
        fn deleting_every_key_leaves_an_empty_bucket(keys in proptest::collection::btree_set(key(), 0..15)) {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::open(folder.path(), false).unwrap();
            disk.create_bucket("bucket").unwrap();
            put_all(&disk, &keys);
            for key in &keys {
                disk.delete("bucket", key, &Condition::None).unwrap();
            }
            disk.delete_bucket("bucket").unwrap();
        }
    }
}
