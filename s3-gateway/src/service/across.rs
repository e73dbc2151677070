//! Copies of which the source, the target or both lie in other stores.
//!
//! What both ends have in common with copies between local buckets is in `objects` and
//! `multipart`; what a store does by itself is in `upstream`.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::body::{Announced, checksum_type, kept};
use super::multipart::{add, copy_range, part_number};
use super::objects::{http_date, named_source, time_of};
use super::properties::without_aws_chunked;
use super::reading::{READ_BYTES, Read, note_read, open, parse_http_date};
use super::{Operations, denied, object_key, redirected};
use crate::buckets::Backend;
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::commit::Write;
use crate::local::conditions::{ReadConditions, WriteConditions};
use crate::local::multipart::hasher;
use crate::local::receive::{Received, receive};
use crate::local::stamp::Headers;
use crate::local::store::Bucket;
use crate::policy::Access;
use crate::upstream::{Copied, Description, Source, SourceObject, is_replace};

/// The source of a copy, as a request names it, if the sender may read it.
macro_rules! source {
    ($self:ident, $who:expr, $named:expr, $input:expr, $range:expr) => {{
        let (bucket, key, version) = $named;
        $self.may_enter(&$who, &bucket)?;
        let backend = $self.backend(&bucket)?;
        let key = object_key(&key)?;
        $who.check(Access::Read, backend.name(), &key)
            .map_err(denied)?;
        let source = Source {
            key,
            version,
            if_match: $input.copy_source_if_match.clone(),
            if_none_match: $input.copy_source_if_none_match.clone(),
            if_modified_since: $input.copy_source_if_modified_since.clone(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.clone(),
            range: $range,
        };
        (backend, source)
    }};
}

impl Operations {
    /// Whether a copy has to do with another store.
    pub(super) fn crosses<T>(&self, req: &S3Request<T>, target: &str) -> bool {
        let upstream = |name: &str| matches!(self.backend(name), Ok(Backend::Upstream(_)));
        upstream(target) || named_source(req).is_ok_and(|(bucket, _, _)| upstream(&bucket))
    }

    pub(super) async fn copy_across(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<CopyObjectOutput> {
        let who = self.principal(&req)?;
        let named = named_source(&req)?;
        let input = req.input;
        let target = self.backend(&input.bucket)?;
        let key = object_key(&input.key)?;
        who.check(Access::Write, target.name(), &key)
            .map_err(denied)?;
        let (from, source) = source!(self, who, named, input, None);
        let copied = match (target, from) {
            (Backend::Upstream(to), Backend::Upstream(from)) if to.shares_store_with(&from) => {
                Box::pin(to.copy_within(who, input, from, source)).await?
            }
            (Backend::Upstream(to), from) => {
                let object = self.source_object(&who, from, source).await?;
                Box::pin(to.copy_from(who, input, object)).await?
            }
            (Backend::Local(to), from) => {
                let object = self.source_object(&who, from, source).await?;
                return self.copy_to_folder(who, &to, input, object).await;
            }
        };
        Ok(CopyObjectOutput {
            copy_source_version_id: copied.source_version_id,
            version_id: copied.version_id,
            copy_object_result: Some(CopyObjectResult {
                e_tag: copied.etag.map(ETag::Strong),
                last_modified: copied.modified,
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    pub(super) async fn copy_part_across(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let who = self.principal(&req)?;
        let named = named_source(&req)?;
        let input = req.input;
        let target = self.backend(&input.bucket)?;
        let key = object_key(&input.key)?;
        who.check(Access::Write, target.name(), &key)
            .map_err(denied)?;
        let range = input.copy_source_range.clone();
        let (from, source) = source!(self, who, named, input, range);
        let copied = match (target, from) {
            (Backend::Upstream(to), Backend::Upstream(from)) if to.shares_store_with(&from) => {
                to.copy_part_within(who, input, from, source).await?
            }
            (Backend::Upstream(to), from) => {
                let object = self.source_object(&who, from, source).await?;
                to.copy_part_from(who, input, object).await?
            }
            (Backend::Local(to), from) => {
                let object = self.source_object(&who, from, source).await?;
                self.part_to_folder(&who, &to, &input, object).await?
            }
        };
        Ok(UploadPartCopyOutput {
            copy_source_version_id: copied.source_version_id,
            copy_part_result: Some(CopyPartResult {
                e_tag: copied.etag.map(ETag::Strong),
                last_modified: copied.modified,
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    async fn source_object(
        &self,
        who: &Principal,
        from: Backend,
        source: Source,
    ) -> S3Result<SourceObject> {
        let bucket = match from {
            Backend::Upstream(from) => return from.source(who, source).await,
            Backend::Local(bucket) => bucket,
        };
        let opened = open(&bucket, who, &source.key, source.version.as_deref()).await?;
        let stamp = opened.stamp;
        let conditions = ReadConditions {
            if_match: source.if_match,
            if_none_match: source.if_none_match,
            if_modified_since: source.if_modified_since,
            if_unmodified_since: source.if_unmodified_since,
        };
        conditions.check(&stamp, || StoreError::PreconditionFailed)?;
        let range = match source.range.as_deref() {
            Some(text) => copy_range(text, stamp.size)?,
            None => 0..stamp.size,
        };
        let part = source.range.is_some().then_some(&range);
        note_read(&bucket, who, &stamp, Read::of(part))?;
        let mut file = tokio::fs::File::from_std(opened.file);
        let start = std::io::SeekFrom::Start(range.start);
        file.seek(start).await.map_err(StoreError::from)?;
        let length = range.end - range.start;
        let chunks = ReaderStream::with_capacity(file.take(length), READ_BYTES);
        let headers = stamp.headers;
        Ok(SourceObject {
            description: Description {
                cache_control: headers.cache_control,
                content_disposition: headers.content_disposition,
                content_encoding: headers.content_encoding,
                content_language: headers.content_language,
                content_type: headers.content_type,
                expires: headers.expires.as_deref().and_then(parse_http_date),
                metadata: stamp.metadata.into_iter().collect(),
                ..Description::default()
            },
            version_id: Some(bucket.shown_id(&stamp.version_id, stamp.null_version)),
            length,
            chunks: chunks
                .map_err(|error| S3Error::from(StoreError::from(error)))
                .boxed(),
        })
    }

    /// Takes an object from another store into a folder.
    async fn copy_to_folder(
        &self,
        who: Principal,
        to: &Arc<Bucket>,
        mut input: CopyObjectInput,
        object: SourceObject,
    ) -> S3Result<CopyObjectOutput> {
        let key = redirected(&who, object_key(&input.key)?)?;
        let description = object.description;
        let (headers, metadata) = if is_replace(&input) {
            let headers = Headers {
                content_type: input.content_type,
                content_encoding: input.content_encoding.and_then(without_aws_chunked),
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                expires: input.expires.as_ref().map(http_date).transpose()?,
                ..Headers::default()
            };
            (headers, self.metadata(input.metadata.take())?)
        } else {
            let headers = Headers {
                content_type: description.content_type,
                content_encoding: description.content_encoding,
                content_disposition: description.content_disposition,
                content_language: description.content_language,
                cache_control: description.cache_control,
                expires: description.expires.as_ref().map(http_date).transpose()?,
                ..Headers::default()
            };
            (headers, description.metadata.into_iter().collect())
        };
        let wanted = Announced {
            algorithm: input.checksum_algorithm,
            ..Announced::default()
        };
        let limit = self.gateway.limits.max_put_bytes;
        let received = taken_in(to, object.chunks, wanted.hasher(), object.length, limit).await?;
        let stamp = to
            .commit(Write {
                key,
                etag: hex::encode(received.md5),
                checksums: kept(&received.checksums),
                received,
                headers,
                metadata,
                tags: Default::default(),
                conditions: WriteConditions::default(),
                event_name: "ObjectCreated:Copy",
                upload: None,
                parts: None,
                staged: None,
                scope: who.scope,
            })
            .await?;
        Ok(CopyObjectOutput {
            copy_source_version_id: object.version_id,
            version_id: Some(to.shown_id(&stamp.version_id, stamp.null_version)),
            copy_object_result: Some(CopyObjectResult {
                checksum_type: checksum_type(&stamp.checksums),
                checksum_crc32: stamp.checksums.crc32,
                checksum_crc32c: stamp.checksums.crc32c,
                checksum_crc64nvme: stamp.checksums.crc64nvme,
                checksum_sha1: stamp.checksums.sha1,
                checksum_sha256: stamp.checksums.sha256,
                e_tag: Some(ETag::Strong(stamp.etag)),
                last_modified: Some(Timestamp::from(time_of(stamp.mtime_ns))),
            }),
            ..Default::default()
        })
    }

    /// Takes a part from an object of another store into an upload of a folder.
    async fn part_to_folder(
        &self,
        who: &Principal,
        to: &Arc<Bucket>,
        input: &UploadPartCopyInput,
        object: SourceObject,
    ) -> S3Result<Copied> {
        let key = redirected(who, object_key(&input.key)?)?;
        let number = part_number(input.part_number)?;
        let upload = to.upload(&key, &input.upload_id).await?;
        let mut hashers = ChecksumHasher::default();
        add(&mut hashers, hasher(upload.algorithm.as_deref()));
        let limit = self.gateway.limits.max_put_bytes;
        let received = taken_in(to, object.chunks, hashers, object.length, limit).await?;
        let sums = kept(&received.checksums);
        let part = to
            .put_part(&input.upload_id, number, received, sums)
            .await?;
        Ok(Copied {
            etag: Some(part.etag),
            modified: Some(Timestamp::from(part.modified_at)),
            version_id: None,
            source_version_id: object.version_id,
        })
    }
}

/// Takes in the bytes of an object of another store. What the store did wrong is not the client's
/// fault, as it is where the client sends the bytes.
async fn taken_in(
    to: &Bucket,
    chunks: BoxStream<'static, S3Result<Bytes>>,
    hashers: ChecksumHasher,
    length: u64,
    limit: u64,
) -> S3Result<Received> {
    let broken = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&broken);
    let chunks = chunks.map_err(move |error| {
        let text = error.to_string();
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        text
    });
    let received = receive(&to.temporaries, chunks, hashers, Some(length), limit).await;
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    match broken {
        Some(error) => Err(error),
        None => Ok(received?),
    }
}
