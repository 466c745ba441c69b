//! The journal of a job: an append-only log of events in an object store (invariants I1, I2, I4).
//!
//! One append is one object, created only if it does not exist yet: of two writers at the same place one wins, and the
//! other learns it. A segment is JSON lines: a header, then one event a line; the header counts the events, so that a
//! cut object is never taken for a whole one.
//!
//! After every [`PACK_SEGMENTS`] segments these are merged into one pack (the segments' bytes, one after the other) and
//! deleted once the pack is durable. Bytes stay linear in the number of events, and a reader needs one object for 256
//! appends. A crash between the pack and the deletions leaves segments that the pack covers; the next writer deletes them.
//!
//! A writer that slept while another filled and packed its place finds that place free once more. So each looks for the pack
//! after it has written, and has lost if there is one: a pack is durable before its segments go.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use weir_plan::{Event, Recorded, Timestamp};

use crate::layout::{JobKeys, JournalObject};

/// Segments that are merged into one pack.
pub const PACK_SEGMENTS: u64 = 256;

/// How often one append is tried when the store neither took nor refused it.
const PUT_TRIES: u32 = 3;

/// What went wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error("cannot {doing} `{key}`: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// To which key.
        key: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// Another writer has taken the place. This one must stop at once.
    #[error("`{key}` was written by another process (epoch {epoch}): this one is superseded")]
    Superseded {
        /// The object that both wanted to write.
        key: Path,
        /// The other writer's epoch.
        epoch: u64,
    },
    /// An object is not what this program wrote.
    #[error("`{key}` line {line} is damaged: {reason}")]
    Corrupt {
        /// The object.
        key: Path,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Segments are missing.
    #[error("the journal `{key}` misses segment {missing}, though later ones exist")]
    Gap {
        /// The journal's prefix.
        key: Path,
        /// The first missing sequence number.
        missing: u64,
    },
    /// An event that cannot be written as JSON.
    #[error("cannot write an event of `{key}` as JSON: {source}")]
    Encode {
        /// The object.
        key: Path,
        /// Why not.
        source: serde_json::Error,
    },
}

/// First line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Sequence number: the same as in the key.
    segment: u64,
    /// The writer's own word: tells its own objects from another writer's.
    nonce: String,
    /// The highest epoch that the writer knew.
    epoch: u64,
    /// Lines that follow.
    events: usize,
}

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    store: Arc<dyn ObjectStore>,
    keys: JobKeys,
    nonce: String,
    epoch: u64,
    next: u64,
    /// First sequence number that no pack covers.
    unpacked: u64,
    /// The segments since `unpacked`, each with its header.
    tail: VecDeque<bytes::Bytes>,
}

impl Journal {
    /// Reads a journal and prepares to append to it. A journal that does not exist is an empty one.
    ///
    /// What a crash left of an unfinished merge is cleaned up. Opening does not keep others out: the first append of one of
    /// two writers makes the other's fail with [`JournalError::Superseded`].
    pub async fn open(store: Arc<dyn ObjectStore>, keys: JobKeys) -> Result<(Self, Vec<Recorded>), JournalError> {
        let mut reader = Reader::default();
        let (packs, segments) = list(store.as_ref(), &keys).await?;
        for (first, last) in packs {
            let key = keys.journal_object(JournalObject::Pack { first, last });
            if first != reader.next {
                return Err(JournalError::Gap { key: keys.journal(), missing: reader.next });
            }
            let text = get(store.as_ref(), &key).await?;
            reader.read(&key, &text, last)?;
        }
        let unpacked = reader.next;
        let mut tail = VecDeque::new();
        for seq in segments {
            let key = keys.journal_object(JournalObject::Segment(seq));
            if seq < unpacked {
                delete(store.as_ref(), &key).await?;
                continue;
            }
            if seq != reader.next {
                return Err(JournalError::Gap { key: keys.journal(), missing: reader.next });
            }
            let text = get(store.as_ref(), &key).await?;
            reader.read(&key, &text, seq)?;
            tail.push_back(text);
        }
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let mut journal = Self { store, keys, nonce, epoch: reader.epoch, next: reader.next, unpacked, tail };
        while journal.next - journal.unpacked >= PACK_SEGMENTS {
            journal.pack().await?;
        }
        Ok((journal, reader.events))
    }

