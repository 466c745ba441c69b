//! Results in the object store that the S3 listener serves: bucket `results`, keys as the platforms of OGC 20-089r1 lay
//! them out (water-bodies.md §2.5).
//!
//! An owner marker is created first and every `catalog.json` is written last: whoever sees a catalog sees complete
//! results, and results of one job are never written over by another (invariant I5). Tools do not write here: a staged
//! output is a Directory that the stage-out step has laid out, and becomes the URL of its catalog under `<jobID>/`, one
//! of several under `<jobID>/<output>/`, one of a list under `<jobID>/<output>/1/` and so on. Other Files and Directories go
//! to `<jobID>/<output>/<name>`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use weir_api::data_url::{self, is_data_url};
use weir_api::limits::DOCUMENT_DEPTH_MAX;
use weir_cwl::stage_out::place_of;
use weir_cwl::{Directory, Entry, File, Record, Value, uri};
use weir_http::backend::{BackendError, ByteStream, JobId};
use weir_store::media;
use weir_store::server::{DiskError, Objects, Reading};

use super::limits::CHUNK_BYTES;
use crate::files;
use crate::location::local_path;
use crate::publish::{Publication, PublishError, Publisher, checksum};

/// The bucket.
pub const BUCKET: &str = "results";
/// Name of the owner marker, below `<jobID>/`.
const MARKER: &str = weir_store::OWNER_MARKER;
/// Name of the document that makes results visible.
const CATALOG: &str = "catalog.json";

/// Publishes into the store.
#[derive(Debug, Clone)]
pub struct IntoStore(pub Objects);

impl Publisher for IntoStore {
    fn publish(&self, job: &Publication<'_>, outputs: Record) -> Result<Record, PublishError> {
        let id = job.spec.job.stage_out.as_ref().map(|stage_out| stage_out.id.clone());
        let id = id.ok_or_else(|| PublishError::Refused("the job does not say where its results go".to_owned()))?;
        let owned = job.folder.root();
        let mut plan = Plan { owned, output: String::new(), taken: HashMap::new(), writes: Vec::new() };
        let mut published = Record::new();
        for (name, value) in outputs {
            plan.output.clone_from(&name);
            check_name(&name, &name)?;
            let value = if let Some(place) = place_of(job.package, &name, &id) {
                plan.staged(value, &place)?
            } else {
                let place = format!("{id}/{name}");
                value.map_entries(&mut |entry| plan.entry(entry, &place, 0))?
            };
            published.insert(name, value);
        }
        if plan.writes.is_empty() {
            return Ok(published);
        }
        let key = format!("{id}/{MARKER}");
        let token = format!("{}/{id}", job.tenant);
        let owner = self.0.claim(BUCKET, &key, &token).map_err(|error| unwritable(&key, error))?;
        if owner != token {
            let message = format!("`s3://{BUCKET}/{id}/` belongs to another job (`{owner}`)");
            return Err(PublishError::Refused(message));
        }
        // Catalogs last: `false` comes before `true`.
        plan.writes.sort_by_key(|write| write.is_catalog);
        for write in &plan.writes {
            let done = match &write.content {
                Content::File(path) => self.0.put_file(BUCKET, &write.key, path, write.media).map(drop),
                Content::Bytes(bytes) => self.0.put(BUCKET, &write.key, bytes, write.media),
            };
            done.map_err(|error| unwritable(&write.key, error))?;
        }
        Ok(published)
    }
}

/// One object to be written.
#[derive(Debug)]
struct Write {
    key: String,
    content: Content,
    media: Option<&'static str>,
    is_catalog: bool,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// What is to be written, and under which keys.
struct Plan<'a> {
    /// Folder of the job's own files; nothing else is given away (invariant I9).
    owned: &'a Path,
    /// The output that is being looked at.
    output: String,
    /// Keys given away, and what stands there: equal sources share a key.
    taken: HashMap<String, Option<PathBuf>>,
    writes: Vec<Write>,
}

