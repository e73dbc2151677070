//! Reading single objects: get, head, attributes.

use daybook_domain::ObjectKey;
use daybook_domain::execution::ByteRange;
use daybook_domain::stored_object::ObjectVersion;
use s3s::dto::*;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::Upstream;
use super::convert::{self, sdk_word, word};
use super::description::shown;
use super::idle::Patient;
use crate::error::StoreError;
use crate::grants::Principal;
use crate::policy::Access;

/// What a read is pinned to: the version that triggered the invocation.
pub(super) struct Pin {
    pub(super) version_id: Option<String>,
    pub(super) etag: Option<String>,
}

/// Gives a request of the SDK what a read says of the object that it wants.
macro_rules! wanted {
    ($request:expr, $input:expr, $pin:expr) => {{
        let pin: &Option<Pin> = $pin;
        let pinned_tag = pin.as_ref().and_then(Pin::tag);
        let if_match = $input.if_match.as_ref().map(convert::condition);
        $request
            .set_version_id(
                $input
                    .version_id
                    .clone()
                    .or_else(|| pin.as_ref()?.version_id.clone()),
            )
            .set_if_match(if_match.or(pinned_tag))
            .set_if_none_match($input.if_none_match.as_ref().map(convert::condition))
            .set_if_modified_since($input.if_modified_since.as_ref().and_then(convert::to_time))
            .set_if_unmodified_since(
                $input
                    .if_unmodified_since
                    .as_ref()
                    .and_then(convert::to_time),
            )
            .set_range($input.range.as_ref().map(Range::to_header_string))
            .set_part_number($input.part_number)
            .set_checksum_mode(sdk_word!($input.checksum_mode.as_ref()))
            .set_response_cache_control($input.response_cache_control.clone())
            .set_response_content_disposition($input.response_content_disposition.clone())
            .set_response_content_encoding($input.response_content_encoding.clone())
            .set_response_content_language($input.response_content_language.clone())
            .set_response_content_type($input.response_content_type.clone())
            .set_response_expires($input.response_expires.as_ref().and_then(convert::to_time))
    }};
}

/// What the answers to get and head have in common.
macro_rules! told {
    ($output:ident, $said:expr, $metadata:expr) => {
        $output {
            accept_ranges: $said.accept_ranges,
            cache_control: $said.cache_control,
            checksum_crc32: $said.checksum_crc32,
            checksum_crc32c: $said.checksum_crc32_c,
            checksum_crc64nvme: $said.checksum_crc64_nvme,
            checksum_sha1: $said.checksum_sha1,
            checksum_sha256: $said.checksum_sha256,
            checksum_type: word!($said.checksum_type),
            content_disposition: $said.content_disposition,
            content_encoding: $said.content_encoding,
            content_language: $said.content_language,
            content_length: $said.content_length,
            content_range: $said.content_range,
            content_type: $said.content_type,
            delete_marker: $said.delete_marker,
            e_tag: convert::etag($said.e_tag.as_deref()),
            expiration: $said.expiration,
            expires: convert::http_date($said.expires_string.as_deref()),
            last_modified: $said.last_modified.and_then(convert::from_time),
            metadata: $metadata,
            missing_meta: $said.missing_meta,
            parts_count: $said.parts_count,
            replication_status: word!($said.replication_status),
            restore: $said.restore,
            server_side_encryption: word!($said.server_side_encryption),
            ssekms_key_id: $said.ssekms_key_id,
            storage_class: word!($said.storage_class),
            version_id: $said.version_id,
            website_redirect_location: $said.website_redirect_location,
            ..Default::default()
        }
    };
}

