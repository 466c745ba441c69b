//! Input files as preparing a tool's inputs looks at them: those of earlier steps through their manifests, others through
//! their URLs. Nothing is read but what an expression asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::runtime::Handle;
use weir_api::data_url::{self, is_data_url};
use weir_cwl::command::{Kind, Probe};
use weir_store::manifest::{Found, Manifest, Member, Stored};

use super::discreet::discreet;
use super::location::{Location, is_http};
use crate::context::JobContext;

/// Where the content of an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An object of the store.
    Stored(Stored),
    /// A file behind an http(s) URL, or in a data URL.
    Remote {
        /// The URL.
        url: String,
        /// Its bytes, 0 if unknown.
        size: u64,
    },
    /// A text that stands in the order itself.
    Literal(String),
    /// A directory.
    Folder,
}

impl Source {
    /// As expressions see it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Stored(stored) => Kind::File(stored.size),
            Self::Remote { size, .. } => Kind::File(*size),
            Self::Literal(text) => Kind::File(text.len() as u64),
            Self::Folder => Kind::Directory,
        }
    }
}

/// Input files of one job. Blocks; used on a thread that may block, within a tokio runtime.
#[derive(Debug)]
pub struct StoreFiles<'a> {
    context: &'a JobContext,
    runtime: Handle,
    remote: BTreeMap<String, Option<u64>>,
    trouble: Option<String>,
    is_running: bool,
}

impl<'a> StoreFiles<'a> {
    /// The files of a job. Must be called in a tokio runtime.
    pub fn new(context: &'a JobContext) -> Self {
        Self { context, runtime: Handle::current(), remote: BTreeMap::new(), trouble: None, is_running: false }
    }

    /// The same for a tool that was started already: its agent has the files behind URLs, so one whose size cannot be
    /// asked for any more counts as there, of unknown size.
    pub fn of_running(context: &'a JobContext) -> Self {
        Self { is_running: true, ..Self::new(context) }
    }

    /// What kept a file from being looked at and may be over by now, if anything did: the store did not answer. Other
    /// servers were asked long enough.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn manifest(&mut self, incarnation: u64) -> Result<Option<Arc<Manifest>>, String> {
        let read = self.runtime.block_on(self.context.data.manifest(self.context, incarnation));
        read.map_err(|error| {
            if error.is_temporary() {
                self.trouble = Some(error.to_string());
            }
            error.to_string()
        })
    }

    /// What stands at a location; `None` if nothing does.
    pub fn resolve(&mut self, location: &str) -> Result<Option<Source>, String> {
        if let Some(Location { incarnation, path }) = Location::parse(location) {
            let manifest = self.manifest(incarnation)?;
            return Ok(match manifest.as_ref().and_then(|manifest| manifest.look(&path)) {
                Some(Found::File(stored)) => Some(Source::Stored(stored.clone())),
                Some(Found::Directory) => Some(Source::Folder),
                None => None,
            });
        }
        if is_data_url(location) {
            let size = of_data_url(location)?.len() as u64;
            return Ok(Some(Source::Remote { url: location.to_owned(), size }));
        }
        if !is_http(location) {
            return Err(unreadable(location));
        }
        let size = if let Some(size) = self.remote.get(location) {
            *size
        } else {
            let asked = self.runtime.block_on(self.context.services.remote.size(location));
            let size = match asked {
                Ok(None) | Err(_) if self.is_running => Some(0),
                asked => asked.map_err(|error| error.to_string())?,
            };
            self.remote.insert(location.to_owned(), size);
            size
        };
        Ok(size.map(|size| Source::Remote { url: location.to_owned(), size }))
    }

    /// Everything below a directory of the store: paths relative to it, each directory only if it is empty.
    pub fn below(&mut self, location: &Location) -> Result<Vec<(String, Source)>, String> {
        let manifest = self.manifest(location.incarnation)?.unwrap_or_default();
        let source = |member: &Member| match member {
            Member::File(stored) => Source::Stored(stored.clone()),
            Member::Empty {} => Source::Folder,
        };
        Ok(manifest.below(&location.path).map(|(path, member)| (path.to_owned(), source(member))).collect())
    }

    /// The first `limit` bytes of what a source holds.
    pub fn read_source(&mut self, source: &Source, limit: u64) -> Result<Vec<u8>, String> {
        match source {
            Source::Folder => Err("it is a directory".to_owned()),
            Source::Literal(text) => {
                let length = usize::try_from(limit).unwrap_or(usize::MAX).min(text.len());
                Ok(text.as_bytes()[..length].to_vec())
            }
            Source::Remote { url, .. } if is_data_url(url) => {
                let mut bytes = of_data_url(url)?;
                bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                Ok(bytes)
            }
            Source::Remote { url, .. } => {
                let read = self.runtime.block_on(self.context.services.remote.read(url, limit));
                read.map_err(|error| error.to_string())
            }
            Source::Stored(stored) => {
                let length = limit.min(stored.size);
                if length == 0 {
                    return Ok(Vec::new());
                }
                let key = Path::from(format!("{}/{}", self.context.keys.root(), stored.object));
                let read = self.runtime.block_on(self.context.services.store.get_range(&key, 0..length));
                read.map(|bytes| bytes.to_vec()).map_err(|error| {
                    let message = format!("cannot read `{key}`: {error}");
                    if !matches!(error, object_store::Error::NotFound { .. }) {
                        self.trouble = Some(message.clone());
                    }
                    message
                })
            }
        }
    }
}

fn of_data_url(url: &str) -> Result<Vec<u8>, String> {
    data_url::decode(url).ok_or_else(|| "a data URL is no valid one; its bytes must be in base64".to_owned())
}

/// What is wrong with a location that is neither of the store nor http(s).
fn unreadable(location: &str) -> String {
    let advice = if location.starts_with("s3://") {
        "give an http(s) URL of the object, presigned if it is not public"
    } else if location.starts_with("file:") || !location.contains(':') {
        "files of one machine are not seen here: give an http(s) URL, or the text itself as `contents`"
    } else {
        "give an http(s) URL"
    };
    format!("`{location}` cannot be read in a cluster; {advice}")
}

impl Probe for StoreFiles<'_> {
    fn look(&mut self, location: &str) -> Result<Option<Kind>, String> {
        Ok(self.resolve(location)?.map(|source| source.kind()))
    }

    fn read(&mut self, location: &str, limit: u64) -> Result<Vec<u8>, String> {
        let source = self.resolve(location)?.ok_or_else(|| discreet(&format!("there is nothing at {location}")))?;
        self.read_source(&source, limit)
    }

    fn list(&mut self, location: &str) -> Result<Vec<(String, Kind)>, String> {
        let Some(Location { incarnation, path }) = Location::parse(location) else {
            return Err(format!("`{location}` cannot be listed: only outputs of earlier steps can"));
        };
        let manifest = self.manifest(incarnation)?.unwrap_or_default();
        let kind = |found: Found<'_>| match found {
            Found::File(stored) => Kind::File(stored.size),
            Found::Directory => Kind::Directory,
        };
        Ok(manifest.list(&path).into_iter().map(|(name, found)| (name.to_owned(), kind(found))).collect())
    }

    fn is_format(&mut self, found: &str, wanted: &str) -> Result<bool, String> {
        Ok(self.context.data.is_a(self.context, found, wanted))
    }
}
