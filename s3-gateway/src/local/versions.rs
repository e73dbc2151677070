//! The versions of a key beside the one that is there, in `.daybook/versions/<digest>`:
//!
//! - `<id>`: an overwritten or deleted version of a bucket without versioning, kept for `retain`;
//! - `<id>.kept`: a version or a delete marker of a bucket with versioning, kept until it is
//!   deleted by its id;
//! - `<id>.gone`: a version that was deleted by its id, until the ledger has heard of it.
//!
//! Each change of kind is one rename. Of what a crash may leave half done, [`Bucket::mend`] says
//! what it means.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use daybook_domain::ObjectKey;

use super::durable;
use super::file_lock::Digest;
use super::index::IndexError;
use super::index::rows::{self, Row};
use super::key_path::{digest, versions_path};
use super::settings::{NULL, Versioning};
use super::stamp::{self, Stamp};
use super::store::{Bucket, Found, Opened};
use crate::error::StoreError;

/// What a kept version is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For those who were promised it, for a time.
    Retained,
    /// A version as S3 knows it.
    Listed,
    /// Nothing any more.
    Doomed,
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Kind::Retained => "",
            Kind::Listed => ".kept",
            Kind::Doomed => ".gone",
        }
    }

    /// Of a file in the folder of a key's versions.
    pub(super) fn of(path: &Path) -> Self {
        match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("kept") => Kind::Listed,
            Some("gone") => Kind::Doomed,
            _ => Kind::Retained,
        }
    }
}

impl Bucket {
    /// Where a version of a key lies.
    pub(super) fn version_path(&self, key: &str, id: &str, kind: Kind) -> PathBuf {
        let dir = self.root.join(versions_path(key));
        dir.join(format!("{id}{}", kind.suffix()))
    }

    /// What a version becomes when another one takes its place.
    pub(super) fn kind_of_replaced(versioning: Versioning, stamp: &Stamp) -> Kind {
        match versioning {
            Versioning::Enabled => Kind::Listed,
            Versioning::Suspended if !stamp.null_version => Kind::Listed,
            Versioning::Suspended | Versioning::Never => Kind::Retained,
        }
    }

    /// A kept version, if it is still there.
    pub(crate) fn open_kept(
        &self,
        key: &ObjectKey,
        version_id: &str,
    ) -> Result<Option<Opened>, StoreError> {
        let id = match version_id {
            NULL => match self.kept_null(key.as_str())? {
                Some(row) => row.version_id,
                None => return Ok(None),
            },
            id => id.to_owned(),
        };
        let Some(found) = self.find_kept(key.as_str(), &id)? else {
            return Ok(None);
        };
        match found.stamp {
            Some(stamp) if stamp.marker => Err(self.is_marker(&stamp)),
            stamp => Ok(stamp.map(|stamp| Opened {
                file: found.file,
                stamp,
            })),
        }
    }

