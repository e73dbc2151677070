//! Multipart uploads.

use std::io;
use std::sync::Arc;

use s3s::dto::*;
use s3s::stream::ByteStream;
use s3s::{Body, S3Request, S3Result, s3_error};

use super::Operations;
use super::body::{announced, bad_digest, checksum_type, kept};
use super::objects::{http_date, signed, without_aws_chunked};
use super::reading::{Read, note_read, open};
use crate::error::StoreError;
use crate::local::commit::Write;
use crate::local::conditions::{ReadConditions, WriteConditions};
use crate::local::multipart::{Chosen, MAX_PARTS, Upload, hasher};
use crate::local::receive::{Sink, receive};
use crate::local::stamp::{Checksums, Headers};
use crate::local::store::blocking;
use crate::policy::Access;

impl Operations {
    pub(super) async fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(|a| a.as_str().to_owned());
        // CRC64NVME exists for whole objects only (S3 user guide, "Checking object integrity").
        let full_object = match &input.checksum_type {
            Some(kind) => kind.as_str() == ChecksumType::FULL_OBJECT,
            None => algorithm.as_deref() == Some("CRC64NVME"),
        };
        let upload = Upload {
            key: key.to_string(),
            headers: Headers {
                content_type: input.content_type,
                content_encoding: input.content_encoding.and_then(without_aws_chunked),
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                expires: input.expires.as_ref().map(http_date).transpose()?,
            },
            metadata: self.metadata(input.metadata)?,
            algorithm,
            full_object,
        };
        let id = bucket.create_upload(upload).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        })
    }

    pub(super) async fn put_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let who = self.principal(&req)?;
        let (bucket, key) = self.object(&who, Access::Write, &req.input.bucket, &req.input.key)?;
        let announced = announced!(req);
        let input = req.input;
        let number = part_number(input.part_number)?;
        let upload = bucket.upload(&key, &input.upload_id).await?;
        let body = input
            .body
            .unwrap_or_else(|| StreamingBlob::from(Body::empty()));
        let expected = body.remaining_length().exact().map(|n| n as u64);
        let limit = self.gateway.limits.max_put_bytes;
        let mut hashers = announced.hasher();
        add(&mut hashers, hasher(upload.algorithm.as_deref()));
        let received = receive(&bucket.temporaries, body, hashers, expected, limit).await?;
        announced.verify(&received, req.trailing_headers.as_ref())?;
        let sums = kept(&received.checksums);
        let part = bucket
            .put_part(&input.upload_id, number, received, sums)
            .await?;
        Ok(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.etag)),
            checksum_crc32: part.checksums.crc32,
            checksum_crc32c: part.checksums.crc32c,
            checksum_crc64nvme: part.checksums.crc64nvme,
            checksum_sha1: part.checksums.sha1,
            checksum_sha256: part.checksums.sha256,
            ..Default::default()
        })
    }

    pub(super) async fn copy_part(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let number = part_number(input.part_number)?;
        let upload = bucket.upload(&key, &input.upload_id).await?;
        let (source, source_key, version) = self.copy_source(&who, &input.copy_source)?;
        let opened = open(&source, &who, &source_key, version.as_deref()).await?;
        let from = opened.stamp;
        let conditions = ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.check(&from, || StoreError::PreconditionFailed)?;
        let range = match input.copy_source_range.as_deref() {
            Some(text) => copy_range(text, from.size)?,
            None => 0..from.size,
        };
        if range.end - range.start > self.gateway.limits.max_put_bytes {
            return Err(s3_error!(
                InvalidRequest,
                "the source is larger than one part may be"
            ));
        }
        note_read(&source, &who, &from, Read::of(Some(&range)))?;
        let temporaries = Arc::clone(&bucket.temporaries);
        let algorithm = upload.algorithm;
        let received = blocking(move || {
            use std::io::{Read, Seek};
            let mut file = opened.file;
            file.seek(io::SeekFrom::Start(range.start))?;
            let mut sink = Sink::new(&temporaries, hasher(algorithm.as_deref()));
            sink.copy(file.take(range.end - range.start))?;
            Ok(sink.finish()?)
        })
        .await?;
        let sums = kept(&received.checksums);
        let part = bucket
            .put_part(&input.upload_id, number, received, sums)
            .await?;
        Ok(UploadPartCopyOutput {
            copy_source_version_id: Some(from.version_id),
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(Timestamp::from(part.modified_at)),
                checksum_crc32: part.checksums.crc32,
                checksum_crc32c: part.checksums.crc32c,
                checksum_crc64nvme: part.checksums.crc64nvme,
                checksum_sha1: part.checksums.sha1,
                checksum_sha256: part.checksums.sha256,
            }),
            ..Default::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let upload = bucket.upload(&key, &input.upload_id).await?;
        let parts = input
            .multipart_upload
            .and_then(|parts| parts.parts)
            .unwrap_or_default();
        let chosen = parts
            .into_iter()
            .map(chosen)
            .collect::<S3Result<Vec<_>>>()?;
        let min = self.gateway.limits.min_part_bytes;
        let assembled = bucket
            .assemble(&input.upload_id, upload, chosen, min)
            .await?;
        if input
            .mpu_object_size
            .is_some_and(|size| u64::try_from(size) != Ok(assembled.received.size))
        {
            return Err(s3_error!(
                InvalidRequest,
                "the object has another size than was announced"
            ));
        }
        let c = &assembled.checksums;
        for (name, said, computed) in [
            ("x-amz-checksum-crc32", &input.checksum_crc32, &c.crc32),
            ("x-amz-checksum-crc32c", &input.checksum_crc32c, &c.crc32c),
            (
                "x-amz-checksum-crc64nvme",
                &input.checksum_crc64nvme,
                &c.crc64nvme,
            ),
            ("x-amz-checksum-sha1", &input.checksum_sha1, &c.sha1),
            ("x-amz-checksum-sha256", &input.checksum_sha256, &c.sha256),
        ] {
            // Some clients leave out the number of parts.
            let agrees = |said: &String, computed: &String| {
                said == computed
                    || computed
                        .strip_prefix(said.as_str())
                        .is_some_and(|rest| rest.starts_with('-'))
            };
            if let (Some(said), Some(computed)) = (said, computed)
                && !agrees(said, computed)
            {
                return Err(bad_digest(name));
            }
        }
        let stamp = bucket
            .commit(Write {
                key,
                etag: assembled.etag,
                headers: assembled.upload.headers,
                metadata: assembled.upload.metadata,
                checksums: assembled.checksums,
                received: assembled.received,
                conditions: WriteConditions {
                    if_match: input.if_match,
                    if_none_match: input.if_none_match,
                },
                event_name: "ObjectCreated:CompleteMultipartUpload",
                upload: Some(input.upload_id.clone()),
                scope: who.scope,
            })
            .await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
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

    pub(super) async fn abort_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let who = self.principal(&req)?;
        let (bucket, key) = self.object(&who, Access::Write, &req.input.bucket, &req.input.key)?;
        bucket.abort_upload(&key, &req.input.upload_id).await?;
        Ok(AbortMultipartUploadOutput::default())
    }

    pub(super) async fn parts(&self, req: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let upload = bucket.upload(&key, &input.upload_id).await?;
        let after = input.part_number_marker.unwrap_or(0);
        let max = input.max_parts.unwrap_or(1000).clamp(0, 1000);
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let mut parts = bucket.parts(&input.upload_id).await?;
        parts.retain(|part| number(part.number) > after);
        let truncated = parts.len() > usize::try_from(max).unwrap_or_default();
        parts.truncate(usize::try_from(max).unwrap_or_default());
        let next = parts
            .last()
            .map(|part| number(part.number))
            .filter(|_| truncated);
        let parts = parts.into_iter().map(|part| {
            Ok(Part {
                part_number: Some(number(part.number)),
                e_tag: Some(ETag::Strong(part.etag)),
                size: Some(signed(part.size)?),
                last_modified: Some(Timestamp::from(part.modified_at)),
                checksum_crc32: part.checksums.crc32,
                checksum_crc32c: part.checksums.crc32c,
                checksum_crc64nvme: part.checksums.crc64nvme,
                checksum_sha1: part.checksums.sha1,
                checksum_sha256: part.checksums.sha256,
            })
        });
        Ok(ListPartsOutput {
            parts: Some(parts.collect::<S3Result<Vec<_>>>()?),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max),
            is_truncated: Some(truncated),
            part_number_marker: Some(after),
            next_part_number_marker: next,
            checksum_algorithm: upload.algorithm.map(ChecksumAlgorithm::from),
            ..Default::default()
        })
    }
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    let number = u32::try_from(number)
        .ok()
        .filter(|n| (1..=MAX_PARTS).contains(n));
    number.ok_or_else(|| s3_error!(InvalidArgument, "a part number is between 1 and 10000"))
}

