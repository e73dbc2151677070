//! Changing the tags of an object version.
//!
//! They lie in the stamp, which is replaced in one step: after a crash the old tags or the new
//! ones are there. The ledger does not hear of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use daybook_domain::ObjectKey;
use s3s::S3ErrorCode;

use super::stamp::{self, Stamp};
use super::store::{Bucket, Opened, blocking_with};
use crate::error::StoreError;
use crate::grants::Scope;

impl Bucket {
    /// Replaces the tags of the current version or a named one. Runs to its end even if the caller
    /// is dropped.
    pub(crate) async fn set_tags(
        self: &Arc<Self>,
        key: ObjectKey,
        version: Option<String>,
        tags: BTreeMap<String, String>,
        scope: Option<Arc<Scope>>,
    ) -> Result<Stamp, StoreError> {
        if scope.as_ref().is_some_and(|scope| scope.stages().is_some()) {
            return Err(StoreError::refused(
                S3ErrorCode::NotImplemented,
                "where outputs are published on success, tags are given with the object",
            ));
        }
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.set_tags_here(key, version, tags, scope).await });
        task.await.map_err(io::Error::other)?
    }

    async fn set_tags_here(
        self: Arc<Self>,
        key: ObjectKey,
        version: Option<String>,
        tags: BTreeMap<String, String>,
        scope: Option<Arc<Scope>>,
    ) -> Result<Stamp, StoreError> {
        let guard = self.lock(&key).await?;
        let current = match self.find(&key).await? {
            Some(found) => Some(self.adopted(&key, found, &guard).await?),
            None => None,
        };
        let this = Arc::clone(&self);
        blocking_with(&guard, move || {
            if let Some((found, stamp)) = &current {
                // The journal has the tags that it was written with.
                this.harden(&found.path, stamp)?;
            }
            let (file, mut stamp) = match (current, version) {
                (Some((found, stamp)), None) => (found.file, stamp),
                (None, None) => return Err(this.absence(&key)?),
                (Some((found, stamp)), Some(wanted)) if stamp.is_called(&wanted) => {
                    (found.file, stamp)
                }
                (_, Some(wanted)) => {
                    let kept = this.open_kept(&key, &wanted)?;
                    let Opened { file, stamp } = kept.ok_or(StoreError::NoSuchVersion)?;
                    (file, stamp)
                }
            };
            stamp.tags = tags;
            {
                let pass = scope.as_ref().map(|s| s.pass().ok_or(StoreError::Fenced));
                let _pass = pass.transpose()?;
                stamp::rewrite(&this.root, &this.temporaries, &file, &stamp)?;
            }
            file.sync_all()?;
            Ok(stamp)
        })
        .await
    }
}
