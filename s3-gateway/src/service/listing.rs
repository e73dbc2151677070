//! Listings of buckets and of the objects in one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::buckets::owner;
use super::objects::{signed, time_of};
use super::{Operations, denied};
use crate::local::index::rows::Row;
use crate::local::listing::{Page, Query, Visible};
use crate::policy::{Access, Policy};

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
            max_unseen: self.gateway.limits.list_unseen,
        };
        let delimited = query.delimiter.is_some();
        let page = self.page(&req, &req.input.bucket, query).await?;
        // Without a delimiter, clients go on from the last key, if that is where the page ended.
        let last = page.objects.last().map(|row| &row.key);
        let told = delimited || last != page.next.as_ref();
        let input = req.input;
        let encode = encoder(input.encoding_type.as_ref());
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            marker: Some(encode(input.marker.unwrap_or_default())),
            max_keys: Some(input.max_keys.unwrap_or(MAX_KEYS)),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.filter(|_| told).map(&encode),
            common_prefixes: prefixes(page.prefixes, &encode),
            contents: objects(page.objects, &encode, true)?,
            delimiter: input.delimiter.filter(|d| !d.is_empty()).map(&encode),
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
            max_unseen: self.gateway.limits.list_unseen,
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
            contents: objects(page.objects, &encode, input.fetch_owner == Some(true))?,
            delimiter: input.delimiter.filter(|d| !d.is_empty()).map(&encode),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(&encode),
            ..Default::default()
        })
    }

    async fn page<T>(&self, req: &S3Request<T>, bucket: &str, query: Query) -> S3Result<Page> {
        let who = self.principal(req)?;
        let bucket = self.bucket(bucket)?;
        who.check_bucket(Access::Read, &bucket.name)
            .map_err(denied)?;
        let visible = Readable::of(who.policy, bucket.name.as_str());
        let page = bucket.list_for(who.scope.as_ref(), query, visible);
        Ok(page.await?)
    }
}

/// The keys of a bucket that a policy lets read.
#[derive(Clone)]
pub(super) struct Readable {
    policy: Arc<Policy>,
    bucket: String,
    prefixes: Vec<String>,
}

impl Readable {
    pub(super) fn of(policy: Arc<Policy>, bucket: &str) -> Self {
        Self {
            prefixes: policy.key_prefixes(Access::Read, bucket),
            bucket: bucket.to_owned(),
            policy,
        }
    }
}

impl Visible for Readable {
    fn shows(&self, key: &str) -> bool {
        self.policy.allows(Access::Read, &self.bucket, key)
    }

    fn next(&self, key: &str) -> Option<String> {
        let next = self
            .prefixes
            .partition_point(|prefix| prefix.as_str() <= key);
        match next.checked_sub(1).map(|before| &self.prefixes[before]) {
            Some(within) if key.starts_with(within.as_str()) => Some(key.to_owned()),
            _ => self.prefixes.get(next).cloned(),
        }
    }
}

/// The algorithms of an object's checksums.
pub(super) fn algorithms(row: &Row) -> Option<ChecksumAlgorithmList> {
    let names = row.algorithms.as_deref()?.split(',');
    let named = names.map(|name| ChecksumAlgorithm::from(name.to_owned()));
    Some(named.collect())
}

/// What its checksums are of.
pub(super) fn checksum_type(composite: bool) -> ChecksumType {
    ChecksumType::from_static(match composite {
        true => ChecksumType::COMPOSITE,
        false => ChecksumType::FULL_OBJECT,
    })
}

pub(super) fn max(max_keys: Option<i32>) -> S3Result<usize> {
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

pub(super) fn encoder(encoding: Option<&EncodingType>) -> impl Fn(String) -> String + use<> {
    let url = encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    move |text| {
        if url { url_encoded(&text) } else { text }
    }
}

/// A key or a prefix as `encoding-type=url` has it.
pub(crate) fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

pub(super) fn prefixes(
    prefixes: Vec<String>,
    encode: &impl Fn(String) -> String,
) -> Option<Vec<CommonPrefix>> {
    let prefixes = prefixes.into_iter().map(|prefix| CommonPrefix {
        prefix: Some(encode(prefix)),
    });
    Some(prefixes.collect())
}

fn objects(
    rows: Vec<Row>,
    encode: &impl Fn(String) -> String,
    with_owner: bool,
) -> S3Result<Option<Vec<Object>>> {
    let object = |row: Row| -> S3Result<Object> {
        let algorithms = algorithms(&row);
        Ok(Object {
            key: Some(encode(row.key)),
            e_tag: Some(ETag::Strong(row.etag)),
            last_modified: Some(Timestamp::from(time_of(row.mtime_ns))),
            size: Some(signed(row.size)?),
            checksum_type: algorithms.is_some().then(|| checksum_type(row.composite)),
            checksum_algorithm: algorithms,
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            owner: with_owner.then(owner),
            ..Default::default()
        })
    };
    rows.into_iter()
        .map(object)
        .collect::<S3Result<Vec<_>>>()
        .map(Some)
}
