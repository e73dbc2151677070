//! The front of the service: what `s3s` does not check about a request's signature the way S3
//! does, and what S3 adds to each answer.
//!
//! Requests come from `server` and go on to `s3s`, which checks the signature itself; answers come
//! back through here and get their ids.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode, Uri};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result, s3_error};

use crate::clock;

/// How far the clocks of clients may be off (S3 API, `RequestTimeTooSkewed`).
const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// How long a presigned URL may be good for: seven days.
const MAX_EXPIRES_SECONDS: u64 = 7 * 24 * 3600;

const VERSION_4: &str = "AWS4-HMAC-SHA256";
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Marks an answer in which the ETag has to be without quotes: those of `GetObjectAttributes` are
/// the only ones, and `s3s` quotes them all.
#[derive(Clone, Copy)]
pub(crate) struct BareETag;

/// Refuses what S3 refuses before it looks at the signature. An empty `Authorization` is taken
/// away: the request is then an anonymous one.
pub(crate) fn check(parts: &mut Parts) -> S3Result<()> {
    check_md5(&parts.headers)?;
    let in_query = parts.uri.query().is_some_and(has_signature);
    let Some(authorization) = parts.headers.get(AUTHORIZATION) else {
        if in_query {
            check_presigned(parts.uri.query().unwrap_or_default(), &parts.headers)?;
            if !parts
                .uri
                .query()
                .is_some_and(|query| query.contains("X-Amz-"))
            {
                with_slash(&mut parts.uri);
            }
        }
        return Ok(());
    };
    let authorization = authorization.to_str().unwrap_or("?").trim().to_owned();
    if authorization.is_empty() {
        parts.headers.remove(AUTHORIZATION);
        return Ok(());
    }
    if in_query {
        return Err(s3_error!(
            InvalidArgument,
            "only one way of signing is allowed: the header or the query"
        ));
    }
    match authorization.split_once(' ') {
        Some((VERSION_4, rest)) => check_version_4(rest, &parts.headers),
        Some(("AWS", rest)) if rest.contains(':') => {
            with_slash(&mut parts.uri);
            check_date(&parts.headers)
        }
        Some(("AWS", _)) => Err(s3_error!(
            InvalidArgument,
            "the Authorization header must be \"AWS access-key-id:signature\""
        )),
        _ => Err(s3_error!(
            InvalidArgument,
            "the type of the Authorization header is not supported"
        )),
    }
}

