//! The operations of S3 on a [`Disk`]: what a request asks for, and what the answer says.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use hyper::StatusCode;
use s3s::dto::*;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, StdError, s3_error};
use tokio::task::JoinHandle;

use super::access::Guard;
use super::conditions::{self, ReadConditions};
use super::disk::{Condition, Disk, DiskError, io_error};
use super::multipart::{PARTS, Upload};
use super::object::{Attributes, Object};
use super::receive::{Claims, PUT_BYTES};
use super::walk::{After, Entry, Listing};

/// Entries of a page of a listing at most (S3: 1,000).
const PAGE: i32 = 1000;

/// Bytes of an object that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// The headers that are kept with an object besides its user metadata.
const HEADERS: [&str; 5] =
    ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language"];

/// The service: one disk, one set of credentials.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where objects are.
    pub disk: Arc<Disk>,
    /// Who may see which bucket.
    pub guard: Guard,
}

/// Runs what blocks off the threads that serve connections.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, DiskError> + Send + 'static) -> S3Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(refuse),
        Err(error) => Err(S3Error::internal_error(error)),
    }
}

/// How S3 names an error.
pub fn refuse(error: DiskError) -> S3Error {
    let code = match &error {
        DiskError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
        DiskError::BucketExists(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
        DiskError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
        DiskError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
        DiskError::Precondition(_) => S3ErrorCode::PreconditionFailed,
        DiskError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
        DiskError::InvalidPart(_) => S3ErrorCode::InvalidPart,
        DiskError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        DiskError::PartTooSmall(_) => S3ErrorCode::EntityTooSmall,
        DiskError::TooLarge(_) => S3ErrorCode::EntityTooLarge,
        DiskError::InvalidKey => S3ErrorCode::InvalidArgument,
        DiskError::Io { source, .. } => {
            tracing::error!(error = %error, "the disk failed");
            if source.kind() == std::io::ErrorKind::StorageFull {
                let mut full = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), "disk full");
                full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
                return full;
            }
            // The client learns no path of this machine.
            return s3_error!(InternalError, "the store's disk failed; its log says more");
        }
    };
    S3Error::with_message(code, error.to_string())
}

fn etag(attributes: &Attributes) -> Option<ETag> {
    Some(ETag::Strong(attributes.etag.clone()))
}

fn size(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

fn attributes<T>(request: &S3Request<T>, metadata: Option<&Metadata>) -> Attributes {
    let header = |name: &&str| Some(((*name).to_owned(), request.headers.get(*name)?.to_str().ok()?.to_owned()));
    let mut headers: BTreeMap<_, _> = HEADERS.iter().filter_map(header).collect();
    // The encoding of the transfer is not one of the object.
    if let Some(encoding) = headers.get_mut("content-encoding") {
        let own: Vec<_> = encoding.split(',').map(str::trim).filter(|name| *name != "aws-chunked").collect();
        *encoding = own.join(",");
    }
    headers.retain(|_, value| !value.is_empty());
    Attributes {
        headers,
        metadata: metadata.cloned().unwrap_or_default().into_iter().collect(),
        modified: Attributes::now(),
        ..Attributes::default()
    }
}

fn bucket_and_key(source: &CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.to_string(), key.to_string())),
        _ => Err(s3_error!(NotImplemented, "copy sources are `bucket/key`")),
    }
}

/// Keys of a listing, percent-encoded if the client asks so: XML cannot hold every character.
fn encoded(key: &str, encoding: Option<&EncodingType>) -> String {
    if encoding.is_none_or(|encoding| encoding.as_str() != EncodingType::URL) {
        return key.to_owned();
    }
    crate::presign::encode(key, true)
}

fn limit(max_keys: Option<i32>) -> S3Result<i32> {
    let limit = max_keys.unwrap_or(PAGE);
    if limit < 0 { Err(s3_error!(InvalidArgument, "max-keys is negative")) } else { Ok(limit.min(PAGE)) }
}

impl Service {
    /// A page of a listing.
    async fn page(&self, bucket: &str, listing: Listing) -> S3Result<(Vec<Entry>, bool)> {
        let (disk, bucket) = (Arc::clone(&self.disk), bucket.to_owned());
        blocking(move || {
            if listing.limit == 0 {
                disk.check_bucket(&bucket)?;
                return Ok((Vec::new(), false));
            }
            disk.list(&bucket, &listing)
        })
        .await
    }

