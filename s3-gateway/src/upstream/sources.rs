//! Objects of a store as the sources of copies.

use bytes::Bytes;
use daybook_domain::ObjectKey;
use daybook_domain::execution::ByteRange;
use daybook_domain::stored_object::ObjectVersion;
use futures::StreamExt;
use futures::stream::BoxStream;
use s3s::dto::{ETagCondition, Range, StreamingBlob, Timestamp};
use s3s::{Body, S3Error, S3ErrorCode, S3Result};

use super::description::{Description, Seen, shown};
use super::events::version;
use super::idle::Patient;
use super::reading::{Pin, gone_if_pinned, ranges, whole_size};
use super::{Upstream, convert};
use crate::error::StoreError;
use crate::grants::Principal;

/// Which object is copied, and what must hold of it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) key: ObjectKey,
    pub(crate) version: Option<String>,
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
    /// As in a `Range` header.
    pub(crate) range: Option<String>,
}

/// An object that is copied, with its bytes.
pub(crate) struct SourceObject {
    pub(crate) description: Description,
    pub(crate) version_id: Option<String>,
    /// Of what is read, which may be a range.
    pub(crate) length: u64,
    pub(crate) chunks: BoxStream<'static, S3Result<Bytes>>,
}

impl Upstream {
    /// The object to copy, noted as read.
    pub(crate) async fn source(&self, who: &Principal, source: Source) -> S3Result<SourceObject> {
        let pin = self.pin(who, &source.key, source.version.as_deref());
        let request = self.client().await.get_object();
        let asked = request
            .bucket(self.there())
            .key(source.key.as_str())
            .set_version_id(source.version_or(pin.as_ref()))
            .set_if_match(source.if_match_or(pin.as_ref()))
            .set_if_none_match(source.if_none_match.as_ref().map(convert::condition))
            .set_if_modified_since(source.if_modified_since.as_ref().and_then(convert::to_time))
            .set_if_unmodified_since(
                source
                    .if_unmodified_since
                    .as_ref()
                    .and_then(convert::to_time),
            )
            .set_range(source.range.clone())
            .send();
        let said = Box::pin(asked).await.map_err(|error| {
            let error = self.failed(error, S3ErrorCode::NoSuchKey);
            unmet(gone_if_pinned(
                error,
                pin.as_ref(),
                source.if_match.is_some(),
            ))
        })?;
        let length = said.content_length.and_then(|n| u64::try_from(n).ok());
        let length =
            length.ok_or_else(|| self.unreachable("it gave an object without its length"))?;
        let body = Patient::new(said.body.into_inner(), self.bounds().read_timeout);
        let broken = format!(
            "bucket {}: the store broke off in the middle of an object",
            self.name
        );
        let chunks = StreamingBlob::from(Body::http_body(body)).map(move |chunk| {
            chunk.map_err(|_| S3Error::with_message(S3ErrorCode::SlowDown, broken.clone()))
        });
        let (metadata, stamp) = shown(said.metadata);
        let read = ObjectVersion {
            version_id: convert::real_version(said.version_id.as_deref()),
            etag: convert::bare(said.e_tag.as_deref()),
            size: whole_size(said.content_range.as_deref(), said.content_length),
            modified_at: None,
            stamp,
        };
        let bytes = ranges(said.content_range.as_deref());
        self.note_read(who, &source.key, &read, bytes)?;
        Ok(SourceObject {
            description: Description {
                cache_control: said.cache_control,
                content_disposition: said.content_disposition,
                content_encoding: said.content_encoding,
                content_language: said.content_language,
                content_type: said.content_type,
                expires: convert::http_date(said.expires_string.as_deref()),
                metadata: metadata.unwrap_or_default(),
                redirect: said.website_redirect_location,
                ..Description::default()
            },
            version_id: read.version_id,
            length,
            chunks: chunks.boxed(),
        })
    }

    /// Looks at the object to copy, noted as read.
    pub(super) async fn look_at(&self, who: &Principal, source: &Source) -> S3Result<Seen> {
        let pin = self.pin(who, &source.key, source.version.as_deref());
        let request = self.client().await.head_object();
        let asked = request
            .bucket(self.there())
            .key(source.key.as_str())
            .set_version_id(source.version_or(pin.as_ref()))
            .set_if_match(source.if_match_or(pin.as_ref()))
            .set_if_none_match(source.if_none_match.as_ref().map(convert::condition))
            .set_if_modified_since(source.if_modified_since.as_ref().and_then(convert::to_time))
            .set_if_unmodified_since(
                source
                    .if_unmodified_since
                    .as_ref()
                    .and_then(convert::to_time),
            )
            .send();
        let said = Box::pin(asked).await.map_err(|error| {
            let error = self.failed(error, S3ErrorCode::NoSuchKey);
            unmet(gone_if_pinned(
                error,
                pin.as_ref(),
                source.if_match.is_some(),
            ))
        })?;
        let seen = Seen::of(said);
        self.note_read(who, &source.key, &version(&seen), source.bytes())?;
        Ok(seen)
    }
}

impl Source {
    /// The bytes that are asked for; `None` for all of the object.
    fn bytes(&self) -> Option<Vec<ByteRange>> {
        match Range::parse(self.range.as_deref()?).ok()? {
            Range::Int {
                first,
                last: Some(last),
            } => Some(vec![ByteRange { first, last }]),
            _ => None,
        }
    }

    fn version_or(&self, pin: Option<&Pin>) -> Option<String> {
        self.version
            .clone()
            .or_else(|| pin.and_then(|pin| pin.version_id.clone()))
    }

    fn if_match_or(&self, pin: Option<&Pin>) -> Option<String> {
        let wanted = self.if_match.as_ref().map(convert::condition);
        wanted.or_else(|| pin.and_then(Pin::tag))
    }
}

/// A condition on the source that is false fails the copy, also where a read would be answered
/// with "not modified".
fn unmet(error: S3Error) -> S3Error {
    if *error.code() == S3ErrorCode::NotModified {
        StoreError::PreconditionFailed.into()
    } else {
        error
    }
}
