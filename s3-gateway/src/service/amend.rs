//! What S3 lets pass and the crate `s3s` refuses: such requests are amended and sent on.
//!
//! ```text
//!  request ─> s3s: signature ─> Amend (a route of s3s) ─ headers amended ─> s3s again, inner ─> Operations
//! ```
//! The signature covers the headers as they came, so they can be changed only after it was
//! checked. The inner service checks none: [`Amended`] tells the operations who signed, and
//! what the headers said that had to go. What needs no amending does not come here.

use hyper::header::{
    AUTHORIZATION, EXPIRES, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, RANGE,
};
use hyper::http::Extensions;
use hyper::{HeaderMap, Method, Uri};
use s3s::dto::{CopySource, Range, Timestamp, TimestampFormat};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{
    Body, HttpError, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders,
    s3_error,
};

use super::is_version_2;

/// Where an object is copied from.
pub(super) const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// Stands in for a copy source that `s3s` does not understand; the operation reads the real one.
const SOME_SOURCE: HeaderValue = HeaderValue::from_static("some-bucket/key");

/// What the parameters of a presigned URL are called, in lower case. The inner service must not
/// see them.
const SIGNING: [&str; 10] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "awsaccesskeyid",
    "signature",
    "expires",
];

/// Says of a request that its signature was checked and its headers were amended.
#[derive(Clone)]
pub(super) struct Amended {
    pub(super) access_key: String,
    pub(super) version_2: bool,
    /// The real `x-amz-copy-source`.
    pub(super) copy_source: Option<HeaderValue>,
    /// An `Expires` that is no date; S3 keeps it as it came.
    pub(super) expires: Option<String>,
    pub(super) trailing_headers: Option<TrailingHeaders>,
}

/// The route that amends.
pub(super) struct Amend {
    pub(super) inner: S3Service,
}

#[async_trait::async_trait]
impl S3Route for Amend {
    fn is_match(&self, method: &Method, _: &Uri, headers: &HeaderMap, _: &mut Extensions) -> bool {
        headers
            .keys()
            .any(|name| is_misunderstood(method, headers, name))
    }

    async fn call(&self, mut req: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let version_2 = is_version_2(&req);
        let credentials = req.credentials.take();
        let credentials =
            credentials.ok_or_else(|| s3_error!(AccessDenied, "the request is not signed"))?;
        let mut amended = Amended {
            access_key: credentials.access_key,
            version_2,
            copy_source: None,
            expires: None,
            trailing_headers: req.trailing_headers.take(),
        };
        let mut headers = req.headers;
        headers.remove(AUTHORIZATION);
        let all: Vec<HeaderName> = headers.keys().cloned().collect();
        for name in all {
            if !is_misunderstood(&req.method, &headers, &name) {
                continue;
            }
            let value = headers.remove(&name);
            if name == COPY_SOURCE {
                amended.copy_source = value;
                headers.insert(name, SOME_SOURCE);
            } else if name == EXPIRES {
                amended.expires = value.and_then(|value| Some(value.to_str().ok()?.to_owned()));
            }
        }
        let mut request = hyper::Request::new(req.input);
        *request.method_mut() = req.method;
        *request.uri_mut() = unsigned(&req.uri)?;
        *request.headers_mut() = headers;
        *request.extensions_mut() = req.extensions;
        request.extensions_mut().insert(amended);
        let failed =
            |error: HttpError| S3Error::with_source(S3ErrorCode::InternalError, error.into());
        let response = self.inner.call(request).await;
        let (parts, body) = response.map_err(failed)?.into_parts();
        let mut answer = S3Response::with_status(body, parts.status);
        answer.headers = parts.headers;
        answer.extensions = parts.extensions;
        Ok(answer)
    }
}

/// Whether `s3s` would refuse the header where S3 takes no offence.
fn is_misunderstood(method: &Method, headers: &HeaderMap, name: &HeaderName) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let of_interest = match *name {
        RANGE => reads,
        IF_MODIFIED_SINCE | IF_UNMODIFIED_SINCE => true,
        EXPIRES => !reads,
        _ => *name == COPY_SOURCE,
    };
    if !of_interest {
        return false;
    }
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return *name == COPY_SOURCE;
    };
    match *name {
        _ if value.is_empty() => false,
        RANGE => Range::parse(value).is_err(),
        _ if *name == COPY_SOURCE => CopySource::parse(value).is_err(),
        _ => Timestamp::parse(TimestampFormat::HttpDate, value).is_err(),
    }
}

/// The URI without the parameters of a presigned URL.
fn unsigned(uri: &Uri) -> S3Result<Uri> {
    let signs = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        SIGNING.contains(&name.to_ascii_lowercase().as_str())
    };
    let query = uri.query().unwrap_or_default().split('&');
    let query: Vec<&str> = query.filter(|p| !p.is_empty() && !signs(p)).collect();
    let text = match query.as_slice() {
        [] => uri.path().to_owned(),
        parameters => format!("{}?{}", uri.path(), parameters.join("&")),
    };
    text.parse().map_err(S3Error::internal_error)
}

#[cfg(test)]
mod tests;
