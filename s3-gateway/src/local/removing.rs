//! Removing objects: without versioning the object goes and its version is kept for a while; with
//! versioning a delete marker takes its place, and a version goes only by its id.
//!
//! Requests come in here; `markers` and `removing_versions` have what belongs to versioning.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordRemoved};

use super::conditions::WriteConditions;
use super::durable;
use super::locks::KeyGuard;
use super::settings::Versioning;
use super::stamp::{self, Removal, Stamp};
use super::store::{Bucket, Found, blocking_with};
use super::versions::Kind;
use crate::error::StoreError;
use crate::grants::Scope;
use crate::trace;

pub(super) const DELETED: &str = "ObjectRemoved:Delete";

/// What became of a request to remove something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// The version that went, or the marker that came, as S3 tells it.
    pub(crate) version_id: Option<String>,
    /// Whether that is a delete marker.
    pub(crate) marker: bool,
}

/// A removal that has happened on disk, for the ledger.
pub(super) struct Gone {
    pub(super) file: File,
    pub(super) stamp: Stamp,
    pub(super) removal: Removal,
}

impl Bucket {
    /// Removes an object, or one version of it; or keeps the removal aside, if that is how its
    /// invocation writes. Removing what is not there changes nothing and records nothing. Runs to
    /// its end even if the caller is dropped.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        key: ObjectKey,
        version: Option<String>,
        conditions: WriteConditions,
        scope: Option<Arc<Scope>>,
    ) -> Result<Removed, StoreError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(trace::carried(async move {
            if let Some(scope) = scope.as_ref().map(Arc::clone) {
                if let Some(attempt) = scope.stages() {
                    let staged = this.stage_removal(key, version, conditions, scope, attempt);
                    return staged.await;
                }
                if scope.shadow().is_some() && version.is_none() {
                    return this.remove_in_shadow(key, conditions, scope).await;
                }
            }
            let guard = this.lock(&key).await?;
            match version {
                None => this.remove_object(&key, &conditions, scope, &guard).await,
                Some(id) => {
                    this.remove_version(&key, id, &conditions, scope, &guard)
                        .await
                }
            }
        }));
        task.await.map_err(io::Error::other)?
    }

    pub(super) async fn remove_object(
        self: &Arc<Self>,
        key: &ObjectKey,
        conditions: &WriteConditions,
        scope: Option<Arc<Scope>>,
        guard: &Arc<KeyGuard>,
    ) -> Result<Removed, StoreError> {
        let Some((found, stamp)) = self.settled(key, conditions, guard).await? else {
            let (this, key) = (Arc::clone(self), key.clone());
            return blocking_with(guard, move || this.mark_absent(&key, scope)).await;
        };
        let this = Arc::clone(self);
        let removed = blocking_with(guard, move || match this.versioning()? {
            Versioning::Never => Ok((this.unlink(found, stamp, scope)?, Removed::default())),
            versioning => this.mark_deleted(found, &stamp, versioning, scope),
        });
        let (gone, removed) = removed.await?;
        self.record_removal(&gone.file, &gone.stamp, gone.removal, Channel::Gateway)
            .await?;
        Ok(removed)
    }

    /// The object that there is, in the ledger, if the conditions hold.
    pub(super) async fn settled(
        self: &Arc<Self>,
        key: &ObjectKey,
        conditions: &WriteConditions,
        guard: &Arc<KeyGuard>,
    ) -> Result<Option<(Found, Stamp)>, StoreError> {
        let Some(found) = self.find_or_miss(key, guard).await? else {
            conditions.check(None)?;
            return Ok(None);
        };
        let (found, stamp) = self.adopted(key, found, guard).await?;
        conditions.check(Some(&stamp))?;
        self.settle(&found, &stamp, &Channel::Listing).await?;
        Ok(Some((found, stamp)))
    }

    /// Has the ledger told of a removal. The key has to be locked.
    pub(crate) async fn record_removal(
        &self,
        file: &fs::File,
        stamp: &Stamp,
        removal: Removal,
        channel: Channel,
    ) -> Result<(), StoreError> {
        let removed = RecordRemoved {
            bucket: self.name.clone(),
            key: ObjectKey::parse(stamp.key.clone()).map_err(io::Error::other)?,
            version: stamp.version(),
            channel,
            event_name: removal.event_name,
            order: Some(stamp::order_mark(removal.sequence)),
            removed_by: removal.removed_by,
        };
        let recorded = self
            .ledger
            .record(ObjectCommand::RecordRemoved(removed))
            .await;
        if recorded.is_err() {
            self.removals_open.store(true, Ordering::Release);
        }
        recorded?;
        match stamp.marker {
            true => stamp::mark_recorded(&self.root, file, stamp)?,
            false => stamp::mark_removal_recorded(&self.root, file, stamp)?,
        }
        Ok(())
    }

    /// Takes an object away from a bucket without versioning, keeping its version for a while.
    pub(super) fn unlink(
        &self,
        found: Found,
        stamp: Stamp,
        scope: Option<Arc<Scope>>,
    ) -> Result<Gone, StoreError> {
        let removal = self.removal(&stamp, scope.as_deref())?;
        let kept = self.keep(&found.path, &stamp, Kind::Retained)?;
        stamp::write_removal(&self.root, &self.temporaries, &found.file, &stamp, &removal)?;
        found.file.sync_all()?;
        kept.sync()?;
        if let Err(error) = fenced(scope.as_deref(), || fs::remove_file(&found.path)) {
            stamp::clear_removal(&self.root, &found.file, &stamp);
            kept.undo();
            return Err(error);
        }
        durable::sync_parent(&found.path)?;
        self.retire_hidden(&stamp.key)?;
        self.note_gone(&stamp.key);
        Ok(Gone {
            file: found.file,
            stamp,
            removal,
        })
    }

    pub(super) fn removal(
        &self,
        stamp: &Stamp,
        scope: Option<&Scope>,
    ) -> Result<Removal, StoreError> {
        Ok(Removal {
            sequence: self.sequence.next(stamp.sequence)?,
            event_name: DELETED.to_owned(),
            removed_by: scope.map(Scope::produced_by),
        })
    }
}

/// Does what cannot be taken back, unless the sender's key has been closed meanwhile.
pub(super) fn fenced(
    scope: Option<&Scope>,
    work: impl FnOnce() -> io::Result<()>,
) -> Result<(), StoreError> {
    let pass = scope.map(|scope| scope.pass().ok_or(StoreError::Fenced));
    let _pass = pass.transpose()?;
    Ok(work()?)
}
