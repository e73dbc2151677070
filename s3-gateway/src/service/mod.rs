//! The S3 operations, as crate `s3s` calls them.
//!
//! Here: who asks, for which bucket. The work itself is in `objects`, `deleting`, `reading`, `listing`,
//! `multipart` and others, and for buckets of other stores in `upstream`.

mod across;
mod amend;
mod attributes;
pub(crate) mod body;
mod buckets;
mod deleting;
pub(crate) mod listing;
mod multipart;
pub(crate) mod objects;
pub(crate) mod properties;
mod reading;
mod tagging;
mod versions;

pub(crate) use objects::{http_date, time_of};

use std::sync::Arc;

use daybook_domain::{BucketName, ObjectKey};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use amend::{Amend, Amended};

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
    let config = Arc::new(StaticConfigProvider::new(Arc::new(config)));
    let begin = |gateway: &Arc<Gateway>| {
        let gateway = Arc::clone(gateway);
        let mut builder = S3ServiceBuilder::new(Operations { gateway });
        builder.set_config(config.clone());
        builder.set_validation(AnyName);
        builder
    };
    let inner = begin(&gateway).build();
    let mut builder = begin(&gateway);
    builder.set_route(Amend { inner });
    builder.set_auth(Keys {
        grants: gateway.grants(),
    });
    builder.build()
}

pub(super) struct Operations {
    gateway: Arc<Gateway>,
}

impl Operations {
    /// Who sent the request, if the bucket that it names is open to the sender.
    fn principal<T>(&self, request: &S3Request<T>) -> S3Result<Principal> {
        let who = self.sender(request)?;
        let path = request.uri.path().trim_start_matches('/');
        let bucket = path.split('/').next().unwrap_or_default();
        self.may_enter(&who, bucket)?;
        Ok(who)
    }

    /// Who sent the request. `s3s` has checked the signature.
    fn sender<T>(&self, request: &S3Request<T>) -> S3Result<Principal> {
        let amended = request.extensions.get::<Amended>();
        let access_key = match (&request.credentials, amended) {
            (Some(credentials), _) => &credentials.access_key,
            (None, Some(amended)) => &amended.access_key,
            (None, None) => return Err(s3_error!(AccessDenied, "the request is not signed")),
        };
        let who = self.gateway.grants.principal(access_key);
        let who = who.ok_or_else(|| {
            s3_error!(
                AccessDenied,
                "this key is void: it serves one function process, while an invocation runs"
            )
        })?;
        // People's tools still presign with version 2; functions have no use for it.
        let version_2 = amended.is_some_and(|amended| amended.version_2) || is_version_2(request);
        if who.scope.is_some() && version_2 {
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
        let key = match access {
            Access::Read => key,
            Access::Write => redirected(who, key)?,
        };
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

/// The key that a write goes to: another one where it is done under a shadow.
fn redirected(who: &Principal, key: ObjectKey) -> S3Result<ObjectKey> {
    match who.shadow() {
        None => Ok(key),
        Some(shadow) => shadow.redirect(&key).map_err(|_| {
            s3_error!(
                KeyTooLongError,
                "with the prefix of its shadow the key is longer than 1024 bytes"
            )
        }),
    }
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
        if self.crosses(&req, &req.input.bucket) {
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
        self.buckets(req).map(S3Response::new)
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.make_bucket(req).await.map(S3Response::new)
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.unmake_bucket(req).await
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
        upstream!(self, req, versioning);
        self.versioning(req).await.map(S3Response::new)
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        upstream!(self, req, put_versioning);
        self.set_versioning(req).await.map(S3Response::new)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        upstream!(self, req, list_versions);
        self.list_versions(req).await.map(S3Response::new)
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
        if self.crosses(&req, &req.input.bucket) {
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

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        upstream!(self, req, uploads);
        self.uploads(req).await.map(S3Response::new)
    }

    async fn get_object_attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        upstream!(self, req, attributes);
        self.attributes(req).await
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        upstream!(self, req, tags);
        self.tags(req).await.map(S3Response::new)
    }

    async fn put_object_tagging(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        upstream!(self, req, put_tags);
        self.put_tags(req).await.map(S3Response::new)
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        upstream!(self, req, delete_tags);
        self.delete_tags(req).await
    }

    async fn get_object_acl(
        &self,
        req: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        self.acl(req).await.map(S3Response::new)
    }

    async fn put_object_acl(
        &self,
        req: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        self.put_acl(req).await.map(S3Response::new)
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        upstream!(self, req, parts);
        self.parts(req).await.map(S3Response::new)
    }

    async fn get_bucket_policy(
        &self,
        req: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchBucketPolicy")
    }

    async fn get_bucket_policy_status(
        &self,
        req: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchBucketPolicy")
    }

    async fn get_bucket_cors(
        &self,
        req: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchCORSConfiguration")
    }

    async fn get_bucket_tagging(
        &self,
        req: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchTagSet")
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchLifecycleConfiguration")
    }

    async fn get_bucket_encryption(
        &self,
        req: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        self.unset(
            &req,
            &req.input.bucket,
            "ServerSideEncryptionConfigurationNotFoundError",
        )
    }

    async fn get_public_access_block(
        &self,
        req: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        self.unset(
            &req,
            &req.input.bucket,
            "NoSuchPublicAccessBlockConfiguration",
        )
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        self.unset(
            &req,
            &req.input.bucket,
            "ObjectLockConfigurationNotFoundError",
        )
    }

    async fn get_bucket_ownership_controls(
        &self,
        req: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        self.unset(&req, &req.input.bucket, "OwnershipControlsNotFoundError")
    }

    async fn get_bucket_website(
        &self,
        req: S3Request<GetBucketWebsiteInput>,
    ) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
        self.unset(&req, &req.input.bucket, "NoSuchWebsiteConfiguration")
    }

    async fn get_bucket_replication(
        &self,
        req: S3Request<GetBucketReplicationInput>,
    ) -> S3Result<S3Response<GetBucketReplicationOutput>> {
        self.unset(
            &req,
            &req.input.bucket,
            "ReplicationConfigurationNotFoundError",
        )
    }

    async fn get_bucket_notification_configuration(
        &self,
        req: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        Ok(S3Response::new(Default::default()))
    }

    async fn get_bucket_logging(
        &self,
        req: S3Request<GetBucketLoggingInput>,
    ) -> S3Result<S3Response<GetBucketLoggingOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        Ok(S3Response::new(Default::default()))
    }

    async fn get_bucket_accelerate_configuration(
        &self,
        req: S3Request<GetBucketAccelerateConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketAccelerateConfigurationOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        Ok(S3Response::new(Default::default()))
    }

    async fn get_bucket_request_payment(
        &self,
        req: S3Request<GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        Ok(S3Response::new(GetBucketRequestPaymentOutput {
            payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
        }))
    }

    async fn get_bucket_acl(
        &self,
        req: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        Ok(S3Response::new(GetBucketAclOutput {
            grants: Some(buckets::grants()),
            owner: Some(buckets::owner()),
        }))
    }

    async fn put_bucket_acl(
        &self,
        req: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        self.seen_bucket(&req, &req.input.bucket)?;
        let input = req.input;
        let granted = [
            input.grant_full_control,
            input.grant_read,
            input.grant_read_acp,
            input.grant_write,
            input.grant_write_acp,
        ];
        let acl = input.acl.as_ref().map(BucketCannedACL::as_str);
        buckets::check_acl(acl, granted.iter().any(Option::is_some))?;
        buckets::check_policy(input.access_control_policy.as_ref())?;
        Ok(S3Response::new(PutBucketAclOutput::default()))
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