    async fn open(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let (disk, bucket, key) = (Arc::clone(&self.disk), bucket.to_owned(), key.to_owned());
        blocking(move || disk.get(&bucket, &key)).await
    }
}

fn split(entries: Vec<Entry>, encoding: Option<&EncodingType>) -> (Vec<s3s::dto::Object>, Vec<CommonPrefix>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Object { key, attributes } => objects.push(s3s::dto::Object {
                key: Some(encoded(&key, encoding)),
                e_tag: etag(&attributes),
                last_modified: Some(attributes.modified().into()),
                size: size(attributes.size),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Default::default()
            }),
            Entry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(encoded(&prefix, encoding)) }),
        }
    }
    (objects, prefixes)
}

/// The bytes of an object, read ahead by one block.
struct Body {
    object: Arc<Object>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Stream for Body {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.next >= this.end {
            return Poll::Ready(None);
        }
        let length = usize::try_from(this.end - this.next).unwrap_or(usize::MAX).min(READ_BYTES);
        let (object, offset) = (Arc::clone(&this.object), this.next);
        let reading =
            this.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || object.read(offset, length)));
        let Poll::Ready(read) = Pin::new(reading).poll(cx) else { return Poll::Pending };
        this.reading = None;
        match read.map_err(std::io::Error::other).flatten() {
            Ok(bytes) => {
                this.next += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes.into())))
            }
            Err(error) => {
                tracing::error!(%error, "cannot read an object");
                this.next = this.end;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }
}

