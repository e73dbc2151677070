//! Parts of uploads that are copied from objects.

use std::sync::Arc;

use s3s::dto::{CopySource, UploadPartCopyInput};
use s3s::{S3ErrorCode, S3Result};

use super::copying::Copied;
use super::fence::Fence;
use super::incoming::{Incoming, Sums, with_sums};
use super::relay::Purpose;
use super::sources::{Source, SourceObject};
use super::writing::too_large;
use super::{Upstream, connect, convert};
use crate::grants::Principal;
use crate::policy::Access;

impl Upstream {
    /// Has the store copy a part from another bucket of it, or from this one.
    pub(crate) async fn copy_part_within(
        &self,
        who: Principal,
        input: UploadPartCopyInput,
        from: Arc<Upstream>,
        source: Source,
    ) -> S3Result<Copied> {
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let seen = from.look_at(&who, &source).await?;
        let version_id = source.version.clone().or_else(|| seen.version_id.clone());
        let object = CopySource::Bucket {
            bucket: from.there().into(),
            key: source.key.as_str().into(),
            version_id: version_id.map(Into::into),
        };
        let request = self.client().await.upload_part_copy();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .upload_id(input.upload_id)
            .part_number(input.part_number)
            .copy_source(object.format_to_string())
            .set_copy_source_if_match(seen.etag.as_deref().map(convert::quoted))
            .set_copy_source_range(source.range)
            .customize()
            .config_override(
                aws_sdk_s3::Config::builder().timeout_config(connect::lengthy(self.bounds())),
            )
            .interceptor(Fence(who.scope))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
        let result = said.copy_part_result;
        Ok(Copied {
            etag: convert::bare(result.as_ref().and_then(|part| part.e_tag.as_deref())),
            modified: result
                .and_then(|part| part.last_modified)
                .and_then(convert::from_time),
            version_id: None,
            source_version_id: said.copy_source_version_id,
        })
    }

    /// Takes a part from an object that lies elsewhere.
    pub(crate) async fn copy_part_from(
        &self,
        who: Principal,
        input: UploadPartCopyInput,
        object: SourceObject,
    ) -> S3Result<Copied> {
        let key = self.allowed(&who, Access::Write, &input.key)?;
        if object.length > self.limits.max_put_bytes {
            return Err(too_large());
        }
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
        let incoming = Incoming::of_object(object.chunks, object.length);
        let scope = who.scope.as_ref();
        let sent = self
            .send(Purpose::Part, &key, scope, incoming, object.length, request)
            .await?;
        let parts = self.client().await.list_parts();
        let asked = parts
            .bucket(self.there())
            .key(key.as_str())
            .upload_id(&input.upload_id)
            .part_number_marker((input.part_number - 1).to_string())
            .max_parts(1)
            .send();
        // The time is told to clients that want to see it; nothing hangs on it.
        let listed = Box::pin(asked).await.ok().and_then(|listed| listed.parts);
        let part = listed.and_then(|parts| parts.into_iter().next());
        Ok(Copied {
            etag: convert::bare(sent.said.e_tag.as_deref()),
            modified: part
                .and_then(|part| part.last_modified)
                .and_then(convert::from_time),
            version_id: None,
            source_version_id: object.version_id,
        })
    }
}
