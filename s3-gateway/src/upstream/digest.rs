//! What a client said about a body, computed while it flows through.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::{S3Result, TrailingHeaders};

use crate::local::stamp::Checksums;
use crate::service::body::{Announced, kept};

/// Computes what was announced, and nothing else.
pub(super) struct Digest {
    md5: Option<Md5>,
    sums: ChecksumHasher,
    pub(super) size: u64,
}

impl Digest {
    pub(super) fn of(announced: &Announced) -> Self {
        Self {
            md5: announced.md5.as_ref().map(|_| Md5::new()),
            sums: announced.hasher(),
            size: 0,
        }
    }

    pub(super) fn update(&mut self, chunk: &Bytes) {
        if let Some(md5) = &mut self.md5 {
            md5.update(chunk);
        }
        self.sums.update(chunk);
        self.size += chunk.len() as u64;
    }

    /// Refuses what differs; gives the checksums.
    pub(super) fn verify(
        self,
        announced: &Announced,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<Checksums> {
        let md5 = self.md5.map(|md5| md5.finalize().into());
        let sums = self.sums.finalize();
        announced.check(md5.unwrap_or_default(), &sums, trailers)?;
        Ok(kept(&sums))
    }
}
