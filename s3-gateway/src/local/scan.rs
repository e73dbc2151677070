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
use super::fill::Look;
use super::index::rows;
use super::key_path::{self, PRIVATE};
use super::stamp::{self, Removal, Stamp};
use super::store::{Bucket, Found, blocking};
use crate::clock;
use crate::error::StoreError;

/// The gateway's own folders within a bucket's.
const FOLDERS: [&str; 6] = ["tmp", "keys", "versions", "uploads", "staged", "meta"];

/// How long one who only looks waits for a key that another process has. It will be looked at
/// again.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

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

    pub(super) fn fail(&mut self, failure: String) {
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
        self.journal.bury_dead()?;
        self.bury_dead()?;
        self.unlink_unused_links()?;
        self.mend_versions()
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

    /// Lists the bucket and has everything recorded that is not marked as recorded, and the
    /// removals of what is gone.
    pub(crate) async fn rescan(
        self: &Arc<Self>,
        settle_after: Duration,
    ) -> Result<ScanReport, StoreError> {
        if !self.is_here() {
            return Err(StoreError::Elsewhere);
        }
        let mut report = ScanReport::default();
        // What was removed comes before what has taken its place since.
        self.settle_removals(&mut report).await?;
        report.add(self.rescan_below(PathBuf::new(), settle_after).await?);
        self.settle_vanished_below(Path::new(""), &Channel::Listing, &mut report)
            .await?;
        Ok(report)
    }

    /// Lists one folder of the bucket and has everything recorded that is not marked as recorded.
    pub(crate) async fn rescan_below(
        self: &Arc<Self>,
        relative: PathBuf,
        settle_after: Duration,
    ) -> Result<ScanReport, StoreError> {
        let this = Arc::clone(self);
        let (keys, mut report) = blocking(move || {
            let mut keys = Vec::new();
            let mut report = ScanReport::default();
            if relative.as_os_str().is_empty() && !this.index.is_complete().unwrap_or(false) {
                this.fill_index()?;
            }
            let name = &this.name;
            let mut tell = |report: &mut ScanReport, key: &str, look: io::Result<Look>| match look {
                Ok(Look::Recorded | Look::Gone) => {}
                Ok(Look::Unstamped(at)) if is_fresh(at, settle_after) => {
                    report.unsettled += 1;
                }
                Ok(Look::Unrecorded | Look::Unstamped(_)) => keys.push(key.to_owned()),
                Err(error) => report.fail(format!("{name}/{key}: {error}")),
            };
            this.compare(&relative, &mut report, &mut tell)?;
            Ok((keys, report))
        })
        .await?;
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
        Ok(report)
    }

    /// Has one object recorded unless it is. Returns whether that was needed.
    pub(crate) async fn settle_key(
        self: &Arc<Self>,
        key: &ObjectKey,
        channel: &Channel,
    ) -> Result<bool, StoreError> {
        let guard = self.lock_within(key, PATIENCE).await?;
        let Some(mut found) = self.find(key).await? else {
            return Ok(false);
        };
        if let Some(stamp) = found.stamp.take() {
            // What was missed and is put back is another write, although its stamp is right.
            let this = Arc::clone(self);
            let (missed, stamp) = blocking(move || {
                let missed = this.index.read(|index| rows::is_missed(index, &stamp));
                Ok((missed.map_err(io::Error::from)?, stamp))
            })
            .await?;
            found.stamp = Some(stamp).filter(|_| !missed);
        }
        let (found, stamp) = self.adopted(key, found, &guard).await?;
        self.settle(&found, &stamp, channel).await
    }

    /// Whether a version is known to be in the ledger.
    pub(super) fn is_recorded(&self, found: &Found, stamp: &Stamp) -> bool {
        stamp::is_recorded(&self.root, &found.file, &found.meta, stamp)
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
        let guard = self.lock_within(key, PATIENCE).await?;
        let (this, digest) = (Arc::clone(self), key_path::digest(key.as_str()));
        let name = key.clone();
        let pending = blocking(move || {
            let Some((found, stamp, removal)) = this.pending_removal(&digest, path)? else {
                return Ok(None);
            };
            // Its process died before it took the object away.
            let stays = match stamp.marker {
                false => this.is_current(&digest, &found)?,
                true => this.outlives(name.as_str(), &stamp)?,
            };
            Ok((!stays).then_some((found, stamp, removal)))
        });
        let Some((found, stamp, removal)) = pending.await? else {
            return Ok(false);
        };
        self.record_removal(&found.file, &stamp, removal, Channel::Listing)
            .await?;
        self.finish_doomed(&stamp, &guard).await?;
        Ok(true)
    }

    /// Whether the object that is there is older than the marker, which then did not take it away.
    fn outlives(&self, key: &str, marker: &Stamp) -> io::Result<bool> {
        let stamp = self.find_now(key)?.and_then(|found| found.stamp);
        Ok(stamp.is_some_and(|stamp| stamp.sequence < marker.sequence))
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
        let removal = match stamp.marker {
            false => stamp::pending_removal(&self.root, &found.file, &found.meta, &stamp),
            true => (!self.is_recorded(&found, &stamp)).then(|| Removal {
                sequence: stamp.sequence,
                event_name: stamp.event_name.clone(),
                removed_by: stamp.produced_by.clone(),
            }),
        };
        Ok(removal.map(|removal| (found, stamp, removal)))
    }
}

/// Whether somebody may still be writing to the file.
fn is_fresh(modified: Option<SystemTime>, settle_after: Duration) -> bool {
    // A time in the future says nothing about whether it is stable; it counts as settled.
    let age = modified.and_then(|modified| clock::now().duration_since(modified).ok());
    age.is_some_and(|age| age < settle_after)
}
