//! What a client says about a body, and checking it against what arrived.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm, ChecksumType};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use crate::error::StoreError;
use crate::local::receive::Received;
use crate::local::stamp::Checksums;

/// The algorithms and how many bytes their checksums have.
const LENGTHS: [(&str, usize); 5] = [
    ("CRC32", 4),
    ("CRC32C", 4),
    ("CRC64NVME", 8),
    ("SHA1", 20),
    ("SHA256", 32),
];

/// What a client announced about a body.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) md5: Option<String>,
    pub(crate) checksums: Checksums,
    /// The algorithm that the client names without a value in the headers.
    pub(crate) algorithm: Option<ChecksumAlgorithm>,
    /// The checksums that will come after the body, by header name.
    pub(crate) trailers: Vec<String>,
}

macro_rules! announced {
    ($req:expr) => {
        $crate::service::body::Announced::new(
            &$req.headers,
            $req.input.content_md5.take(),
            $crate::local::stamp::Checksums {
                crc32: $req.input.checksum_crc32.take(),
                crc32c: $req.input.checksum_crc32c.take(),
                crc64nvme: $req.input.checksum_crc64nvme.take(),
                sha1: $req.input.checksum_sha1.take(),
                sha256: $req.input.checksum_sha256.take(),
                composite: false,
            },
            $req.input.checksum_algorithm.take(),
        )
    };
}
pub(crate) use announced;

impl Announced {
    pub(crate) fn new(
        headers: &HeaderMap,
        md5: Option<String>,
        checksums: Checksums,
        algorithm: Option<ChecksumAlgorithm>,
    ) -> S3Result<Self> {
        for (algorithm, bytes) in LENGTHS {
            let sum = checksums.of(algorithm);
            let long = |sum: &String| STANDARD.decode(sum).is_ok_and(|sum| sum.len() == bytes);
            if sum.is_some_and(|sum| !long(sum)) {
                let message = format!("the value of the {algorithm} checksum is not valid");
                return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
            }
        }
        let trailers = headers.get_all("x-amz-trailer").iter();
        let trailers = trailers
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| name.starts_with("x-amz-checksum-"))
            .collect();
        Ok(Self {
            md5,
            checksums,
            algorithm,
            trailers,
        })
    }

    /// A hasher for everything that was announced.
    pub(crate) fn hasher(&self) -> ChecksumHasher {
        let wanted = |name: &str, value: &Option<String>, algorithm: &str| {
            value.is_some()
                || self.trailers.iter().any(|trailer| trailer == name)
                || self
                    .algorithm
                    .as_ref()
                    .is_some_and(|a| a.as_str() == algorithm)
        };
        let c = &self.checksums;
        ChecksumHasher {
            crc32: wanted("x-amz-checksum-crc32", &c.crc32, "CRC32").then(Crc32::new),
            crc32c: wanted("x-amz-checksum-crc32c", &c.crc32c, "CRC32C").then(Crc32c::new),
            crc64nvme: wanted("x-amz-checksum-crc64nvme", &c.crc64nvme, "CRC64NVME")
                .then(Crc64Nvme::new),
            sha1: wanted("x-amz-checksum-sha1", &c.sha1, "SHA1").then(Sha1::new),
            sha256: wanted("x-amz-checksum-sha256", &c.sha256, "SHA256").then(Sha256::new),
        }
    }

    /// Checks what arrived against what was announced before it and after it.
    pub(crate) fn verify(
        &self,
        received: &Received,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<()> {
        self.check(received.md5, &received.checksums, trailers)
    }

    /// The same for what was computed of a body that lies nowhere.
    pub(crate) fn check(
        &self,
        md5: [u8; 16],
        sums: &Checksum,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<()> {
        if let Some(announced) = &self.md5 {
            let expected = STANDARD
                .decode(announced)
                .ok()
                .filter(|bytes| bytes.len() == 16);
            let expected = expected.ok_or_else(|| {
                S3Error::with_message(S3ErrorCode::InvalidDigest, "the Content-MD5 is not an MD5")
            })?;
            if expected != md5 {
                return Err(bad_digest("Content-MD5"));
            }
        }
        let trailing = |name: &str| {
            let value =
                trailers?.read(|headers| headers.get(name)?.to_str().ok().map(str::to_owned));
            value.flatten()
        };
        let sum = |computed: &Option<String>| computed.clone();
        let (c, r) = (&self.checksums, sums);
        for (name, before, computed) in [
            ("x-amz-checksum-crc32", &c.crc32, sum(&r.checksum_crc32)),
            ("x-amz-checksum-crc32c", &c.crc32c, sum(&r.checksum_crc32c)),
            (
                "x-amz-checksum-crc64nvme",
                &c.crc64nvme,
                sum(&r.checksum_crc64nvme),
            ),
            ("x-amz-checksum-sha1", &c.sha1, sum(&r.checksum_sha1)),
            ("x-amz-checksum-sha256", &c.sha256, sum(&r.checksum_sha256)),
        ] {
            if before
                .as_ref()
                .is_some_and(|value| Some(value) != computed.as_ref())
            {
                return Err(bad_digest(name));
            }
            if self.trailers.iter().any(|trailer| trailer == name) {
                let after = trailing(name).ok_or_else(|| {
                    let message = format!("the announced trailer {name} is missing");
                    StoreError::refused(
                        S3ErrorCode::Custom("MalformedTrailerError".into()),
                        message,
                    )
                })?;
                if Some(&after) != computed.as_ref() {
                    return Err(bad_digest(name));
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn bad_digest(name: &str) -> S3Error {
    let message = format!("the {name} you specified did not match what we received");
    S3Error::with_message(S3ErrorCode::BadDigest, message)
}

/// What was computed, in the form in which it is kept.
pub(crate) fn kept(sums: &Checksum) -> Checksums {
    Checksums {
        crc32: sums.checksum_crc32.clone(),
        crc32c: sums.checksum_crc32c.clone(),
        crc64nvme: sums.checksum_crc64nvme.clone(),
        sha1: sums.checksum_sha1.clone(),
        sha256: sums.checksum_sha256.clone(),
        composite: false,
    }
}

/// The type that S3 names beside a checksum.
pub(crate) fn checksum_type(sums: &Checksums) -> Option<ChecksumType> {
    let name = if sums.composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    (!sums.is_empty()).then(|| ChecksumType::from_static(name))
}
