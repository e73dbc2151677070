//! Objects that go to a store in parts though their client does not send them so: bodies of
//! unknown length, and copies of what is too large for one request.

use std::sync::Arc;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use daybook_domain::ObjectKey;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use s3s::dto::PutObjectOutput;
use s3s::{S3ErrorCode, S3Result, s3_error};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::convert;
use super::description::{Description, describe};
use super::digest::Digest;
use super::events::Landed;
use super::fence::Fence;
use super::incoming::{Incoming, Sums, with_sums};
use super::relay::Purpose;
use super::writing::{Conditions, Put, too_large};
use super::{Upstream, connect};
use crate::clock;
use crate::grants::Scope;

/// The most parts of an upload (S3 user guide, "Multipart upload limits").
pub(super) const MAX_PARTS: u64 = 10_000;

/// An upload that this gateway began by itself.
pub(super) struct Begun<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) id: String,
    pub(super) stamp: Uuid,
    pub(super) scope: Option<&'a Arc<Scope>>,
}

/// A body that is taken apart.
struct Rest {
    chunks: BoxStream<'static, S3Result<Bytes>>,
    /// What of the last chunk belongs to the next part.
    left: Bytes,
}

impl Rest {
    /// The next bytes, at most so many.
    async fn next(&mut self, at_most: u64) -> S3Result<Option<Bytes>> {
        while self.left.is_empty() {
            match self.chunks.next().await {
                Some(chunk) => self.left = chunk?,
                None => return Ok(None),
            }
        }
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        Ok(Some(self.left.split_to(at_most.min(self.left.len()))))
    }

    /// The next part, in memory: shorter than asked for where the body ends.
    async fn part(&mut self, size: u64) -> S3Result<Bytes> {
        let mut part = BytesMut::new();
        while (part.len() as u64) < size {
            match self.next(size - part.len() as u64).await? {
                Some(chunk) => part.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(part.freeze())
    }
}

impl Upstream {
    /// Puts a body whose length nobody knows: at once if it turns out to be small, in parts
    /// otherwise. One part is in memory at a time.
    pub(super) async fn put_unmeasured(
        &self,
        key: &ObjectKey,
        description: Description,
        conditions: Conditions,
        scope: Option<Arc<Scope>>,
        incoming: Incoming,
        event_name: &'static str,
    ) -> S3Result<PutObjectOutput> {
        let Incoming {
            chunks,
            announced,
            trailers,
            ..
        } = incoming;
        let mut rest = Rest {
            chunks,
            left: Bytes::new(),
        };
        let size = self.bounds().part_bytes;
        let mut part = rest.part(size).await?;
        if (part.len() as u64) < size {
            let length = part.len() as u64;
            let chunks = futures::stream::iter([Ok(part)]).boxed();
            let incoming = Incoming {
                chunks,
                length: Some(length),
                announced,
                trailers,
            };
            let put = Put {
                key,
                description,
                conditions,
                scope: scope.as_ref(),
                event_name,
            };
            return Box::pin(self.put_measured(put, incoming, length)).await;
        }
        let mut digest = Digest::of(&announced);
        let begun = self.begin(key, description, scope.as_ref()).await?;
        let sending = async {
            let mut sent = Vec::new();
            while !part.is_empty() {
                digest.update(&part);
                if digest.size > self.limits.max_put_bytes || sent.len() as u64 == MAX_PARTS {
                    return Err(too_large());
                }
                let bytes = std::mem::take(&mut part);
                let length = bytes.len() as u64;
                let chunks = futures::stream::iter([Ok(bytes)]).boxed();
                let incoming = Incoming::of_object(chunks, length);
                sent.push(self.send_part(&begun, sent.len(), incoming, length).await?);
                part = rest.part(size).await?;
            }
            let size = digest.size;
            digest.verify(&announced, trailers.as_ref())?;
            Ok((sent, size))
        };
        let (sent, size) = self.or_abort(&begun, Box::pin(sending).await).await?;
        let ended = self
            .complete(&begun, sent, conditions, Some(size), event_name)
            .await;
        self.or_abort(&begun, ended).await
    }

    /// Puts a body of known length that is too large for one request. Nothing of it is kept in
    /// memory.
    pub(super) async fn put_large(
        &self,
        put: Put<'_>,
        chunks: BoxStream<'static, S3Result<Bytes>>,
        length: u64,
    ) -> S3Result<PutObjectOutput> {
        let size = self.bounds().part_bytes.max(length.div_ceil(MAX_PARTS));
        let begun = self.begin(put.key, put.description, put.scope).await?;
        let rest = Arc::new(Mutex::new(Rest {
            chunks,
            left: Bytes::new(),
        }));
        let sending = async {
            let mut sent = Vec::new();
            let mut at = 0;
            while at < length {
                let size = size.min(length - at);
                let part = Incoming::of_object(part_of(Arc::clone(&rest), size), size);
                sent.push(self.send_part(&begun, sent.len(), part, size).await?);
                at += size;
            }
            Ok(sent)
        };
        let sent = self.or_abort(&begun, Box::pin(sending).await).await?;
        let ended = self
            .complete(&begun, sent, put.conditions, Some(length), put.event_name)
            .await;
        self.or_abort(&begun, ended).await
    }

    pub(super) async fn begin<'a>(
        &self,
        key: &'a ObjectKey,
        description: Description,
        scope: Option<&'a Arc<Scope>>,
    ) -> S3Result<Begun<'a>> {
        let stamp = clock::random_id();
        let request = self.client().await.create_multipart_upload();
        let request = request.bucket(self.there()).key(key.as_str());
        let request = describe!(request, description.stamped(stamp));
        let asked = request
            .customize()
            .interceptor(Fence(scope.cloned()))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        let id = said
            .upload_id
            .ok_or_else(|| self.unreachable("it began an upload without a name"))?;
        Ok(Begun {
            key,
            id,
            stamp,
            scope,
        })
    }