impl Plan<'_> {
    /// What the stage-out step has laid out: a results tree, or a list of them by the names that the step gave them.
    fn staged(&mut self, value: Value, place: &str) -> Result<Value, PublishError> {
        let directory = match value {
            Value::Directory(directory) => directory,
            Value::Array(items) => {
                let items = items.into_iter().map(|item| match &item {
                    Value::Directory(directory) => {
                        let place = format!("{place}/{}", directory.name().unwrap_or_default());
                        self.staged(item, &place)
                    }
                    _ => self.staged(item, place),
                });
                return Ok(Value::Array(items.collect::<Result<_, _>>()?));
            }
            other => return Ok(other),
        };
        let root = directory.location.as_deref().and_then(local_path);
        let root = root.filter(|root| root.join(CATALOG).is_file()).ok_or_else(|| {
            PublishError::Refused(format!("output `{}`: the stage-out step has written no {CATALOG}", self.output))
        })?;
        let root = self.own(&root)?;
        self.tree(&root, place, "", 0)?;
        Ok(Value::String(url(&format!("{place}/{CATALOG}"))))
    }

    fn tree(&mut self, folder: &Path, place: &str, below: &str, depth: usize) -> Result<(), PublishError> {
        for (path, metadata) in self.members(folder, depth)? {
            let name = files::name(&path);
            let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
            if metadata.is_dir() {
                self.tree(&path, place, &relative, depth + 1)?;
            } else if relative != MARKER {
                // Whose the place is, is not for a tool to say.
                let media = if media::is_stac(&relative) { Some(media::STAC) } else { media::type_of(&relative) };
                let content = Content::File(self.own(&path)?);
                let key = format!("{place}/{relative}");
                self.writes.push(Write { key, content, media, is_catalog: relative == CATALOG });
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, place: &str, depth: usize) -> Result<Entry, PublishError> {
        let source = match entry.location().map(local_path) {
            Some(None) if entry.location().is_some_and(is_data_url) => None,
            // Something on the network stays there.
            Some(None) => return Ok(entry),
            Some(Some(path)) => Some(self.own(&path)?),
            None => entry.path().map(|path| self.own(Path::new(path))).transpose()?,
        };
        let name = entry.name().unwrap_or_else(|| "literal".to_owned());
        check_name(&self.output, &name)?;
        let key = self.key(place, &name, source.clone());
        match entry {
            Entry::File(file) => self.file(file, source, key, place, depth).map(Entry::File),
            Entry::Directory(directory) => self.directory(directory, source, &key, depth).map(Entry::Directory),
        }
    }

    fn file(
        &mut self,
        file: File,
        source: Option<PathBuf>,
        key: String,
        place: &str,
        depth: usize,
    ) -> Result<File, PublishError> {
        self.check_depth(depth)?;
        let media = media::type_of(&key).or(file.is_literal().then_some("text/plain"));
        let (size, sum, content) = if let Some(path) = source {
            let metadata = std::fs::metadata(&path).map_err(|error| self.missing(&path, error))?;
            let sum = file.checksum.clone().map_or_else(|| checksum(&path), Ok)?;
            (metadata.len(), Some(sum), Content::File(path))
        } else {
            let bytes = data_url::literal_bytes(file.location.as_deref(), file.contents.as_deref());
            let bytes = bytes.ok_or_else(|| {
                PublishError::Refused(format!("output `{}` holds a data URL that is no valid one", self.output))
            })?;
            (bytes.len() as u64, None, Content::Bytes(bytes))
        };
        let (location, basename) = (Some(url(&key)), Some(last(&key)));
        self.writes.push(Write { key, content, media, is_catalog: false });
        let secondary_files = file
            .secondary_files
            .into_iter()
            .map(|entry| self.entry(entry, place, depth + 1))
            .collect::<Result<_, _>>()?;
        Ok(File { location, path: None, basename, size: Some(size), checksum: sum, secondary_files, ..file })
    }

    fn directory(
        &mut self,
        directory: Directory,
        source: Option<PathBuf>,
        key: &str,
        depth: usize,
    ) -> Result<Directory, PublishError> {
        self.check_depth(depth)?;
        let listing = if let Some(path) = source {
            self.listed(&path, key, depth)?
        } else {
            let listing = directory.listing.unwrap_or_default();
            listing.into_iter().map(|entry| self.entry(entry, key, depth + 1)).collect::<Result<_, _>>()?
        };
        let (location, basename) = (Some(url(key)), Some(last(key)));
        Ok(Directory { location, path: None, basename, listing: Some(listing), ..directory })
    }

    /// The members of a folder, as they are published below `key`.
    fn listed(&mut self, folder: &Path, key: &str, depth: usize) -> Result<Vec<Entry>, PublishError> {
        let mut listing = Vec::new();
        for (path, metadata) in self.members(folder, depth)? {
            let name = files::name(&path);
            let key = format!("{key}/{name}");
            let (location, basename) = (Some(url(&key)), Some(name));
            listing.push(if metadata.is_dir() {
                let listing = Some(self.listed(&path, &key, depth + 1)?);
                Entry::Directory(Directory { location, basename, listing, ..Directory::default() })
            } else {
                let content = Content::File(self.own(&path)?);
                let (media, size) = (media::type_of(&key), Some(metadata.len()));
                self.writes.push(Write { key, content, media, is_catalog: false });
                Entry::File(File { location, basename, size, ..File::default() })
            });
        }
        Ok(listing)
    }

    fn members(&self, folder: &Path, depth: usize) -> Result<Vec<(PathBuf, std::fs::Metadata)>, PublishError> {
        self.check_depth(depth)?;
        files::members(folder).map_err(|error| self.missing(folder, error))
    }

    fn check_depth(&self, depth: usize) -> Result<(), PublishError> {
        if depth < DOCUMENT_DEPTH_MAX { Ok(()) } else { Err(PublishError::TooDeep(self.output.clone().into())) }
    }

    /// The path without links, if it leads to one of the job's own files.
    fn own(&self, path: &Path) -> Result<PathBuf, PublishError> {
        let real = path.canonicalize().map_err(|error| self.missing(path, error))?;
        if real.starts_with(self.owned) {
            return Ok(real);
        }
        let message = format!("output `{}`: `{}` is none of the job's own files", self.output, path.display());
        Err(PublishError::Refused(message))
    }

    fn missing(&self, path: &Path, error: std::io::Error) -> PublishError {
        if error.kind() == std::io::ErrorKind::NotFound {
            let message = format!("output `{}`: there is nothing at `{}`", self.output, path.display());
            return PublishError::Refused(message);
        }
        PublishError::Io { doing: "read", path: path.to_owned(), source: error }
    }

    /// The key of a name: `name`, or `name_2`, `name_3` … if other things have taken it.
    fn key(&mut self, place: &str, name: &str, source: Option<PathBuf>) -> String {
        let mut key = format!("{place}/{name}");
        let mut number = 1;
        while self.taken.get(&key).is_some_and(|taken| source.is_none() || *taken != source) {
            number += 1;
            key = format!("{place}/{name}_{number}");
        }
        self.taken.insert(key.clone(), source);
        key
    }
}

/// Refuses what cannot be one segment of a key.
fn check_name(output: &str, name: &str) -> Result<(), PublishError> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        let message = format!("output `{output}`: `{name}` cannot be the name of a file; names have no slashes");
        return Err(PublishError::Refused(message));
    }
    Ok(())
}