impl Upstream {
    pub(crate) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
        who: Principal,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        refuse_customer_keys(input.sse_customer_algorithm.as_ref())?;
        let key = self.allowed(&who, Access::Read, &input.key)?;
        super::open(who.scope.as_ref())?;
        let pin = self.pin(&who, &key, input.version_id.as_deref());
        let request = self.client().await.get_object();
        let request = request.bucket(self.there()).key(key.as_str());
        let asked = wanted!(request, input, &pin).send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| {
            let error = self.failed(error, S3ErrorCode::NoSuchKey);
            gone_if_pinned(error, pin.as_ref(), input.if_match.is_some())
        })?;
        let read = Read {
            etag: said.e_tag.as_deref(),
            version_id: said.version_id.as_deref(),
            size: whole_size(said.content_range.as_deref(), said.content_length),
            ranges: ranges(said.content_range.as_deref()),
        };
        let (metadata, stamp) = shown(said.metadata);
        self.noted(&who, &key, pin.as_ref(), read, stamp)?;
        let body = Patient::new(said.body.into_inner(), self.bounds().read_timeout);
        let partial = said.content_range.is_some();
        let mut output = told!(GetObjectOutput, said, metadata);
        output.tag_count = said.tag_count;
        output.body = Some(StreamingBlob::from(Body::http_body(body)));
        let mut response = S3Response::new(output);
        if partial {
            response.status = Some(hyper::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(crate) async fn head(
        &self,
        req: S3Request<HeadObjectInput>,
        who: Principal,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        refuse_customer_keys(input.sse_customer_algorithm.as_ref())?;
        let key = self.allowed(&who, Access::Read, &input.key)?;
        super::open(who.scope.as_ref())?;
        let pin = self.pin(&who, &key, input.version_id.as_deref());
        let request = self.client().await.head_object();
        let request = request.bucket(self.there()).key(key.as_str());
        let asked = wanted!(request, input, &pin).send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| {
            let error = self.failed(error, S3ErrorCode::NoSuchKey);
            gone_if_pinned(error, pin.as_ref(), input.if_match.is_some())
        })?;
        let read = Read {
            etag: said.e_tag.as_deref(),
            version_id: said.version_id.as_deref(),
            size: whole_size(said.content_range.as_deref(), said.content_length),
            ranges: Some(Vec::new()),
        };
        let (metadata, stamp) = shown(said.metadata);
        self.noted(&who, &key, pin.as_ref(), read, stamp)?;
        let partial = said.content_range.is_some();
        let mut response = S3Response::new(told!(HeadObjectOutput, said, metadata));
        if partial {
            response.status = Some(hyper::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(crate) async fn attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
        who: Principal,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Read, &input.key)?;
        super::open(who.scope.as_ref())?;
        let pin = self.pin(&who, &key, input.version_id.as_deref());
        // Some clients send one header with all of them, others one for each.
        let wanted = input.object_attributes.iter();
        let wanted = wanted
            .flat_map(|names| names.as_str().split(','))
            .map(|name| name.trim().into())
            .collect();
        let pinned = pin.as_ref().and_then(|pin| pin.version_id.clone());
        let request = self.client().await.get_object_attributes();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(input.version_id.or(pinned))
            .set_max_parts(input.max_parts)
            .set_part_number_marker(input.part_number_marker.map(|marker| marker.to_string()))
            .set_object_attributes(Some(wanted))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| {
            let error = self.failed(error, S3ErrorCode::NoSuchKey);
            gone_if_pinned(error, pin.as_ref(), false)
        })?;
        let read = Read {
            etag: said.e_tag.as_deref(),
            version_id: said.version_id.as_deref(),
            size: said.object_size.and_then(|size| u64::try_from(size).ok()),
            ranges: Some(Vec::new()),
        };
        self.noted(&who, &key, pin.as_ref(), read, None)?;
        let part = |part: aws_sdk_s3::types::ObjectPart| ObjectPart {
            checksum_crc32: part.checksum_crc32,
            checksum_crc32c: part.checksum_crc32_c,
            checksum_crc64nvme: part.checksum_crc64_nvme,
            checksum_sha1: part.checksum_sha1,
            checksum_sha256: part.checksum_sha256,
            part_number: part.part_number,
            size: part.size,
        };
        let marker = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let parts = |parts: aws_sdk_s3::types::GetObjectAttributesParts| GetObjectAttributesParts {
            is_truncated: parts.is_truncated,
            max_parts: parts.max_parts,
            next_part_number_marker: marker(parts.next_part_number_marker),
            part_number_marker: marker(parts.part_number_marker),
            parts: parts.parts.map(|all| all.into_iter().map(part).collect()),
            total_parts_count: parts.total_parts_count,
        };
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: said.checksum.map(|sums| Checksum {
                checksum_crc32: sums.checksum_crc32,
                checksum_crc32c: sums.checksum_crc32_c,
                checksum_crc64nvme: sums.checksum_crc64_nvme,
                checksum_sha1: sums.checksum_sha1,
                checksum_sha256: sums.checksum_sha256,
                checksum_type: word!(sums.checksum_type),
            }),
            delete_marker: said.delete_marker,
            e_tag: convert::etag(said.e_tag.as_deref()),
            last_modified: said.last_modified.and_then(convert::from_time),
            object_parts: said.object_parts.map(parts),
            object_size: said.object_size,
            storage_class: word!(said.storage_class),
            version_id: said.version_id,
            ..Default::default()
        }))
    }

    /// What a read without a version of its own is pinned to.
    pub(super) fn pin(
        &self,
        who: &Principal,
        key: &ObjectKey,
        version: Option<&str>,
    ) -> Option<Pin> {
        if version.is_some() {
            return None;
        }
        let version = who.pinned(&self.name, key)?;
        Some(Pin {
            version_id: version.version_id.clone(),
            etag: version.etag.clone(),
        })
    }

    /// Notes what was read, if it is what the read is pinned to.
    fn noted(
        &self,
        who: &Principal,
        key: &ObjectKey,
        pin: Option<&Pin>,
        read: Read<'_>,
        stamp: Option<uuid::Uuid>,
    ) -> S3Result<()> {
        let version = ObjectVersion {
            version_id: convert::real_version(read.version_id),
            etag: convert::bare(read.etag),
            size: read.size,
            modified_at: None,
            stamp,
        };
        if let Some(pin) = pin
            && pin.etag.is_some()
            && version.etag.is_some()
            && pin.etag != version.etag
        {
            return Err(pin.gone().into());
        }
        self.note_read(who, key, &version, read.ranges)
    }
}

