//! What one process is taking in: its own folder below `.daybook/tmp`.
//!
//! The folder's name is an id whose lock the process holds for its life, from before it makes the
//! folder. Where that lock can be had the process is gone, and so is the use of what it left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::durable;
use super::file_lock::{Digest, FolderLock, Held, Slot};
use super::key_path::private;
use crate::clock;

/// The folder for this process's temporary files. It goes with this.
#[derive(Debug)]
pub(crate) struct Temporaries {
    dir: PathBuf,
    _living: Held,
}

impl Temporaries {
    pub(crate) fn open(root: &Path, lock: &Arc<FolderLock>) -> io::Result<Self> {
        let id = clock::random_id().simple().to_string();
        let living = match Digest::of_hex(&id) {
            Some(digest) => lock.try_hold(Slot::Owner(digest))?,
            None => None,
        };
        let living = living.ok_or_else(|| io::Error::other("a random id was drawn twice"))?;
        let dir = root.join(private("tmp")).join(id);
        durable::create_dirs(root, &dir)?;
        Ok(Self {
            dir,
            _living: living,
        })
    }

    /// Creates a new, empty file.
    pub(crate) fn create(&self) -> io::Result<(File, PathBuf)> {
        let path = self.unused();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok((file, path))
    }

    /// Gives a file another name here, by which it can be moved while the first one stays.
    pub(crate) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        let linked = self.unused();
        fs::hard_link(path, &linked)?;
        Ok(linked)
    }

    /// Writes a whole file so that it is there with all its bytes or not at all.
    pub(crate) fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (mut file, temporary) = self.create()?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| durable::sync_parent(path))
    }

    /// Removes a folder with all that is in it, for others in one step.
    pub(crate) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let doomed = self.unused();
        fs::rename(path, &doomed)?;
        fs::remove_dir_all(&doomed)
    }

    /// Removes what processes left that are no more. Returns whether there was one.
    pub(crate) fn bury_dead(&self, root: &Path, lock: &Arc<FolderLock>) -> io::Result<bool> {
        let mut found = false;
        for entry in durable::entries(&root.join(private("tmp")))? {
            let path = entry.path();
            if path == self.dir {
                continue;
            }
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // From a version that had no folders; it did not share, so it is gone.
                gone(fs::remove_file(path))?;
                continue;
            }
            let Some(owner) = Digest::of_hex(&entry.file_name().to_string_lossy()) else {
                continue;
            };
            if let Some(_nobody) = lock.try_hold(Slot::Owner(owner))? {
                gone(fs::remove_dir_all(path))?;
                found = true;
            }
        }
        Ok(found)
    }

    fn unused(&self) -> PathBuf {
        self.dir.join(clock::random_id().simple().to_string())
    }
}

impl Drop for Temporaries {
    fn drop(&mut self) {
        // What is left is removed by the next who looks.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Somebody else may have removed it a moment before.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
