//! Texts of a job: logs of its step instances, live while they run, and its usage report.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use weir_http::backend::{BackendError, ByteStream, TextRecord};

use super::jobs::{Job, USAGE};
use super::limits::CHUNK_BYTES;
use crate::folder::JobFolder;

/// The texts that a job has so far, in the order of their starts.
pub fn list(job: &Job) -> Vec<TextRecord> {
    names(job).into_iter().map(|name| TextRecord { media_type: media_type(&name), name }).collect()
}

/// A text as far as it is written. Only names that the job has are looked for (invariant I9). `cores` and `ram_mib` are
/// what a job may use.
pub async fn read(
    job: &Job,
    folder: &JobFolder,
    name: &str,
    cores: f64,
    ram_mib: u64,
) -> Result<Option<ByteStream>, BackendError> {
    if !names(job).iter().any(|known| known == name) {
        return Ok(None);
    }
    match job {
        Job::Live(live) if name == USAGE => {
            let usage = live.chronicle().usage.to_json(cores, ram_mib);
            Ok(Some(whole(format!("{usage:#}\n"))))
        }
        Job::Over(_) if name == USAGE => file(&folder.usage()).await.map(Some),
        _ => {
            let log = name.strip_suffix(".log").unwrap_or(name);
            file(&folder.log(log)).await.map(Some)
        }
    }
}

fn names(job: &Job) -> Vec<String> {
    match job {
        Job::Live(live) => live.texts(),
        Job::Over(past) => past.texts.iter().map(ToString::to_string).collect(),
    }
}

fn media_type(name: &str) -> &'static str {
    if name == USAGE { "application/json" } else { "text/plain" }
}

fn whole(text: String) -> ByteStream {
    stream::once(async move { Ok(Bytes::from(text)) }).boxed()
}

/// The bytes of a file up to its present end. A step that has written nothing yet has no file.
async fn file(path: &Path) -> Result<ByteStream, BackendError> {
    let unreadable = |error: &io::Error| BackendError::Unavailable(format!("a text cannot be read: {error}"));
    let file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(whole(String::new())),
        Err(error) => return Err(unreadable(&error)),
    };
    // A log that is written to faster than it is read would never end.
    let length = file.metadata().await.map_err(|error| unreadable(&error))?.len();
    let bytes = stream::try_unfold(file.take(length), move |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = file.read_buf(&mut chunk).await.map_err(|error| unreadable(&error))?;
        Ok((read > 0).then(|| (chunk.freeze(), file)))
    });
    Ok(bytes.boxed())
}
