//! Putting single objects.

use std::sync::Arc;

use daybook_domain::ObjectKey;
use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, word};
use super::description::{Description, describe, described};
use super::events::Landed;
use super::fence::Fence;
use super::incoming::{Incoming, Sums, with_sums};
use super::relay::{Purpose, Sent};
use super::{Upstream, to_its_end};
use crate::clock;
use crate::grants::{Principal, Scope};
use crate::policy::Access;
use crate::service::body::announced;

/// What must hold at the store for a write to happen, as it stands in the headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
}

impl Upstream {
    pub(crate) async fn put(
        self: Arc<Self>,
        mut req: S3Request<PutObjectInput>,
        who: Principal,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let key = self.allowed(&who, Access::Write, &req.input.key)?;
        let announced = announced!(req)?;
        let trailers = crate::service::objects::trailing(&req);
        let mut input = req.input;
        let description = described!(input);
        description.check(self.limits.max_metadata_bytes)?;
        let conditions = Conditions {
            if_match: input.if_match.as_ref().map(convert::condition),
            if_none_match: input.if_none_match.as_ref().map(convert::condition),
        };
        let incoming = Incoming::of_client(input.body.take(), announced, trailers);
        if incoming
            .length
            .is_some_and(|length| length > self.limits.max_put_bytes)
        {
            return Err(too_large());
        }
        let work = async move {
            let put = self.put_here(&key, description, conditions, who.scope, incoming);
            Box::pin(put).await
        };
        to_its_end(work).await.map(S3Response::new)
    }

    async fn put_here(
        &self,
        key: &ObjectKey,
        description: Description,
        conditions: Conditions,
        scope: Option<Arc<Scope>>,
        incoming: Incoming,
    ) -> S3Result<PutObjectOutput> {
        let event_name = "ObjectCreated:Put";
        let Some(length) = incoming.length else {
            let put =
                self.put_unmeasured(key, description, conditions, scope, incoming, event_name);
            return Box::pin(put).await;
        };
        let put = Put {
            key,
            description,
            conditions,
            scope: scope.as_ref(),
            event_name,
        };
        self.put_measured(put, incoming, length).await
    }

    /// Puts a body of this length in one request.
    pub(super) async fn put_measured(
        &self,
        put: Put<'_>,
        incoming: Incoming,
        length: u64,
    ) -> S3Result<PutObjectOutput> {
        let stamp = clock::random_id();
        let Put {
            key,
            description,
            conditions,
            scope,
            event_name,
        } = put;
        let client = self.client().await;
        let fence = Fence(scope.cloned());
        let request = |body, sums: Sums| {
            let overrides = self.overrides(&sums);
            let request = client
                .put_object()
                .bucket(self.there())
                .key(key.as_str())
                .set_if_match(conditions.if_match)
                .set_if_none_match(conditions.if_none_match)
                .body(body);
            let request = describe!(request, description.stamped(stamp));
            with_sums!(request, sums)
                .customize()
                .config_override(overrides)
                .interceptor(fence)
                .send()
        };
        let sending = self.send(Purpose::Object, key, scope, incoming, length, request);
        let sent = Box::pin(sending).await?;
        let Sent {
            said,
            size,
            checksums,
            turn,
        } = sent;
        let landed = Landed {
            key: key.clone(),
            stamp: Some(stamp),
            etag: convert::bare(said.e_tag.as_deref()),
            version_id: convert::real_version(said.version_id.as_deref()),
            size: Some(size),
            event_name,
        };
        let turn =
            turn.ok_or_else(|| s3_error!(InternalError, "an object was put without a turn"))?;
        self.record(landed, scope, &turn).await?;
        Ok(PutObjectOutput {
            checksum_crc32: said.checksum_crc32.or(checksums.crc32),
            checksum_crc32c: said.checksum_crc32_c.or(checksums.crc32c),
            checksum_crc64nvme: said.checksum_crc64_nvme.or(checksums.crc64nvme),
            checksum_sha1: said.checksum_sha1.or(checksums.sha1),
            checksum_sha256: said.checksum_sha256.or(checksums.sha256),
            checksum_type: word!(said.checksum_type),
            e_tag: convert::etag(said.e_tag.as_deref()),
            expiration: said.expiration,
            server_side_encryption: word!(said.server_side_encryption),
            ssekms_key_id: said.ssekms_key_id,
            version_id: said.version_id,
            ..Default::default()
        })
    }
}

/// What is put, beside its bytes.
pub(super) struct Put<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) description: Description,
    pub(super) conditions: Conditions,
    pub(super) scope: Option<&'a Arc<Scope>>,
    pub(super) event_name: &'static str,
}

pub(super) fn too_large() -> S3Error {
    s3_error!(EntityTooLarge, "the body is larger than the limit")
}
