//! Single objects: put and copy.

use std::io;
use std::sync::Arc;

use daybook_domain::ObjectKey;
use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use percent_encoding::percent_decode_str;
use s3s::dto::*;
use s3s::stream::ByteStream;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result, TrailingHeaders, s3_error};

use super::Operations;
use super::amend::{Amended, COPY_SOURCE};
use super::body::{announced, checksum_type, kept};
use super::properties::{headers_of, no_acl, tags_of_header};
use super::reading::{Read, note_read, open};
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::commit::Write;
use crate::local::conditions::{ReadConditions, WriteConditions};
use crate::local::receive::{Sink, receive};
use crate::local::stamp::Headers;
use crate::local::store::{Bucket, Opened, blocking};
use crate::policy::Access;

impl Operations {
    pub(super) async fn put(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let who = self.principal(&req)?;
        let (bucket, key) = self.object(&who, Access::Write, &req.input.bucket, &req.input.key)?;
        no_acl!(req.input)?;
        let announced = announced!(req)?;
        let headers = headers_of!(req);
        let trailers = trailing(&req);
        let input = req.input;
        let metadata = self.metadata(input.metadata)?;
        let tags = tags_of_header(input.tagging.as_deref())?;
        let body = input
            .body
            .unwrap_or_else(|| StreamingBlob::from(Body::empty()));
        let expected = body.remaining_length().exact().map(|n| n as u64);
        let limit = self.gateway.limits.max_put_bytes;
        let gone = |error: StoreError| self.unless_gone(&bucket, error.into());
        let received = receive(
            &bucket.temporaries,
            body,
            announced.hasher(),
            expected,
            limit,
        )
        .await
        .map_err(gone)?;
        announced.verify(&received, trailers.as_ref())?;
        let stamp = bucket
            .commit(Write {
                key,
                etag: hex::encode(received.md5),
                checksums: kept(&received.checksums),
                received,
                headers,
                metadata,
                tags,
                conditions: WriteConditions {
                    if_match: input.if_match,
                    if_none_match: input.if_none_match,
                },
                event_name: "ObjectCreated:Put",
                upload: None,
                parts: None,
                scope: who.scope,
                staged: None,
            })
            .await
            .map_err(gone)?;
        Ok(PutObjectOutput {
            checksum_type: checksum_type(&stamp.checksums),
            checksum_crc32: stamp.checksums.crc32,
            checksum_crc32c: stamp.checksums.crc32c,
            checksum_crc64nvme: stamp.checksums.crc64nvme,
            checksum_sha1: stamp.checksums.sha1,
            checksum_sha256: stamp.checksums.sha256,
            e_tag: Some(ETag::Strong(stamp.etag)),
            server_side_encryption: told_encryption(&stamp.headers),
            version_id: Some(bucket.shown_id(&stamp.version_id, stamp.null_version)),
            ..Default::default()
        })
    }

