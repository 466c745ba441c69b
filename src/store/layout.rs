//! The keys of a job's objects: `<tenant>/jobs/<run-id>/…`.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;

/// Name of the object `<id>/.weir-owner` in a bucket of results. It is created before anything else below `<id>/` and says
/// whose that is: `<tenant>/<run>`.
pub const OWNER_MARKER: &str = ".weir-owner";

/// Characters of a DNS label (RFC 1123).
const LABEL_LENGTH_MAX: usize = 63;
/// Characters of a run id: leaves room for suffixes within the 255 bytes of a file name.
const RUN_ID_LENGTH_MAX: usize = 128;
/// Digits of a journal sequence number; lexical order is numeric order.
const SEQUENCE_DIGITS: usize = 10;

/// A text that is no tenant or run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS label.
    #[error("`{0}` is no tenant name: 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit")]
    Tenant(String),
    /// Not usable as a key segment.
    #[error("`{0}` is no run id: 1 to 128 of A-Z, a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit")]
    RunId(String),
}

/// A tenant: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(String);

/// The id of one run of a job; keys its journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl FromStr for Tenant {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = text.as_bytes();
        let inner = bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
        if bytes.len() <= LABEL_LENGTH_MAX && inner && edge(bytes.first()) && edge(bytes.last()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Tenant(text.to_owned()))
        }
    }
}

impl FromStr for RunId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
        if bytes.len() <= RUN_ID_LENGTH_MAX && inner && bytes.first().is_some_and(u8::is_ascii_alphanumeric) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::RunId(text.to_owned()))
        }
    }
}

impl RunId {
    /// A new one: a UUID of version 7, so that ids sort by time.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Tenant {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RunId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKeys {
    tenant: Tenant,
    run: RunId,
}

/// An object of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalObject {
    /// `<seq>`: one append.
    Segment(u64),
    /// `pack-<first>-<last>`: the segments of that range, merged.
    Pack {
        /// First sequence number in it.
        first: u64,
        /// Last one.
        last: u64,
    },
}

impl JobKeys {
    /// The keys of `run` of `tenant`.
    pub fn new(tenant: Tenant, run: RunId) -> Self {
        Self { tenant, run }
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// `<tenant>/jobs/<run-id>`
    pub fn root(&self) -> Path {
        self.key("")
    }

    /// `…/journal`
    pub fn journal(&self) -> Path {
        self.key("/journal")
    }

    /// `…/journal/<seq>` or `…/journal/pack-<first>-<last>`
    pub fn journal_object(&self, object: JournalObject) -> Path {
        let width = SEQUENCE_DIGITS;
        match object {
            JournalObject::Segment(seq) => self.key(&format!("/journal/{seq:0width$}")),
            JournalObject::Pack { first, last } => self.key(&format!("/journal/pack-{first:0width$}-{last:0width$}")),
        }
    }

    /// `…/att/<incarnation>`
    pub fn incarnation(&self, incarnation: u64) -> Path {
        self.key(&format!("/att/{incarnation}"))
    }

    /// `…/att/<incarnation>/<n>`: the n-th file that an incarnation stored.
    pub fn upload(&self, incarnation: u64, number: usize) -> Path {
        self.key(&format!("/att/{incarnation}/{number}"))
    }

    /// `…/att/<incarnation>/manifest.json`: what that incarnation left behind.
    pub fn manifest(&self, incarnation: u64) -> Path {
        self.key(&format!("/att/{incarnation}/manifest.json"))
    }

    /// `…/blobs/sha256/<hex>`
    pub fn blob(&self, hex: &str) -> Path {
        self.key(&format!("/blobs/sha256/{hex}"))
    }

    /// `…/logs/<name>.log`
    pub fn log(&self, name: &str) -> Path {
        self.key(&format!("/logs/{name}.log"))
    }

    /// `…/logs/<name>.<incarnation>.log`: what one incarnation wrote. Numbers of incarnations are never used twice, so no
    /// two logs meet; a step instance's log is those of its incarnations in the order of their numbers.
    pub fn incarnation_log(&self, name: &str, incarnation: u64) -> Path {
        self.key(&format!("/logs/{name}.{incarnation}.log"))
    }

    /// `…/usage.json`
    pub fn usage(&self) -> Path {
        self.key("/usage.json")
    }

    /// `…/results.json`
    pub fn results(&self) -> Path {
        self.key("/results.json")
    }

    fn key(&self, rest: &str) -> Path {
        Path::from(format!("{}/jobs/{}{rest}", self.tenant, self.run))
    }
}

impl JournalObject {
    /// What the last segment of a journal key names; `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        let number = |text: &str| {
            (text.len() >= SEQUENCE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
        };
        match name.strip_prefix("pack-") {
            Some(range) => {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Pack { first, last })
            }
            None => number(name).map(Self::Segment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_dns_labels() {
        for good in ["a", "acme-1", "0"] {
            assert!(good.parse::<Tenant>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", &"a".repeat(64)] {
            assert!(bad.parse::<Tenant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn run_ids_cannot_leave_their_folder() {
        for good in ["a", "2024-01-01T00.x_y", RunId::generate().as_str()] {
            assert!(good.parse::<RunId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "-a", &"a".repeat(129)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_an_incarnation_writes_has_keys_of_its_own() {
        let keys = JobKeys::new("t".parse().unwrap(), "r".parse().unwrap());
        assert_eq!(keys.upload(3, 0).as_ref(), "t/jobs/r/att/3/0");
        assert_eq!(keys.manifest(3).as_ref(), "t/jobs/r/att/3/manifest.json");
        assert_eq!(keys.incarnation_log("node_crop_2", 3).as_ref(), "t/jobs/r/logs/node_crop_2.3.log");
    }

    #[test]
    fn journal_keys_are_read_back() {
        let keys = JobKeys::new("t".parse().unwrap(), "r".parse().unwrap());
        for object in [JournalObject::Segment(7), JournalObject::Pack { first: 0, last: 255 }] {
            let key = keys.journal_object(object);
            assert_eq!(JournalObject::parse(key.filename().unwrap()), Some(object), "{key}");
        }
        assert_eq!(keys.journal_object(JournalObject::Segment(7)).as_ref(), "t/jobs/r/journal/0000000007");
        for other in ["7", "pack-1-2", "0000000007#1", "x"] {
            assert_eq!(JournalObject::parse(other), None, "{other}");
        }
    }
}
