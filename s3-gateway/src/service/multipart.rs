//! Multipart uploads.

use std::io;
use std::sync::Arc;

use daybook_domain::ObjectKey;
use s3s::dto::*;
use s3s::stream::ByteStream;
use s3s::{Body, S3ErrorCode, S3Request, S3Result, s3_error};

use super::body::{announced, bad_digest, checksum_type, kept};
use super::buckets::owner;
use super::listing::{encoder, prefixes};
use super::objects::{signed, told_encryption, trailing};
use super::properties::{headers_of, no_acl, no_foreign_keys, tags_of_header};
use super::reading::{Read, note_read, open};
use super::{Operations, denied};
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::commit::Write;
use crate::local::conditions::{ReadConditions, WriteConditions};
use crate::local::multipart::{Begun, Chosen, MAX_PARTS, Upload, hasher};
use crate::local::receive::{Sink, receive};
use crate::local::stamp::{Checksums, Stamp};
use crate::local::store::{Bucket, blocking};
use crate::policy::Access;

/// The most uploads that S3 lists at once.
const MAX_LISTED: i32 = 1000;

impl Operations {
    pub(super) async fn create_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let who = self.principal(&req)?;
        no_acl!(req.input)?;
        let headers = headers_of!(req);
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
            headers,
            metadata: self.metadata(input.metadata)?,
            tags: tags_of_header(input.tagging.as_deref())?,
            algorithm,
            full_object,
        };
        let encryption = told_encryption(&upload.headers);
        let checksum_type = upload.algorithm.as_ref().map(|_| {
            ChecksumType::from_static(if upload.full_object {
                ChecksumType::FULL_OBJECT
            } else {
                ChecksumType::COMPOSITE
            })
        });
        let id = bucket.create_upload(upload).await?;
        Ok(CreateMultipartUploadOutput {
            server_side_encryption: encryption,
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type,
            ..Default::default()
        })
    }

    pub(super) async fn put_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let who = self.principal(&req)?;
        let (bucket, key) = self.object(&who, Access::Write, &req.input.bucket, &req.input.key)?;
        no_foreign_keys(&req.headers)?;
        let announced = announced!(req)?;
        let trailers = trailing(&req);
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
        announced.verify(&received, trailers.as_ref())?;
        let sums = kept(&received.checksums);
        let part = bucket
            .put_part(&input.upload_id, number, received, sums)
            .await
            .map_err(|error| self.unless_gone(&bucket, error.into()))?;
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
        no_foreign_keys(&req.headers)?;
        let (source, source_key, version) = self.copy_source(&who, &req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let number = part_number(input.part_number)?;
        let upload = bucket.upload(&key, &input.upload_id).await?;
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
            copy_source_version_id: Some(source.shown_id(&from.version_id, from.null_version)),
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
        let (name, id) = (input.bucket.clone(), input.upload_id.clone());
        let done = self.complete(&bucket, &key, who, input).await;
        let stamp = match done {
            // The answer to an earlier request may have been lost: say again what it said.
            Err(error) if *error.code() == S3ErrorCode::NoSuchUpload => {
                let current = bucket.open(&key, None).await.ok();
                let current = current.filter(|opened| opened.stamp.upload.as_ref() == Some(&id));
                current.ok_or(error)?.stamp
            }
            done => done?,
        };
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{name}/{key}")),
            bucket: Some(name),
            key: Some(key.to_string()),
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

    async fn complete(
        &self,
        bucket: &Arc<Bucket>,
        key: &ObjectKey,
        who: Principal,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<Stamp> {
        let upload = bucket.upload(key, &input.upload_id).await?;
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
        let write = Write {
            key: key.clone(),
            etag: assembled.etag,
            headers: assembled.upload.headers,
            metadata: assembled.upload.metadata,
            tags: assembled.upload.tags,
            checksums: assembled.checksums,
            received: assembled.received,
            conditions: WriteConditions {
                if_match: input.if_match,
                if_none_match: input.if_none_match,
            },
            event_name: "ObjectCreated:CompleteMultipartUpload",
            upload: Some(input.upload_id),
            parts: Some(assembled.parts),
            scope: who.scope,
            staged: None,
        };
        let written = bucket.commit(write).await;
        written.map_err(|error| self.unless_gone(bucket, error.into()))
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

    pub(super) async fn uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        who.check_bucket(Access::Write, &bucket.name)
            .map_err(denied)?;
        let max = input.max_uploads.unwrap_or(MAX_LISTED);
        let max = usize::try_from(max.min(MAX_LISTED))
            .map_err(|_| s3_error!(InvalidArgument, "max-uploads must not be negative"))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let name = bucket.name.to_string();
        let mut begun = bucket.uploads().await?;
        begun.retain(|begun| {
            let key = &begun.upload.key;
            key.starts_with(&prefix) && who.policy.allows(Access::Write, &name, key)
        });
        let page = page(
            begun,
            &prefix,
            input.delimiter.as_deref().filter(|d| !d.is_empty()),
            input.key_marker.as_deref().filter(|m| !m.is_empty()),
            input.upload_id_marker.as_deref().filter(|m| !m.is_empty()),
            max,
        );
        let encode = encoder(input.encoding_type.as_ref());
        let uploads = page.uploads.into_iter().map(|begun| MultipartUpload {
            checksum_algorithm: begun.upload.algorithm.map(ChecksumAlgorithm::from),
            initiated: Some(Timestamp::from(begun.begun_at)),
            initiator: Some(initiator()),
            key: Some(encode(begun.upload.key)),
            owner: Some(owner()),
            storage_class: Some(begun.upload.headers.storage_class.map_or(
                StorageClass::from_static(StorageClass::STANDARD),
                StorageClass::from,
            )),
            upload_id: Some(begun.id),
            ..Default::default()
        });
        let (next_key, next_id) = page.next.unzip();
        Ok(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            common_prefixes: prefixes(page.prefixes, &encode),
            bucket: Some(input.bucket),
            prefix: Some(encode(prefix)),
            delimiter: input.delimiter.map(&encode),
            key_marker: Some(encode(input.key_marker.unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            max_uploads: i32::try_from(max).ok(),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: next_key.map(&encode),
            next_upload_id_marker: next_id,
            encoding_type: input.encoding_type,
            ..Default::default()
        })
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
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            owner: Some(owner()),
            initiator: Some(initiator()),
            ..Default::default()
        })
    }
}

