//! Why a request cannot be served, and how S3 says so.

use std::io;

use hyper::header::{self, HeaderMap, HeaderValue};
use s3s::dto::Timestamp;
use s3s::{S3Error, S3ErrorCode};
use thiserror::Error;

use crate::ledger::LedgerError;
use crate::service::{http_date, time_of};

/// Why the store did not do what a request asked. Nothing was changed, except as told.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("the key does not exist")]
    NoSuchKey,
    #[error("the version does not exist")]
    NoSuchVersion,
    /// The newest version of the key is the delete marker with this id.
    #[error("the key was deleted")]
    Deleted(String),
    /// The version that was asked for is a delete marker.
    #[error("the version is a delete marker")]
    IsMarker {
        version_id: String,
        /// When it was made, in nanoseconds since 1970.
        mtime_ns: i64,
    },
    /// The version that triggered an invocation is not kept any more.
    #[error("ObjectVersionGone: the version {0} that started this execution is not kept any more")]
    VersionGone(String),
    #[error("the upload does not exist; it may have been aborted or completed")]
    NoSuchUpload,
    #[error("at least one of the preconditions you specified did not hold")]
    PreconditionFailed,
    #[error("the object has not been modified")]
    NotModified,
    /// The scope of the function's key was closed before the write became visible.
    #[error("the invocation that this key was made for is over")]
    Fenced,
    #[error("{1}")]
    Refused(S3ErrorCode, String),
    /// Somebody writes to the file at this moment.
    #[error("the file is being written from outside")]
    Changing,
    /// The bucket's folder is not there, or is another one than was opened: its file system may
    /// not be mounted. Nothing can be said about what is in it.
    #[error("the bucket's folder is gone, or was replaced by another")]
    Elsewhere,
    /// Another process that serves the folder has had the key locked for longer than one waits.
    #[error("the key is being written by another process")]
    Busy,
    /// The object is in its place, but not yet in the ledger; a rescan will propose it.
    #[error("the ledger did not record it")]
    Unrecorded(#[from] LedgerError),
    /// What is in a bucket's journal cannot be judged without the ledger.
    #[error("the ledger cannot be asked what it knows of a version")]
    Unasked(#[source] LedgerError),
    #[error("the bucket's folder cannot be used")]
    Io(#[from] io::Error),
}

impl StoreError {
    pub(crate) fn refused(code: S3ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(code, message.into())
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NoSuchKey | StoreError::Deleted(_) => S3ErrorCode::NoSuchKey,
            StoreError::IsMarker { .. } => S3ErrorCode::MethodNotAllowed,
            StoreError::NoSuchVersion | StoreError::VersionGone(_) => S3ErrorCode::NoSuchVersion,
            StoreError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            StoreError::NotModified => S3ErrorCode::NotModified,
            StoreError::Fenced => S3ErrorCode::AccessDenied,
            StoreError::Refused(code, _) => code.clone(),
            StoreError::Changing | StoreError::Busy => S3ErrorCode::SlowDown,
            StoreError::Unrecorded(_) | StoreError::Unasked(_) => S3ErrorCode::ServiceUnavailable,
            StoreError::Elsewhere | StoreError::Io(_) => S3ErrorCode::InternalError,
        };
        let mut s3 = S3Error::with_message(code, error.to_string());
        if s3.status_code().is_none() {
            // A code of S3's that the crate does not know; all that we use are the client's fault.
            s3.set_status_code(hyper::StatusCode::BAD_REQUEST);
        }
        match &error {
            StoreError::Deleted(version_id) => s3.set_headers(marker_headers(version_id, None)),
            StoreError::IsMarker {
                version_id,
                mtime_ns,
            } => s3.set_headers(marker_headers(version_id, Some(*mtime_ns))),
            _ => {}
        }
        if matches!(error, StoreError::Unrecorded(_) | StoreError::Io(_)) {
            tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
            s3.set_source(Box::new(error));
        }
        s3
    }
}

/// What tells a client that it met a delete marker (S3 user guide, "Working with delete markers").
fn marker_headers(version_id: &str, mtime_ns: Option<i64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(id) = HeaderValue::from_str(version_id) {
        headers.insert("x-amz-version-id", id);
    }
    if let Some(mtime_ns) = mtime_ns {
        headers.insert(header::ALLOW, HeaderValue::from_static("DELETE"));
        let modified = Timestamp::from(time_of(mtime_ns));
        if let Ok(Ok(date)) = http_date(&modified).map(|date| HeaderValue::from_str(&date)) {
            headers.insert(header::LAST_MODIFIED, date);
        }
    }
    // An error is told in XML.
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    headers
}
