//! Reading a whole bucket: what a dead process left, and what the ledger has not heard of yet.
//!
//! All of this may happen while other tasks and other processes write. What is found is therefore
//! looked at again with its key locked, and what is locked is left to its writer.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use daybook_domain::ObjectKey;
use daybook_domain::stored_object::Channel;

use super::durable;
use super::file_lock::Digest;
use super::key_path::{self, PRIVATE, key_of};
use super::stamp::{self, Removal, Stamp};
use super::store::{Bucket, Found, blocking};
use crate::clock;
use crate::error::StoreError;

/// The gateway's own folders within a bucket's.
const FOLDERS: [&str; 6] = ["tmp", "keys", "versions", "uploads", "staged", "meta"];

/// How long one who only looks waits for a key that another process has. It will be looked at
/// again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a rescan came upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Objects looked at.
    pub objects: u64,
    /// Versions that were recorded now.
    pub recorded: u64,
    /// Removals that were recorded now.
    pub removals: u64,
    /// Files that changed a moment ago and are left for the next rescan.
    pub unsettled: u64,
    /// Entries that no key can name (symbolic links, names that are not UTF-8, ...).
    pub skipped: u64,
    /// Objects or versions that could not be read or recorded, with the reason. A later rescan
    /// tries again.
    pub failed: Vec<String>,
}

impl ScanReport {
    /// Failures named in one report; the rest is left out.
    const MAX_FAILED: usize = 100;

    pub(crate) fn add(&mut self, other: ScanReport) {
        self.objects += other.objects;
        self.recorded += other.recorded;
        self.removals += other.removals;
        self.unsettled += other.unsettled;
        self.skipped += other.skipped;
        for failure in other.failed {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: String) {
        if self.failed.len() < Self::MAX_FAILED {
            self.failed.push(failure);
        }
    }
}

/// Creates the folders of a bucket.
pub(crate) fn prepare(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    for name in FOLDERS {
        durable::create_dirs(root, &root.join(PRIVATE).join(name))?;
    }
    Ok(())
}

impl Bucket {
    /// Brings the folder in order after whatever end a process took: removes its temporary files
    /// and half-kept versions. Leaves alone what a living process is working on.
    pub(crate) fn recover(&self) -> io::Result<()> {
        self.bury_dead()?;
        self.unlink_unused_links()
    }

    /// Removes what is past its time: uploads that nobody finishes and kept versions. Returns how
    /// many versions.
    pub(crate) fn sweep(&self, now: SystemTime, upload_retain: Duration) -> io::Result<usize> {
        self.remove_stale_uploads(now, upload_retain)?;
        self.sweep_versions(now)
    }

    /// Removes the temporary files of processes that are no more. Returns whether there was one:
    /// then it may have left writes that nobody recorded, and a rescan has to look for them.
    pub(crate) fn bury_dead(&self) -> io::Result<bool> {
        let found = self.temporaries.bury_dead(&self.root, &self.folder_lock)?;
        if found {
            self.removals_open.store(true, Ordering::Release);
        }
        Ok(found)
    }

