//! The S3 operations, as crate `s3s` calls them.
//!
//! Here: who asks, for which bucket. The work itself is in `objects`, `reading`, `listing` and
//! `multipart`, and for buckets of other stores in `upstream`.

mod across;
pub(crate) mod body;
pub(crate) mod listing;
mod multipart;
pub(crate) mod objects;
mod reading;

use std::sync::Arc;

use daybook_domain::{BucketName, ObjectKey};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::buckets::Backend;
use crate::gateway::Gateway;
use crate::grants::{Grants, Principal};
use crate::local::store::Bucket;
use crate::policy::Access;

/// The largest XML document of a request: a `DeleteObjects` of 1,000 keys, each of 1,024 bytes
/// that may all be escaped.
const MAX_XML_BYTES: usize = 8 << 20;

/// Browser uploads by form are read into memory before the gateway sees them.
const MAX_FORM_BYTES: u64 = 16 << 20;

pub(crate) fn build(gateway: Arc<Gateway>) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML_BYTES;
    config.post_object_max_file_size = MAX_FORM_BYTES;
    // `a//b` and `/a` are keys like any other.
    config.normalize_forward_slash_path = false;
    let grants = gateway.grants();
    let mut builder = S3ServiceBuilder::new(Operations { gateway });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Keys { grants });
    builder.set_validation(AnyName);
    builder.build()
}

pub(super) struct Operations {
    gateway: Arc<Gateway>,
}

impl Operations {
    /// Who sent the request. `s3s` has checked the signature.
    fn principal<T>(&self, request: &S3Request<T>) -> S3Result<Principal> {
        let credentials = request.credentials.as_ref();
        let credentials =
            credentials.ok_or_else(|| s3_error!(AccessDenied, "the request is not signed"))?;
        let who = self.gateway.grants.principal(&credentials.access_key);
        let who = who.ok_or_else(|| {
            s3_error!(
                AccessDenied,
                "this key is void: it serves one function process, while an invocation runs"
            )
        })?;
        // People's tools still presign with version 2; functions have no use for it.
        if who.scope.is_some() && is_version_2(request) {
            return Err(s3_error!(
                AccessDenied,
                "this key takes Signature Version 4 only"
            ));
        }
        Ok(who)
    }

    fn backend(&self, name: &str) -> S3Result<Backend> {
        let missing = || s3_error!(NoSuchBucket, "the bucket is not configured");
        let name = BucketName::parse(name).map_err(|_| missing())?;
        self.gateway.buckets.get(&name).ok_or_else(missing)
    }

    fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        match self.backend(name)? {
            Backend::Local(bucket) => Ok(bucket),
            Backend::Upstream(_) => Err(s3_error!(
                NotImplemented,
                "this is not passed on to other stores"
            )),
        }
    }

    /// The bucket and key of a request, if the sender may do this to it.
    fn object(
        &self,
        who: &Principal,
        access: Access,
        bucket: &str,
        key: &str,
    ) -> S3Result<(Arc<Bucket>, ObjectKey)> {
        let bucket = self.bucket(bucket)?;
        let key = object_key(key)?;
        who.check(access, &bucket.name, &key).map_err(denied)?;
        Ok((bucket, key))
    }
}

/// Whether the request was signed with Signature Version 2, in its header or in its query.
fn is_version_2<T>(request: &S3Request<T>) -> bool {
    let header = request.headers.get(hyper::header::AUTHORIZATION);
    let in_header = header.is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    let query = request.uri.query().unwrap_or_default();
    in_header || query.contains("AWSAccessKeyId=")
}

pub(crate) fn object_key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::parse(key).map_err(|_| {
        if key.is_empty() {
            s3_error!(InvalidArgument, "the key is empty")
        } else {
            s3_error!(KeyTooLongError, "the key is longer than 1024 bytes")
        }
    })
}

pub(crate) fn denied(message: String) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::AccessDenied, message)
}