    async fn send_part(
        &self,
        begun: &Begun<'_>,
        before: usize,
        incoming: Incoming,
        length: u64,
    ) -> S3Result<CompletedPart> {
        let number = part_number(before)?;
        let client = self.client().await;
        let request = |body, sums: Sums| {
            let overrides = self.overrides(&sums);
            let request = client
                .upload_part()
                .bucket(self.there())
                .key(begun.key.as_str())
                .upload_id(&begun.id)
                .part_number(number)
                .body(body);
            with_sums!(request, sums)
                .customize()
                .config_override(overrides)
                .interceptor(Fence(begun.scope.cloned()))
                .send()
        };
        let (key, scope) = (begun.key, begun.scope);
        let sending = self.send(Purpose::Part, key, scope, incoming, length, request);
        let sent = Box::pin(sending).await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.said.e_tag)
            .build())
    }

    /// Puts the parts together and has the object recorded.
    pub(super) async fn complete(
        &self,
        begun: &Begun<'_>,
        parts: Vec<CompletedPart>,
        conditions: Conditions,
        size: Option<u64>,
        event_name: &'static str,
    ) -> S3Result<PutObjectOutput> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let turn = self.order.turn(begun.key).await;
        let request = self.client().await.complete_multipart_upload();
        let asked = request
            .bucket(self.there())
            .key(begun.key.as_str())
            .upload_id(&begun.id)
            .set_if_match(conditions.if_match)
            .set_if_none_match(conditions.if_none_match)
            .multipart_upload(parts.build())
            .customize()
            .config_override(
                aws_sdk_s3::Config::builder().timeout_config(connect::lengthy(self.bounds())),
            )
            .interceptor(Fence(begun.scope.cloned()))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
        let landed = Landed {
            key: begun.key.clone(),
            stamp: Some(begun.stamp),
            etag: convert::bare(said.e_tag.as_deref()),
            version_id: convert::real_version(said.version_id.as_deref()),
            size,
            event_name,
        };
        self.record(landed, begun.scope, &turn).await?;
        Ok(PutObjectOutput {
            e_tag: convert::etag(said.e_tag.as_deref()),
            version_id: said.version_id,
            ..Default::default()
        })
    }

    /// What failed leaves no parts behind that somebody pays for.
    pub(super) async fn or_abort<T>(&self, begun: &Begun<'_>, ended: S3Result<T>) -> S3Result<T> {
        if ended.is_ok() {
            return ended;
        }
        let request = self.client().await.abort_multipart_upload();
        let asked = request
            .bucket(self.there())
            .key(begun.key.as_str())
            .upload_id(&begun.id)
            .send();
        if let Err(error) = Box::pin(asked).await {
            let error = self.failed(error, S3ErrorCode::NoSuchUpload);
            tracing::warn!(bucket = %self.name, %error, "an upload could not be aborted");
        }
        ended
    }
}

/// The number of the part that comes after so many.
pub(super) fn part_number(before: usize) -> S3Result<i32> {
    let number = i32::try_from(before + 1).ok();
    number.ok_or_else(|| s3_error!(InternalError, "too many parts"))
}

/// So many bytes of what is left, while they come in.
fn part_of(rest: Arc<Mutex<Rest>>, size: u64) -> BoxStream<'static, S3Result<Bytes>> {
    let chunks = futures::stream::try_unfold((rest, size), |(rest, size)| async move {
        if size == 0 {
            return Ok(None);
        }
        let chunk = rest.lock().await.next(size).await?;
        Ok(chunk.map(|chunk| {
            let left = size - chunk.len() as u64;
            (chunk, (rest, left))
        }))
    });
    chunks.into_stream().boxed()
}
