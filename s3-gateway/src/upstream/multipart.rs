//! Multipart uploads of clients: each step is passed on, under the store's own upload ids.
//!
//! The stamp goes with the beginning of an upload, since it is then that a store takes metadata;
//! when the upload is completed it is read back from the object. Parts become nothing by
//! themselves and are not recorded.

use std::sync::Arc;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart as SdkPart};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::{self, sdk_word, word};
use super::description::described;
use super::events::Landed;
use super::fence::Fence;
use super::incoming::{Incoming, Sums, with_sums};
use super::relay::Purpose;
use super::writing::too_large;
use super::{Upstream, connect, to_its_end};
use crate::grants::Principal;
use crate::policy::Access;
use crate::service::body::announced;

impl Upstream {
    pub(crate) async fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
        who: Principal,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut input = req.input;
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let description = described!(input);
        description.check(self.limits.max_metadata_bytes)?;
        let algorithm = input.checksum_algorithm.filter(|_| self.config.checksums);
        let kind = input.checksum_type.filter(|_| self.config.checksums);
        let request = self.client().await.create_multipart_upload();
        let request = request
            .bucket(self.there())
            .key(key.as_str())
            .set_checksum_algorithm(sdk_word!(algorithm.as_ref()))
            .set_checksum_type(sdk_word!(kind.as_ref()));
        let stamp = crate::clock::random_id();
        let request = super::description::describe!(request, description.stamped(stamp));
        let asked = request.customize().interceptor(Fence(who.scope)).send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: said.upload_id,
            checksum_algorithm: algorithm,
            checksum_type: kind,
            ..Default::default()
        }))
    }

    pub(crate) async fn put_part(
        self: Arc<Self>,
        mut req: S3Request<UploadPartInput>,
        who: Principal,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let key = self.allowed(&who, Access::Write, &req.input.key)?;
        let announced = announced!(req)?;
        let trailers = crate::service::objects::trailing(&req);
        let input = req.input;
        let mut incoming = Incoming::of_client(input.body, announced, trailers);
        let limit = self.limits.max_put_bytes;
        let length = match incoming.length {
            Some(length) if length > limit => return Err(too_large()),
            Some(length) => length,
            // A part of unknown length is read first, as those are that the gateway makes.
            None => incoming.measure(self.bounds().part_bytes).await?,
        };
        let client = self.client().await;
        let request = |body, sums: Sums| {
            let overrides = self.overrides(&sums);
            let request = client
                .upload_part()
                .bucket(self.there())
                .key(key.as_str())
                .upload_id(&input.upload_id)
                .part_number(input.part_number)
                .body(body);
            with_sums!(request, sums)
                .customize()
                .config_override(overrides)
                .interceptor(Fence(who.scope.clone()))
                .send()
        };
        let scope = who.scope.as_ref();
        let sent = self.send(Purpose::Part, &key, scope, incoming, length, request);
        let sent = sent.await?;
        let (said, sums) = (sent.said, sent.checksums);
        Ok(S3Response::new(UploadPartOutput {
            checksum_crc32: said.checksum_crc32.or(sums.crc32),
            checksum_crc32c: said.checksum_crc32_c.or(sums.crc32c),
            checksum_crc64nvme: said.checksum_crc64_nvme.or(sums.crc64nvme),
            checksum_sha1: said.checksum_sha1.or(sums.sha1),
            checksum_sha256: said.checksum_sha256.or(sums.sha256),
            e_tag: convert::etag(said.e_tag.as_deref()),
            server_side_encryption: word!(said.server_side_encryption),
            ssekms_key_id: said.ssekms_key_id,
            ..Default::default()
        }))
    }

    pub(crate) async fn complete_upload(
        self: Arc<Self>,
        req: S3Request<CompleteMultipartUploadInput>,
        who: Principal,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let key = self.allowed(&who, Access::Write, &req.input.key)?;
        let input = req.input;
        let work = async move {
            let scope = who.scope.as_ref();
            let turn = self.order.turn(&key).await;
            let parts = input.multipart_upload.and_then(|parts| parts.parts);
            let parts = parts.unwrap_or_default().into_iter().map(part).collect();
            let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
            let request = self.client().await.complete_multipart_upload();
            let asked = request
                .bucket(self.there())
                .key(key.as_str())
                .upload_id(input.upload_id)
                .multipart_upload(parts.build())
                .set_checksum_crc32(input.checksum_crc32)
                .set_checksum_crc32_c(input.checksum_crc32c)
                .set_checksum_crc64_nvme(input.checksum_crc64nvme)
                .set_checksum_sha1(input.checksum_sha1)
                .set_checksum_sha256(input.checksum_sha256)
                .set_checksum_type(sdk_word!(input.checksum_type.as_ref()))
                .set_mpu_object_size(input.mpu_object_size)
                .set_if_match(input.if_match.as_ref().map(convert::condition))
                .set_if_none_match(input.if_none_match.as_ref().map(convert::condition))
                .customize()
                .config_override(
                    aws_sdk_s3::Config::builder().timeout_config(connect::lengthy(self.bounds())),
                )
                .interceptor(Fence(who.scope.clone()))
                .send();
            let said = Box::pin(asked).await;
            let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
            let landed = Landed {
                key,
                stamp: None,
                etag: convert::bare(said.e_tag.as_deref()),
                version_id: convert::real_version(said.version_id.as_deref()),
                size: None,
                event_name: "ObjectCreated:CompleteMultipartUpload",
            };
            self.record(landed, scope, &turn).await?;
            Ok(CompleteMultipartUploadOutput {
                bucket: Some(input.bucket),
                key: Some(input.key),
                checksum_crc32: said.checksum_crc32,
                checksum_crc32c: said.checksum_crc32_c,
                checksum_crc64nvme: said.checksum_crc64_nvme,
                checksum_sha1: said.checksum_sha1,
                checksum_sha256: said.checksum_sha256,
                checksum_type: word!(said.checksum_type),
                e_tag: convert::etag(said.e_tag.as_deref()),
                server_side_encryption: word!(said.server_side_encryption),
                ssekms_key_id: said.ssekms_key_id,
                version_id: said.version_id,
                ..Default::default()
            })
        };
        to_its_end(work).await.map(S3Response::new)
    }

    pub(crate) async fn abort_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
        who: Principal,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let request = self.client().await.abort_multipart_upload();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .upload_id(input.upload_id)
            .customize()
            .interceptor(Fence(who.scope))
            .send();
        let said = Box::pin(asked).await;
        said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(crate) async fn parts(
        &self,
        req: S3Request<ListPartsInput>,
        who: Principal,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let request = self.client().await.list_parts();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .upload_id(&input.upload_id)
            .set_max_parts(input.max_parts)
            .set_part_number_marker(input.part_number_marker.map(|marker| marker.to_string()))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
        let part = |part: aws_sdk_s3::types::Part| Part {
            checksum_crc32: part.checksum_crc32,
            checksum_crc32c: part.checksum_crc32_c,
            checksum_crc64nvme: part.checksum_crc64_nvme,
            checksum_sha1: part.checksum_sha1,
            checksum_sha256: part.checksum_sha256,
            e_tag: convert::etag(part.e_tag.as_deref()),
            last_modified: part.last_modified.and_then(convert::from_time),
            part_number: part.part_number,
            size: part.size,
        };
        let marker = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: word!(said.checksum_algorithm),
            checksum_type: word!(said.checksum_type),
            is_truncated: said.is_truncated,
            max_parts: said.max_parts,
            next_part_number_marker: marker(said.next_part_number_marker),
            part_number_marker: marker(said.part_number_marker),
            parts: said.parts.map(|all| all.into_iter().map(part).collect()),
            storage_class: word!(said.storage_class),
            ..Default::default()
        }))
    }

    /// The unfinished uploads of keys that the sender may touch.
    pub(crate) async fn uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
        who: Principal,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        self.touched(&who)?;
        let request = self.client().await.list_multipart_uploads();
        let asked = request
            .bucket(self.there())
            .set_prefix(input.prefix.clone())
            .set_delimiter(input.delimiter.clone())
            .set_key_marker(input.key_marker.clone())
            .set_upload_id_marker(input.upload_id_marker.clone())
            .set_max_uploads(input.max_uploads)
            .encoding_type(aws_sdk_s3::types::EncodingType::Url)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let text = super::listing::Text::new(said.encoding_type(), input.encoding_type.as_ref());
        let upload = |upload: aws_sdk_s3::types::MultipartUpload| {
            let key = text.plain(upload.key?);
            let visible = [Access::Read, Access::Write]
                .iter()
                .any(|access| who.policy.allows(*access, self.name.as_str(), &key));
            visible.then(|| MultipartUpload {
                checksum_algorithm: word!(upload.checksum_algorithm),
                checksum_type: word!(upload.checksum_type),
                initiated: upload.initiated.and_then(convert::from_time),
                key: Some(text.told(key)),
                storage_class: word!(upload.storage_class),
                upload_id: upload.upload_id,
                ..Default::default()
            })
        };
        let prefixes = said.common_prefixes.unwrap_or_default();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: self.prefixes(&who, prefixes, &text),
            delimiter: input.delimiter.map(|it| text.told(it)),
            encoding_type: input.encoding_type,
            is_truncated: said.is_truncated,
            key_marker: input.key_marker.map(|it| text.told(it)),
            max_uploads: said.max_uploads,
            next_key_marker: said.next_key_marker.map(|it| text.again(it)),
            next_upload_id_marker: said.next_upload_id_marker,
            prefix: input.prefix.map(|it| text.told(it)),
            upload_id_marker: input.upload_id_marker,
            uploads: said
                .uploads
                .map(|all| all.into_iter().filter_map(upload).collect()),
            ..Default::default()
        }))
    }
}

fn part(part: CompletedPart) -> SdkPart {
    SdkPart::builder()
        .set_checksum_crc32(part.checksum_crc32)
        .set_checksum_crc32_c(part.checksum_crc32c)
        .set_checksum_crc64_nvme(part.checksum_crc64nvme)
        .set_checksum_sha1(part.checksum_sha1)
        .set_checksum_sha256(part.checksum_sha256)
        .set_e_tag(part.e_tag.map(|etag| convert::quoted(etag.value())))
        .set_part_number(part.part_number)
        .build()
}
