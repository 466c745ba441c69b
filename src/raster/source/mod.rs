//! Where bytes come from: files, HTTP servers, object stores, behind one "read this range".

pub mod http;
pub mod href;
pub mod s3;

pub use href::Location;

use crate::limits;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be opened or read.
    #[error("cannot read {location}")]
    File {
        /// The file.
        location: String,
        /// Why.
        source: io::Error,
    },
    /// A server answered something else than what was asked.
    #[error("cannot read {location}: {reason}")]
    Remote {
        /// The URL, without its query (which may hold a signature).
        location: String,
        /// What the server did.
        reason: String,
    },
    /// The address is none.
    #[error("{address}: {reason}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A document is too large to be what it should be.
    #[error("{location} has more than {} MiB", limit >> 20)]
    TooLarge {
        /// The document.
        location: String,
        /// Bytes allowed.
        limit: u64,
    },
}

/// An open file or object of known size.
pub struct Source {
    location: String,
    kind: Kind,
}

enum Kind {
    File { file: File, size: u64 },
    Http(Box<http::Object>),
}

impl Source {
    /// Opens what lies at a location.
    pub fn open(location: &Location) -> Result<Self, SourceError> {
        let name = location.to_string();
        let kind = match location {
            Location::Path(path) => {
                let fail = |source| SourceError::File { location: name.clone(), source };
                let file = File::open(path).map_err(fail)?;
                let meta = file.metadata().map_err(fail)?;
                if meta.is_dir() {
                    return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
                }
                Kind::File { size: meta.len(), file }
            }
            Location::Http(url) => Kind::Http(Box::new(http::Object::open(url.clone(), None)?)),
            Location::S3 { bucket, key } => {
                let store = s3::Store::from_env()?;
                Kind::Http(Box::new(http::Object::open(store.url(bucket, key), Some(store))?))
            }
        };
        Ok(Self { location: name, kind })
    }

    /// The location, for messages.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } => *size,
            Kind::Http(object) => object.size(),
        }
    }

    /// Reads exactly `length` bytes from `offset` on.
    pub fn read(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, SourceError> {
        match &mut self.kind {
            Kind::File { file, .. } => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut bytes, offset)
                    .map_err(|source| SourceError::File { location: self.location.clone(), source })?;
                Ok(bytes)
            }
            Kind::Http(object) => object.read(offset, length),
        }
    }
}

/// Reads a whole document of at most [`limits::DOCUMENT_BYTES_MAX`].
pub fn read_document(location: &Location) -> Result<Vec<u8>, SourceError> {
    let limit = limits::DOCUMENT_BYTES_MAX;
    let too_large = || SourceError::TooLarge { location: location.to_string(), limit };
    let bytes = match location {
        Location::Path(path) => {
            let fail = |source| SourceError::File { location: location.to_string(), source };
            let mut bytes = Vec::new();
            File::open(path).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)).map_err(fail)?;
            bytes
        }
        Location::Http(url) => http::get(url, None, limit + 1)?,
        Location::S3 { bucket, key } => {
            let store = s3::Store::from_env()?;
            http::get(&store.url(bucket, key), Some(&store), limit + 1)?
        }
    };
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Copies what lies at a location into a file, however large.
pub fn download(location: &Location, file: &mut crate::output::OutputFile) -> Result<u64, DownloadError> {
    let mut source = Source::open(location)?;
    let mut at = 0;
    while at < source.size() {
        let bytes = source.read(at, limits::FETCH_BYTES.min(source.size() - at))?;
        file.write(&bytes)?;
        at += bytes.len() as u64;
    }
    Ok(at)
}

/// A copy that failed on either side.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The bytes could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bytes could not be written.
    #[error(transparent)]
    Output(#[from] crate::output::OutputError),
}
