//! Listings of buckets and of the objects in one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::objects::{signed, time_of};
use super::{Operations, denied};
use crate::local::listing::{Page, Query};
use crate::local::stamp::Stamp;
use crate::policy::Access;

/// The most that S3 lists at once.
const MAX_KEYS: i32 = 1000;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

impl Operations {
    pub(super) async fn list_v1(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<ListObjectsOutput> {
        let input = &req.input;
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: input.marker.clone().filter(|m| !m.is_empty()),
            max: max(input.max_keys)?,
        };
        let delimited = query.delimiter.is_some();
        let page = self.page(&req, &req.input.bucket, query).await?;
        let input = req.input;
        let encode = encoder(input.encoding_type.as_ref());
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            marker: Some(encode(input.marker.unwrap_or_default())),
            max_keys: Some(input.max_keys.unwrap_or(MAX_KEYS)),
            is_truncated: Some(page.next.is_some()),
            // Without a delimiter, clients go on from the last key.
            next_marker: page.next.filter(|_| delimited).map(&encode),
            common_prefixes: prefixes(page.prefixes, &encode),
            contents: objects(page.objects, &encode)?,
            delimiter: input.delimiter.map(&encode),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    pub(super) async fn list_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<ListObjectsV2Output> {
        let input = &req.input;
        let after = match &input.continuation_token {
            Some(token) => Some(from_token(token)?),
            None => input.start_after.clone().filter(|s| !s.is_empty()),
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after,
            max: max(input.max_keys)?,
        };
        let page = self.page(&req, &req.input.bucket, query).await?;
        let input = req.input;
        let encode = encoder(input.encoding_type.as_ref());
        let count = page.objects.len() + page.prefixes.len();
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            max_keys: Some(input.max_keys.unwrap_or(MAX_KEYS)),
            key_count: Some(i32::try_from(count).map_err(S3Error::internal_error)?),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
            common_prefixes: prefixes(page.prefixes, &encode),
            contents: objects(page.objects, &encode)?,
            delimiter: input.delimiter.map(&encode),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(&encode),
            ..Default::default()
        })
    }

    /// The buckets that the sender may touch.
    pub(super) fn buckets(&self, req: &S3Request<ListBucketsInput>) -> S3Result<ListBucketsOutput> {
        let who = self.principal(req)?;
        let prefix = req.input.prefix.as_deref().unwrap_or_default();
        let touched = |name: &str| {
            who.policy.touches(Access::Read, name) || who.policy.touches(Access::Write, name)
        };
        let buckets = self.gateway.buckets.all();
        let buckets = buckets
            .into_iter()
            .filter(|bucket| {
                let name = bucket.name().as_str();
                name.starts_with(prefix) && touched(name)
            })
            .map(|bucket| Bucket {
                name: Some(bucket.name().to_string()),
                creation_date: Some(Timestamp::from(bucket.created_at())),
                bucket_region: Some(self.gateway.region.clone()),
            });
        Ok(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(Owner {
                display_name: Some("daybook".to_owned()),
                id: Some("daybook".to_owned()),
            }),
            prefix: req.input.prefix.clone(),
            ..Default::default()
        })
    }

    async fn page<T>(&self, req: &S3Request<T>, bucket: &str, query: Query) -> S3Result<Page> {
        let who = self.principal(req)?;
        let bucket = self.bucket(bucket)?;
        who.check_bucket(Access::Read, &bucket.name)
            .map_err(denied)?;
        let (policy, name) = (who.policy, bucket.name.clone());
        let visible = move |key: &str| policy.allows(Access::Read, name.as_str(), key);
        Ok(bucket.list(query, visible).await?)
    }
}

fn max(max_keys: Option<i32>) -> S3Result<usize> {
    let max = max_keys.unwrap_or(MAX_KEYS).min(MAX_KEYS);
    usize::try_from(max).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))
}

fn from_token(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|after| !after.is_empty())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of ours"))
}

fn encoder(encoding: Option<&EncodingType>) -> impl Fn(String) -> String + use<> {
    let url = encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    move |text| {
        if url { url_encoded(&text) } else { text }
    }
}

/// A key or a prefix as `encoding-type=url` has it.
pub(crate) fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn prefixes(
    prefixes: Vec<String>,
    encode: &impl Fn(String) -> String,
) -> Option<Vec<CommonPrefix>> {
    let prefixes = prefixes.into_iter().map(|prefix| CommonPrefix {
        prefix: Some(encode(prefix)),
    });
    Some(prefixes.collect())
}

fn objects(
    stamps: Vec<Stamp>,
    encode: &impl Fn(String) -> String,
) -> S3Result<Option<Vec<Object>>> {
    let object = |stamp: Stamp| -> S3Result<Object> {
        Ok(Object {
            key: Some(encode(stamp.key)),
            e_tag: Some(ETag::Strong(stamp.etag)),
            last_modified: Some(Timestamp::from(time_of(stamp.mtime_ns))),
            size: Some(signed(stamp.size)?),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Default::default()
        })
    };
    stamps
        .into_iter()
        .map(object)
        .collect::<S3Result<Vec<_>>>()
        .map(Some)
}
