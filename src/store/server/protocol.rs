//! The operations of S3 on a [`Disk`]: what a request asks for, and what the answer says.

#![allow(clippy::wildcard_imports, reason = "the input and output of every operation")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::access::Guard;
use super::conditions::{self, ReadConditions};
use super::disk::{Condition, Disk, DiskError, io_error};
use super::listing::PAGE;
use super::object::{Attributes, Object};
use super::receive::{Claims, PUT_BYTES};
use super::send::Body;

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
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
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
        DiskError::Io { reason: source, .. } => {
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

/// The ETag as a header shows it.
#[expect(clippy::unnecessary_wraps, reason = "every output has it as an option")]
pub fn etag(attributes: &Attributes) -> Option<ETag> {
    Some(ETag::Strong(attributes.etag.clone()))
}

/// A size as the outputs have it.
pub fn size(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

/// The headers and the user metadata that an object is written with.
pub fn attributes<T>(request: &S3Request<T>, metadata: Option<&Metadata>) -> Attributes {
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

/// The object that is copied.
pub fn bucket_and_key(source: &CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.to_string(), key.to_string())),
        _ => Err(s3_error!(NotImplemented, "copy sources are `bucket/key`")),
    }
}

impl Service {
    /// Opens an object.
    pub async fn open(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let (disk, bucket, key) = (Arc::clone(&self.disk), bucket.to_owned(), key.to_owned());
        blocking(move || disk.get(&bucket, &key)).await
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
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object.attributes)?;
        let found = object.attributes.clone();
        let range = match &input.range {
            Some(_) if found.size == 0 => return Err(S3ErrorCode::InvalidRange.into()),
            Some(range) => range.check(found.size)?,
            None => 0..found.size,
        };
        let content_range =
            input.range.map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), found.size));
        let length = size(range.end - range.start);
        let whole = content_range.is_none() && input.checksum_mode.is_some();
        let sum = |name: &str| whole.then(|| found.checksums.get(name).cloned()).flatten();
        let header = |name: &str| found.headers.get(name).cloned();
        let body = Body::new(object, range);
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
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
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
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
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

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_v2(req).await
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.list_v1(req).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(req).await
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.add_part(req).await
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort_upload(req).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.show_parts(req).await
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.show_uploads(req).await
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let (disk, bucket) = (Arc::clone(&self.disk), req.input.bucket.clone());
        blocking(move || disk.create_bucket(&bucket)).await?;
        let location = Some(format!("/{}", req.input.bucket));
        Ok(S3Response::new(CreateBucketOutput { location }))
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

    /// Buckets are never versioned; clients ask before they remove one.
    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.check_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let disk = Arc::clone(&self.disk);
        let buckets = blocking(move || disk.buckets()).await?;
        let pair =
            req.credentials.as_ref().and_then(|credentials| self.guard.credentials.find(&credentials.access_key));
        let seen = buckets.into_iter().filter(|(name, _)| pair.as_ref().is_some_and(|pair| pair.covers_bucket(name)));
        let seen = seen.map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(created.into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(seen.collect()), ..Default::default() }))
    }
}
