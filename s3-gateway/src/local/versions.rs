//! Kept versions: removing an object, reading an older version, sweeping what is past `retain`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use std::os::unix::fs::MetadataExt;

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::{Channel, ObjectCommand, RecordRemoved};

use super::conditions::WriteConditions;
use super::durable;
use super::file_lock::Digest;
use super::key_path::{digest, versions_path};
use super::locks::KeyGuard;
use super::staged::REMOVED;
use super::stamp::{self, Removal, Stamp};
use super::store::{Bucket, Found, Opened, blocking_with};
use crate::error::StoreError;
use crate::grants::Scope;

impl Bucket {
    /// Removes an object, keeping its version; or keeps the removal aside, if that is how its
    /// invocation writes. Removing what is not there changes nothing and records nothing. Runs to
    /// its end even if the caller is dropped.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        key: ObjectKey,
        conditions: WriteConditions,
        scope: Option<Arc<Scope>>,
    ) -> Result<Option<Stamp>, StoreError> {
        let this = Arc::clone(self);
        let aside = scope.clone();
        let aside = aside.and_then(|scope| scope.stages().map(|attempt| (scope, attempt)));
        let task = tokio::spawn(async move {
            match aside {
                Some((scope, attempt)) => this.stage_removal(key, conditions, scope, attempt).await,
                None => match scope {
                    Some(scope) if scope.shadow().is_some() => {
                        this.remove_in_shadow(key, conditions, scope).await
                    }
                    scope => this.remove_here(key, conditions, scope).await,
                },
            }
        });
        task.await.map_err(io::Error::other)?
    }

    pub(super) async fn remove_here(
        self: Arc<Self>,
        key: ObjectKey,
        conditions: WriteConditions,
        scope: Option<Arc<Scope>>,
    ) -> Result<Option<Stamp>, StoreError> {
        let guard = self.lock(&key).await?;
        let Some(found) = self.find(&key).await? else {
            conditions.check(None)?;
            return Ok(None);
        };
        let (found, stamp) = self.adopted(&key, found, &guard).await?;
        conditions.check(Some(&stamp))?;
        self.remove_locked(found, stamp, scope, None, &guard)
            .await
            .map(Some)
    }

    /// Removes what was found at a key, which has to be locked. A staged removal comes with what
    /// there is to say of it.
    pub(super) async fn remove_locked(
        self: &Arc<Self>,
        found: Found,
        stamp: Stamp,
        scope: Option<Arc<Scope>>,
        staged: Option<Removal>,
        guard: &Arc<KeyGuard>,
    ) -> Result<Stamp, StoreError> {
        self.settle(&found, &stamp, &Channel::Listing).await?;
        let this = Arc::clone(self);
        let unlinked = blocking_with(guard, move || this.unlink(found, stamp, scope, staged));
        let (found, stamp, removal) = unlinked.await?;
        self.record_removal(&found.file, &stamp, removal, Channel::Gateway)
            .await?;
        Ok(stamp)
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
        Ok(stamp::mark_removal_recorded(&self.root, file, stamp)?)
    }

    fn unlink(
        &self,
        found: Found,
        stamp: Stamp,
        scope: Option<Arc<Scope>>,
        staged: Option<Removal>,
    ) -> Result<(Found, Stamp, Removal), StoreError> {
        let removal = match staged {
            Some(removal) => removal,
            None => Removal {
                sequence: self.sequence.next(stamp.sequence)?,
                event_name: REMOVED.to_owned(),
                removed_by: scope.as_ref().map(|scope| scope.produced_by()),
            },
        };
        let kept = self.keep(&found.path, &stamp)?;
        stamp::write_removal(&self.root, &self.temporaries, &found.file, &stamp, &removal)?;
        found.file.sync_all()?;
        kept.sync()?;
        {
            let pass = scope
                .as_ref()
                .map(|scope| scope.pass().ok_or(StoreError::Fenced));
            let removed = match pass.transpose() {
                Ok(_pass) => fs::remove_file(&found.path).map_err(StoreError::from),
                Err(fenced) => Err(fenced),
            };
            if let Err(error) = removed {
                stamp::clear_removal(&self.root, &found.file, &stamp);
                if kept.new {
                    let _ = fs::remove_file(&kept.path);
                }
                return Err(error);
            }
        }
        durable::sync_parent(&found.path)?;
        self.retire_hidden(&stamp.key)?;
        Ok((found, stamp, removal))
    }

    /// A kept version, if it is still there.
    pub(crate) fn open_kept(
        &self,
        key: &ObjectKey,
        version_id: &str,
    ) -> io::Result<Option<Opened>> {
        // The id comes from the client and becomes a file name.
        let plain = version_id.len() <= 64 && version_id.chars().all(|c| c.is_ascii_alphanumeric());
        if version_id.is_empty() || !plain {
            return Ok(None);
        }
        let path = self.root.join(versions_path(key.as_str())).join(version_id);
        let found = self.open_file(&digest(key.as_str()), path)?;
        Ok(found.and_then(|Found { file, stamp, .. }| stamp.map(|stamp| Opened { file, stamp })))
    }

    /// Removes kept versions that have been superseded for longer than `retain`. Returns how many.
    /// Those of a key that is being written at this moment are left for the next time.
    pub(super) fn sweep_versions(&self, now: SystemTime) -> io::Result<usize> {
        let mut swept = 0;
        for folder in durable::entries(&self.private("versions"))? {
            let digest = folder.file_name().to_string_lossy().into_owned();
            let Some(key) = Digest::of_hex(&digest) else {
                continue;
            };
            let versions = durable::entries(&folder.path())?;
            let due = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|m| self.is_due(&m, now));
            if !versions.is_empty() && !versions.iter().any(due) {
                continue;
            }
            let Some(_guard) = self.locks.try_lock(key)? else {
                continue;
            };
            for entry in versions {
                swept += usize::from(self.sweep_version(&digest, &entry.path(), now)?);
            }
            // Fails while there is something in it.
            let _ = fs::remove_dir(folder.path());
        }
        Ok(swept)
    }

    fn sweep_version(&self, digest: &str, path: &Path, now: SystemTime) -> io::Result<bool> {
        let Some(found) = self.open_file(digest, path.to_owned())? else {
            return Ok(false);
        };
        if !self.is_due(&found.meta, now) {
            return Ok(false);
        }
        if let Some(stamp) = &found.stamp
            && stamp::pending_removal(&self.root, &found.file, &found.meta, stamp).is_some()
            && found.meta.nlink() == 1
        {
            return Ok(false);
        }
        if found.meta.nlink() == 1 {
            stamp::remove_sidecars(&self.root, digest, &found.meta);
        }
        fs::remove_file(path)?;
        Ok(true)
    }

    fn is_due(&self, meta: &fs::Metadata, now: SystemTime) -> bool {
        // Linking and unlinking change the inode's own time: the moment it was superseded.
        let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
        let superseded = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        now.duration_since(superseded).unwrap_or_default() >= self.retain
    }
}
