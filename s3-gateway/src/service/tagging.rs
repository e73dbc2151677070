//! The tags of objects. They are no part of a version's content: changing them makes no version
//! and starts nothing.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::Operations;
use super::properties::{tag_set, tags_of_set};
use super::reading::open;
use crate::local::stamp::Stamp;
use crate::local::store::Bucket;
use crate::policy::Access;

impl Operations {
    pub(super) async fn tags(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<GetObjectTaggingOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Read, &input.bucket, &input.key)?;
        let opened = open(&bucket, &who, &key, input.version_id.as_deref()).await?;
        Ok(GetObjectTaggingOutput {
            version_id: Some(shown(&bucket, &opened.stamp)),
            tag_set: tag_set(opened.stamp.tags),
        })
    }

    pub(super) async fn put_tags(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<PutObjectTaggingOutput> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let tags = tags_of_set(input.tagging.tag_set)?;
        let stamp = bucket.set_tags(key, input.version_id, tags, who.scope);
        Ok(PutObjectTaggingOutput {
            version_id: Some(shown(&bucket, &stamp.await?)),
        })
    }

    pub(super) async fn delete_tags(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let none = BTreeMap::new();
        let stamp = bucket.set_tags(key, input.version_id, none, who.scope);
        let output = DeleteObjectTaggingOutput {
            version_id: Some(shown(&bucket, &stamp.await?)),
        };
        Ok(S3Response::with_status(
            output,
            hyper::StatusCode::NO_CONTENT,
        ))
    }
}

fn shown(bucket: &Bucket, stamp: &Stamp) -> String {
    bucket.shown_id(&stamp.version_id, stamp.null_version)
}
