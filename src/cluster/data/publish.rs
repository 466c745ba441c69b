//! Publishing (I5): the final outputs are copied from where pods have put them to their final keys, by the store itself.
//!
//! An owner marker is created first and every `catalog.json` is written last: whoever sees a catalog sees complete
//! results, and results of one job are never written over by another. Keys depend on the outputs alone, so publishing
//! again after a crash writes the same objects again.
//!
//! A staged output (a Directory that the stage-out step has laid out) goes to `<result id>/`, one of several to
//! `<result id>/<output>/`, one of a list to `<result id>/<output>/1/` and so on, and becomes the URL of its catalog. Other Files and Directories go to
//! `<result id>/<output>/<name>` and stay what they are, with their new locations.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStoreExt as _, PutPayload};
use tokio::sync::watch;
use weir_api::data_url::{self, is_data_url};
use weir_api::limits::DOCUMENT_DEPTH_MAX;
use weir_cwl::{Directory, Entry, File, Record, Value, stage_out, uri};
use weir_store::JobKeys;
use weir_store::manifest::{Found, ManifestError, Member, Stored};
use weir_store::media;
use weir_store::presign::PresignError;
use weir_store::usage::Report;

use super::location::Location;
use super::results::{Bucket, RequestError};
use crate::context::JobContext;
use crate::limits::COPIES_AT_ONCE;

/// Name of the owner marker, below `<result id>/`; what the embedded stage-out writes, too.
pub const MARKER: &str = weir_store::OWNER_MARKER;
/// Name of the document that makes results visible.
const CATALOG: &str = "catalog.json";
/// Media type of a text without a telling name.
const TEXT: &str = "text/plain";
/// Media type of anything else.
const BYTES: &str = "application/octet-stream";

/// Why the outputs cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The place is taken.
    #[error("`s3://{bucket}/{id}/` belongs to another job (`{owner}`); nothing was written")]
    ForeignOwner {
        /// The bucket.
        bucket: String,
        /// First segment of the keys.
        id: String,
        /// What its marker says.
        owner: String,
    },
    /// The results' bucket cannot be written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What is to be published cannot be found out.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Requests cannot be signed.
    #[error(transparent)]
    Presign(#[from] PresignError),
    /// The outputs cannot be written down.
    #[error("cannot write `{key}`: {source}")]
    Store {
        /// Where.
        key: object_store::path::Path,
        /// Why not.
        source: object_store::Error,
    },
    /// Something that is not there.
    #[error("output `{output}`: there is nothing at {location}")]
    Missing {
        /// The output.
        output: String,
        /// Where it should be.
        location: String,
    },
    /// A name that would lead elsewhere.
    #[error("output `{output}`: `{name}` cannot be the name of a file; names have no slashes")]
    Name {
        /// The output.
        output: String,
        /// The name.
        name: String,
    },
    /// A file that is given as a data URL, and a wrong one.
    #[error("output `{output}` holds a data URL that is no valid one; its bytes must be in base64")]
    Malformed {
        /// The output.
        output: String,
    },
    /// Directories in directories without end.
    #[error("output `{output}` is nested deeper than {DOCUMENT_DEPTH_MAX} directories")]
    TooDeep {
        /// The output.
        output: String,
    },
    /// The job is to stop, or nobody runs it here any more. This try has written no catalog.
    #[error("the job was stopped before its outputs were published")]
    Stopped,
    /// A stage-out step that has not laid out a catalog.
    #[error("output `{output}`: the stage-out step has written no {CATALOG}")]
    NoCatalog {
        /// The output.
        output: String,
    },
}

impl PublishError {
    /// Whether publishing again can help, now or once somebody has mended the bucket: the job is not over then. Otherwise
    /// it has failed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Request(error) => error.is_retryable,
            Self::Manifest(error) => error.is_temporary(),
            Self::Store { .. } | Self::Stopped => true,
            _ => false,
        }
    }
}

