//! What is known about an object beside its bytes: its attributes, the parts that it came in, its
//! access list.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::Operations;
use super::body::checksum_type;
use super::buckets::{check_acl, check_policy, grants, owner};
use super::objects::{signed, time_of};
use super::reading::{Read, note_read, open, stored_as};
use crate::front::BareETag;
use crate::local::parts::{self, OnePart, Parts};
use crate::local::store::blocking;
use crate::policy::Access;

/// The most parts that S3 lists at once.
const MAX_PARTS: i32 = 1000;

impl Operations {
    pub(super) async fn attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        // Some clients send one header with all of them, others one for each.
        let wanted: Vec<&str> = input
            .object_attributes
            .iter()
            .flat_map(|names| names.as_str().split(','))
            .map(str::trim)
            .collect();
        let known = [
            ObjectAttributes::ETAG,
            ObjectAttributes::CHECKSUM,
            ObjectAttributes::OBJECT_PARTS,
            ObjectAttributes::STORAGE_CLASS,
            ObjectAttributes::OBJECT_SIZE,
        ];
        if wanted.iter().any(|name| !known.contains(name)) {
            return Err(s3_error!(InvalidArgument, "there is no such attribute"));
        }
        let wants = |name: &str| wanted.contains(&name);
        let opened = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        note_read(&bucket, &who, &opened.stamp, Read::Metadata)?;
        let stamp = opened.stamp.clone();
        let version_id = bucket.shown_id(&stamp.version_id, stamp.null_version);
        let mut object_parts = None;
        if wants(ObjectAttributes::OBJECT_PARTS) {
            let parts =
                blocking(move || Ok(parts::read(&bucket.root, &opened.file, &opened.stamp)?));
            let parts = parts.await?;
            object_parts = parts
                .map(|parts| page(&parts, input.max_parts, input.part_number_marker))
                .transpose()?;
        }
        let sums = Some(stamp.checksums)
            .filter(|sums| wants(ObjectAttributes::CHECKSUM) && !sums.is_empty());
        let class = stored_as(&stamp.headers).map_or_else(
            || StorageClass::from_static(StorageClass::STANDARD),
            StorageClass::from,
        );
        let mut response = S3Response::new(GetObjectAttributesOutput {
            checksum: sums.map(|sums| Checksum {
                checksum_type: checksum_type(&sums),
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
            }),
            e_tag: Some(ETag::Strong(stamp.etag)).filter(|_| wants(ObjectAttributes::ETAG)),
            last_modified: Some(Timestamp::from(time_of(stamp.mtime_ns))),
            object_parts,
            object_size: Some(signed(stamp.size)?).filter(|_| wants(ObjectAttributes::OBJECT_SIZE)),
            storage_class: Some(class).filter(|_| wants(ObjectAttributes::STORAGE_CLASS)),
            version_id: Some(version_id),
            ..Default::default()
        });
        response.extensions.insert(BareETag);
        Ok(response)
    }

    pub(super) async fn acl(
        &self,
        req: S3Request<GetObjectAclInput>,
    ) -> S3Result<GetObjectAclOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        Ok(GetObjectAclOutput {
            grants: Some(grants()),
            owner: Some(owner()),
            ..Default::default()
        })
    }

    pub(super) async fn put_acl(
        &self,
        req: S3Request<PutObjectAclInput>,
    ) -> S3Result<PutObjectAclOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        let granted = [
            input.grant_full_control,
            input.grant_read,
            input.grant_read_acp,
            input.grant_write,
            input.grant_write_acp,
        ];
        let acl = input.acl.as_ref().map(ObjectCannedACL::as_str);
        check_acl(acl, granted.iter().any(Option::is_some))?;
        check_policy(input.access_control_policy.as_ref())?;
        Ok(PutObjectAclOutput::default())
    }
}

/// The parts after a marker.
fn page(
    parts: &Parts,
    max: Option<i32>,
    marker: Option<i32>,
) -> S3Result<GetObjectAttributesParts> {
    let max = max.unwrap_or(MAX_PARTS);
    let marker = marker.unwrap_or(0);
    if max < 0 || marker < 0 {
        return Err(s3_error!(
            InvalidArgument,
            "max-parts and part-number-marker must not be negative"
        ));
    }
    let max = max.min(MAX_PARTS);
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let mut rest = parts.all().filter(|part| number(part.number) > marker);
    let listed: Vec<OnePart> = rest
        .by_ref()
        .take(usize::try_from(max).unwrap_or(0))
        .collect();
    let truncated = rest.next().is_some();
    let last = listed.last().map_or(marker, |part| number(part.number));
    let listed = listed.into_iter().map(|part| {
        let sum = |algorithm: &str| match parts.algorithm.as_deref() {
            Some(of_parts) if of_parts == algorithm => part.sum.clone(),
            _ => None,
        };
        Ok(ObjectPart {
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_crc64nvme: sum("CRC64NVME"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            part_number: Some(number(part.number)),
            size: Some(signed(part.size)?),
        })
    });
    Ok(GetObjectAttributesParts {
        parts: Some(listed.collect::<S3Result<Vec<_>>>()?),
        is_truncated: Some(truncated),
        max_parts: Some(max),
        next_part_number_marker: Some(last),
        part_number_marker: Some(marker),
        total_parts_count: Some(number(parts.len())),
    })
}
