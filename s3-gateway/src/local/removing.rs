//! Removing objects: without versioning the object goes and its version is kept for a while; with
//! versioning a delete marker takes its place, and a version goes only by its id.
//!
//! What goes by its id is renamed or linked to `<id>.gone` first, with the removal written on it,
//! and unlinked once the ledger has heard of it. Where it was the newest, the next older version
//! is renamed to its place: it is the object again. The ledger hears of both, and starts nothing
//! for it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordRemoved};

use super::conditions::WriteConditions;
use super::durable;
use super::index::rows::{self, Row};
use super::key_path::{digest, hidden_path, plain_path, versions_path};
use super::locks::KeyGuard;
use super::settings::{NULL, Versioning};
use super::stamp::{self, Checksums, Headers, Removal, Stamp};
use super::store::{Bucket, Found, blocking_with};
use super::versions::Kind;
use crate::clock;
use crate::error::StoreError;
use crate::grants::Scope;

const DELETED: &str = "ObjectRemoved:Delete";
const MARKED: &str = "ObjectRemoved:DeleteMarkerCreated";

/// What became of a request to remove something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// The version that went, or the marker that came, as S3 tells it.
    pub(crate) version_id: Option<String>,
    /// Whether that is a delete marker.
    pub(crate) marker: bool,
}

/// A removal that has happened on disk, for the ledger.
struct Gone {
    file: File,
    stamp: Stamp,
    removal: Removal,
}