    /// A crash between keeping a version and replacing it leaves one file under two names: as the
    /// kept version and as the object. Writing into the object by hand would change both.
    fn unlink_unused_links(&self) -> io::Result<()> {
        for folder in durable::entries(&self.private("versions"))? {
            let digest = folder.file_name().to_string_lossy().into_owned();
            let Some(key) = Digest::of_hex(&digest) else {
                continue;
            };
            for entry in durable::entries(&folder.path())? {
                if !entry.metadata().is_ok_and(|meta| meta.nlink() > 1) {
                    continue;
                }
                // Whose key is locked is between the two steps at this moment.
                if let Some(_guard) = self.locks.try_lock(key)? {
                    self.unlink_unused(&digest, entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn unlink_unused(&self, digest: &str, path: PathBuf) -> io::Result<()> {
        let Some(found) = self.open_file(digest, path)? else {
            return Ok(());
        };
        if !self.is_current(digest, &found)? {
            return Ok(());
        }
        if let Some(stamp) = &found.stamp {
            stamp::clear_removal(&self.root, &found.file, stamp);
        }
        fs::remove_file(&found.path)
    }

    /// Whether a kept version is at the same time the object that is there.
    fn is_current(&self, digest: &str, kept: &Found) -> io::Result<bool> {
        let Some(key) = stamp::read_key(&self.root, digest, &kept.file, &kept.meta) else {
            return Ok(false);
        };
        let current = self.find_now(&key)?;
        Ok(current.is_some_and(|current| current.meta.ino() == kept.meta.ino()))
    }

    /// Lists the bucket and has everything recorded that is not marked as recorded.
    pub(crate) async fn rescan(
        self: &Arc<Self>,
        settle_after: Duration,
    ) -> Result<ScanReport, StoreError> {
        self.rescan_below(PathBuf::new(), settle_after).await
    }

    /// The same for one folder of the bucket.
    pub(crate) async fn rescan_below(
        self: &Arc<Self>,
        relative: PathBuf,
        settle_after: Duration,
    ) -> Result<ScanReport, StoreError> {
        let mut report = ScanReport::default();
        let whole = relative.as_os_str().is_empty();
        let this = Arc::clone(self);
        let (keys, listed) = blocking(move || {
            let mut keys = Vec::new();
            let mut report = ScanReport::default();
            this.unrecorded_files(&relative, settle_after, &mut keys, &mut report)?;
            if whole {
                keys.extend(this.hidden_keys()?);
            }
            Ok((keys, report))
        })
        .await?;
        report.add(listed);
        for key in keys {
            let Ok(key) = ObjectKey::parse(key) else {
                continue;
            };
            match self.settle_key(&key, &Channel::Listing).await {
                Ok(recorded) => report.recorded += u64::from(recorded),
                Err(StoreError::Changing) => report.unsettled += 1,
                Err(error) => report.fail(format!("{}/{key}: {error}", self.name)),
            }
        }
        if whole {
            self.settle_removals(&mut report).await?;
        }
        Ok(report)
    }

    /// Has one object recorded unless it is. Returns whether that was needed.
    pub(crate) async fn settle_key(
        self: &Arc<Self>,
        key: &ObjectKey,
        channel: &Channel,
    ) -> Result<bool, StoreError> {
        let guard = self.lock_within(key, PATIENCE).await?;
        let Some(found) = self.find(key).await? else {
            return Ok(false);
        };
        let (found, stamp) = self.adopted(key, found, &guard).await?;
        self.settle(&found, &stamp, channel).await
    }

    /// The keys of plain files that are not marked as recorded. Takes no lock: what changes in
    /// between is looked at again with the key locked.
    fn unrecorded_files(
        &self,
        relative: &Path,
        settle_after: Duration,
        keys: &mut Vec<String>,
        report: &mut ScanReport,
    ) -> Result<(), StoreError> {
        let entries = match fs::read_dir(self.root.join(relative)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if relative.as_os_str().is_empty() => return Err(e.into()),
            // One folder that may not be read is no reason to stop at the others.
            Err(error) => {
                report.fail(format!("{}/{}: {error}", self.name, relative.display()));
                return Ok(());
            }
        };
        for entry in entries {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if relative.as_os_str().is_empty() && entry.file_name() == PRIVATE {
                continue;
            }
            if kind.is_dir() {
                self.unrecorded_files(&path, settle_after, keys, report)?;
                continue;
            }
            let Some(key) = key_of(&path).filter(|_| kind.is_file()) else {
                report.skipped += 1;
                continue;
            };
            report.objects += 1;
            match self.find_now(&key) {
                Ok(Some(found)) if self.needs_no_record(&found) => {}
                Ok(Some(found)) if found.stamp.is_none() && is_fresh(&found, settle_after) => {
                    report.unsettled += 1
                }
                Ok(Some(_)) => keys.push(key),
                Ok(None) => {}
                Err(error) => report.fail(format!("{}/{key}: {error}", self.name)),
            }
        }
        Ok(())
    }

    fn needs_no_record(&self, found: &Found) -> bool {
        let recorded = |stamp| stamp::is_recorded(&self.root, &found.file, &found.meta, stamp);
        found.stamp.as_ref().is_some_and(recorded)
    }

    /// Has removals recorded that a crash or a failure kept from the ledger, if there may be any.
    pub(crate) async fn settle_removals(
        self: &Arc<Self>,
        report: &mut ScanReport,
    ) -> Result<(), StoreError> {
        if !self.removals_open.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let this = Arc::clone(self);
        let settled = match blocking(move || Ok(this.pending_removals()?)).await {
            Ok(pending) => self.settle_each(pending, report).await,
            Err(error) => Err(error),
        };
        if !matches!(settled, Ok(true)) {
            self.removals_open.store(true, Ordering::Release);
        }
        settled.map(|_| ())
    }

    /// Returns whether all could be settled.
    async fn settle_each(
        self: &Arc<Self>,
        pending: Vec<(ObjectKey, PathBuf)>,
        report: &mut ScanReport,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for (key, path) in pending {
            match self.settle_removal(&key, path).await {
                Ok(settled) => report.removals += u64::from(settled),
                Err(error) => {
                    all = false;
                    report.fail(format!("{}/{key}: {error}", self.name));
                }
            }
        }
        Ok(all)
    }

    async fn settle_removal(
        self: &Arc<Self>,
        key: &ObjectKey,
        path: PathBuf,
    ) -> Result<bool, StoreError> {
        let _guard = self.lock_within(key, PATIENCE).await?;
        let (this, digest) = (Arc::clone(self), key_path::digest(key.as_str()));
        let pending = blocking(move || {
            let Some((found, stamp, removal)) = this.pending_removal(&digest, path)? else {
                return Ok(None);
            };
            // Its process died before it took the object away.
            let stays = this.is_current(&digest, &found)?;
            Ok((!stays).then_some((found, stamp, removal)))
        });
        let Some((found, stamp, removal)) = pending.await? else {
            return Ok(false);
        };
        self.record_removal(&found.file, &stamp, removal, Channel::Listing)
            .await?;
        Ok(true)
    }

    /// The kept versions whose removal is not known to be recorded.
    fn pending_removals(&self) -> io::Result<Vec<(ObjectKey, PathBuf)>> {
        let mut pending = Vec::new();
        for folder in durable::entries(&self.private("versions"))? {
            let digest = folder.file_name().to_string_lossy().into_owned();
            for entry in durable::entries(&folder.path())? {
                if let Some((found, stamp, _)) = self.pending_removal(&digest, entry.path())?
                    && let Ok(key) = ObjectKey::parse(stamp.key)
                {
                    pending.push((key, found.path));
                }
            }
        }
        Ok(pending)
    }

    fn pending_removal(
        &self,
        digest: &str,
        path: PathBuf,
    ) -> io::Result<Option<(Found, Stamp, Removal)>> {
        let Some(mut found) = self.open_file(digest, path)? else {
            return Ok(None);
        };
        let Some(stamp) = found.stamp.take() else {
            return Ok(None);
        };
        let removal = stamp::pending_removal(&self.root, &found.file, &found.meta, &stamp);
        Ok(removal.map(|removal| (found, stamp, removal)))
    }
}

/// Whether somebody may still be writing to the file.
fn is_fresh(found: &Found, settle_after: Duration) -> bool {
    let Ok(modified) = found.meta.modified() else {
        return false;
    };
    // A time in the future says nothing about whether it is stable; it counts as settled.
    clock::now()
        .duration_since(modified)
        .is_ok_and(|age| age < settle_after)
}
