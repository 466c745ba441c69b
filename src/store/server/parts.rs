//! Multipart uploads as S3 speaks of them; what they are on the disk stands in `multipart.rs`.

use std::sync::Arc;

use hyper::StatusCode;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, Range, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::conditions;
use super::disk::{DiskError, io_error};
use super::listing::{encoded, limit};
use super::multipart::{PARTS, Upload};
use super::object::Attributes;
use super::protocol::{Service, attributes, blocking, bucket_and_key, etag, refuse, size};
use super::receive::{Claims, PUT_BYTES};
use super::send::READ_BYTES;

impl Service {
    /// `CreateMultipartUpload`
    pub async fn begin_upload(
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

    /// `UploadPart`
    pub async fn add_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
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

    /// `UploadPartCopy`
    pub async fn copy_part(&self, req: S3Request<UploadPartCopyInput>) -> S3Result<S3Response<UploadPartCopyOutput>> {
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

    /// `CompleteMultipartUpload`
    pub async fn complete_upload(
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

    /// `AbortMultipartUpload`
    pub async fn abort_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let (disk, input) = (Arc::clone(&self.disk), req.input);
        blocking(move || disk.abort(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), StatusCode::NO_CONTENT))
    }

    /// `ListParts`
    pub async fn show_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
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

    /// `ListMultipartUploads`
    pub async fn show_uploads(
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
}

fn part_number(number: i32) -> S3Result<i32> {
    let valid = (1..=PARTS).contains(&number);
    if valid { Ok(number) } else { Err(s3_error!(InvalidArgument, "part numbers are 1 to {PARTS}")) }
}
