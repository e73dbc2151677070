//! Reading single objects: get and head.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use daybook_domain::ObjectKey;
use daybook_domain::execution::{ByteRange, ObjectAccess};
use s3s::dto::*;
use s3s::header;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::Operations;
use super::body::checksum_type;
use super::objects::{http_date, signed, time_of};
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::conditions::{ReadConditions, modified_at};
use crate::local::stamp::Stamp;
use crate::local::store::{Bucket, Opened, blocking};
use crate::policy::Access;

/// Objects up to this size are read at once, without a stream's overhead.
const SMALL_BYTES: u64 = 64 << 10;

/// How much of a larger object is read at a time.
pub(super) const READ_BYTES: usize = 256 << 10;

/// What S3 answers for an object that was put without a type.
const DEFAULT_TYPE: &str = "binary/octet-stream";

impl Operations {
    pub(super) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        let Opened { file, stamp } = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions
            .check(&stamp, || StoreError::NotModified)
            .map_err(|e| conditional(e, &stamp))?;
        let range = range(input.range, stamp.size)?;
        note_read(&bucket, &who, &stamp, Read::of(range.as_ref()))?;
        let (from, length) = match &range {
            Some(range) => (range.start, range.end - range.start),
            None => (0, stamp.size),
        };
        let body = read(file, from, length).await?;
        let with_sums = range.is_none() && enabled(input.checksum_mode.as_ref());
        let sums = if with_sums {
            stamp.checksums.clone()
        } else {
            Default::default()
        };
        let mut response = S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(body),
            cache_control: stamp.headers.cache_control,
            checksum_type: checksum_type(&sums),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            content_disposition: stamp.headers.content_disposition,
            content_encoding: stamp.headers.content_encoding,
            content_language: stamp.headers.content_language,
            content_length: Some(signed(length)?),
            content_range: range.as_ref().map(|r| content_range(r, stamp.size)),
            content_type: Some(
                stamp
                    .headers
                    .content_type
                    .unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
            ),
            e_tag: Some(ETag::Strong(stamp.etag)),
            expires: stamp.headers.expires.as_deref().and_then(parse_http_date),
            last_modified: Some(Timestamp::from(time_of(stamp.mtime_ns))),
            metadata: (!stamp.metadata.is_empty()).then(|| stamp.metadata.into_iter().collect()),
            version_id: Some(stamp.version_id),
            ..Default::default()
        });
        if range.is_some() {
            response.status = Some(hyper::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(super) async fn head(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        let Opened { stamp, .. } = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions
            .check(&stamp, || StoreError::NotModified)
            .map_err(|e| conditional(e, &stamp))?;
        let range = range(input.range, stamp.size)?;
        note_read(&bucket, &who, &stamp, Read::Metadata)?;
        let length = range.as_ref().map_or(stamp.size, |r| r.end - r.start);
        let with_sums = range.is_none() && enabled(input.checksum_mode.as_ref());
        let sums = if with_sums {
            stamp.checksums.clone()
        } else {
            Default::default()
        };
        let mut response = S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: stamp.headers.cache_control,
            checksum_type: checksum_type(&sums),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            content_disposition: stamp.headers.content_disposition,
            content_encoding: stamp.headers.content_encoding,
            content_language: stamp.headers.content_language,
            content_length: Some(signed(length)?),
            content_range: range.as_ref().map(|r| content_range(r, stamp.size)),
            content_type: Some(
                stamp
                    .headers
                    .content_type
                    .unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
            ),
            e_tag: Some(ETag::Strong(stamp.etag)),
            expires: stamp.headers.expires.as_deref().and_then(parse_http_date),
            last_modified: Some(Timestamp::from(time_of(stamp.mtime_ns))),
            metadata: (!stamp.metadata.is_empty()).then(|| stamp.metadata.into_iter().collect()),
            version_id: Some(stamp.version_id),
            ..Default::default()
        });
        if range.is_some() {
            response.status = Some(hyper::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }
}

/// Opens an object; for a function, the object that triggered it is pinned to that version.
pub(super) async fn open(
    bucket: &Arc<Bucket>,
    who: &Principal,
    key: &ObjectKey,
    version: Option<&str>,
) -> Result<Opened, StoreError> {
    let pin = who.pin(&bucket.name, key).filter(|_| version.is_none());
    let opened = bucket.open(key, version.or(pin)).await;
    match (opened, pin) {
        (Err(StoreError::NoSuchVersion), Some(pin)) => Err(StoreError::VersionGone(pin.to_owned())),
        (opened, _) => opened,
    }
}

/// How much of an object is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read<'a> {
    Whole,
    Range(&'a std::ops::Range<u64>),
    Metadata,
}

impl<'a> Read<'a> {
    pub(super) fn of(range: Option<&'a std::ops::Range<u64>>) -> Self {
        range.map_or(Self::Whole, Self::Range)
    }

    fn ranges(self, size: u64) -> Option<Vec<ByteRange>> {
        match self {
            Self::Whole => None,
            Self::Range(range) if range.start == 0 && range.end >= size => None,
            Self::Range(range) if range.is_empty() => Some(Vec::new()),
            Self::Range(range) => Some(vec![ByteRange {
                first: range.start,
                last: range.end - 1,
            }]),
            Self::Metadata => Some(Vec::new()),
        }
    }
}

pub(super) fn note_read(
    bucket: &Bucket,
    who: &Principal,
    stamp: &Stamp,
    read: Read<'_>,
) -> Result<(), StoreError> {
    // A scope that was closed meanwhile gets no answer either: what it reads is not its business.
    if let Some(scope) = &who.scope
        && scope.pass().is_none()
    {
        return Err(StoreError::Fenced);
    }
    who.note_read(ObjectAccess {
        ranges: read.ranges(stamp.size),
        ..bucket.access(stamp)?
    });
    Ok(())
}

async fn read(file: std::fs::File, from: u64, length: u64) -> Result<StreamingBlob, StoreError> {
    if length <= SMALL_BYTES {
        let bytes = blocking(move || {
            use std::os::unix::fs::FileExt;
            let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, from)?;
            Ok(Bytes::from(bytes))
        });
        return Ok(StreamingBlob::from(Body::from(bytes.await?)));
    }
    let file = blocking(move || {
        use std::io::Seek;
        (&file).seek(io::SeekFrom::Start(from))?;
        Ok(file)
    })
    .await?;
    let reader = tokio::fs::File::from_std(file).take(length);
    Ok(StreamingBlob::wrap(ReaderStream::with_capacity(
        reader, READ_BYTES,
    )))
}

