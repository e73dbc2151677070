//! Listings.
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Operations;

impl Operations {
    pub(super) async fn list_v1(
        &self,
        _req: S3Request<ListObjectsInput>,
    ) -> S3Result<ListObjectsOutput> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) async fn list_v2(
        &self,
        _req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<ListObjectsV2Output> {
        Err(s3_error!(NotImplemented))
    }
    pub(super) fn buckets(
        &self,
        _req: &S3Request<ListBucketsInput>,
    ) -> S3Result<ListBucketsOutput> {
        Err(s3_error!(NotImplemented))
    }
}
