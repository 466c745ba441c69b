//! The guard for the loader of packages.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use weir_cwl::load::{Fetch, FetchError};

use crate::guarded::{FetchFailure, Guarded};

/// The guard for the loader of packages, which is not async: to be used where blocking is allowed
/// (`tokio::task::spawn_blocking`). Knows texts that are at hand, and remembers why it could not get others.
#[derive(Debug)]
pub struct Documents {
    guarded: Guarded,
    runtime: Handle,
    at_hand: Option<(String, String)>,
    failed: Mutex<Option<FetchFailure>>,
}

impl Documents {
    /// Fetches through the guard; the runtime is that of the caller.
    pub fn new(guarded: Guarded, runtime: Handle) -> Self {
        Self { guarded, runtime, at_hand: None, failed: Mutex::default() }
    }

    /// The same, with a text for one URL.
    #[must_use]
    pub fn with_text(self, url: &str, text: &str) -> Self {
        Self { at_hand: Some((url.to_owned(), text.to_owned())), ..self }
    }

    /// The first failure, if something could not be had.
    pub fn failure(&self) -> Option<FetchFailure> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Fetch for &Documents {
    fn fetch(&self, url: &str) -> Result<String, FetchError> {
        match &self.at_hand {
            Some((known, text)) if known == url => return Ok(text.clone()),
            Some(_) if url.starts_with("weir:") => {
                let message =
                    "a package that stands in an object has no neighbours; name what it imports by its whole URL";
                return Err(FetchError(message.to_owned()));
            }
            _ => {}
        }
        self.runtime.block_on(self.guarded.document(url)).map_err(|failure| {
            let message = failure.to_string();
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            FetchError(message)
        })
    }
}
