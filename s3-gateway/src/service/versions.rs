//! Versioning: switching it on, and listing the versions of a bucket.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Operations;
use super::buckets::owner;
use super::denied;
use super::listing::{Readable, algorithms, checksum_type, encoder, max, prefixes};
use super::objects::{signed, time_of};
use crate::local::listing::Query;
use crate::local::listing_versions::Version;
use crate::local::settings::Versioning;
use crate::local::store::blocking;
use crate::policy::Access;

impl Operations {
    pub(super) async fn versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<GetBucketVersioningOutput> {
        self.seen_bucket(&req, &req.input.bucket)?;
        let bucket = self.bucket(&req.input.bucket)?;
        let status = match blocking(move || Ok(bucket.versioning()?)).await? {
            Versioning::Never => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        Ok(GetBucketVersioningOutput {
            status: status.map(BucketVersioningStatus::from_static),
            ..Default::default()
        })
    }

    pub(super) async fn set_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<PutBucketVersioningOutput> {
        let who = self.principal(&req)?;
        let bucket = self.bucket(&req.input.bucket)?;
        who.check_bucket(Access::Write, &bucket.name)
            .map_err(denied)?;
        let configuration = req.input.versioning_configuration;
        if configuration
            .mfa_delete
            .is_some_and(|mfa| mfa.as_str() == MFADelete::ENABLED)
        {
            return Err(s3_error!(NotImplemented, "there is no MFA delete"));
        }
        let versioning = match configuration.status.as_ref().map(|status| status.as_str()) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => {
                return Err(s3_error!(
                    MalformedXML,
                    "the status is Enabled or Suspended"
                ));
            }
        };
        blocking(move || Ok(bucket.set_versioning(versioning)?)).await?;
        Ok(PutBucketVersioningOutput::default())
    }

    pub(super) async fn list_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<ListObjectVersionsOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        who.check_bucket(Access::Read, &bucket.name)
            .map_err(denied)?;
        let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
        let version_id_marker = input
            .version_id_marker
            .clone()
            .filter(|marker| !marker.is_empty());
        if version_id_marker.is_some() && key_marker.is_none() {
            return Err(s3_error!(
                InvalidArgument,
                "a version-id marker cannot be specified without a key marker"
            ));
        }
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: key_marker,
            max: max(input.max_keys)?,
            max_unseen: self.gateway.limits.list_unseen,
        };
        let visible = Readable::of(who.policy, bucket.name.as_str());
        let page = bucket
            .list_versions(query, version_id_marker, visible)
            .await?;
        // Without versioning, S3 has one version of each key, the null version.
        let id = |id: &str, null: bool| {
            if null {
                "null".to_owned()
            } else {
                id.to_owned()
            }
        };
        let encode = encoder(input.encoding_type.as_ref());
        let (next_key, next_version) = match page.next {
            Some((key, version)) => (Some(key), version),
            None => (None, None),
        };
        let (markers, versions): (Vec<_>, Vec<_>) = page
            .versions
            .into_iter()
            .partition(|version| version.row.marker);
        let marker = |Version { row, latest }: Version| DeleteMarkerEntry {
            is_latest: Some(latest),
            version_id: Some(id(&row.version_id, row.null_version)),
            key: Some(encode(row.key)),
            last_modified: Some(Timestamp::from(time_of(row.mtime_ns))),
            owner: Some(owner()),
        };
        let version = |Version { row, latest }: Version| -> S3Result<ObjectVersion> {
            let algorithms = algorithms(&row);
            Ok(ObjectVersion {
                is_latest: Some(latest),
                version_id: Some(id(&row.version_id, row.null_version)),
                key: Some(encode(row.key)),
                e_tag: Some(ETag::Strong(row.etag)),
                last_modified: Some(Timestamp::from(time_of(row.mtime_ns))),
                size: Some(signed(row.size)?),
                storage_class: Some(ObjectVersionStorageClass::from_static(
                    ObjectVersionStorageClass::STANDARD,
                )),
                checksum_type: algorithms.is_some().then(|| checksum_type(row.composite)),
                checksum_algorithm: algorithms,
                owner: Some(owner()),
                ..Default::default()
            })
        };
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            key_marker: Some(encode(input.key_marker.unwrap_or_default())),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            max_keys: Some(input.max_keys.unwrap_or(1000)),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: next_key.map(&encode),
            next_version_id_marker: next_version.map(|row| id(&row.version_id, row.null_version)),
            common_prefixes: prefixes(page.prefixes, &encode),
            delete_markers: Some(markers.into_iter().map(marker).collect()),
            versions: Some(versions.into_iter().map(version).collect::<S3Result<_>>()?),
            delimiter: input.delimiter.map(&encode),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }
}
