//! Why a request cannot be served, and how S3 says so.

use std::io;

use s3s::{S3Error, S3ErrorCode};
use thiserror::Error;

use crate::ledger::LedgerError;

/// Why the store did not do what a request asked. Nothing was changed, except as told.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("the key does not exist")]
    NoSuchKey,
    #[error("the version does not exist")]
    NoSuchVersion,
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
            StoreError::NoSuchKey => S3ErrorCode::NoSuchKey,
            StoreError::NoSuchVersion | StoreError::VersionGone(_) => S3ErrorCode::NoSuchVersion,
            StoreError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            StoreError::NotModified => S3ErrorCode::NotModified,
            StoreError::Fenced => S3ErrorCode::AccessDenied,
            StoreError::Refused(code, _) => code.clone(),
            StoreError::Changing | StoreError::Busy => S3ErrorCode::SlowDown,
            StoreError::Unrecorded(_) => S3ErrorCode::ServiceUnavailable,
            StoreError::Elsewhere | StoreError::Io(_) => S3ErrorCode::InternalError,
        };
        let mut s3 = S3Error::with_message(code, error.to_string());
        if s3.status_code().is_none() {
            // A code of S3's that the crate does not know; all that we use are the client's fault.
            s3.set_status_code(hyper::StatusCode::BAD_REQUEST);
        }
        if matches!(error, StoreError::Unrecorded(_) | StoreError::Io(_)) {
            tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
            s3.set_source(Box::new(error));
        }
        s3
    }
}