/// Publishes the output object of a job that has succeeded and returns it with the locations of what was published.
///
/// [`PublishError::Stopped`] as soon as `stop` is true or nobody can set it any more, until everything but the catalogs is
/// in place. Then `commit` is awaited, if there are catalogs: whether they may be written, which nothing ends any more.
pub async fn publish(
    context: &JobContext,
    outputs: Record,
    mut stop: watch::Receiver<bool>,
    commit: impl Future<Output = bool>,
) -> Result<Record, PublishError> {
    let bucket = context.services.results.bucket(&context.spec.results_bucket)?;
    let (published, catalogs) = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return Err(PublishError::Stopped),
        begun = all_but_catalogs(context, &bucket, outputs) => begun?,
    };
    if !catalogs.is_empty() && !commit.await {
        return Err(PublishError::Stopped);
    }
    write_all(&catalogs, &bucket, context).await?;
    Ok(published)
}

/// Writes everything but the catalogs; these and what the published outputs are.
async fn all_but_catalogs(
    context: &JobContext,
    bucket: &Bucket<'_>,
    outputs: Record,
) -> Result<(Record, Vec<Write>), PublishError> {
    let id = &context.spec.result_id;
    let mut plan = Plan::new(context, bucket.name());
    let mut published = Record::new();
    for (name, value) in outputs {
        plan.output.clone_from(&name);
        // It becomes part of keys, and of URLs, in which `..` leads out.
        if !is_name(&name) {
            return Err(PublishError::Name { output: name.clone(), name });
        }
        let value = match stage_out::place_of(context.intent.package(), &name, id) {
            Some(place) => plan.staged(value, &place).await?,
            None => plan.value(value, &format!("{id}/{name}"), 0).await?,
        };
        published.insert(name, value);
    }
    if plan.is_empty() {
        return Ok((published, Vec::new()));
    }
    claim(bucket, context).await?;
    let (catalogs, others): (Vec<_>, Vec<_>) = plan.writes.into_iter().partition(|write| write.is_catalog);
    write_all(&others, bucket, context).await?;
    Ok((published, catalogs))
}

async fn write_all(writes: &[Write], bucket: &Bucket<'_>, context: &JobContext) -> Result<(), RequestError> {
    let writes = writes.iter().map(|write| write.perform(bucket, context));
    stream::iter(writes).buffer_unordered(COPIES_AT_ONCE).try_collect().await
}

/// Writes `results.json` (the whole output object, if the job succeeded) and `usage.json` beside the job's journal.
pub async fn record(context: &JobContext, outputs: Option<&Record>, report: &Report) -> Result<(), PublishError> {
    let write = async |key: object_store::path::Path, text: String| {
        let put = context.services.store.put(&key, PutPayload::from(text)).await;
        put.map(drop).map_err(|source| PublishError::Store { key, source })
    };
    if let Some(outputs) = outputs {
        let text = weir_cwl::json::pretty(&Value::Record(outputs.clone()));
        write(context.keys.results(), format!("{text}\n")).await?;
    }
    let settings = &context.services.settings;
    let parallelism = context.intent.policy().parallelism.min(settings.parallelism);
    let cores = f64::from(parallelism) * settings.pods.cores_max;
    let ram_mib = u64::from(parallelism).saturating_mul(settings.pods.ram_mib_max);
    write(context.keys.usage(), format!("{:#}\n", report.to_json(cores, ram_mib))).await
}

/// What the owner marker of a run's results says. The bucket may be shared by tenants.
pub fn owner(keys: &JobKeys) -> String {
    format!("{}/{}", keys.tenant(), keys.run())
}

/// Makes the place of the results this run's own.
async fn claim(bucket: &Bucket<'_>, context: &JobContext) -> Result<(), PublishError> {
    let id = &context.spec.result_id;
    let token = owner(&context.keys);
    let owner = bucket.claim(&format!("{id}/{MARKER}"), &token).await?;
    if owner == token {
        return Ok(());
    }
    Err(PublishError::ForeignOwner { bucket: bucket.name().to_owned(), id: id.clone(), owner })
}

/// One object to be written.
#[derive(Debug)]
struct Write {
    key: String,
    content: Content,
    /// Media type, where it is not the one that the source carries.
    media: Option<&'static str>,
    is_catalog: bool,
}

#[derive(Debug)]
enum Content {
    /// A copy of an object of the job.
    Object(String),
    Bytes(Vec<u8>),
}

impl Write {
    async fn perform(&self, bucket: &Bucket<'_>, context: &JobContext) -> Result<(), RequestError> {
        match &self.content {
            Content::Object(object) => {
                let from = format!("{}/{object}", context.keys.root());
                bucket.copy(&from, &self.key, self.media).await
            }
            Content::Bytes(bytes) => bucket.put(&self.key, bytes, self.media.unwrap_or(BYTES)).await,
        }
    }
}