    /// Makes `events` durable, all or none. Returns once the store holds them.
    pub async fn append(&mut self, events: &[Recorded]) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        let key = self.keys.journal_object(JournalObject::Segment(self.next));
        let epoch = events.iter().map(epoch_of).max().unwrap_or(0).max(self.epoch);
        let encode = |source| JournalError::Encode { key: key.clone(), source };
        let header = Header { segment: self.next, nonce: self.nonce.clone(), epoch, events: events.len() };
        let mut body = serde_json::to_vec(&header).map_err(encode)?;
        body.push(b'\n');
        for event in events {
            serde_json::to_writer(&mut body, event).map_err(encode)?;
            body.push(b'\n');
        }
        let body = bytes::Bytes::from(body);
        self.put_segment(&key, &body).await?;
        self.is_not_packed(&key).await?;
        self.tail.push_back(body);
        self.epoch = epoch;
        self.next += 1;
        if self.next - self.unpacked >= PACK_SEGMENTS {
            // The events are durable whatever becomes of the merge: the next append, or the next reader, tries it again.
            let _ = self.pack().await;
        }
        Ok(())
    }

    /// Appends `Epoch` with one more than the highest known: what a new leader does before anything else, since every
    /// earlier one's next append fails by it (invariant I2). `None`: an earlier one wrote at the same time, after this journal
    /// was opened. What it wrote counts, so the journal is to be opened again.
    pub async fn announce(&mut self, at: Timestamp) -> Result<Option<Recorded>, JournalError> {
        let known = self.epoch;
        let announced = Recorded { at, event: Event::Epoch { epoch: known + 1 } };
        match self.append(std::slice::from_ref(&announced)).await {
            Ok(()) => Ok(Some(announced)),
            Err(JournalError::Superseded { epoch, .. }) if epoch <= known => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The highest epoch that the journal names; 0 if none.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sequence number of the next append.
    pub fn next_segment(&self) -> u64 {
        self.next
    }

    /// Create-if-absent. A failed put may still have arrived, so the object is read and its nonce decides.
    async fn put_segment(&self, key: &Path, body: &bytes::Bytes) -> Result<(), JournalError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(source) = create(self.store.as_ref(), key, body.clone()).await else { return Ok(()) };
            match self.store.get(key).await {
                Ok(found) => {
                    let text = found.bytes().await.map_err(|source| store_error("read", key, source))?;
                    let header = header(key, 1, text.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
                    return if header.nonce == self.nonce {
                        Ok(())
                    } else {
                        Err(JournalError::Superseded { key: key.clone(), epoch: header.epoch })
                    };
                }
                Err(object_store::Error::NotFound { .. }) if tries < PUT_TRIES => {}
                Err(_) => return Err(store_error("write", key, source)),
            }
        }
    }

    /// Makes sure that the segment just written is not one of a pack's. Called again after an error it writes nothing new:
    /// the segment is there, and is this writer's own.
    async fn is_not_packed(&self, written: &Path) -> Result<(), JournalError> {
        let first = self.next - self.next % PACK_SEGMENTS;
        let last = first + PACK_SEGMENTS - 1;
        let pack = self.keys.journal_object(JournalObject::Pack { first, last });
        match self.store.head(&pack).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(store_error("look for", &pack, source)),
            Ok(_) => {
                let mut reader = Reader { next: first, ..Reader::default() };
                reader.read(&pack, &get(self.store.as_ref(), &pack).await?, last)?;
                delete(self.store.as_ref(), written).await?;
                Err(JournalError::Superseded { key: written.clone(), epoch: reader.epoch })
            }
        }
    }

    /// Merges the oldest [`PACK_SEGMENTS`] segments into a pack and deletes them. Whether it succeeds changes nothing that a
    /// reader sees. A put that failed may have arrived all the same, so it is always the same segments that are tried again.
    async fn pack(&mut self) -> Result<(), JournalError> {
        let (first, last) = (self.unpacked, self.unpacked + PACK_SEGMENTS - 1);
        let key = self.keys.journal_object(JournalObject::Pack { first, last });
        let count = usize::try_from(PACK_SEGMENTS).unwrap_or(usize::MAX).min(self.tail.len());
        let segments: Vec<&[u8]> = self.tail.range(..count).map(AsRef::as_ref).collect();
        match create(self.store.as_ref(), &key, segments.concat().into()).await {
            // The name says which segments it holds, and segments never change: one that exists is equal.
            Ok(()) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(source) => return Err(store_error("write", &key, source)),
        }
        self.tail.drain(..count);
        self.unpacked = last + 1;
        for seq in first..=last {
            delete(self.store.as_ref(), &self.keys.journal_object(JournalObject::Segment(seq))).await?;
        }
        Ok(())
    }
}