fn url(key: &str) -> String {
    format!("s3://{BUCKET}/{}", uri::encode_path(key))
}

fn last(key: &str) -> String {
    key.rsplit('/').next().unwrap_or(key).to_owned()
}

fn unwritable(key: &str, error: DiskError) -> PublishError {
    let path = PathBuf::from(format!("s3://{BUCKET}/{key}"));
    PublishError::Io { doing: "write", path, source: std::io::Error::other(error) }
}

/// The bytes of a published file of a job. `location` may come from a client.
pub async fn read(objects: &Objects, id: &JobId, location: &str) -> Result<ByteStream, BackendError> {
    let missing = || BackendError::NotFound(format!("result `{location}` of job `{id}`"));
    let keys = keys_of(id, location);
    let objects = objects.clone();
    let opened = tokio::task::spawn_blocking(move || {
        keys.iter().find_map(|key| match objects.get(BUCKET, key) {
            Err(DiskError::NoSuchKey(_) | DiskError::InvalidKey) => None,
            other => Some(other),
        })
    });
    let opened = opened.await.map_err(|error| BackendError::Internal(error.to_string()))?;
    let reading = opened.ok_or_else(missing)?.map_err(|error| BackendError::Unavailable(error.to_string()))?;
    Ok(bytes_of(reading))
}

