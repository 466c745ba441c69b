//! Where an object's key stands below its bucket's folder: a bijection between keys and relative paths.
//!
//! A key may hold any characters and 1,024 bytes (S3 user guide, "Object key naming guidelines"); a file name may not hold
//! `/` and 255 bytes at most, and `a` and `a/b` may both be keys. So a key is cut at its slashes and every piece gets a
//! suffix that says what it is: `.d` a folder (a `/` follows in the key), `.o` the object. A part between slashes that has
//! [`PIECE`] bytes or more is cut further: its first [`PIECE`] bytes become a folder `.c` that holds what follows. Bytes
//! that are no ASCII letters, digits or harmless signs are written `%XX`.
//!
//! No name is `.` or `..`, so no key leaves its bucket. Entries of one folder, compared by [`Piece::order`], stand in
//! the order of the keys below them, which makes an ordered listing a walk without a sort of the whole.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Bytes of a piece at most: 255 bytes of a file name hold 84 escaped bytes and a suffix.
pub const PIECE: usize = 80;

/// Bytes of a key at most (S3). Its path then has less than 3,600 bytes.
pub const BYTES: usize = 1024;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object.
    Object,
    /// Everything whose key goes on with this piece and a `/`.
    Folder,
    /// Everything whose key goes on with this piece of [`PIECE`] bytes and no `/` within it.
    Cut,
}

/// A piece of a key: one name in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes in the key, without the `/` that follows a folder.
    pub bytes: Vec<u8>,
    /// What it stands for.
    pub kind: Kind,
}

impl Piece {
    /// The first piece of what is left of a key, and what is left after it. `None` when it is the object itself.
    pub fn first(rest: &[u8]) -> (Self, Option<&[u8]>) {
        let slash = rest.iter().position(|byte| *byte == b'/');
        let end = slash.unwrap_or(rest.len());
        if end >= PIECE {
            (Self { bytes: rest[..PIECE].to_vec(), kind: Kind::Cut }, Some(&rest[PIECE..]))
        } else if slash.is_some() {
            (Self { bytes: rest[..end].to_vec(), kind: Kind::Folder }, Some(&rest[end + 1..]))
        } else {
            (Self { bytes: rest.to_vec(), kind: Kind::Object }, None)
        }
    }

    /// The file name.
    pub fn name(&self) -> String {
        let mut name = String::with_capacity(self.bytes.len() + 2);
        for byte in &self.bytes {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'=' | b'+' | b',' | b'@' => {
                    name.push(char::from(*byte));
                }
                _ => {
                    let _ = write!(name, "%{byte:02X}");
                }
            }
        }
        name.push_str(match self.kind {
            Kind::Object => ".o",
            Kind::Folder => ".d",
            Kind::Cut => ".c",
        });
        name
    }

    /// The piece that a file name stands for; `None` for a name that [`Piece::name`] does not make.
    pub fn parse(name: &str) -> Option<Self> {
        let (escaped, kind) = if let Some(escaped) = name.strip_suffix(".o") {
            (escaped, Kind::Object)
        } else if let Some(escaped) = name.strip_suffix(".d") {
            (escaped, Kind::Folder)
        } else {
            (name.strip_suffix(".c")?, Kind::Cut)
        };
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut rest = escaped.as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            if *byte == b'%' {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            } else {
                bytes.push(*byte);
            }
        }
        let piece = Self { bytes, kind };
        (piece.name() == name).then_some(piece)
    }

    /// What this piece adds to the key. Comparing these bytes orders the entries of one folder as the keys below them:
    /// only an object's can be the beginning of another entry's, and then its key comes first.
    pub fn order(&self) -> Vec<u8> {
        let mut order = self.bytes.clone();
        if self.kind == Kind::Folder {
            order.push(b'/');
        }
        order
    }
}

/// The path of a key relative to its bucket's folder. The key has [`BYTES`] bytes at most, or the path is too long.
pub fn path(key: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let mut rest = Some(key.as_bytes());
    while let Some(bytes) = rest {
        let (piece, after) = Piece::first(bytes);
        path.push(piece.name());
        rest = after;
    }
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_of(path: &std::path::Path) -> Option<String> {
        let mut key = Vec::new();
        for name in path {
            key.extend(Piece::parse(name.to_str()?)?.order());
        }
        String::from_utf8(key).ok()
    }

    #[test]
    fn keys_become_readable_paths() {
        let paths: Vec<_> = ["a", "a/b", "a//b/", "../x", "t/jobs/1/journal/0000000007", "é %"]
            .iter()
            .map(|key| path(key).display().to_string())
            .collect();
        insta::assert_debug_snapshot!(paths, @r#"
        [
            "a.o",
            "a.d/b.o",
            "a.d/.d/b.d/.o",
            "...d/x.o",
            "t.d/jobs.d/1.d/journal.d/0000000007.o",
            "%C3%A9%20%25.o",
        ]
        "#);
    }

    #[test]
    fn the_longest_and_worst_keys_fit_a_file_system() {
        for key in ["\u{1}".repeat(BYTES), "/".repeat(BYTES), "\u{1}/".repeat(BYTES / 2), "é".repeat(512)] {
            let path = path(&key);
            assert!(path.as_os_str().len() < 3600, "{}", path.as_os_str().len());
            assert!(path.iter().all(|name| name.len() <= 255));
            assert_eq!(key_of(&path).as_deref(), Some(key.as_str()));
        }
    }

    #[test]
    fn foreign_names_are_no_keys() {
        for name in ["x", "lost+found", "a b.o", "%zz.o", "%c3.o", "%41.o", ""] {
            assert_eq!(Piece::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_from_its_path_and_stays_below_its_bucket(key in r"(?s)([a/.%\\é]|.){1,200}") {
            let path = path(&key);
            prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            prop_assert_eq!(key_of(&path), Some(key));
        }
    }
}
