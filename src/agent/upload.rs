//! Stores files by presigned PUT.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use ureq::SendBody;
use weir_api::FailureClass;
use weir_api::agent::{PresignedPut, UploadRequest, Uploaded};
use weir_api::limits::SINGLE_PUT_BYTES_MAX;

use crate::backoff::Backoff;
use crate::http::{is_temporary, shown};
use crate::limits::TRANSFER_TRIES;
use crate::outdir::OutDir;

/// Why something cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The file is at fault.
    #[error("output `{path}` cannot be read: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Too large.
    #[error("output `{path}` has {size} bytes; at most {SINGLE_PUT_BYTES_MAX} can be stored")]
    TooLarge {
        /// Which.
        path: String,
        /// Its bytes.
        size: u64,
    },
    /// The store is at fault.
    #[error("output `{path}` cannot be stored at `{url}`: {last}")]
    Store {
        /// Which.
        path: String,
        /// Where to.
        url: String,
        /// What the last try ended with.
        last: String,
    },
}

impl UploadError {
    /// The word for it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Read { .. } | Self::TooLarge { .. } => FailureClass::OutputInvalid,
            Self::Store { .. } => FailureClass::Platform,
        }
    }
}

/// Stores a file of the output directory.
pub fn upload(http: &ureq::Agent, outdir: &OutDir, request: &UploadRequest) -> Result<Uploaded, UploadError> {
    let open = || {
        let file = outdir.open(&request.path)?;
        Ok((file.metadata()?.len(), Box::new(file) as Box<dyn Read>))
    };
    put(http, &request.path, &request.put, open)
}

/// Stores what `open` gives: its length and a reader. It is opened again for every try.
pub fn put<'a>(
    http: &ureq::Agent,
    path: &str,
    request: &PresignedPut,
    open: impl Fn() -> io::Result<(u64, Box<dyn Read + 'a>)>,
) -> Result<Uploaded, UploadError> {
    let mut backoff = Backoff::default();
    let mut is_open_end = false;
    let mut tries = 0;
    loop {
        tries += 1;
        let (size, reader) = open().map_err(|source| UploadError::Read { path: path.to_owned(), source })?;
        if size > SINGLE_PUT_BYTES_MAX {
            return Err(UploadError::TooLarge { path: path.to_owned(), size });
        }
        let mut body = Hashing { from: reader.take(size), hash: Sha256::new(), hashed: 0 };
        let mut sending = http.put(&request.url).header("content-length", size);
        for (name, value) in &request.headers {
            sending = sending.header(name, value);
        }
        let sent = sending.send(SendBody::from_reader(&mut body));
        let last = match sent {
            Ok(response) => {
                let status = response.status().as_u16();
                // `If-None-Match: *` and an earlier try of ours that came through after all.
                if matches!(status, 200 | 201 | 204) || (status == 412 && is_open_end) {
                    // What a store that answers early has not taken must still be part of the digest.
                    io::copy(&mut body, &mut io::sink())
                        .map_err(|source| UploadError::Read { path: path.to_owned(), source })?;
                    let sha256 = hex::encode(body.hash.finalize());
                    return Ok(Uploaded { path: path.to_owned(), size: body.hashed, sha256 });
                }
                is_open_end |= status >= 500;
                let last = format!("the store answers {status}");
                if !is_temporary(status) {
                    return Err(UploadError::Store { path: path.to_owned(), url: shown(&request.url), last });
                }
                last
            }
            Err(error) => {
                is_open_end = true;
                error.to_string()
            }
        };
        if tries >= TRANSFER_TRIES {
            let last = format!("{last}, after {tries} tries");
            return Err(UploadError::Store { path: path.to_owned(), url: shown(&request.url), last });
        }
        backoff.wait();
    }
}

/// Digests what is read through it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    hashed: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.hashed += length as u64;
        Ok(length)
    }
}
