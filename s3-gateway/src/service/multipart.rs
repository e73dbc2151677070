//! Multipart uploads.
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Operations;

impl Operations {
    pub(super) async fn create_upload(
        &self,
        _req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn put_part(
        &self,
        _req: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn copy_part(
        &self,
        _req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn complete_upload(
        &self,
        _req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn abort_upload(
        &self,
        _req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<AbortMultipartUploadOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn parts(&self, _req: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
        Err(s3_error!(NotImplemented))
    }
}
