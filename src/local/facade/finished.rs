//! Finished jobs as small records: one line each in an index file, so that a start reads one file instead of 10,000
//! journals. The index is a memory aid: jobs that it lacks are read from their journals.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weir_http::backend::{JobId, JobRecord};

use super::layout::write_whole;

/// A job that is over, as it is kept in memory and in the index.
#[derive(Debug, Clone)]
pub struct Past {
    /// What it shows.
    pub record: Arc<JobRecord>,
    /// Names of its texts, in the order of their starts.
    pub texts: Arc<[Box<str>]>,
}

/// A line as it is written.
#[derive(Serialize)]
struct Line<'a> {
    record: &'a JobRecord,
    texts: &'a [Box<str>],
}

/// A line as it is read.
#[derive(Deserialize)]
struct Read {
    record: JobRecord,
    texts: Vec<Box<str>>,
}

/// The index file of one tenant.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Index {
    /// Reads the jobs whose folders are still there, as `exists` says. Lines that cannot be read are left out; so are
    /// they from the file, with those of jobs that were removed, once they are many. Blocks.
    pub fn open(path: PathBuf, exists: impl Fn(&JobId) -> bool) -> (Self, HashMap<JobId, Past>) {
        let mut found = HashMap::new();
        let mut useless = 0;
        for line in File::open(&path).into_iter().flat_map(|file| BufReader::new(file).split(b'\n')) {
            match line.ok().and_then(|line| serde_json::from_slice::<Read>(&line).ok()) {
                Some(Read { record, texts }) if exists(&record.id) => {
                    let past = Past { record: Arc::new(record), texts: texts.into() };
                    useless += usize::from(found.insert(past.record.id.clone(), past).is_some());
                }
                _ => useless += 1,
            }
        }
        if useless > found.len() / 2 {
            let lines: Vec<u8> = found.values().flat_map(line).collect();
            if let Err(error) = write_whole(&path, &lines, false) {
                tracing::warn!(path = %path.display(), %error, "the index of finished jobs keeps useless lines");
            }
        }
        (Self { path, file: Mutex::default() }, found)
    }

    /// Adds a job. What is lost here is read from its journal at the next start. Blocks.
    pub fn add(&self, past: &Past) {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let added = append(&mut slot, &self.path, &line(past));
        if let Err(error) = added {
            tracing::warn!(path = %self.path.display(), %error, "a finished job is not in the index");
        }
    }
}

fn append(slot: &mut Option<File>, path: &Path, line: &[u8]) -> io::Result<()> {
    if let Some(file) = slot {
        return file.write_all(line);
    }
    let mut file = File::options().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    // What a crash left of a line must not spoil the next one.
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    slot.insert(file).write_all(line)
}

fn line(past: &Past) -> Vec<u8> {
    // Nothing in a record can fail to be written; a line that is empty is left out when it is read.
    let mut line = serde_json::to_vec(&Line { record: &past.record, texts: &past.texts }).unwrap_or_default();
    line.push(b'\n');
    line
}
