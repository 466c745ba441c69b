//! Listings as S3 shows them: pages, tokens, percent-encoded keys.

use std::sync::Arc;

use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::protocol::{Service, blocking, etag, size};
use super::walk::{After, Entry, Listing};

/// Entries of a page of a listing at most (S3: 1,000).
pub const PAGE: i32 = 1000;

impl Service {
    /// `ListObjectsV2`
    pub async fn list_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
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

    /// `ListObjects, the old version of it`
    pub async fn list_v1(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
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

/// Keys of a listing, percent-encoded if the client asks so: XML cannot hold every character.
pub fn encoded(key: &str, encoding: Option<&EncodingType>) -> String {
    if encoding.is_none_or(|encoding| encoding.as_str() != EncodingType::URL) {
        return key.to_owned();
    }
    crate::presign::encode(key, true)
}

/// How many entries a page has.
pub fn limit(max_keys: Option<i32>) -> S3Result<i32> {
    let limit = max_keys.unwrap_or(PAGE);
    if limit < 0 { Err(s3_error!(InvalidArgument, "max-keys is negative")) } else { Ok(limit.min(PAGE)) }
}