/// Gives an answer its ids, as clients and support tools read them.
pub(crate) fn finish(mut response: HttpResponse, path: &str, region: &str) -> HttpResponse {
    let id = clock::random_id();
    let request_id = hex::encode_upper(&id.as_bytes()[..8]);
    let host_id = STANDARD.encode(id.as_bytes());
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && let Some(document) = response.body().bytes() {
        let document = match broken_condition(&document) {
            Some(document) => {
                *response.status_mut() = StatusCode::FORBIDDEN;
                document.into()
            }
            None => document,
        };
        let document = with_region(&document, region).map_or(document, Into::into);
        let told = with_ids(&document, path, &request_id, &host_id);
        if let Some(told) = told {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            *response.body_mut() = Body::from(told);
        }
    }
    if response.extensions().get::<BareETag>().is_some()
        && let Some(document) = response.body().bytes()
        && let Ok(text) = std::str::from_utf8(&document)
    {
        let bare = text
            .replace("<ETag>\"", "<ETag>")
            .replace("\"</ETag>", "</ETag>");
        *response.body_mut() = Body::from(bare);
    }
    for (name, value) in [(REQUEST_ID, request_id), (HOST_ID, host_id)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The answer to a request that is refused here.
pub(crate) fn refused(error: S3Error) -> S3Result<HttpResponse> {
    error.to_http_response()
}

/// What version 2 signs of a request for a bucket ends with a slash, also where its path does not.
fn with_slash(uri: &mut Uri) {
    let path = uri.path();
    if path.len() < 2 || path[1..].contains('/') {
        return;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let slashed = format!("{path}/{}", query.unwrap_or_default());
    if let Ok(slashed) = slashed.parse() {
        *uri = slashed;
    }
}

fn check_md5(headers: &HeaderMap) -> S3Result<()> {
    let Some(md5) = headers.get(CONTENT_MD5) else {
        return Ok(());
    };
    let bytes = STANDARD.decode(md5.as_bytes());
    if bytes.is_ok_and(|bytes| bytes.len() == 16) {
        return Ok(());
    }
    Err(s3_error!(InvalidDigest, "the Content-MD5 is not an MD5"))
}

fn check_version_4(rest: &str, headers: &HeaderMap) -> S3Result<()> {
    let field = |name: &str| {
        let mut fields = rest
            .split(',')
            .filter_map(|field| field.trim().split_once('='));
        fields.find(|(n, _)| *n == name).map(|(_, value)| value)
    };
    let malformed = |message: &'static str| {
        let code = S3ErrorCode::AuthorizationHeaderMalformed;
        S3Error::with_message(code, message)
    };
    let credential = field("Credential").unwrap_or_default();
    if credential.split('/').count() < 5 || !credential.ends_with("/aws4_request") {
        return Err(malformed(
            "the Credential must be KEY/DATE/REGION/SERVICE/aws4_request",
        ));
    }
    // Some clients begin with a region of their own and go on with the one that is told.
    let region = credential.rsplit('/').nth(2).unwrap_or_default();
    let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(usual) {
        return Err(malformed("the region of the Credential is wrong"));
    }
    let signed = field("SignedHeaders").ok_or_else(|| malformed("SignedHeaders is missing"))?;
    field("Signature").ok_or_else(|| malformed("Signature is missing"))?;
    let date = headers.get(AMZ_DATE).and_then(|date| date.to_str().ok());
    if !date.is_some_and(is_basic_date) {
        return Err(no_date());
    }
    all_signed(signed, headers)
}

fn check_presigned(query: &str, headers: &HeaderMap) -> S3Result<()> {
    let parameter = |wanted: &str| {
        let mut all = query.split('&').filter_map(|p| p.split_once('='));
        all.find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    if parameter("X-Amz-Signature").is_none() && parameter("X-Amz-Algorithm").is_none() {
        return Ok(()); // Version 2, which `s3s` checks.
    }
    // S3 has an error of its own for this, with a status of 400; what tests clients goes by the
    // other stores, where such a URL is just not good.
    let wrong = |message: &'static str| S3Error::with_message(S3ErrorCode::AccessDenied, message);
    let needed = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    if needed.iter().any(|name| parameter(name).is_none()) {
        return Err(wrong(
            "signing by the query needs X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature",
        ));
    }
    let expires = parameter("X-Amz-Expires").and_then(|text| text.parse::<u64>().ok());
    if expires.is_none_or(|seconds| seconds > MAX_EXPIRES_SECONDS) {
        return Err(wrong("X-Amz-Expires must be from 0 to 604800 seconds"));
    }
    let signed = parameter("X-Amz-SignedHeaders").unwrap_or_default();
    all_signed(&signed.replace("%3B", ";").replace("%3b", ";"), headers)
}

/// A header of S3's that is not signed could have been added by anybody who got hold of the URL
/// or sits in between: `x-amz-copy-source` would make an upload a way to read.
fn all_signed(signed: &str, headers: &HeaderMap) -> S3Result<()> {
    let exempt = |name: &str| name == "x-amz-content-sha256";
    let is_signed = |name: &str| signed.split(';').any(|s| s.eq_ignore_ascii_case(name));
    for name in headers.keys() {
        let name = name.as_str();
        if name.starts_with("x-amz-") && !exempt(name) && !is_signed(name) {
            let message = format!("the header {name} is not signed");
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
        }
    }
    Ok(())
}

/// Version 2 signs the date as text, so somebody has to read it.
fn check_date(headers: &HeaderMap) -> S3Result<()> {
    let date = headers.get(AMZ_DATE).or_else(|| headers.get(DATE));
    let date = date.and_then(|date| date.to_str().ok());
    // Some clients get the name of the day wrong, which S3 does not mind.
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let date = date.and_then(|date| parser.parse_timestamp(date).ok());
    let seconds = date.map(jiff::Timestamp::as_second);
    let seconds = seconds.filter(|s| *s >= 0).ok_or_else(no_date)?;
    let now = clock::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    if (seconds - now).abs() > MAX_SKEW_SECONDS {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "the difference between the request's time and the server's is too large"
        ));
    }
    Ok(())
}

fn no_date() -> S3Error {
    s3_error!(
        AccessDenied,
        "signing needs a valid Date or x-amz-date header"
    )
}

/// `20261125T093000Z`.
fn is_basic_date(text: &str) -> bool {
    let shape = |(at, c): (usize, char)| match at {
        8 => c == 'T',
        15 => c == 'Z',
        _ => c.is_ascii_digit(),
    };
    text.len() == 16 && text.chars().enumerate().all(shape)
}

fn has_signature(query: &str) -> bool {
    let names = query.split('&').filter_map(|p| p.split('=').next());
    let mut signing = ["X-Amz-Signature", "X-Amz-Algorithm", "Signature"].into_iter();
    let names: Vec<&str> = names.collect();
    signing.any(|name| names.contains(&name))
}

/// The error document for a form that its policy does not allow: to S3 the access is denied, to
/// `s3s` the policy is wrong.
fn broken_condition(document: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(document).ok()?;
    let code = "<Code>InvalidPolicyDocument</Code>";
    let broken = format!("{code}<Message>Policy condition");
    let replacement = "<Code>AccessDenied</Code>";
    text.contains(&broken)
        .then(|| text.replacen(code, replacement, 1))
}

/// The error document for a malformed signature, which tells the region to sign for.
fn with_region(document: &[u8], region: &str) -> Option<String> {
    let text = std::str::from_utf8(document).ok()?;
    let before = text.strip_suffix("</Error>")?;
    text.contains("<Code>AuthorizationHeaderMalformed</Code>")
        .then(|| format!("{before}<Region>{region}</Region></Error>"))
}

/// An error document with what S3 tells beside code and message.
fn with_ids(document: &[u8], path: &str, request_id: &str, host_id: &str) -> Option<String> {
    let text = std::str::from_utf8(document).ok()?;
    let before = text.strip_suffix("</Error>")?;
    let before = match before.rfind("<RequestId>") {
        Some(at) => &before[..at],
        None => before,
    };
    let resource = path
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Some(format!(
        "{before}<Resource>{resource}</Resource><RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>"
    ))
}

#[cfg(test)]
mod tests;