/// The keys that a location may mean: as it stands (STAC documents name assets like that), and decoded. Only those below
/// the job's own prefix, which nobody else writes to; its marker is no result.
fn keys_of(id: &JobId, location: &str) -> Vec<String> {
    let Some(key) = location.strip_prefix("s3://").and_then(|rest| rest.strip_prefix(BUCKET)?.strip_prefix('/')) else {
        return Vec::new();
    };
    let (prefix, marker) = (format!("{id}/"), format!("{id}/{MARKER}"));
    let mut keys = vec![key.to_owned(), uri::decode(key)];
    keys.dedup();
    keys.retain(|key| key.starts_with(&prefix) && *key != marker);
    keys
}

fn bytes_of(reading: Reading) -> ByteStream {
    let reading = Arc::new(reading);
    stream::try_unfold((reading, 0_u64), |(reading, offset)| async move {
        let from = Arc::clone(&reading);
        let read = tokio::task::spawn_blocking(move || from.read(offset, CHUNK_BYTES)).await;
        let chunk = read
            .map_err(|error| BackendError::Internal(error.to_string()))?
            .map_err(|error| BackendError::Unavailable(format!("a result cannot be read: {error}")))?;
        let next = offset + chunk.len() as u64;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (reading, next))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_means_nothing_outside_of_its_job_i9() {
        let id: JobId = "a-b".parse().unwrap();
        assert_eq!(keys_of(&id, "s3://results/a-b/o/x%20y.tif"), ["a-b/o/x%20y.tif", "a-b/o/x y.tif"]);
        for foreign in [
            "s3://results/a-c/x",
            "s3://results/a-bc/x",
            "s3://results/a-b",
            "s3://results/a-b/.weir-owner",
            "s3://results/a-b/%2eweir-owner",
            "s3://other/a-b/x",
            "s3://resultsa-b/x",
            "file:///etc/passwd",
            "a-b/x",
            "",
        ] {
            let keys: Vec<_> = keys_of(&id, foreign).into_iter().filter(|key| key != "a-b/%2eweir-owner").collect();
            assert!(keys.is_empty(), "{foreign}: {keys:?}");
        }
    }

    #[test]
    fn only_the_jobs_own_files_are_given_away_i9() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let owned = root.join("job");
        std::fs::create_dir(&owned).unwrap();
        std::fs::write(root.join("secret"), "").unwrap();
        std::fs::write(owned.join("own"), "").unwrap();
        std::os::unix::fs::symlink("../secret", owned.join("link")).unwrap();
        let plan = Plan { owned: &owned, output: "o".into(), taken: HashMap::new(), writes: Vec::new() };
        assert_eq!(plan.own(&owned.join("own")).unwrap(), owned.join("own"));
        for foreign in ["link", "../secret", "nothing"] {
            let refused = plan.own(&owned.join(foreign)).unwrap_err();
            assert!(matches!(refused, PublishError::Refused(_)), "{foreign}: {refused}");
        }
    }
}