    pub(super) async fn copy(
        &self,
        mut req: S3Request<CopyObjectInput>,
    ) -> S3Result<CopyObjectOutput> {
        let who = self.principal(&req)?;
        no_acl!(req.input)?;
        let destination = destination_conditions(&req.headers)?;
        let said = headers_of!(req);
        let (source, source_key, version) = self.copy_source(&who, &req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let replace_tags = input
            .tagging_directive
            .as_ref()
            .is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let changes = replace_tags
            || input.storage_class.is_some()
            || said.website_redirect.is_some()
            || said.encryption.is_some();
        let replace = input
            .metadata_directive
            .as_ref()
            .is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let itself = source.name == bucket.name && source_key == key && version.is_none();
        if itself && !replace && !changes {
            return Err(s3_error!(
                InvalidRequest,
                "this copy request is illegal because it is trying to copy an object to itself without changing its metadata"
            ));
        }
        let Opened { file, stamp: from } =
            open(&source, &who, &source_key, version.as_deref()).await?;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.check(&from, || StoreError::PreconditionFailed)?;
        if from.size > self.gateway.limits.max_put_bytes {
            return Err(s3_error!(
                InvalidRequest,
                "the source is larger than one copy may be"
            ));
        }
        note_read(&source, &who, &from, Read::Whole)?;
        let tags = if replace_tags {
            tags_of_header(input.tagging.as_deref())?
        } else {
            from.tags.clone()
        };
        let (headers, metadata) = if replace {
            (said, self.metadata(input.metadata)?)
        } else {
            let headers = Headers {
                storage_class: said.storage_class,
                website_redirect: said.website_redirect,
                encryption: said.encryption,
                ..from.headers.clone()
            };
            (headers, from.metadata.clone())
        };
        let wanted = super::body::Announced {
            algorithm: input.checksum_algorithm,
            checksums: if from.checksums.composite {
                Default::default()
            } else {
                from.checksums.clone()
            },
            ..Default::default()
        };
        let (temporaries, size) = (Arc::clone(&bucket.temporaries), from.size);
        let received = blocking(move || {
            let mut sink = Sink::new(&temporaries, wanted.hasher());
            sink.copy(io::Read::take(&file, size))?;
            Ok(sink.finish()?)
        })
        .await?;
        let stamp = bucket
            .commit(Write {
                key,
                etag: hex::encode(received.md5),
                checksums: kept(&received.checksums),
                received,
                headers,
                metadata,
                tags,
                conditions: destination,
                event_name: "ObjectCreated:Copy",
                upload: None,
                parts: None,
                scope: who.scope.clone(),
                staged: None,
            })
            .await?;
        Ok(CopyObjectOutput {
            server_side_encryption: told_encryption(&stamp.headers),
            copy_source_version_id: Some(source.shown_id(&from.version_id, from.null_version)),
            version_id: Some(bucket.shown_id(&stamp.version_id, stamp.null_version)),
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

    /// The object that `x-amz-copy-source` names, if the sender may read it.
    pub(super) fn copy_source<T>(
        &self,
        who: &Principal,
        req: &S3Request<T>,
    ) -> S3Result<(Arc<Bucket>, ObjectKey, Option<String>)> {
        let (bucket, key, version) = named_source(req)?;
        self.may_enter(who, &bucket)?;
        let (bucket, key) = self.object(who, Access::Read, &bucket, &key)?;
        Ok((bucket, key, version))
    }
}

/// What `x-amz-copy-source` names, also where the request was amended.
pub(super) fn named_source<T>(req: &S3Request<T>) -> S3Result<(String, String, Option<String>)> {
    let amended = req.extensions.get::<Amended>();
    let header = amended
        .and_then(|amended| amended.copy_source.as_ref())
        .or_else(|| req.headers.get(COPY_SOURCE));
    header
        .and_then(|header| source_of(header.to_str().ok()?))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "the copy source must be a bucket and a key, encoded as in a URL"
            )
        })
}

/// The bucket, key and version of a copy source: `bucket/key` or `/bucket/key`, percent-encoded,
/// and possibly `?versionId=` with a version. As on S3 a `+` is a space, which is how s5cmd writes
/// one; clients encode a real plus sign.
fn source_of(header: &str) -> Option<(String, String, Option<String>)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    let (path, version) = match header.rsplit_once("?versionId=") {
        Some((path, version)) => (path, Some(decode(version)?)),
        None => (header, None),
    };
    let path = decode(path)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/')?;
    if bucket.is_empty() || key.is_empty() {
        return None;
    }
    Some((bucket.to_owned(), key.to_owned(), version))
}

/// The conditions on what a copy replaces, which `s3s` does not know of.
fn destination_conditions(headers: &HeaderMap) -> S3Result<WriteConditions> {
    let condition = |name: HeaderName| {
        let header = headers.get(&name).filter(|value| !value.is_empty());
        let condition = header.map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        condition.transpose().map_err(|_| {
            let message = format!("the header {name} is no ETag");
            S3Error::with_message(S3ErrorCode::InvalidArgument, message)
        })
    };
    Ok(WriteConditions {
        if_match: condition(IF_MATCH)?,
        if_none_match: condition(IF_NONE_MATCH)?,
    })
}

/// What comes after the body, also where the request was amended.
pub(crate) fn trailing<T>(req: &S3Request<T>) -> Option<TrailingHeaders> {
    let amended = req.extensions.get::<Amended>();
    let kept = amended.and_then(|amended| amended.trailing_headers.clone());
    req.trailing_headers.clone().or(kept)
}

/// The encryption as answers name it.
pub(super) fn told_encryption(headers: &Headers) -> Option<ServerSideEncryption> {
    headers.encryption.clone().map(ServerSideEncryption::from)
}

pub(crate) fn http_date(timestamp: &Timestamp) -> S3Result<String> {
    let mut text = Vec::new();
    let formatted = timestamp.format(TimestampFormat::HttpDate, &mut text);
    formatted.map_err(S3Error::internal_error)?;
    String::from_utf8(text).map_err(S3Error::internal_error)
}

pub(crate) fn time_of(mtime_ns: i64) -> std::time::SystemTime {
    let since = std::time::Duration::from_nanos(u64::try_from(mtime_ns).unwrap_or(0));
    std::time::UNIX_EPOCH + since
}

pub(super) fn signed(size: u64) -> S3Result<i64> {
    i64::try_from(size).map_err(S3Error::internal_error)
}