/// Answers a request from another store, where its bucket lies in one.
macro_rules! upstream {
    ($self:ident, $req:ident, $operation:ident) => {
        if let Ok(Backend::Upstream(bucket)) = $self.backend(&$req.input.bucket) {
            let who = $self.principal(&$req)?;
            return Box::pin(bucket.$operation($req, who)).await;
        }
    };
}

/// For local buckets.
fn not_yet<T>() -> S3Result<T> {
    Err(s3_error!(NotImplemented))
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        upstream!(self, req, put);
        self.put(req).await.map(S3Response::new)
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        upstream!(self, req, get);
        self.get(req).await
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        upstream!(self, req, head);
        self.head(req).await
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        if self.crosses(&req.input.bucket, &req.input.copy_source) {
            return Box::pin(self.copy_across(req)).await.map(S3Response::new);
        }
        self.copy(req).await.map(S3Response::new)
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        upstream!(self, req, delete);
        self.delete(req).await
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        upstream!(self, req, delete_many);
        self.delete_many(req).await.map(S3Response::new)
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        upstream!(self, req, list_v1);
        self.list_v1(req).await.map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        upstream!(self, req, list_v2);
        self.list_v2(req).await.map(S3Response::new)
    }

    async fn list_buckets(
        &self,
        req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.buckets(&req).map(S3Response::new)
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        // Tools such as rclone create the bucket that they copy to and take this for a yes.
        self.seen_bucket(&req, &req.input.bucket)
            .map_err(|error| match error.code() {
                S3ErrorCode::NoSuchBucket => {
                    s3_error!(AccessDenied, "buckets are made in the configuration")
                }
                _ => error,
            })?;
        Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "the bucket is configured"
        ))
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = self.seen_bucket(&req, &req.input.bucket)?;
        if let Backend::Upstream(bucket) = bucket {
            bucket.exists().await?;
        }
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.gateway.region.clone()),
            ..Default::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        // S3 says nothing for us-east-1.
        let region = Some(self.gateway.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: region.map(BucketLocationConstraint::from),
        }))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let bucket = self.seen_bucket(&req, &req.input.bucket)?;
        if let Backend::Upstream(bucket) = bucket {
            return bucket.versioning().await.map(S3Response::new);
        }
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        upstream!(self, req, put_versioning);
        not_yet()
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        upstream!(self, req, list_versions);
        not_yet()
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        upstream!(self, req, uploads);
        not_yet()
    }

    async fn get_object_attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        upstream!(self, req, attributes);
        not_yet()
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        upstream!(self, req, tags);
        not_yet()
    }

    async fn put_object_tagging(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        upstream!(self, req, put_tags);
        not_yet()
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        upstream!(self, req, delete_tags);
        not_yet()
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        upstream!(self, req, create_upload);
        self.create_upload(req).await.map(S3Response::new)
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        upstream!(self, req, put_part);
        self.put_part(req).await.map(S3Response::new)
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        if self.crosses(&req.input.bucket, &req.input.copy_source) {
            return Box::pin(self.copy_part_across(req))
                .await
                .map(S3Response::new);
        }
        self.copy_part(req).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        upstream!(self, req, complete_upload);
        self.complete_upload(req).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        upstream!(self, req, abort_upload);
        self.abort_upload(req).await.map(S3Response::new)
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        upstream!(self, req, parts);
        self.parts(req).await.map(S3Response::new)
    }
}

impl Operations {
    /// Refuses unless the sender may touch something in the bucket.
    fn seen_bucket<T>(&self, req: &S3Request<T>, bucket: &str) -> S3Result<Backend> {
        let who = self.principal(req)?;
        let bucket = self.backend(bucket)?;
        if who.policy.touches(Access::Write, bucket.name().as_str()) {
            return Ok(bucket);
        }
        who.check_bucket(Access::Read, bucket.name())
            .map_err(denied)?;
        Ok(bucket)
    }
}

struct Keys {
    grants: Arc<Grants>,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.grants.secret(access_key);
        let unknown = || s3_error!(InvalidAccessKeyId, "the access key id does not exist");
        secret.map(SecretKey::from).ok_or_else(unknown)
    }
}

/// A bucket that is not configured is `NoSuchBucket`, whatever its name looks like.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}
