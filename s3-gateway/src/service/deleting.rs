//! Removing objects, one or many at once.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Operations, object_key, redirected};
use crate::grants::Principal;
use crate::local::conditions::WriteConditions;
use crate::local::removing::Removed;
use crate::local::store::Bucket;
use crate::policy::Access;

/// The keys of one `DeleteObjects`.
const MAX_DELETES: usize = 1000;

impl Operations {
    pub(super) async fn delete(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let who = self.principal(&req)?;
        let input = req.input;
        let (bucket, key) = self.object(&who, Access::Write, &input.bucket, &input.key)?;
        let conditions = WriteConditions {
            if_match: input.if_match,
            if_none_match: None,
        };
        let removed = bucket
            .remove(key, input.version_id, conditions, who.scope)
            .await?;
        let output = DeleteObjectOutput {
            delete_marker: removed.marker.then_some(true),
            version_id: removed.version_id,
            ..Default::default()
        };
        Ok(S3Response::with_status(
            output,
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    pub(super) async fn delete_many(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<DeleteObjectsOutput> {
        let who = self.principal(&req)?;
        let bucket = self.bucket(&req.input.bucket)?;
        let delete = req.input.delete;
        if delete.objects.len() > MAX_DELETES {
            return Err(s3_error!(MalformedXML, "more than 1000 keys"));
        }
        let quiet = delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for object in delete.objects {
            let done = self.delete_one(&who, &bucket, &object).await;
            match done {
                Ok(_) if quiet => {}
                Ok(removed) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    delete_marker: removed.marker.then_some(true),
                    delete_marker_version_id: removed.version_id.filter(|_| removed.marker),
                    version_id: object.version_id,
                }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        })
    }

    async fn delete_one(
        &self,
        who: &Principal,
        bucket: &Arc<Bucket>,
        object: &ObjectIdentifier,
    ) -> S3Result<Removed> {
        let key = object_key(&object.key)?;
        who.check(Access::Write, &bucket.name, &key)
            .map_err(super::denied)?;
        let key = redirected(who, key)?;
        let if_match = object.e_tag.clone().map(ETagCondition::ETag);
        let conditions = WriteConditions {
            if_match,
            if_none_match: None,
        };
        let (version, scope) = (object.version_id.clone(), who.scope.clone());
        Ok(bucket.remove(key, version, conditions, scope).await?)
    }
}
