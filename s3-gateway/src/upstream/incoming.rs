//! A body on its way in, and what was said of it.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use s3s::dto::StreamingBlob;
use s3s::stream::ByteStream as _;
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::digest::Digest;
use crate::local::receive::body_error;
use crate::local::stamp::Checksums;
use crate::service::body::Announced;

/// A body that comes in.
pub(super) struct Incoming {
    pub(super) chunks: BoxStream<'static, S3Result<Bytes>>,
    /// Its length, if that is known before.
    pub(super) length: Option<u64>,
    pub(super) announced: Announced,
    pub(super) trailers: Option<TrailingHeaders>,
}

/// What a store is told of a body's checksums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) before: Checksums,
    /// The algorithm of the one that follows the body.
    pub(super) after: Option<String>,
    /// Whether the body flows through, and cannot be sent again.
    pub(super) flowing: bool,
}

/// Gives a request of the SDK what is told of its body's checksums.
macro_rules! with_sums {
    ($request:expr, $sums:expr) => {
        $request
            .set_checksum_crc32($sums.before.crc32)
            .set_checksum_crc32_c($sums.before.crc32c)
            .set_checksum_crc64_nvme($sums.before.crc64nvme)
            .set_checksum_sha1($sums.before.sha1)
            .set_checksum_sha256($sums.before.sha256)
            .set_checksum_algorithm($sums.after.as_deref().map(Into::into))
    };
}
pub(super) use with_sums;

impl Incoming {
    pub(super) fn of_client(
        body: Option<StreamingBlob>,
        announced: Announced,
        trailers: Option<TrailingHeaders>,
    ) -> Self {
        let length = match &body {
            Some(body) => body.remaining_length().exact().map(|n| n as u64),
            None => Some(0),
        };
        let chunks = futures::stream::iter(body).flatten();
        let chunks = chunks.map(|chunk| chunk.map_err(|e| body_error(&e.to_string()).into()));
        Self {
            chunks: chunks.boxed(),
            length,
            announced,
            trailers,
        }
    }

    /// Bytes that were checked before, or need not be.
    pub(super) fn of_object(chunks: BoxStream<'static, S3Result<Bytes>>, length: u64) -> Self {
        Self {
            chunks,
            length: Some(length),
            announced: Announced::default(),
            trailers: None,
        }
    }

    /// What can be told of its checksums before it was read.
    pub(super) fn sums(&self) -> Sums {
        let trailer = self.announced.trailers.first();
        let named = trailer.and_then(|name| name.strip_prefix("x-amz-checksum-"));
        Sums {
            before: self.announced.checksums.clone(),
            after: named.map(str::to_ascii_uppercase),
            flowing: true,
        }
    }

    /// Finds out how long a body is that does not say so, by reading it.
    pub(super) async fn measure(&mut self, limit: u64) -> S3Result<u64> {
        let mut read = Vec::new();
        let mut length = 0;
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk?;
            length += chunk.len() as u64;
            if length > limit {
                return Err(s3_error!(
                    MissingContentLength,
                    "a part of this size has to say its length"
                ));
            }
            read.push(Ok(chunk));
        }
        self.chunks = futures::stream::iter(read).boxed();
        self.length = Some(length);
        Ok(length)
    }

    /// The whole body, checked.
    pub(super) async fn whole(mut self, limit: u64) -> S3Result<(Bytes, Checksums)> {
        let mut digest = Digest::of(&self.announced);
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk?;
            digest.update(&chunk);
            if digest.size > limit {
                return Err(incomplete());
            }
            whole.extend_from_slice(&chunk);
        }
        if self.length.is_some_and(|length| length != digest.size) {
            return Err(incomplete());
        }
        let sums = digest.verify(&self.announced, self.trailers.as_ref())?;
        Ok((whole.freeze(), sums))
    }
}

/// For a body that is shorter or longer than it was said to be.
pub(super) fn incomplete() -> S3Error {
    s3_error!(
        IncompleteBody,
        "the body has another length than was announced"
    )
}
