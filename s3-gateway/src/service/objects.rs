//! Single objects: put, copy, delete.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use daybook_domain::ObjectKey;
use s3s::dto::*;
use s3s::stream::ByteStream;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::body::{announced, checksum_type, kept};
use super::reading::{Read, note_read, open};
use super::{Operations, object_key};
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::commit::Write;
use crate::local::conditions::{ReadConditions, WriteConditions};
use crate::local::receive::{Sink, receive};
use crate::local::stamp::Headers;
use crate::local::store::{Bucket, Opened, blocking};
use crate::policy::Access;

/// The keys of one `DeleteObjects`.
const MAX_DELETES: usize = 1000;

impl Operations {
    pub(super) async fn put(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<PutObjectOutput> {
        let who = self.principal(&req)?;
        let (bucket, key) = self.object(&who, Access::Write, &req.input.bucket, &req.input.key)?;
        let announced = announced!(req);
        let input = req.input;
        let metadata = self.metadata(input.metadata)?;
        let body = input
            .body
            .unwrap_or_else(|| StreamingBlob::from(Body::empty()));
        let expected = body.remaining_length().exact().map(|n| n as u64);
        let limit = self.gateway.limits.max_put_bytes;
        let received = receive(
            &bucket.temporaries,
            body,
            announced.hasher(),
            expected,
            limit,
        )
        .await?;
        announced.verify(&received, req.trailing_headers.as_ref())?;
        let stamp = bucket
            .commit(Write {
                key,
                etag: hex::encode(received.md5),
                checksums: kept(&received.checksums),
                received,
                headers: Headers {
                    content_type: input.content_type,
                    content_encoding: input.content_encoding.and_then(without_aws_chunked),
                    content_disposition: input.content_disposition,
                    content_language: input.content_language,
                    cache_control: input.cache_control,
                    expires: input.expires.as_ref().map(http_date).transpose()?,
                },
                metadata,
                conditions: WriteConditions {
                    if_match: input.if_match,
                    if_none_match: input.if_none_match,
                },
                event_name: "ObjectCreated:Put",
                upload: None,
                scope: who.scope,
            })
            .await?;
        Ok(PutObjectOutput {
            checksum_type: checksum_type(&stamp.checksums),
            checksum_crc32: stamp.checksums.crc32,
            checksum_crc32c: stamp.checksums.crc32c,
            checksum_crc64nvme: stamp.checksums.crc64nvme,
            checksum_sha1: stamp.checksums.sha1,
            checksum_sha256: stamp.checksums.sha256,
            e_tag: Some(ETag::Strong(stamp.etag)),
            version_id: Some(stamp.version_id),
            ..Default::default()
        })
    }

    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let (source, source_key, version) = self.copy_source(&who, &input.copy_source)?;
        let replace = input
            .metadata_directive
            .as_ref()
            .is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        if source.name == bucket.name && source_key == key && version.is_none() && !replace {
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
        let (headers, metadata) = if replace {
            let headers = Headers {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                expires: input.expires.as_ref().map(http_date).transpose()?,
            };
            (headers, self.metadata(input.metadata)?)
        } else {
            (from.headers.clone(), from.metadata.clone())
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
                conditions: WriteConditions::default(),
                event_name: "ObjectCreated:Copy",
                upload: None,
                scope: who.scope.clone(),
            })
            .await?;
        Ok(CopyObjectOutput {
            copy_source_version_id: Some(from.version_id),
            version_id: Some(stamp.version_id.clone()),
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

    pub(super) async fn delete(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        if input.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "kept versions are removed by the bucket's retain alone"
            ));
        }
        let conditions = WriteConditions {
            if_match: input.if_match,
            if_none_match: None,
        };
        bucket.remove(key, conditions, who.scope).await?;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    pub(super) async fn delete_many(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<DeleteObjectsOutput> {
        let who = self.principal(&req)?;
        let bucket = self.bucket(&req.input.bucket)?;
        let delete = req.input.delete;
        if delete.objects.len() > MAX_DELETES {
            return Err(s3_error!(MalformedXML, "more than 1000 keys"));
        }
        let quiet = delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for object in delete.objects {
            let done = self.delete_one(&who, &bucket, &object).await;
            match done {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..Default::default()
                }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        })
    }

    async fn delete_one(
        &self,
        who: &Principal,
        bucket: &Arc<Bucket>,
        object: &ObjectIdentifier,
    ) -> S3Result<()> {
        let key = object_key(&object.key)?;
        who.check(Access::Write, &bucket.name, &key)
            .map_err(super::denied)?;
        if object.version_id.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "kept versions are removed by the bucket's retain alone"
            ));
        }
        let if_match = object.e_tag.clone().map(ETagCondition::ETag);
        let conditions = WriteConditions {
            if_match,
            if_none_match: None,
        };
        bucket.remove(key, conditions, who.scope.clone()).await?;
        Ok(())
    }

    /// The object that `x-amz-copy-source` names, if the sender may read it.
    pub(super) fn copy_source(
        &self,
        who: &Principal,
        source: &CopySource,
    ) -> S3Result<(Arc<Bucket>, ObjectKey, Option<String>)> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = source
        else {
            return Err(s3_error!(
                NotImplemented,
                "a copy source is a bucket and a key"
            ));
        };
        let (bucket, key) = self.object(who, Access::Read, bucket, key)?;
        Ok((bucket, key, version_id.as_deref().map(str::to_owned)))
    }

    /// The user metadata, if it is not too large.
    pub(super) fn metadata(
        &self,
        metadata: Option<Metadata>,
    ) -> S3Result<BTreeMap<String, String>> {
        let metadata: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
        let size: usize = metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if size > self.gateway.limits.max_metadata_bytes {
            return Err(s3_error!(
                MetadataTooLarge,
                "the user metadata is too large"
            ));
        }
        Ok(metadata)
    }
}

/// `aws-chunked` says how the body travelled, not how the object is encoded.
pub(crate) fn without_aws_chunked(encoding: String) -> Option<String> {
    let rest: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|e| *e != "aws-chunked" && !e.is_empty())
        .collect();
    (!rest.is_empty()).then(|| rest.join(","))
}

pub(super) fn http_date(timestamp: &Timestamp) -> S3Result<String> {
    let mut text = Vec::new();
    let formatted = timestamp.format(TimestampFormat::HttpDate, &mut text);
    formatted.map_err(S3Error::internal_error)?;
    String::from_utf8(text).map_err(S3Error::internal_error)
}

pub(super) fn time_of(mtime_ns: i64) -> std::time::SystemTime {
    let since = std::time::Duration::from_nanos(u64::try_from(mtime_ns).unwrap_or(0));
    std::time::UNIX_EPOCH + since
}

pub(super) fn signed(size: u64) -> S3Result<i64> {
    i64::try_from(size).map_err(S3Error::internal_error)
}
