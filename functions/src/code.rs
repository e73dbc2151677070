//! The copies of the code that processes run from: each package unpacked once into a folder that
//! is named by its SHA-256 and is read-only, so that nobody changes code under a running process.
//!
//! ```text
//!  package (tar) ─ unpack aside ─ rename ─> <code dir>/<sha256>/   0555 and 0444
//!                                               │ used by the pools of that revision
//!                                               └─ moved away and removed after the last one
//! ```
//!
//! What an earlier process left is read as a whole and used only if it still gives its digest. That
//! is also why nothing is synced here: what a power failure tore is found out and unpacked anew.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::package;

/// What is being unpacked or removed; such names are nobody's when a process starts.
const ASIDE: &str = ".aside-";

/// The folder with the unpacked packages. One process at a time has it.
pub(crate) struct CodeStore {
    folder: PathBuf,
    limit_bytes: u64,
    /// Whether copies stay when nobody uses them any more: the next start finds them.
    keep: AtomicBool,
    used: Mutex<HashMap<String, Weak<CodeFolder>>>,
}

/// An unpacked package. Removed when the last one who uses it is gone.
pub(crate) struct CodeFolder {
    path: PathBuf,
    sha256: String,
    store: Arc<CodeStore>,
}

impl CodeFolder {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl CodeStore {
    /// A store in this folder, which is made when it is first needed.
    pub(crate) fn new(folder: PathBuf, limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            folder,
            limit_bytes,
            keep: AtomicBool::new(false),
            used: Mutex::default(),
        })
    }

    /// The copy of a package, made from its archive where it is not there. Blocks.
    pub(crate) fn open(
        self: &Arc<Self>,
        archive: impl io::Read,
        sha256: &str,
    ) -> io::Result<Arc<CodeFolder>> {
        let mut used = self.lock();
        if let Some(folder) = used.get(sha256).and_then(Weak::upgrade) {
            return Ok(folder);
        }
        let path = self.folder.join(sha256);
        if !self.is_whole(&path, sha256) {
            self.unpack(archive, &path)?;
        }
        let folder = Arc::new(CodeFolder {
            path,
            sha256: sha256.to_owned(),
            store: Arc::clone(self),
        });
        used.insert(sha256.to_owned(), Arc::downgrade(&folder));
        Ok(folder)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on copies stay when their last user goes.
    pub(crate) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Removes what nobody uses. Blocks.
    pub(crate) fn sweep(&self) {
        let used = self.lock();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if used.get(&*name).is_none_or(|it| it.strong_count() == 0) {
                remove(&entry.path());
            }
        }
    }

    fn is_whole(&self, path: &Path, sha256: &str) -> bool {
        if !path.is_dir() {
            return false;
        }
        match package::digest(path, self.limit_bytes) {
            Ok(found) if found == sha256 => return true,
            Ok(_) => {
                tracing::warn!(path = %path.display(), "unpacked code was changed; it is unpacked anew")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "unpacked code cannot be read; it is unpacked anew")
            }
        }
        remove(path);
        false
    }

    fn unpack(&self, archive: impl io::Read, path: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let aside = tempfile::Builder::new()
            .prefix(ASIDE)
            .tempdir_in(&self.folder)?;
        let mut archive = tar::Archive::new(archive);
        archive.set_preserve_mtime(false);
        archive.unpack(aside.path())?;
        seal(aside.path())?;
        // The folder goes on under its own name.
        fs::rename(aside.keep(), path)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<CodeFolder>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CodeFolder {
    fn drop(&mut self) {
        if self.store.keep.load(Ordering::Relaxed) {
            return;
        }
        let mut used = self.store.lock();
        // Somebody may have opened it anew since the last user let go.
        if used
            .get(&self.sha256)
            .is_some_and(|it| it.strong_count() > 0)
        {
            return;
        }
        used.remove(&self.sha256);
        let aside = self
            .store
            .folder
            .join(format!("{ASIDE}{}", crate::clock::new_id()));
        if fs::rename(&self.path, &aside).is_ok() {
            // A big one takes a while, and this may be a thread that must not wait.
            std::thread::spawn(move || remove(&aside));
        }
    }
}

/// Removes a folder, read-only or not. What stays is swept at the next start.
pub(crate) fn remove(path: &Path) {
    let removed = unseal(path).and_then(|()| fs::remove_dir_all(path));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "unpacked code cannot be removed");
    }
}

/// Takes all rights to write.
fn seal(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            seal(&entry.path())?;
        } else if kind.is_file() {
            let runs = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let mode = if runs { 0o555 } else { 0o444 };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o555))
}

/// Gives folders back the right by which their entries can be removed.
fn unseal(folder: &Path) -> io::Result<()> {
    if !folder.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unseal(&entry.path())?;
        }
    }
    Ok(())
}

/// Opens an archive for [`CodeStore::open`].
pub(crate) fn archive(path: &Path) -> io::Result<io::BufReader<File>> {
    File::open(path).map(io::BufReader::new)
}

#[cfg(test)]
mod tests;