/// A page of a listing of uploads.
#[derive(Default)]
struct Page {
    uploads: Vec<Begun>,
    prefixes: Vec<String>,
    /// The key and the id after which the next page begins.
    next: Option<(String, String)>,
}

/// The uploads after the markers, those with a delimiter after the prefix as what they share.
fn page(
    begun: Vec<Begun>,
    prefix: &str,
    delimiter: Option<&str>,
    key_marker: Option<&str>,
    id_marker: Option<&str>,
    max: usize,
) -> Page {
    let mut page = Page::default();
    let mut last = None;
    for begun in begun {
        let key = begun.upload.key.as_str();
        let after = match (key_marker, id_marker) {
            (None, _) => true,
            (Some(marker), None) => key > marker,
            (Some(marker), Some(id)) => key > marker || key == marker && begun.id.as_str() > id,
        };
        let rest = &key[prefix.len()..];
        let shared = delimiter.and_then(|delimiter| {
            let at = rest.find(delimiter)?;
            Some(format!("{prefix}{}", &rest[..at + delimiter.len()]))
        });
        let told = shared.as_ref().is_some_and(|shared| {
            page.prefixes.last() == Some(shared) || key_marker == Some(shared.as_str())
        });
        if !after || told {
            continue;
        }
        if page.uploads.len() + page.prefixes.len() == max {
            page.next = last;
            return page;
        }
        match shared {
            Some(shared) => {
                last = Some((shared.clone(), String::new()));
                page.prefixes.push(shared);
            }
            None => {
                last = Some((key.to_owned(), begun.id.clone()));
                page.uploads.push(begun);
            }
        }
    }
    page
}

fn initiator() -> Initiator {
    let owner = owner();
    Initiator {
        display_name: owner.display_name,
        id: owner.id,
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