impl Pin {
    /// The ETag that the object must have, where the store keeps no versions.
    pub(super) fn tag(&self) -> Option<String> {
        match (&self.version_id, &self.etag) {
            (None, Some(etag)) => Some(convert::quoted(etag)),
            _ => None,
        }
    }

    fn gone(&self) -> StoreError {
        let version = self.version_id.clone().or_else(|| self.etag.clone());
        StoreError::VersionGone(version.unwrap_or_default())
    }
}

struct Read<'a> {
    etag: Option<&'a str>,
    version_id: Option<&'a str>,
    size: Option<u64>,
    /// None for all of it, empty for its metadata alone.
    ranges: Option<Vec<ByteRange>>,
}

/// What is not there any more of that to which a read is pinned has a name of its own. `conditional`
/// says that the client set a condition, which may have failed as well.
pub(super) fn gone_if_pinned(error: S3Error, pin: Option<&Pin>, conditional: bool) -> S3Error {
    let Some(pin) = pin else {
        return error;
    };
    let gone = match error.code() {
        S3ErrorCode::NoSuchKey | S3ErrorCode::NoSuchVersion | S3ErrorCode::MethodNotAllowed => true,
        S3ErrorCode::PreconditionFailed => pin.version_id.is_none() && !conditional,
        _ => false,
    };
    if gone { pin.gone().into() } else { error }
}

/// The size of the object of which a range was read.
pub(super) fn whole_size(range: Option<&str>, length: Option<i64>) -> Option<u64> {
    match range {
        Some(range) => range.rsplit('/').next()?.parse().ok(),
        None => length.and_then(|length| u64::try_from(length).ok()),
    }
}

/// The bytes that an answer holds, by its `Content-Range`: `None` for all of the object.
pub(super) fn ranges(said: Option<&str>) -> Option<Vec<ByteRange>> {
    let (range, size) = said?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let whole = first == 0 && size.parse().is_ok_and(|size: u64| last + 1 >= size);
    (!whole).then(|| vec![ByteRange { first, last }])
}

fn refuse_customer_keys(algorithm: Option<&String>) -> S3Result<()> {
    if algorithm.is_some() {
        return Err(s3s::s3_error!(
            NotImplemented,
            "keys of the customer are not passed on to other stores"
        ));
    }
    Ok(())
}