/// What is to be written, and under which keys.
#[derive(Debug)]
struct Plan<'a> {
    context: &'a JobContext,
    /// `s3://bucket`
    base: String,
    /// The output that is being looked at.
    output: String,
    /// Keys given away, and what stands there: equal sources share a key.
    taken: HashMap<String, Taken>,
    writes: Vec<Write>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Taken {
    By(Location),
    Literal(usize),
}

impl<'a> Plan<'a> {
    fn new(context: &'a JobContext, bucket: &str) -> Self {
        Self {
            context,
            base: format!("s3://{bucket}"),
            output: String::new(),
            taken: HashMap::new(),
            writes: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{}", self.base, uri::encode_path(key))
    }

    fn missing(&self, location: &Location) -> PublishError {
        PublishError::Missing { output: self.output.clone(), location: location.to_string() }
    }

    fn copy(&mut self, key: String, stored: &Stored, media: Option<&'static str>, is_catalog: bool) {
        self.writes.push(Write { key, content: Content::Object(stored.object.clone()), media, is_catalog });
    }

    /// What the stage-out step has laid out: a results tree, or a list of them.
    async fn staged(&mut self, value: Value, place: &str) -> Result<Value, PublishError> {
        match value {
            Value::Directory(directory) => self.tree(*directory, place).await,
            Value::Array(items) => {
                let mut published = Vec::with_capacity(items.len());
                for item in items {
                    // The names that the step gave them: its documents speak of them.
                    let name = match &item {
                        Value::Directory(directory) => directory.name().unwrap_or_default(),
                        _ => String::new(),
                    };
                    published.push(Box::pin(self.staged(item, &format!("{place}/{name}"))).await?);
                }
                Ok(Value::Array(published))
            }
            other => Ok(other),
        }
    }

    /// A results tree.
    async fn tree(&mut self, directory: Directory, place: &str) -> Result<Value, PublishError> {
        let own = directory.location.as_deref().and_then(Location::parse);
        let own = own.ok_or_else(|| PublishError::NoCatalog { output: self.output.clone() })?;
        let manifest = self.context.data.manifest(self.context, own.incarnation).await?;
        let manifest = manifest.ok_or_else(|| self.missing(&own))?;
        if !matches!(manifest.look(&own.join(CATALOG).path), Some(Found::File(_))) {
            return Err(PublishError::NoCatalog { output: self.output.clone() });
        }
        // Whose the place is, is not for a tool to say.
        for (path, member) in manifest.below(&own.path).filter(|(path, _)| *path != MARKER) {
            if let Member::File(stored) = member {
                let media = media::is_stac(path).then_some(media::STAC);
                self.copy(format!("{place}/{path}"), stored, media, path == CATALOG);
            }
        }
        Ok(Value::String(self.url(&format!("{place}/{CATALOG}"))))
    }

    /// A value with all of its Files and Directories below `place`.
    async fn value(&mut self, value: Value, place: &str, depth: usize) -> Result<Value, PublishError> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(PublishError::TooDeep { output: self.output.clone() });
        }
        Ok(match value {
            Value::Array(items) => {
                let mut placed = Vec::with_capacity(items.len());
                for item in items {
                    placed.push(Box::pin(self.value(item, place, depth + 1)).await?);
                }
                Value::Array(placed)
            }
            Value::Record(record) => {
                let mut placed = Record::new();
                for (name, member) in record {
                    placed.insert(name, Box::pin(self.value(member, place, depth + 1)).await?);
                }
                Value::Record(placed)
            }
            Value::File(file) => self.entry(Entry::File(*file), place, depth).await?.into(),
            Value::Directory(directory) => self.entry(Entry::Directory(*directory), place, depth).await?.into(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
        })
    }

