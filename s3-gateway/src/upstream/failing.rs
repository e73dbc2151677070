//! What went wrong at a store, as the gateway's client hears of it.
//!
//! What a store says of the request keeps its S3 code. What it says of the gateway's own key, and
//! that it cannot be reached, is not the client's doing and names the bucket and the store.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use s3s::{S3Error, S3ErrorCode};

use super::{Upstream, fence};
use crate::error::StoreError;

/// Codes with which a store refuses the gateway's key. To the gateway's client they would say
/// that its own key is wrong.
const OF_OUR_KEY: [&str; 7] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
];

/// What an error of S3 carries in its headers.
const TOLD: [HeaderName; 3] = [ETAG, LAST_MODIFIED, CONTENT_RANGE];

impl Upstream {
    /// The error for the client. `missing` is what a bare 404 means, which has no code where the
    /// request was a HEAD.
    pub(super) fn failed<E>(
        &self,
        error: SdkError<E, HttpResponse>,
        missing: S3ErrorCode,
    ) -> S3Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if fence::stopped(&error) {
            return StoreError::Fenced.into();
        }
        match &error {
            SdkError::ServiceError(said) => self.refused(said.err(), said.raw(), missing),
            SdkError::TimeoutError(_) => self.unreachable("did not answer in time"),
            other => self.unreachable(&DisplayErrorContext(other).to_string()),
        }
    }

    /// 503, with what the operator has to look at.
    pub(super) fn unreachable(&self, why: &str) -> S3Error {
        let message = format!("{}: {why}", self.place());
        tracing::warn!(bucket = %self.name, why, "a store cannot be used");
        S3Error::with_message(S3ErrorCode::ServiceUnavailable, message)
    }

    /// 503 for a body that cannot be sent again from here: the client has it and is asked to.
    pub(super) fn interrupted(&self, error: S3Error) -> S3Error {
        let status = error.status_code().or_else(|| error.code().status_code());
        if !status.is_some_and(|status| status.is_server_error()) {
            return error;
        }
        let why = error.message().unwrap_or("the store failed").to_owned();
        S3Error::with_message(
            S3ErrorCode::SlowDown,
            format!("{why}; the body was on its way and has to be sent again"),
        )
    }

    /// The bucket and where it lies.
    fn place(&self) -> String {
        let endpoint = self.config.store.endpoint.as_deref().unwrap_or("AWS");
        format!(
            "bucket {} ({} at {endpoint}, upstream)",
            self.name,
            self.there()
        )
    }

    fn refused(
        &self,
        said: &impl ProvideErrorMetadata,
        answer: &HttpResponse,
        missing: S3ErrorCode,
    ) -> S3Error {
        let status = StatusCode::from_u16(answer.status().as_u16())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let bare = || match status {
            StatusCode::NOT_MODIFIED => S3ErrorCode::NotModified,
            StatusCode::BAD_REQUEST => S3ErrorCode::InvalidRequest,
            StatusCode::FORBIDDEN => S3ErrorCode::AccessDenied,
            StatusCode::NOT_FOUND => missing.clone(),
            StatusCode::METHOD_NOT_ALLOWED => S3ErrorCode::MethodNotAllowed,
            StatusCode::CONFLICT => S3ErrorCode::OperationAborted,
            StatusCode::PRECONDITION_FAILED => S3ErrorCode::PreconditionFailed,
            StatusCode::RANGE_NOT_SATISFIABLE => S3ErrorCode::InvalidRange,
            StatusCode::NOT_IMPLEMENTED => S3ErrorCode::NotImplemented,
            StatusCode::SERVICE_UNAVAILABLE => S3ErrorCode::ServiceUnavailable,
            _ => S3ErrorCode::InternalError,
        };
        // A HEAD has no body; the SDK then calls a 404 `NotFound`, and knows no other.
        let named = said.code().filter(|code| *code != "NotFound");
        let code = named
            .and_then(|code| S3ErrorCode::from_bytes(code.as_bytes()))
            .unwrap_or_else(bare);
        let message = said.message().unwrap_or_default();
        if status.is_success() && named.is_none() {
            return self.unreachable("its answer is not understood");
        }
        if named.is_some_and(|code| OF_OUR_KEY.contains(&code)) || code == S3ErrorCode::NoSuchBucket
        {
            let said = named.unwrap_or("NoSuchBucket");
            return self.unreachable(&format!("it answers {said}: {message}"));
        }
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return self.unreachable("it sends the gateway elsewhere; the region may be wrong");
        }
        let mut error = S3Error::new(code);
        if message.is_empty() {
            error.set_message(format!("{} answers {status}", self.place()));
        } else {
            error.set_message(message.to_owned());
        }
        error.set_status_code(status);
        let told = headers(answer);
        if !told.is_empty() {
            error.set_headers(told);
        }
        error
    }
}

fn headers(answer: &HttpResponse) -> HeaderMap {
    let told = TOLD.iter().filter_map(|name| {
        let value = answer.headers().get(name.as_str())?;
        Some((name.clone(), HeaderValue::from_str(value).ok()?))
    });
    told.collect()
}
