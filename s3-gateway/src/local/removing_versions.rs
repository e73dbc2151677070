//! Removing single versions and markers by their ids, for good.
//!
//! The newest version is linked to `<id>.gone` first, with the removal written on it, and unlinked
//! once the ledger has heard of it. In the step that takes it away the next older version is
//! renamed to its place: it is the object again. The ledger hears of both, and starts nothing for
//! it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::Channel;

use super::conditions::WriteConditions;
use super::durable;
use super::index::rows::{self, Row};
use super::key_path::{digest, hidden_path, plain_path, versions_path};
use super::locks::KeyGuard;
use super::removing::{Gone, Removed, fenced};
use super::settings::{NULL, Versioning};
use super::stamp::{self, Stamp};
use super::store::{Bucket, Found, blocking_with};
use super::versions::Kind;
use crate::error::StoreError;
use crate::grants::Scope;

impl Bucket {
    /// Removes one version for good, if the conditions hold of it.
    pub(super) async fn remove_version(
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
