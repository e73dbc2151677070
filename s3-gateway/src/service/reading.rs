//! Reading single objects: get and head.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use daybook_domain::ObjectKey;
use daybook_domain::execution::{ByteRange, ObjectAccess};
use rustix::io::ReadWriteFlags;
use s3s::dto::*;
use s3s::header;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::Operations;
use super::body::checksum_type;
use super::objects::{http_date, signed, time_of, told_encryption};
use super::properties::no_foreign_keys;
use crate::error::StoreError;
use crate::grants::Principal;
use crate::local::conditions::{ReadConditions, modified_at};
use crate::local::parts;
use crate::local::staged::View;
use crate::local::stamp::{Checksums, Headers, Stamp};
use crate::local::store::{Bucket, Opened, blocking};
use crate::policy::Access;

/// Objects up to this size are read at once, without a stream's overhead.
const SMALL_BYTES: u64 = 64 << 10;

/// How much of a larger object is read at a time.
pub(super) const READ_BYTES: usize = 256 << 10;

/// What S3 answers for an object that was put without a type.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// The fields of an answer that GET and HEAD have in common.
macro_rules! told {
    ($Output:ident, $found:expr, $($more:ident: $value:expr),* $(,)?) => {{
        let found = $found;
        let sums = found.sums;
        let headers = found.stamp.headers;
        $Output {
            accept_ranges: Some("bytes".to_owned()),
            checksum_type: checksum_type(&sums),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            server_side_encryption: told_encryption(&headers),
            storage_class: stored_as(&headers).map(StorageClass::from),
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_language: headers.content_language,
            content_length: Some(signed(found.length)?),
            content_range: found.content_range,
            content_type: Some(headers.content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            e_tag: Some(ETag::Strong(found.stamp.etag)),
            expires: headers.expires.as_deref().and_then(parse_http_date),
            last_modified: Some(Timestamp::from(time_of(found.stamp.mtime_ns))),
            metadata: (!found.stamp.metadata.is_empty())
                .then(|| found.stamp.metadata.into_iter().collect()),
            parts_count: found.parts_count,
            version_id: Some(found.version_id),
            website_redirect_location: headers.website_redirect,
            $($more: $value,)*
            ..Default::default()
        }
    }};
}

impl Operations {
    pub(super) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let who = self.principal(&req)?;
        no_foreign_keys(&req.headers)?;
        let if_range = if_range(&req);
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        let opened = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let asked = Asked {
            conditions,
            range: input.range,
            if_range,
            part: input.part_number,
            with_sums: enabled(input.checksum_mode.as_ref()),
            bytes: true,
        };
        let (found, file) = find(&bucket, &who, opened, asked).await?;
        let body = read(file, found.start, found.length).await?;
        let (status, headers) = (found.status, extra_headers(&found.stamp));
        let tags = i32::try_from(found.stamp.tags.len())
            .ok()
            .filter(|n| *n > 0);
        let output = told!(GetObjectOutput, found, body: Some(body), tag_count: tags);
        let mut response = S3Response::new(output);
        response.status = status;
        response.headers = headers;
        Ok(response)
    }

    pub(super) async fn head(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let who = self.principal(&req)?;
        no_foreign_keys(&req.headers)?;
        let if_range = if_range(&req);
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        let opened = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let asked = Asked {
            conditions,
            range: input.range,
            if_range,
            part: input.part_number,
            with_sums: enabled(input.checksum_mode.as_ref()),
            bytes: false,
        };
        let (found, _) = find(&bucket, &who, opened, asked).await?;
        let (status, mut headers) = (found.status, extra_headers(&found.stamp));
        let tags = found.stamp.tags.len();
        if tags > 0 {
            headers.insert("x-amz-tagging-count", tags.into());
        }
        let mut output = told!(HeadObjectOutput, found,);
        output.cache_control = input.response_cache_control.or(output.cache_control);
        output.content_disposition = input
            .response_content_disposition
            .or(output.content_disposition);
        output.content_encoding = input.response_content_encoding.or(output.content_encoding);
        output.content_language = input.response_content_language.or(output.content_language);
        output.content_type = input.response_content_type.or(output.content_type);
        output.expires = input.response_expires.or(output.expires);
        let mut response = S3Response::new(output);
        response.status = status;
        response.headers = headers;
        Ok(response)
    }
}

/// What a request wants of an object.
struct Asked {
    conditions: ReadConditions,
    range: Option<Range>,
    /// What the object must be for the range to count.
    if_range: Option<String>,
    part: Option<i32>,
    with_sums: bool,
    /// Whether the bytes are wanted too.
    bytes: bool,
}

/// What it gets.
struct Told {
    stamp: Stamp,
    version_id: String,
    sums: Checksums,
    start: u64,
    length: u64,
    content_range: Option<String>,
    parts_count: Option<i32>,
    status: Option<hyper::StatusCode>,
}