impl ByteStream for Body {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.end - self.next).unwrap_or(usize::MAX))
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let condition = conditions::write(req.input.if_match.take(), req.input.if_none_match.take())?;
        let claims = Claims::of(&req, req.input.content_length)?;
        let attributes = attributes(&req, req.input.metadata.as_ref());
        let (bucket, key) = (req.input.bucket, req.input.key);
        let received = claims.receive(&self.disk, req.input.body).await?;
        let disk = Arc::clone(&self.disk);
        let attributes =
            Attributes { size: received.size, etag: received.md5, checksums: received.checksums, ..attributes };
        let attributes = blocking(move || {
            let staged = disk.finish(received.draft, &attributes)?;
            disk.commit(&staged, &bucket, &key, &condition)?;
            Ok(attributes)
        })
        .await?;
        let sum = |name: &str| attributes.checksums.get(name).cloned();
        Ok(S3Response::new(PutObjectOutput {
            e_tag: etag(&attributes),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.open(&input.bucket, &input.key).await?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object.attributes)?;
        let found = object.attributes.clone();
        let range = match &input.range {
            Some(range) => range.check(found.size)?,
            None => 0..found.size,
        };
        let content_range =
            input.range.map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), found.size));
        let length = size(range.end - range.start);
        let whole = content_range.is_none() && input.checksum_mode.is_some();
        let sum = |name: &str| whole.then(|| found.checksums.get(name).cloned()).flatten();
        let header = |name: &str| found.headers.get(name).cloned();
        let body = Body { object: Arc::new(object), next: range.start, end: range.end, reading: None };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::new(body)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: length,
            content_range,
            content_type: header("content-type").or_else(|| Some("binary/octet-stream".to_owned())),
            cache_control: header("cache-control"),
            content_disposition: header("content-disposition"),
            content_encoding: header("content-encoding"),
            content_language: header("content-language"),
            e_tag: etag(&found),
            last_modified: Some(found.modified().into()),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            metadata: Some(found.metadata.clone().into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let found = self.open(&input.bucket, &input.key).await?.attributes;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&found)?;
        let whole = input.checksum_mode.is_some();
        let sum = |name: &str| whole.then(|| found.checksums.get(name).cloned()).flatten();
        let header = |name: &str| found.headers.get(name).cloned();
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: size(found.size),
            content_type: header("content-type").or_else(|| Some("binary/octet-stream".to_owned())),
            cache_control: header("cache-control"),
            content_disposition: header("content-disposition"),
            content_encoding: header("content-encoding"),
            content_language: header("content-language"),
            e_tag: etag(&found),
            last_modified: Some(found.modified().into()),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            metadata: Some(found.metadata.clone().into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let limit = limit(input.max_keys)?;
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) if !token.is_empty() => {
                After::parse(token).ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not valid"))?
            }
            (_, Some(key)) if !key.is_empty() => After::Key(key.clone()),
            _ => After::Nothing,
        };
        let listing = Listing {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
            after,
            limit: usize::try_from(limit).unwrap_or_default(),
        };
        let (entries, more) = self.page(&input.bucket, listing).await?;
        let next = entries.last().filter(|_| more).map(|last| last.after().token());
        let count = i32::try_from(entries.len()).unwrap_or(i32::MAX);
        let encoding = input.encoding_type.as_ref();
        let (objects, prefixes) = split(entries, encoding);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.as_deref().unwrap_or_default(), encoding)),
            delimiter: input.delimiter.map(|delimiter| encoded(&delimiter, encoding)),
            start_after: input.start_after.map(|key| encoded(&key, encoding)),
            max_keys: Some(limit),
            key_count: Some(count),
            continuation_token: input.continuation_token,
            is_truncated: Some(more),
            next_continuation_token: next,
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let limit = limit(input.max_keys)?;
        let delimiter = input.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
        let prefix = input.prefix.clone().unwrap_or_default();
        // A marker of this version is a plain text: one that ends a common prefix stands for all keys below it.
        let after = match &input.marker {
            Some(marker) if marker.is_empty() => After::Nothing,
            Some(marker) if delimiter.as_ref().is_some_and(|d| marker.len() > prefix.len() && marker.ends_with(d)) => {
                After::Prefix(marker.clone())
            }
            Some(marker) => After::Key(marker.clone()),
            None => After::Nothing,
        };
        let listing =
            Listing { prefix, delimiter: delimiter.clone(), after, limit: usize::try_from(limit).unwrap_or_default() };
        let (entries, more) = self.page(&input.bucket, listing).await?;
        let encoding = input.encoding_type.as_ref();
        let next = entries.last().filter(|_| more).map(|last| match last {
            Entry::Object { key, .. } | Entry::Prefix(key) => encoded(key, encoding),
        });
        let (objects, prefixes) = split(entries, encoding);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.as_deref().unwrap_or_default(), encoding)),
            delimiter: input.delimiter.map(|delimiter| encoded(&delimiter, encoding)),
            marker: Some(encoded(input.marker.as_deref().unwrap_or_default(), encoding)),
            max_keys: Some(limit),
            is_truncated: Some(more),
            next_marker: next.filter(|_| delimiter.is_some()),
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let condition = conditions::write(req.input.if_match, None)?;
        let (disk, bucket, key) = (Arc::clone(&self.disk), req.input.bucket, req.input.key);
        blocking(move || disk.delete(&bucket, &key, &condition)).await?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = req.input;
        if input.delete.objects.len() > usize::try_from(PAGE).unwrap_or_default() {
            return Err(s3_error!(MalformedXML, "at most {PAGE} objects are deleted at once"));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let (disk, bucket) = (Arc::clone(&self.disk), input.bucket);
        let output = blocking(move || {
            disk.check_bucket(&bucket)?;
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in input.delete.objects {
                let condition = object.e_tag.map_or(Condition::None, |etag| Condition::Etag(etag.into_value()));
                match disk.delete(&bucket, &object.key, &condition) {
                    Ok(()) if quiet => {}
                    Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                    Err(error) => {
                        let error = refuse(error);
                        errors.push(Error {
                            code: Some(error.code().as_str().to_owned()),
                            key: Some(object.key),
                            message: error.message().map(str::to_owned),
                            ..Default::default()
                        });
                    }
                }
            }
            Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() })
        })
        .await?;
        Ok(S3Response::new(output))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let (from_bucket, from_key) = bucket_and_key(&req.input.copy_source)?;
        let new = attributes(&req, req.input.metadata.as_ref());
        // CopyObjectInput does not carry the conditions of the target (AWS has them since 2024), the headers do.
        let condition = |name: &str| -> S3Result<Option<ETagCondition>> {
            let value = req.headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
            value.transpose().map_err(|_| s3_error!(InvalidArgument, "{name} is no ETag"))
        };
        let condition = conditions::write(condition("if-match")?, condition("if-none-match")?)?;
        let input = req.input;
        let source = ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let replace = input.metadata_directive.is_some_and(|word| word.as_str() == MetadataDirective::REPLACE);
        if !replace && from_bucket == *input.bucket && from_key == *input.key {
            return Err(s3_error!(InvalidRequest, "an object is copied to itself only to replace its metadata"));
        }
        let mut object = self.open(&from_bucket, &from_key).await?;
        if let Err(error) = source.check(&object.attributes) {
            // A copy is refused, never "not modified".
            let failed = *error.code() == S3ErrorCode::NotModified;
            return Err(if failed { s3_error!(PreconditionFailed, "the source is another one") } else { error });
        }
        if object.attributes.size > PUT_BYTES {
            return Err(s3_error!(InvalidRequest, "more than {PUT_BYTES} bytes are copied by UploadPartCopy"));
        }
        let disk = Arc::clone(&self.disk);
        let copied = blocking(move || {
            let found = object.attributes.clone();
            let copied = if replace {
                let (headers, metadata) = (new.headers, new.metadata);
                Attributes { headers, metadata, modified: new.modified, ..found.clone() }
            } else {
                Attributes { modified: new.modified, ..found.clone() }
            };
            // An object never changes, so a copy may be a second name of one file; it keeps its date then.
            if !replace
                && let Some(staged) = disk.link(&from_bucket, &from_key)?
                && let Ok(linked) = Object::open(&staged.path)
                && linked.attributes == found
            {
                disk.commit(&staged, &input.bucket, &input.key, &condition)?;
                return Ok(found);
            }
            let mut draft = disk.draft(s3s::checksum::ChecksumHasher::default())?;
            object.copy_to(0..found.size, &mut draft.file).map_err(io_error("copy an object"))?;
            let staged = disk.finish(draft, &copied)?;
            disk.commit(&staged, &input.bucket, &input.key, &condition)?;
            Ok(copied)
        })
        .await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: etag(&copied),
                last_modified: Some(copied.modified().into()),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let attributes = attributes(&req, req.input.metadata.as_ref());
        let (bucket, key) = (req.input.bucket, req.input.key);
        let upload = Upload { bucket: bucket.clone(), key: key.clone(), attributes };
        let disk = Arc::clone(&self.disk);
        let id = blocking(move || disk.create_upload(&upload)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            checksum_algorithm: req.input.checksum_algorithm,
            checksum_type: req.input.checksum_type,
            ..Default::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let claims = Claims::of(&req, req.input.content_length)?;
        let input = req.input;
        let number = part_number(input.part_number)?;
        let (disk, bucket, key, id) = (Arc::clone(&self.disk), input.bucket, input.key, input.upload_id);
        let found = id.clone();
        blocking(move || disk.upload(&bucket, &key, &found)).await?;
        let received = claims.receive(&self.disk, input.body).await?;
        let attributes = Attributes {
            size: received.size,
            etag: received.md5,
            modified: Attributes::now(),
            checksums: received.checksums,
            ..Attributes::default()
        };
        let disk = Arc::clone(&self.disk);
        let attributes = blocking(move || {
            let staged = disk.finish(received.draft, &attributes)?;
            disk.put_part(&staged, &id, number)?;
            Ok(attributes)
        })
        .await?;
        let sum = |name: &str| attributes.checksums.get(name).cloned();
        Ok(S3Response::new(UploadPartOutput {
            e_tag: etag(&attributes),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            ..Default::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        let (from_bucket, from_key) = bucket_and_key(&input.copy_source)?;
        let number = part_number(input.part_number)?;
        let object = self.open(&from_bucket, &from_key).await?;
        let range = match &input.copy_source_range {
            Some(range) => Range::parse(range)
                .map_err(|_| s3_error!(InvalidArgument, "x-amz-copy-source-range is no range"))?
                .check(object.attributes.size)?,
            None => 0..object.attributes.size,
        };
        if range.end - range.start > PUT_BYTES {
            return Err(refuse(DiskError::TooLarge(PUT_BYTES)));
        }
        let disk = Arc::clone(&self.disk);
        let attributes = blocking(move || {
            disk.upload(&input.bucket, &input.key, &input.upload_id)?;
            let mut draft = disk.draft(s3s::checksum::ChecksumHasher::default())?;
            let mut next = range.start;
            while next < range.end {
                let length = usize::try_from(range.end - next).unwrap_or(usize::MAX).min(READ_BYTES);
                draft.write(&object.read(next, length).map_err(io_error("read an object"))?)?;
                next += length as u64;
            }
            let written = draft.digest();
            let (etag, modified) = (hex::encode(written.md5), Attributes::now());
            let attributes = Attributes { size: written.size, etag, modified, ..Attributes::default() };
            let staged = disk.finish(draft, &attributes)?;
            disk.put_part(&staged, &input.upload_id, number)?;
            Ok(attributes)
        })
        .await?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: etag(&attributes),
                last_modified: Some(attributes.modified().into()),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let condition = conditions::write(input.if_match, input.if_none_match)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut named = Vec::with_capacity(parts.len());
        for part in parts {
            let number = part_number(part.part_number.unwrap_or(0))?;
            let etag = part.e_tag.ok_or_else(|| s3_error!(MalformedXML, "part {number} has no ETag"))?;
            named.push((number, etag.into_value()));
        }
        let (disk, bucket, key) = (Arc::clone(&self.disk), input.bucket.clone(), input.key.clone());
        let attributes = blocking(move || disk.complete(&bucket, &key, &input.upload_id, &named, &condition)).await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, crate::presign::encode(&input.key, true))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&attributes),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let (disk, input) = (Arc::clone(&self.disk), req.input);
        blocking(move || disk.abort(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let limit = limit(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let (disk, bucket, key, id) =
            (Arc::clone(&self.disk), input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let (parts, more) = blocking(move || {
            disk.upload(&bucket, &key, &id)?;
            disk.parts(&id, after, usize::try_from(limit).unwrap_or_default())
        })
        .await?;
        let next = parts.last().filter(|_| more).map(|(number, _)| *number);
        let parts = parts.into_iter().map(|(number, attributes)| Part {
            part_number: Some(number),
            e_tag: etag(&attributes),
            size: size(attributes.size),
            last_modified: Some(attributes.modified().into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            part_number_marker: Some(after),
            next_part_number_marker: next,
            max_parts: Some(limit),
            is_truncated: Some(more),
            parts: Some(parts.collect()),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        let limit = usize::try_from(limit(input.max_uploads)?).unwrap_or_default();
        let (disk, bucket) = (Arc::clone(&self.disk), input.bucket.clone());
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut uploads = blocking(move || disk.uploads(&bucket, &prefix)).await?;
        let marker = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        uploads.retain(|(key, id, _)| match &marker {
            (after, Some(upload)) if !upload.is_empty() => (key, id) > (after, upload),
            (after, _) => key > after || after.is_empty(),
        });
        let more = uploads.len() > limit;
        uploads.truncate(limit);
        let last = uploads.last().filter(|_| more).cloned();
        let encoding = input.encoding_type.as_ref();
        let uploads = uploads.into_iter().map(|(key, id, begun)| MultipartUpload {
            key: Some(encoded(&key, encoding)),
            upload_id: Some(id),
            initiated: Some(begun.into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            is_truncated: Some(more),
            next_key_marker: last.as_ref().map(|(key, ..)| encoded(key, encoding)),
            next_upload_id_marker: last.map(|(_, id, _)| id),
            uploads: Some(uploads.collect()),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let (disk, bucket) = (Arc::clone(&self.disk), req.input.bucket.clone());
        blocking(move || disk.create_bucket(&bucket)).await?;
        let location = Some(format!("/{}", req.input.bucket));
        Ok(S3Response::new(CreateBucketOutput { location, ..Default::default() }))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::with_status(DeleteBucketOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.check_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.check_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let disk = Arc::clone(&self.disk);
        let buckets = blocking(move || disk.buckets()).await?;
        let pair = req.credentials.as_ref().and_then(|credentials| self.guard.0.find(&credentials.access_key));
        let seen = buckets.into_iter().filter(|(name, _)| pair.as_ref().is_some_and(|pair| pair.covers_bucket(name)));
        let seen = seen.map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(created.into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(seen.collect()), ..Default::default() }))
    }
}

fn part_number(number: i32) -> S3Result<i32> {
    let valid = (1..=PARTS).contains(&number);
    if valid { Ok(number) } else { Err(s3_error!(InvalidArgument, "part numbers are 1 to {PARTS}")) }
}