fn range(range: Option<Range>, size: u64) -> S3Result<Option<std::ops::Range<u64>>> {
    let Some(range) = range else {
        return Ok(None);
    };
    let unsatisfiable = || {
        let mut error = s3_error!(InvalidRange, "the requested range is not satisfiable");
        let mut headers = hyper::HeaderMap::new();
        if let Ok(value) = format!("bytes */{size}").parse() {
            headers.insert(header::CONTENT_RANGE, value);
        }
        headers.insert(
            header::CONTENT_TYPE,
            hyper::header::HeaderValue::from_static("application/xml"),
        );
        error.set_headers(headers);
        error
    };
    if size == 0 {
        return Err(unsatisfiable());
    }
    range.check(size).map(Some).map_err(|_| unsatisfiable())
}

fn content_range(range: &std::ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// A 304 carries the validators (RFC 9110, section 15.4.5).
fn conditional(error: StoreError, stamp: &Stamp) -> S3Error {
    let not_modified = matches!(error, StoreError::NotModified);
    let mut error = S3Error::from(error);
    if not_modified {
        let mut headers = hyper::HeaderMap::new();
        if let Ok(value) = format!("\"{}\"", stamp.etag).parse() {
            headers.insert(header::ETAG, value);
        }
        if let Ok(value) = http_date(&modified_at(stamp)).unwrap_or_default().parse() {
            headers.insert(header::LAST_MODIFIED, value);
        }
        error.set_headers(headers);
    }
    error
}

fn enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}
