//! Reading a whole bucket: what a start cleans up, and what the ledger has not heard of yet.

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
use super::key_path::{PRIVATE, key_of};
use super::stamp;
use super::store::{Bucket, Found, blocking};
use crate::clock;
use crate::error::StoreError;

/// The gateway's own folders within a bucket's.
const FOLDERS: [&str; 5] = ["tmp", "keys", "versions", "uploads", "meta"];

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
    /// Brings the folder in order after whatever end the last run took: removes temporary files
    /// and stale uploads, and reads which keys are hidden. The caller is alone with the folder.
    pub(crate) fn recover(&self, now: SystemTime, upload_retain: Duration) -> io::Result<()> {
        for entry in fs::read_dir(self.private("tmp"))? {
            fs::remove_file(entry?.path())?;
        }
        for entry in fs::read_dir(self.private("uploads"))? {
            let entry = entry?;
            let age = now
                .duration_since(entry.metadata()?.modified()?)
                .unwrap_or_default();
            if age >= upload_retain {
                fs::remove_dir_all(entry.path())?;
            }
        }
        self.load_hidden()?;
        self.unlink_unused_links()
    }

    fn load_hidden(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.private("keys"))? {
            let entry = entry?;
            let digest = entry.file_name().to_string_lossy().into_owned();
            let Some(found) = self.open_file(&digest, entry.path())? else {
                continue;
            };
            match stamp::read_key(&self.root, &digest, &found.file, &found.meta) {
                Some(key) => {
                    self.hidden().insert(key);
                }
                None => {
                    tracing::warn!(bucket = %self.name, path = %entry.path().display(), "a file in .daybook/keys names no key")
                }
            }
        }
        Ok(())
    }

    /// A crash between keeping a version and replacing it leaves one file under two names: as the
    /// kept version and as the object. Writing into the object by hand would change both.
    fn unlink_unused_links(&self) -> io::Result<()> {
        for folder in fs::read_dir(self.private("versions"))? {
            let folder = folder?;
            let digest = folder.file_name().to_string_lossy().into_owned();
            for entry in fs::read_dir(folder.path())? {
                let path = entry?.path();
                let Some(found) = self.open_file(&digest, path.clone())? else {
                    continue;
                };
                if found.meta.nlink() < 2 {
                    continue;
                }
                let Some(key) = stamp::read_key(&self.root, &digest, &found.file, &found.meta)
                else {
                    continue;
                };
                let current = self.find_now(&key)?;
                if current.is_some_and(|current| current.meta.ino() == found.meta.ino()) {
                    if let Some(stamp) = &found.stamp {
                        stamp::clear_removal(&self.root, &found.file, stamp);
                    }
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
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
        let (mut keys, listed) = blocking(move || {
            let mut keys = Vec::new();
            let mut report = ScanReport::default();
            this.unrecorded_files(&relative, settle_after, &mut keys, &mut report)?;
            Ok((keys, report))
        })
        .await?;
        report.add(listed);
        if whole {
            keys.extend(self.hidden().iter().cloned());
        }
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
        if whole && self.removals_open.swap(false, Ordering::AcqRel) {
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
        let _guard = self.lock(key).await;
        let Some(found) = self.find(key).await? else {
            return Ok(false);
        };
        let (found, stamp) = self.adopted(key, found).await?;
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

    /// Has removals recorded that a crash or a failure kept from the ledger.
    async fn settle_removals(self: &Arc<Self>, report: &mut ScanReport) -> Result<(), StoreError> {
        let this = Arc::clone(self);
        let pending = blocking(move || Ok(this.pending_removals()?)).await?;
        for (found, stamp, removal) in pending {
            let key = stamp.key.clone();
            match self
                .record_removal(&found.file, &stamp, removal, Channel::Listing)
                .await
            {
                Ok(()) => report.removals += 1,
                Err(error) => report.fail(format!("{}/{key}: {error}", self.name)),
            }
        }
        Ok(())
    }

    fn pending_removals(&self) -> io::Result<Vec<(Found, stamp::Stamp, stamp::Removal)>> {
        let mut pending = Vec::new();
        for folder in fs::read_dir(self.private("versions"))? {
            let folder = folder?;
            let digest = folder.file_name().to_string_lossy().into_owned();
            for entry in fs::read_dir(folder.path())? {
                let Some(mut found) = self.open_file(&digest, entry?.path())? else {
                    continue;
                };
                let Some(stamp) = found.stamp.take() else {
                    continue;
                };
                if let Some(removal) =
                    stamp::pending_removal(&self.root, &found.file, &found.meta, &stamp)
                {
                    pending.push((found, stamp, removal));
                }
            }
        }
        Ok(pending)
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
