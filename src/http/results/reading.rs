//! Who reads results for an answer, and the memory that this takes.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde_json::Value as Json;

use crate::Facade;
use crate::limits::{RESULT_BYTE_MEMORY, RESULT_VALUE_MEMORY};
use crate::names::Tenant;
use crate::places::Taken;
use crate::problem::Problem;

/// An answer that is being made of documents. Its memory is taken as they come, and free again when the answer has been
/// sent, or when this is dropped.
pub struct Reading<'a> {
    /// Where they are read.
    pub facade: &'a Facade,
    /// Whose they are.
    pub tenant: &'a Tenant,
    memory: Mutex<Taken>,
}

impl<'a> Reading<'a> {
    /// Of nothing yet.
    pub fn new(facade: &'a Facade, tenant: &'a Tenant) -> Self {
        Self { facade, tenant, memory: Mutex::new(facade.rooms.answers.none(tenant)) }
    }

    fn memory(&self) -> MutexGuard<'_, Taken> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes of memory more.
    pub fn take(&self, bytes: usize) -> Result<(), Problem> {
        self.memory().more(bytes).map_err(|_| {
            Problem::unavailable("so many large answers are being made that there is no room for another one")
        })
    }

    /// For the text of a document, and for what is read of it.
    pub fn take_text(&self, bytes: usize) -> Result<(), Problem> {
        self.take(bytes.saturating_mul(RESULT_BYTE_MEMORY))
    }

    /// For a value that is there already.
    pub fn take_value(&self, value: &Json) -> Result<(), Problem> {
        self.take(weight(value))
    }

    /// The answer, which holds the memory until it is sent.
    pub fn answer(self, response: Response) -> Response {
        let memory = self.memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        response.map(|body| Body::new(Kept { body, _memory: memory }))
    }
}

/// Bytes of memory that a value takes, and once more as text.
fn weight(value: &Json) -> usize {
    match value {
        Json::String(text) => RESULT_VALUE_MEMORY + 2 * text.len(),
        Json::Array(items) => items.iter().map(weight).sum::<usize>() + RESULT_VALUE_MEMORY,
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| RESULT_VALUE_MEMORY + 2 * name.len() + weight(value));
            members.sum::<usize>() + RESULT_VALUE_MEMORY
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => RESULT_VALUE_MEMORY,
    }
}

/// A body and what it stands in.
struct Kept {
    body: Body,
    _memory: Taken,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
