//! Removing objects.
//!
//! The store is asked first what is there: the ledger is told which version went, and of nothing
//! where nothing was there, as for local buckets. So a removal costs two requests.

use std::sync::Arc;

use daybook_domain::ObjectKey;
use futures::StreamExt;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::fence::Fence;
use super::{Upstream, convert, to_its_end};
use crate::grants::{Principal, Scope};
use crate::policy::Access;

/// The keys of one `DeleteObjects`.
const MAX_DELETES: usize = 1000;

/// The removals of one `DeleteObjects` that are under way at the same time.
const AT_ONCE: usize = 16;

/// What is to be removed.
struct Removal {
    key: ObjectKey,
    version_id: Option<String>,
    if_match: Option<String>,
}

/// What the store says of a removal.
struct Removed {
    delete_marker: Option<bool>,
    version_id: Option<String>,
}

impl Upstream {
    pub(crate) async fn delete(
        self: Arc<Self>,
        req: S3Request<DeleteObjectInput>,
        who: Principal,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let removal = Removal {
            key: self.allowed(&who, Access::Write, &input.key)?,
            version_id: input.version_id,
            if_match: input.if_match.as_ref().map(convert::condition),
        };
        let work = async move { self.remove(removal, who.scope.as_ref()).await };
        let removed = to_its_end(work).await?;
        Ok(S3Response::with_status(
            DeleteObjectOutput {
                delete_marker: removed.delete_marker,
                version_id: removed.version_id,
                ..Default::default()
            },
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    pub(crate) async fn delete_many(
        self: Arc<Self>,
        req: S3Request<DeleteObjectsInput>,
        who: Principal,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let delete = req.input.delete;
        if delete.objects.len() > MAX_DELETES {
            return Err(s3_error!(MalformedXML, "more than 1000 keys"));
        }
        let quiet = delete.quiet.unwrap_or(false);
        let work = async move {
            let each = delete.objects.into_iter().map(|object| {
                let (this, who) = (Arc::clone(&self), who.clone());
                async move {
                    let removed = this.delete_one(&object, &who).await;
                    (object, removed)
                }
            });
            let all = futures::stream::iter(each).buffered(AT_ONCE);
            Ok(all.collect::<Vec<_>>().await)
        };
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for (object, removed) in to_its_end(work).await? {
            match removed {
                Ok(_) if quiet => {}
                Ok(removed) => {
                    let marker = removed.delete_marker == Some(true);
                    deleted.push(DeletedObject {
                        delete_marker: removed.delete_marker,
                        delete_marker_version_id: removed.version_id.filter(|_| marker),
                        key: Some(object.key),
                        version_id: object.version_id,
                    });
                }
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        }))
    }

    async fn delete_one(&self, object: &ObjectIdentifier, who: &Principal) -> S3Result<Removed> {
        let if_match = object.e_tag.clone().map(ETagCondition::ETag);
        let removal = Removal {
            key: self.allowed(who, Access::Write, &object.key)?,
            version_id: object.version_id.clone(),
            if_match: if_match.as_ref().map(convert::condition),
        };
        self.remove(removal, who.scope.as_ref()).await
    }

    async fn remove(&self, removal: Removal, scope: Option<&Arc<Scope>>) -> S3Result<Removed> {
        let Removal {
            key,
            version_id,
            if_match,
        } = removal;
        let turn = self.order.turn(&key).await;
        let before = self.look(&key, None).await?;
        let request = self.client().await.delete_object();
        let asked = request
            .bucket(self.there())
            .key(key.as_str())
            .set_version_id(version_id.clone())
            .set_if_match(if_match)
            .customize()
            .interceptor(Fence(scope.cloned()))
            .send();
        let said = Box::pin(asked).await;
        let said = said.map_err(|error| self.failed(error, S3ErrorCode::NoSuchKey))?;
        let removed = Removed {
            delete_marker: said.delete_marker,
            version_id: said.version_id,
        };
        let Some(before) = before else {
            return Ok(removed);
        };
        // Where one version was named, the object may still be there in another one.
        if version_id.is_some() && self.look(&key, None).await?.is_some() {
            return Ok(removed);
        }
        let event_name = match (&version_id, removed.delete_marker) {
            (None, Some(true)) => "ObjectRemoved:DeleteMarkerCreated",
            _ => "ObjectRemoved:Delete",
        };
        self.record_removal(key, Some(&before), event_name, scope, &turn)
            .await?;
        Ok(removed)
    }
}