impl Bucket {
    /// Removes an object, or one version of it. Removing what is not there changes nothing and
    /// records nothing. Runs to its end even if the caller is dropped.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        key: ObjectKey,
        version: Option<String>,
        conditions: WriteConditions,
        scope: Option<Arc<Scope>>,
    ) -> Result<Removed, StoreError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let guard = this.lock(&key).await?;
            match version {
                None => this.remove_object(&key, &conditions, scope, &guard).await,
                Some(id) => {
                    this.remove_version(&key, id, &conditions, scope, &guard)
                        .await
                }
            }
        });
        task.await.map_err(io::Error::other)?
    }

    async fn remove_object(
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
    async fn settled(
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
    fn unlink(
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

    fn removal(&self, stamp: &Stamp, scope: Option<&Scope>) -> Result<Removal, StoreError> {
        Ok(Removal {
            sequence: self.sequence.next(stamp.sequence)?,
            event_name: DELETED.to_owned(),
            removed_by: scope.map(Scope::produced_by),
        })
    }

    /// Puts a delete marker in the place of an object.
    fn mark_deleted(
        &self,
        found: Found,
        stamp: &Stamp,
        versioning: Versioning,
        scope: Option<Arc<Scope>>,
    ) -> Result<(Gone, Removed), StoreError> {
        let (file, marker) =
            self.put_marker(&stamp.key, stamp.sequence, versioning, scope.as_deref())?;
        let path = self.version_path(&stamp.key, &marker.version_id, Kind::Listed);
        let kind = Self::kind_of_replaced(versioning, stamp);
        let kept = self.keep(&found.path, stamp, kind);
        let taken = kept.map_err(StoreError::from).and_then(|kept| {
            kept.sync()?;
            let taken = fenced(scope.as_deref(), || fs::remove_file(&found.path));
            taken.inspect_err(|_| kept.undo())
        });
        if let Err(error) = taken {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        durable::sync_parent(&found.path)?;
        self.retire_hidden(&stamp.key)?;
        let mut retired = None;
        if versioning == Versioning::Suspended {
            retired = self.retire_null(&stamp.key, marker.sequence)?;
        }
        self.noted(self.index.write(|index| {
            rows::remove(index, &stamp.key)?;
            if let Some(retired) = &retired {
                rows::remove_version(index, retired)?;
            }
            if kind == Kind::Listed {
                rows::put_version(index, &Row::of(stamp, false))?;
            }
            rows::put_version(index, &Row::of(&marker, false))
        }));
        Ok(self.marked(file, marker, scope.as_deref()))
    }

    fn marked(&self, file: File, marker: Stamp, scope: Option<&Scope>) -> (Gone, Removed) {
        let removed = Removed {
            version_id: Some(self.shown_id(&marker.version_id, marker.null_version)),
            marker: true,
        };
        let removal = Removal {
            sequence: marker.sequence,
            event_name: MARKED.to_owned(),
            removed_by: scope.map(Scope::produced_by),
        };
        let gone = Gone {
            file,
            stamp: marker,
            removal,
        };
        (gone, removed)
    }

    /// Deletes what is not there: with versioning that makes a marker too. To the ledger nothing
    /// has changed.
    fn mark_absent(
        &self,
        key: &ObjectKey,
        scope: Option<Arc<Scope>>,
    ) -> Result<Removed, StoreError> {
        let versioning = self.versioning()?;
        if versioning == Versioning::Never {
            return Ok(Removed::default());
        }
        let marker = self.mark(key.as_str(), 0, versioning, scope.as_deref())?;
        Ok(Removed {
            version_id: Some(self.shown_id(&marker.version_id, marker.null_version)),
            marker: true,
        })
    }

    /// Puts a marker where there is no object, of which the ledger need not hear. The key has to
    /// be locked.
    pub(super) fn mark(
        &self,
        key: &str,
        after: u64,
        versioning: Versioning,
        scope: Option<&Scope>,
    ) -> Result<Stamp, StoreError> {
        let newest = self.newest_kept(key)?.map_or(0, |row| row.sequence);
        let (file, marker) = self.put_marker(key, after.max(newest), versioning, scope)?;
        let mut retired = None;
        if versioning == Versioning::Suspended {
            retired = self.retire_null(key, marker.sequence)?;
        }
        stamp::mark_recorded(&self.root, &file, &marker)?;
        self.noted(self.index.write(|index| {
            if let Some(retired) = &retired {
                rows::remove_version(index, retired)?;
            }
            rows::put_version(index, &Row::of(&marker, false))
        }));
        Ok(marker)
    }

    /// Makes the file of a delete marker among the versions.
    fn put_marker(
        &self,
        key: &str,
        after: u64,
        versioning: Versioning,
        scope: Option<&Scope>,
    ) -> Result<(File, Stamp), StoreError> {
        if scope.is_some_and(|scope| scope.pass().is_none()) {
            return Err(StoreError::Fenced);
        }
        let dir = self.root.join(versions_path(key));
        durable::create_dirs(&self.root, &dir)?;
        let (file, temporary) = self.temporaries.create()?;
        file.set_modified(clock::now())?;
        let meta = file.metadata()?;
        let marker = Stamp {
            key: key.to_owned(),
            version_id: clock::ordered_id().simple().to_string(),
            stamp: clock::random_id(),
            etag: String::new(),
            size: 0,
            mtime_ns: stamp::mtime_ns(&meta),
            sequence: self.sequence.next(after)?,
            event_name: MARKED.to_owned(),
            place: self.place(&meta),
            found: false,
            null_version: versioning != Versioning::Enabled,
            marker: true,
            headers: Headers::default(),
            metadata: Default::default(),
            tags: Default::default(),
            checksums: Checksums::default(),
            upload: None,
            produced_by: scope.map(Scope::produced_by),
        };
        stamp::write(&self.root, &self.temporaries, &file, &marker)?;
        file.sync_all()?;
        let path = self.version_path(key, &marker.version_id, Kind::Listed);
        fs::rename(temporary, &path)?;
        durable::sync_dir(&dir)?;
        Ok((file, marker))
    }

    /// Removes one version for good, if the conditions hold of it.
    async fn remove_version(
        self: &Arc<Self>,
        key: &ObjectKey,
        id: String,
        conditions: &WriteConditions,
        scope: Option<Arc<Scope>>,
        guard: &Arc<KeyGuard>,
    ) -> Result<Removed, StoreError> {
        let current = self
            .settled(key, &WriteConditions::default(), guard)
            .await?;
        let is_current = (current.as_ref()).is_some_and(|(_, stamp)| stamp.is_called(&id));
        let has_object = current.is_some();
        let mut removed = Removed {
            version_id: Some(id.clone()),
            marker: false,
        };
        let this = Arc::clone(self);
        if let Some((found, stamp)) = current.filter(|_| is_current) {
            conditions.check(Some(&stamp))?;
            let gone = blocking_with(guard, move || match this.versioning()? {
                Versioning::Never => Ok((this.unlink(found, stamp, scope)?, false)),
                _ => Ok((this.unlink_newest(found, stamp, scope)?, true)),
            });
            let (gone, doomed) = gone.await?;
            self.record_removal(&gone.file, &gone.stamp, gone.removal, Channel::Gateway)
                .await?;
            if doomed {
                self.finish_doomed(&gone.stamp, guard).await?;
            }
            self.settle_present(key, &Channel::Gateway).await?;
            return Ok(removed);
        }
        let (name, conditions) = (key.clone(), conditions.clone());
        let unlinked = blocking_with(guard, move || {
            let Some(kept) = this.find_kept_or_null(name.as_str(), &id)? else {
                conditions.check(None)?;
                return Ok(false);
            };
            conditions.check(Some(&kept.1))?;
            this.unlink_kept(&kept.0, &kept.1, has_object, scope.as_deref())
        });
        removed.marker = unlinked.await?;
        if removed.marker && !has_object {
            self.settle_present(key, &Channel::Gateway).await?;
        }
        Ok(removed)
    }

    /// Has the ledger told of the object that is there now, unless it knows.
    async fn settle_present(
        self: &Arc<Self>,
        key: &ObjectKey,
        channel: &Channel,
    ) -> Result<(), StoreError> {
        if let Some(found) = self.find(key).await?
            && let Some(stamp) = &found.stamp
        {
            self.settle(&found, stamp, channel).await?;
        }
        Ok(())
    }

    /// Takes away the object of a bucket with versioning. The next older version, if there is one
    /// and no marker, becomes the object in the same step.
    fn unlink_newest(
        &self,
        found: Found,
        stamp: Stamp,
        scope: Option<Arc<Scope>>,
    ) -> Result<Gone, StoreError> {
        let removal = self.removal(&stamp, scope.as_deref())?;
        let doomed = self.keep(&found.path, &stamp, Kind::Doomed)?;
        stamp::write_removal(&self.root, &self.temporaries, &found.file, &stamp, &removal)?;
        found.file.sync_all()?;
        doomed.sync()?;
        let next = self.newest_kept(&stamp.key)?.filter(|row| !row.marker);
        let prepared = match &next {
            Some(row) => self.prepare_return(row, removal.sequence),
            None => Ok(()),
        };
        let taken = prepared.and_then(|()| {
            fenced(scope.as_deref(), || match &next {
                Some(row) => {
                    let kept = self.version_path(&row.key, &row.version_id, Kind::Listed);
                    fs::rename(kept, &found.path)
                }
                None => fs::remove_file(&found.path),
            })
        });
        if let Err(error) = taken {
            stamp::clear_removal(&self.root, &found.file, &stamp);
            doomed.undo();
            return Err(error);
        }
        durable::sync_parent(&found.path)?;
        durable::sync_dir(&self.root.join(versions_path(&stamp.key)))?;
        self.note_return(&stamp.key, next.as_ref(), None, &found.path);
        Ok(Gone {
            file: found.file,
            stamp,
            removal,
        })
    }

    /// Writes on a kept version that it is about to be the object again, so that the ledger will
    /// be told, whatever happens.
    fn prepare_return(&self, row: &Row, after: u64) -> Result<(), StoreError> {
        let path = self.version_path(&row.key, &row.version_id, Kind::Listed);
        let kept = self.open_file(&digest(&row.key), path)?;
        let Some(Found {
            file,
            stamp: Some(stamp),
            ..
        }) = kept
        else {
            return Err(io::Error::other("the next older version cannot be read").into());
        };
        let sequence = self.sequence.next(after.max(stamp.sequence))?;
        stamp::write_return(&self.root, &self.temporaries, &file, &stamp, sequence)?;
        Ok(file.sync_all()?)
    }

    /// Notes in the index that a version is the object now, or that none is.
    fn note_return(&self, key: &str, next: Option<&Row>, marker: Option<&Row>, place: &Path) {
        self.noted(self.index.write(|index| {
            if let Some(marker) = marker {
                rows::remove_version(index, marker)?;
            }
            match next {
                Some(next) => {
                    rows::remove_version(index, next)?;
                    let hidden = place == self.root.join(hidden_path(key));
                    let row = Row {
                        hidden,
                        ctime_ns: 0,
                        ..next.clone()
                    };
                    rows::put(index, &row)
                }
                None => rows::remove(index, key),
            }
        }));
    }

    /// A kept version by its id, with its stamp.
    fn find_kept_or_null(&self, key: &str, id: &str) -> io::Result<Option<(Found, Stamp)>> {
        let null = match id {
            NULL => self.kept_null(key)?.map(|row| row.version_id),
            _ => None,
        };
        let found = self.find_kept(key, null.as_deref().unwrap_or(id))?;
        Ok(found.and_then(|mut found| {
            let stamp = found.stamp.take()?;
            Some((found, stamp))
        }))
    }

    /// Removes a version or a marker that is not the object. Returns whether it was a marker.
    fn unlink_kept(
        &self,
        found: &Found,
        stamp: &Stamp,
        has_object: bool,
        scope: Option<&Scope>,
    ) -> Result<bool, StoreError> {
        let row = Row::of(stamp, false);
        let newest = self.newest_kept(&stamp.key)?;
        let is_newest = newest.is_some_and(|newest| newest.version_id == stamp.version_id);
        if stamp.marker && !has_object && is_newest {
            self.unlink_newest_marker(found, &row, scope)?;
            return Ok(true);
        }
        fenced(scope, || self.unlink_version(&digest(&stamp.key), found))?;
        durable::sync_parent(&found.path)?;
        self.noted(
            self.index
                .write_one(|index| rows::remove_version(index, &row)),
        );
        Ok(stamp.marker)
    }

    /// Removes the marker that hides a key. What it hid is the object again.
    fn unlink_newest_marker(
        &self,
        marker: &Found,
        row: &Row,
        scope: Option<&Scope>,
    ) -> Result<(), StoreError> {
        let key = row.key.as_str();
        let next = self.read_index(|index| rows::version_before(index, row))?;
        let next = next.filter(|row| !row.marker);
        let mut place = self.root.join(hidden_path(key));
        if let Some(next) = &next {
            self.prepare_return(next, row.sequence)?;
            let plain = plain_path(key).map(|relative| self.root.join(relative));
            if let Some(plain) = plain.filter(|plain| self.can_hold(plain)) {
                place = plain;
            }
            let kept = self.version_path(key, &next.version_id, Kind::Listed);
            fenced(scope, || fs::rename(kept, &place))?;
            durable::sync_parent(&place)?;
        }
        fenced(scope, || fs::remove_file(&marker.path))?;
        durable::sync_parent(&marker.path)?;
        self.note_return(key, next.as_ref(), Some(row), &place);
        Ok(())
    }

    /// Removes a version of whose removal the ledger knows.
    pub(super) async fn finish_doomed(
        self: &Arc<Self>,
        stamp: &Stamp,
        guard: &Arc<KeyGuard>,
    ) -> Result<(), StoreError> {
        let this = Arc::clone(self);
        let (key, id) = (stamp.key.clone(), stamp.version_id.clone());
        blocking_with(guard, move || {
            let path = this.version_path(&key, &id, Kind::Doomed);
            if let Some(found) = this.open_file(&digest(&key), path)? {
                this.unlink_version(&digest(&key), &found)?;
                durable::sync_parent(&found.path)?;
            }
            Ok(())
        })
        .await
    }
}

/// Does what cannot be taken back, unless the sender's key has been closed meanwhile.
fn fenced(scope: Option<&Scope>, work: impl FnOnce() -> io::Result<()>) -> Result<(), StoreError> {
    let pass = scope.map(|scope| scope.pass().ok_or(StoreError::Fenced));
    let _pass = pass.transpose()?;
    Ok(work()?)
}