    /// The file of a kept version.
    pub(super) fn find_kept(&self, key: &str, id: &str) -> io::Result<Option<Found>> {
        // The id comes from the client and becomes a file name.
        let plain = id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric());
        if id.is_empty() || !plain {
            return Ok(None);
        }
        for kind in [Kind::Retained, Kind::Listed] {
            let path = self.version_path(key, id, kind);
            let found = self.open_file(&digest(key), path)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The null version or null marker of a key, if it is not the object that is there.
    pub(super) fn kept_null(&self, key: &str) -> io::Result<Option<Row>> {
        self.read_index(|index| rows::null_version(index, key, i64::MAX))
    }

    /// The newest version of a key beside the object that is there.
    pub(super) fn newest_kept(&self, key: &str) -> io::Result<Option<Row>> {
        self.read_index(|index| rows::newest_version(index, key))
    }

    /// Why there is no object: it may have been deleted by a marker.
    pub(crate) fn absence(&self, key: &ObjectKey) -> io::Result<StoreError> {
        if self.versioning()? == Versioning::Never {
            return Ok(StoreError::NoSuchKey);
        }
        let newest = self.newest_kept(key.as_str())?;
        Ok(match newest.filter(|row| row.marker) {
            Some(row) => StoreError::Deleted(self.shown_id(&row.version_id, row.null_version)),
            None => StoreError::NoSuchKey,
        })
    }

    fn is_marker(&self, stamp: &Stamp) -> StoreError {
        StoreError::IsMarker {
            version_id: self.shown_id(&stamp.version_id, stamp.null_version),
            mtime_ns: stamp.mtime_ns,
        }
    }

    /// Takes the null version of a key that another one has replaced, of a later place in the
    /// order, out of what S3 knows. The key has to be locked.
    pub(super) fn retire_null(&self, key: &str, before: u64) -> io::Result<Option<Row>> {
        let before = before.cast_signed();
        let replaced = self.read_index(|index| rows::null_version(index, key, before))?;
        let Some(row) = replaced else {
            return Ok(None);
        };
        let listed = self.version_path(key, &row.version_id, Kind::Listed);
        let retired = match row.marker {
            true => fs::remove_file(&listed),
            false => {
                let retained = self.version_path(key, &row.version_id, Kind::Retained);
                fs::rename(&listed, retained)
            }
        };
        match retired {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => durable::sync_parent(&listed)?,
        }
        Ok(Some(row))
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
            let due = |entry: &fs::DirEntry| {
                Kind::of(&entry.path()) == Kind::Retained
                    && entry.metadata().is_ok_and(|m| self.is_due(&m, now))
            };
            if !versions.is_empty() && !versions.iter().any(due) {
                continue;
            }
            let Some(_guard) = self.locks.try_lock(key)? else {
                continue;
            };
            for entry in versions {
                if Kind::of(&entry.path()) == Kind::Retained {
                    swept += usize::from(self.sweep_version(&digest, &entry.path(), now)?);
                }
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
        self.unlink_version(digest, &found)?;
        Ok(true)
    }

    /// Removes a kept version's file and what lies beside it.
    pub(super) fn unlink_version(&self, digest: &str, found: &Found) -> io::Result<()> {
        if found.meta.nlink() == 1 {
            stamp::remove_sidecars(&self.root, digest, &found.meta);
        }
        fs::remove_file(&found.path)
    }

    fn is_due(&self, meta: &fs::Metadata, now: SystemTime) -> bool {
        // Linking and unlinking change the inode's own time: the moment it was superseded.
        let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
        let superseded = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        now.duration_since(superseded).unwrap_or_default() >= self.retain
    }

    /// Brings the versions of all keys in order after a crash, and the index up to them.
    pub(super) fn mend_versions(&self) -> io::Result<()> {
        if self.versioning()? == Versioning::Never {
            return Ok(());
        }
        for folder in durable::entries(&self.private("versions"))? {
            let digest = folder.file_name().to_string_lossy().into_owned();
            let Some(key) = Digest::of_hex(&digest) else {
                continue;
            };
            // Whose key is locked is in the middle of a change, and sees to it.
            if let Some(_guard) = self.locks.try_lock(key)? {
                self.mend(&digest, &folder.path())?;
            }
        }
        self.forget_lost_versions()
    }

    /// What a crash leaves half done counts as not begun: a marker that is newer than the object
    /// that is there did not take it away, or was about to go itself. Of several null versions
    /// the newest has replaced the others.
    fn mend(&self, digest: &str, folder: &Path) -> io::Result<()> {
        let mut listed = self.listed_versions(digest, folder)?;
        let Some((first, _)) = listed.first() else {
            return Ok(());
        };
        let key = first.key.clone();
        let current = self.find_now(&key)?;
        let current = current.as_ref().map(|found| found.stamp.as_ref());
        if let Some(Some(there)) = current {
            listed.retain(|(stamp, path)| {
                let void = stamp.marker && stamp.sequence > there.sequence;
                !void || fs::remove_file(path).is_err()
            });
        }
        // A file from outside is adopted first, and sees to it then.
        let mut replaced = matches!(current, Some(Some(there)) if there.null_version);
        let mut rest = Vec::new();
        for (stamp, path) in listed {
            if stamp.null_version && replaced {
                match stamp.marker {
                    true => fs::remove_file(&path)?,
                    false => {
                        let retained = self.version_path(&key, &stamp.version_id, Kind::Retained);
                        fs::rename(&path, retained)?;
                    }
                }
                continue;
            }
            replaced |= stamp.null_version;
            rest.push(stamp);
        }
        durable::sync_dir(folder)?;
        let noted = self.index.write(|index| {
            rows::forget_versions(index, &key)?;
            rest.iter()
                .try_for_each(|stamp| rows::put_version(index, &Row::of(stamp, false)))
        });
        self.noted(noted);
        Ok(())
    }

    /// The versions and markers in a folder that S3 knows, the newest first.
    fn listed_versions(&self, digest: &str, folder: &Path) -> io::Result<Vec<(Stamp, PathBuf)>> {
        let mut listed = Vec::new();
        for entry in durable::entries(folder)? {
            let path = entry.path();
            if Kind::of(&path) != Kind::Listed {
                continue;
            }
            let found = self.open_file(digest, path.clone())?;
            if let Some(stamp) = found.and_then(|found| found.stamp) {
                listed.push((stamp, path));
            }
        }
        listed.sort_unstable_by_key(|(stamp, _)| std::cmp::Reverse(stamp.sequence));
        Ok(listed)
    }

    /// Takes out of the index what has no file.
    fn forget_lost_versions(&self) -> io::Result<()> {
        const CHUNK: usize = 1000;
        let mut from = (Vec::new(), i64::MAX);
        loop {
            let rows = self
                .index
                .read(|index| rows::versions_after(index, &from.0, from.1, CHUNK))?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            from = (last.key.as_bytes().to_vec(), last.sequence.cast_signed());
            let lost = rows.into_iter().filter(|row| {
                let path = self.version_path(&row.key, &row.version_id, Kind::Listed);
                path.symlink_metadata()
                    .is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            });
            for row in lost {
                let key = Digest::of_key(&row.key);
                if let Some(_guard) = self.locks.try_lock(key)? {
                    let path = self.version_path(&row.key, &row.version_id, Kind::Listed);
                    if !path.exists() {
                        self.noted(
                            self.index
                                .write_one(|index| rows::remove_version(index, &row)),
                        );
                    }
                }
            }
        }
    }

    /// Reads all versions into an empty index.
    pub(super) fn fill_versions(&self) -> Result<(), IndexError> {
        for folder in durable::entries(&self.private("versions"))? {
            let digest = folder.file_name().to_string_lossy().into_owned();
            self.index.write(|index| {
                for (stamp, _) in self.listed_versions(&digest, &folder.path())? {
                    rows::put_version(index, &Row::of(&stamp, false))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
