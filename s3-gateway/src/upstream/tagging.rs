//! Tags of objects, and whether a bucket keeps versions.

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::Upstream;
use super::convert::{sdk_word, word};
use super::fence::Fence;
use crate::grants::Principal;
use crate::policy::Access;

impl Upstream {
    pub(crate) async fn tags(
        &self,
        req: S3Request<GetObjectTaggingInput>,
        who: Principal,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Read, &input.key)?;
        super::open(who.scope.as_ref())?;
        let request = self.client().await.get_object_tagging();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(input.version_id)
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
        let tags = said.tag_set.into_iter().map(|tag| Tag {
            key: Some(tag.key),
            value: Some(tag.value),
        });
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: tags.collect(),
            version_id: said.version_id,
        }))
    }

    pub(crate) async fn put_tags(
        &self,
        req: S3Request<PutObjectTaggingInput>,
        who: Principal,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let tag = |tag: Tag| {
            let tag = aws_sdk_s3::types::Tag::builder()
                .key(tag.key.unwrap_or_default())
                .value(tag.value.unwrap_or_default());
            tag.build()
                .map_err(|_| s3_error!(MalformedXML, "a tag has a key and a value"))
        };
        let tags = input.tagging.tag_set.into_iter().map(tag);
        let tags = aws_sdk_s3::types::Tagging::builder()
            .set_tag_set(Some(tags.collect::<S3Result<_>>()?))
            .build()
            .map_err(|_| s3_error!(MalformedXML, "there are no tags"))?;
        let request = self.client().await.put_object_tagging();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(input.version_id)
            .tagging(tags)
            .customize()
            .interceptor(Fence(who.scope))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
        Ok(S3Response::new(PutObjectTaggingOutput {
            version_id: said.version_id,
        }))
    }

    pub(crate) async fn delete_tags(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
        who: Principal,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = req.input;
        let key = self.allowed(&who, Access::Write, &input.key)?;
        let request = self.client().await.delete_object_tagging();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(input.version_id)
            .customize()
            .interceptor(Fence(who.scope))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
        Ok(S3Response::new(DeleteObjectTaggingOutput {
            version_id: said.version_id,
        }))
    }

    pub(crate) async fn versioning(
        &self,
        _req: S3Request<GetBucketVersioningInput>,
        who: Principal,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.touched(&who)?;
        let request = self.client().await.get_bucket_versioning();
        let said = Box::pin(request.bucket(self.there()).send()).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        Ok(S3Response::new(GetBucketVersioningOutput {
            status: word!(said.status),
            mfa_delete: word!(said.mfa_delete),
        }))
    }

    /// For those who may write the whole bucket; it concerns all of it.
    pub(crate) async fn put_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
        who: Principal,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        if who.scope.is_some() || !who.policy.covers(Access::Write, self.name.as_str()) {
            return Err(s3_error!(
                AccessDenied,
                "versioning is switched by operators who may write the whole bucket"
            ));
        }
        let wanted = req.input.versioning_configuration;
        let configuration = aws_sdk_s3::types::VersioningConfiguration::builder()
            .set_status(sdk_word!(wanted.status))
            .build();
        let request = self.client().await.put_bucket_versioning();
        let asked = request
            .bucket(self.there())
            .versioning_configuration(configuration)
            .send();
        let said = Box::pin(asked).await;
        said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    /// Whether the bucket is there, and may be used.
    pub(crate) async fn exists(&self) -> S3Result<()> {
        let request = self.client().await.head_bucket();
        let said = Box::pin(request.bucket(self.there()).send()).await;
        said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchBucket))?;
        Ok(())
    }
}