/// The events of a journal without opening it for writing; cleans nothing up.
pub async fn read(store: &dyn ObjectStore, keys: &JobKeys) -> Result<Vec<Recorded>, JournalError> {
    let mut reader = Reader::default();
    let (packs, segments) = list(store, keys).await?;
    let packs = packs.into_iter().map(|(first, last)| JournalObject::Pack { first, last });
    for object in packs.chain(segments.into_iter().map(JournalObject::Segment)) {
        let (first, last) = match object {
            JournalObject::Segment(seq) => (seq, seq),
            JournalObject::Pack { first, last } => (first, last),
        };
        if last < reader.next {
            continue;
        }
        if first != reader.next {
            return Err(JournalError::Gap { key: keys.journal(), missing: reader.next });
        }
        let key = keys.journal_object(object);
        reader.read(&key, &get(store, &key).await?, last)?;
    }
    Ok(reader.events)
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reader {
    events: Vec<Recorded>,
    epoch: u64,
    next: u64,
}

impl Reader {
    /// Reads an object that must hold the segments from `self.next` to `last`.
    fn read(&mut self, key: &Path, text: &[u8], last: u64) -> Result<(), JournalError> {
        let corrupt = |line: usize, reason: String| JournalError::Corrupt { key: key.clone(), line, reason };
        let Some(body) = text.strip_suffix(b"\n") else {
            let line = text.split(|byte| *byte == b'\n').count();
            return Err(corrupt(line, "the last line is cut".to_owned()));
        };
        let mut lines = body.split(|byte| *byte == b'\n').enumerate();
        let mut end = 0;
        while self.next <= last {
            let Some((at, line)) = lines.next() else {
                return Err(corrupt(end + 1, format!("segment {} is missing", self.next)));
            };
            let head = header(key, at + 1, line)?;
            if head.segment != self.next {
                return Err(corrupt(at + 1, format!("holds segment {} instead of {}", head.segment, self.next)));
            }
            end = at + 1;
            for number in 0..head.events {
                let Some((at, line)) = lines.next() else {
                    let reason = format!("segment {} has {number} of its {} events", head.segment, head.events);
                    return Err(corrupt(end + 1, reason));
                };
                end = at + 1;
                let event = event(line).map_err(|error| corrupt(at + 1, format!("not an event: {error}")))?;
                self.epoch = self.epoch.max(epoch_of(&event));
                self.events.push(event);
            }
            self.epoch = self.epoch.max(head.epoch);
            self.next += 1;
        }
        match lines.next() {
            Some((at, _)) => Err(corrupt(at + 1, "more lines than the header counts".to_owned())),
            None => Ok(()),
        }
    }
}

/// Reads an event however deep it is: who writes bounds the depth, and what was written must be read again.
fn event(line: &[u8]) -> serde_json::Result<Recorded> {
    let mut line = serde_json::Deserializer::from_slice(line);
    line.disable_recursion_limit();
    let event = Recorded::deserialize(&mut line)?;
    line.end()?;
    Ok(event)
}

fn header(key: &Path, line: usize, text: &[u8]) -> Result<Header, JournalError> {
    serde_json::from_slice(text).map_err(|error| JournalError::Corrupt {
        key: key.clone(),
        line,
        reason: format!("not a segment's header: {error}"),
    })
}

fn epoch_of(recorded: &Recorded) -> u64 {
    match recorded.event {
        Event::Epoch { epoch } => epoch,
        _ => 0,
    }
}

fn store_error(doing: &'static str, key: &Path, source: object_store::Error) -> JournalError {
    JournalError::Store { doing, key: key.clone(), source }
}

async fn create(store: &dyn ObjectStore, key: &Path, body: bytes::Bytes) -> Result<(), object_store::Error> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(key, PutPayload::from_bytes(body), options).await.map(|_| ())
}

async fn get(store: &dyn ObjectStore, key: &Path) -> Result<bytes::Bytes, JournalError> {
    let read = async { store.get(key).await?.bytes().await };
    read.await.map_err(|source| store_error("read", key, source))
}

async fn delete(store: &dyn ObjectStore, key: &Path) -> Result<(), JournalError> {
    match store.delete(key).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(store_error("delete", key, source)),
    }
}

/// Packs and segments, each in order. Other objects are left alone: they are not ours.
async fn list(store: &dyn ObjectStore, keys: &JobKeys) -> Result<(Vec<(u64, u64)>, Vec<u64>), JournalError> {
    let prefix = keys.journal();
    let found: Vec<_> =
        store.list(Some(&prefix)).try_collect().await.map_err(|source| store_error("list", &prefix, source))?;
    let (mut packs, mut segments) = (Vec::new(), Vec::new());
    for object in found {
        match object.location.filename().and_then(JournalObject::parse) {
            Some(JournalObject::Segment(seq)) => segments.push(seq),
            Some(JournalObject::Pack { first, last }) => packs.push((first, last)),
            None => {}
        }
    }
    packs.sort_unstable();
    segments.sort_unstable();
    Ok((packs, segments))
}

#[cfg(test)]
mod tests;