fn chosen(part: CompletedPart) -> S3Result<Chosen> {
    let number = part
        .part_number
        .ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?;
    Ok(Chosen {
        number: part_number(number)?,
        etag: part.e_tag.map(ETag::into_value),
        checksums: Checksums {
            crc32: part.checksum_crc32,
            crc32c: part.checksum_crc32c,
            crc64nvme: part.checksum_crc64nvme,
            sha1: part.checksum_sha1,
            sha256: part.checksum_sha256,
            composite: false,
        },
    })
}

/// `bytes=first-last`, both ends given (S3 API, `UploadPartCopy`).
pub(super) fn copy_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    let range = Range::parse(text).ok();
    match range {
        Some(Range::Int {
            first,
            last: Some(last),
        }) if last < size => Ok(first..last + 1),
        _ => Err(s3_error!(
            InvalidArgument,
            "the source range does not lie within the source"
        )),
    }
}

pub(super) fn add(
    hashers: &mut s3s::checksum::ChecksumHasher,
    more: s3s::checksum::ChecksumHasher,
) {
    hashers.crc32 = hashers.crc32.take().or(more.crc32);
    hashers.crc32c = hashers.crc32c.take().or(more.crc32c);
    hashers.crc64nvme = hashers.crc64nvme.take().or(more.crc64nvme);
    hashers.sha1 = hashers.sha1.take().or(more.sha1);
    hashers.sha256 = hashers.sha256.take().or(more.sha256);
}
