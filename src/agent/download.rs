//! Fetches one input, with retries that go on where the connection broke.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use weir_api::FailureClass;
use weir_api::data_url::{self, is_data_url};

use crate::backoff::Backoff;
use crate::http::{is_temporary, shown};
use crate::limits::{BUFFER_BYTES, INPUT_BYTES_MAX, TRANSFER_TRIES};

/// Bytes that a try must have brought for the count of tries to begin anew.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Why an input cannot be had. Messages name the URL.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Neither http nor https nor data.
    #[error("input `{0}` cannot be fetched: only http, https and data URLs can be")]
    Scheme(String),
    /// The server says that another try will not help.
    #[error("input `{url}` cannot be fetched: the server answers {status}; check the URL and its access rights")]
    Refused {
        /// Which.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// Every try failed.
    #[error("input `{url}` cannot be fetched after {TRANSFER_TRIES} tries: {last}")]
    GaveUp {
        /// Which.
        url: String,
        /// What the last try ended with.
        last: String,
    },
    /// Not the bytes that were promised.
    #[error("input `{url}` is not what was expected: {what}")]
    Damaged {
        /// Which.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// It cannot be stored.
    #[error("input `{url}` cannot be written to `{path}`: {source}")]
    Write {
        /// Which.
        url: String,
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl DownloadError {
    /// The word for it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Write { source, .. } => class_of(source),
            _ => FailureClass::StageIn,
        }
    }
}

/// The class of a failure of the agent's own file operations.
pub fn class_of(error: &io::Error) -> FailureClass {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureClass::OutOfDisk,
        _ => FailureClass::Platform,
    }
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// http, https or data.
    pub url: &'a str,
    /// Expected digest in hexadecimal digits.
    pub sha256: Option<&'a str>,
    /// Expected bytes.
    pub size: Option<u64>,
}

/// Writes what a data URL holds.
fn written(url: &str, path: &Path) -> Result<(), DownloadError> {
    let url_shown = || "data:…".to_owned();
    let bytes = data_url::decode(url)
        .ok_or_else(|| DownloadError::Damaged { url: url_shown(), what: "it is no valid data URL".to_owned() })?;
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).map_err(|source| DownloadError::Write {
        url: url_shown(),
        path: path.to_owned(),
        source,
    })
}

/// Fetches `source` into a new file at `path`.
pub fn download(http: &ureq::Agent, source: Source<'_>, path: &Path) -> Result<(), DownloadError> {
    if is_data_url(source.url) {
        return written(source.url, path);
    }
    let url = shown(source.url);
    if !source.url.starts_with("https://") && !source.url.starts_with("http://") {
        return Err(DownloadError::Scheme(url));
    }
    let _ = std::fs::remove_file(path);
    let file = File::create_new(path).map_err(|source| DownloadError::Write {
        url: url.clone(),
        path: path.to_owned(),
        source,
    })?;
    let mut transfer = Transfer { source, url, path, file, hash: Sha256::new(), length: 0, etag: None };
    let mut backoff = Backoff::default();
    let mut tries = 0;
    loop {
        let before = transfer.length;
        let Some(last) = transfer.attempt(http)? else { break };
        tries = if transfer.length >= before + PROGRESS_BYTES { 1 } else { tries + 1 };
        if tries >= TRANSFER_TRIES {
            return Err(DownloadError::GaveUp { url: transfer.url, last });
        }
        backoff.wait();
    }
    transfer.verify()
}

struct Transfer<'a> {
    source: Source<'a>,
    url: String,
    path: &'a Path,
    file: File,
    hash: Sha256,
    length: u64,
    etag: Option<String>,
}

impl Transfer<'_> {
    /// One try; `Some` is why another may help.
    fn attempt(&mut self, http: &ureq::Agent) -> Result<Option<String>, DownloadError> {
        let mut request = http.get(self.source.url);
        if self.length > 0 {
            match (&self.etag, self.source.sha256) {
                (Some(etag), _) => request = request.header("if-range", etag),
                // The digest tells if the parts do not fit.
                (None, Some(_)) => {}
                (None, None) => self.restart()?,
            }
        }
        if self.length > 0 {
            request = request.header("range", format!("bytes={}-", self.length));
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return Ok(Some(error.to_string())),
        };
        match response.status().as_u16() {
            206 if self.length > 0 => {}
            200 => self.restart()?,
            416 if self.length > 0 => {
                self.restart()?;
                return Ok(Some("the server cannot go on where it stopped".to_owned()));
            }
            status if is_temporary(status) => return Ok(Some(format!("the server answers {status}"))),
            status => return Err(DownloadError::Refused { url: self.url.clone(), status }),
        }
        // Only a strong validator may go into If-Range (RFC 9110, §13.1.5).
        let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok());
        self.etag = etag.filter(|etag| etag.starts_with('"')).map(str::to_owned);
        let mut body = response.body_mut().with_config().limit(INPUT_BYTES_MAX).reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            // Reading fails for reasons of the network, writing for reasons of this machine.
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    self.file.write_all(&buffer[..length]).map_err(|source| self.write_error(source))?;
                    self.hash.update(&buffer[..length]);
                    self.length += length as u64;
                }
                Err(error) => return Ok(Some(error.to_string())),
            }
        }
        let missing = self.source.size.is_some_and(|size| self.length < size);
        Ok(missing.then(|| format!("the answer ended after {} bytes", self.length)))
    }

    fn restart(&mut self) -> Result<(), DownloadError> {
        self.hash = Sha256::new();
        self.length = 0;
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: io::Error) -> DownloadError {
        DownloadError::Write { url: self.url.clone(), path: self.path.to_owned(), source }
    }

    fn verify(self) -> Result<(), DownloadError> {
        let damaged = |what| Err(DownloadError::Damaged { url: self.url, what });
        if let Some(size) = self.source.size.filter(|size| *size != self.length) {
            return damaged(format!("it has {} bytes instead of {size}", self.length));
        }
        let found = hex::encode(self.hash.finalize());
        match self.source.sha256 {
            Some(expected) if !expected.eq_ignore_ascii_case(&found) => {
                damaged(format!("its SHA-256 is {found} instead of {expected}"))
            }
            _ => Ok(()),
        }
    }
}