/// Finds what to answer of an object, and notes that it was read.
async fn find(
    bucket: &Arc<Bucket>,
    who: &Principal,
    opened: Opened,
    asked: Asked,
) -> S3Result<(Told, std::fs::File)> {
    let Opened { file, stamp } = opened;
    asked
        .conditions
        .check(&stamp, || StoreError::NotModified)
        .map_err(|e| conditional(e, &stamp))?;
    let range = asked.range.filter(|_| {
        let condition = asked.if_range.as_deref();
        condition.is_none_or(|condition| still_is(condition, &stamp))
    });
    let (file, found) = match (asked.part, range) {
        (Some(_), Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "a range and a part number cannot be asked for at once"
            ));
        }
        (Some(number), None) => part(bucket, file, &stamp, number).await?,
        (None, asked) => (file, (range_of(asked, stamp.size)?, None)),
    };
    let (range, parts_count) = found;
    let read = match asked.bytes {
        true => Read::of(range.as_ref()),
        false => Read::Metadata,
    };
    note_read(bucket, who, &stamp, read)?;
    let with_sums = range.is_none() && asked.with_sums;
    let sums = with_sums.then(|| stamp.checksums.clone());
    let whole = 0..stamp.size;
    let (start, end) = match &range {
        Some(range) => (range.start, range.end),
        None => (whole.start, whole.end),
    };
    let told = Told {
        version_id: bucket.shown_id(&stamp.version_id, stamp.null_version),
        sums: sums.unwrap_or_default(),
        start,
        length: end - start,
        content_range: range
            .as_ref()
            .filter(|range| !range.is_empty())
            .map(|range| content_range(range, stamp.size)),
        parts_count,
        status: range.map(|_| hyper::StatusCode::PARTIAL_CONTENT),
        stamp,
    };
    Ok((told, file))
}

type Found = (Option<std::ops::Range<u64>>, Option<i32>);

/// The range of a part, and how many there are. An object that was written whole is its own first
/// part.
async fn part(
    bucket: &Arc<Bucket>,
    file: std::fs::File,
    stamp: &Stamp,
    number: i32,
) -> S3Result<(std::fs::File, Found)> {
    let (root, of) = (bucket.root.clone(), stamp.clone());
    let (file, parts) = blocking(move || {
        let parts = parts::read(&root, &file, &of)?;
        Ok((file, parts))
    })
    .await?;
    let missing = || s3_error!(InvalidPart, "the object has no such part");
    let number = u32::try_from(number).map_err(|_| missing())?;
    let found = match parts {
        Some(parts) => {
            let part = parts.all().find(|part| part.number == number);
            let part = part.ok_or_else(missing)?;
            let count = i32::try_from(parts.len()).ok();
            (Some(part.start..part.start + part.size), count)
        }
        None if number == 1 => (Some(0..stamp.size), None),
        None => return Err(missing()),
    };
    Ok((file, found))
}

/// The class that answers name: none for the standard one.
pub(super) fn stored_as(headers: &Headers) -> Option<String> {
    headers.storage_class.clone()
}

/// An `Expires` that is no date goes out as it came.
fn extra_headers(stamp: &Stamp) -> hyper::HeaderMap {
    let mut headers = hyper::HeaderMap::new();
    if let Some(expires) = &stamp.headers.expires
        && parse_http_date(expires).is_none()
        && let Ok(value) = expires.parse()
    {
        headers.insert(header::EXPIRES, value);
    }
    headers
}

fn if_range<T>(req: &S3Request<T>) -> Option<String> {
    let value = req.headers.get(hyper::header::IF_RANGE)?;
    Some(value.to_str().unwrap_or_default().to_owned())
}

/// Whether an `If-Range` names the object as it is (RFC 9110, section 13.1.5).
fn still_is(condition: &str, stamp: &Stamp) -> bool {
    match condition
        .strip_prefix('"')
        .and_then(|c| c.strip_suffix('"'))
    {
        Some(etag) => etag == stamp.etag,
        None => parse_http_date(condition).is_some_and(|date| date == modified_at(stamp)),
    }
}

/// Opens an object. A function sees what it staged itself, or wrote under its shadow; else the object
/// that triggered it is pinned to that version.
pub(super) async fn open(
    bucket: &Arc<Bucket>,
    who: &Principal,
    key: &ObjectKey,
    version: Option<&str>,
) -> Result<Opened, StoreError> {
    if let Some(scope) = &who.scope {
        if let Some(own) = bucket.open_in_shadow(key, version, scope).await? {
            return Ok(own);
        }
        match (bucket.view(key, scope).await?, version) {
            (Some(View::Written(own)), None) => return Ok(*own),
            (Some(View::Written(own)), Some(version)) if own.stamp.version_id == version => {
                return Ok(*own);
            }
            (Some(View::Removed), None) => return Err(StoreError::NoSuchKey),
            _ => {}
        }
    }
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
        let bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        return Ok(StreamingBlob::from(Body::from(
            read_small(file, from, bytes).await?,
        )));
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

async fn read_small(
    file: std::fs::File,
    from: u64,
    mut bytes: Vec<u8>,
) -> Result<Bytes, StoreError> {
    // What the system has in memory needs no thread that may wait for the disk.
    let buffers = &mut [io::IoSliceMut::new(&mut bytes)];
    let at_once = rustix::io::preadv2(&file, buffers, from, ReadWriteFlags::NOWAIT);
    if at_once == Ok(bytes.len()) {
        return Ok(Bytes::from(bytes));
    }
    blocking(move || {
        use std::os::unix::fs::FileExt;
        file.read_exact_at(&mut bytes, from)?;
        Ok(Bytes::from(bytes))
    })
    .await
}

fn range_of(range: Option<Range>, size: u64) -> S3Result<Option<std::ops::Range<u64>>> {
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