    async fn entry(&mut self, entry: Entry, place: &str, depth: usize) -> Result<Entry, PublishError> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(PublishError::TooDeep { output: self.output.clone() });
        }
        let source = match entry.location().map(Location::parse) {
            Some(None) if entry.location().is_some_and(is_data_url) => None,
            // Something on the network stays there.
            Some(None) => return Ok(entry),
            Some(Some(location)) => Some(location),
            None => None,
        };
        let name = entry.name().unwrap_or_else(|| "literal".to_owned());
        if !is_name(&name) {
            return Err(PublishError::Name { output: self.output.clone(), name });
        }
        let taken = source.clone().map_or(Taken::Literal(self.taken.len()), Taken::By);
        let key = self.key(place, &name, taken);
        match entry {
            Entry::File(file) => self.file(file, source, key, place, depth).await.map(Entry::File),
            Entry::Directory(directory) => self.directory(directory, source, key, depth).await.map(Entry::Directory),
        }
    }

    /// The key of a name: `name`, or `name_2`, `name_3` … if other things have taken it.
    fn key(&mut self, place: &str, name: &str, source: Taken) -> String {
        let mut key = format!("{place}/{name}");
        let mut number = 1;
        while self.taken.get(&key).is_some_and(|taken| *taken != source) {
            number += 1;
            key = format!("{place}/{name}_{number}");
        }
        self.taken.insert(key.clone(), source);
        key
    }

    async fn file(
        &mut self,
        file: File,
        source: Option<Location>,
        key: String,
        place: &str,
        depth: usize,
    ) -> Result<File, PublishError> {
        let size = match &source {
            None => {
                let bytes = data_url::literal_bytes(file.location.as_deref(), file.contents.as_deref());
                let bytes = bytes.ok_or_else(|| PublishError::Malformed { output: self.output.clone() })?;
                let size = bytes.len() as u64;
                let media = media::type_of(&key).unwrap_or(if file.is_literal() { TEXT } else { BYTES });
                let content = Content::Bytes(bytes);
                self.writes.push(Write { key: key.clone(), content, media: Some(media), is_catalog: false });
                size
            }
            Some(location) => {
                let manifest = self.context.data.manifest(self.context, location.incarnation).await?;
                let found = manifest.as_ref().and_then(|manifest| manifest.look(&location.path));
                let Some(Found::File(stored)) = found else { return Err(self.missing(location)) };
                self.copy(key.clone(), stored, None, false);
                stored.size
            }
        };
        let mut secondary_files = Vec::with_capacity(file.secondary_files.len());
        for entry in file.secondary_files {
            secondary_files.push(Box::pin(self.entry(entry, place, depth + 1)).await?);
        }
        let (location, basename) = (Some(self.url(&key)), Some(last(&key)));
        Ok(File { location, path: None, basename, size: Some(size), secondary_files, ..file })
    }

    async fn directory(
        &mut self,
        directory: Directory,
        source: Option<Location>,
        key: String,
        depth: usize,
    ) -> Result<Directory, PublishError> {
        let listing = match source {
            None => {
                let mut listing = Vec::new();
                for entry in directory.listing.unwrap_or_default() {
                    listing.push(Box::pin(self.entry(entry, &key, depth + 1)).await?);
                }
                listing
            }
            Some(location) => {
                let manifest = self.context.data.manifest(self.context, location.incarnation).await?;
                let manifest = manifest.ok_or_else(|| self.missing(&location))?;
                if manifest.look(&location.path) != Some(Found::Directory) {
                    return Err(self.missing(&location));
                }
                for (path, member) in manifest.below(&location.path) {
                    if let Member::File(stored) = member {
                        self.copy(format!("{key}/{path}"), stored, None, false);
                    }
                }
                self.listed(&manifest, &location.path, &key)
            }
        };
        let (location, basename) = (Some(self.url(&key)), Some(last(&key)));
        Ok(Directory { location, path: None, basename, listing: Some(listing), ..directory })
    }

    /// The members of a directory as they are published. Its depth is bounded by that of an agent's listing.
    fn listed(&self, manifest: &weir_store::manifest::Manifest, path: &str, key: &str) -> Vec<Entry> {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let entry = |(name, found): (&str, Found<'_>)| {
            let key = format!("{key}/{name}");
            let (location, basename) = (Some(self.url(&key)), Some(name.to_owned()));
            match found {
                Found::File(stored) => {
                    Entry::File(File { location, basename, size: Some(stored.size), ..File::default() })
                }
                Found::Directory => {
                    let listing = Some(self.listed(manifest, &below(name), &key));
                    Entry::Directory(Directory { location, basename, listing, ..Directory::default() })
                }
            }
        };
        manifest.list(path).into_iter().map(entry).collect()
    }
}

/// Whether a text can be one segment of a key.
fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(['/', '\0'])
}

fn last(key: &str) -> String {
    key.rsplit('/').next().unwrap_or(key).to_owned()
}
