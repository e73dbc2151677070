//! Flushing folders, together: a sync of a folder covers everything that was renamed into it before
//! it began, so writers that come while one runs share the next. Called on blocking threads, after
//! the rename; returns when the folder is on disk.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::durable;

/// The folders that are being flushed.
#[derive(Debug, Default)]
pub(crate) struct DirSyncs {
    folders: Mutex<HashMap<PathBuf, Arc<Folder>>>,
}

#[derive(Debug, Default)]
struct Folder {
    turns: Mutex<Turns>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    running: bool,
    /// What those wait for who came since the running one began.
    next: Option<Arc<Turn>>,
}

/// One sync, for all who waited for it.
type Turn = OnceLock<Result<(), Failed>>;

/// An error that several can be told.
#[derive(Clone, Debug)]
struct Failed {
    code: Option<i32>,
    kind: io::ErrorKind,
}

impl DirSyncs {
    /// Flushes the folder that holds the path.
    pub(crate) fn sync_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) => self.sync(folder, durable::sync_dir),
            None => Ok(()),
        }
    }

    /// Flushes the folder by `flush`, which one of all who ask at the same time calls.
    fn sync(&self, path: &Path, flush: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let folder = Arc::clone(lock(&self.folders).entry(path.to_owned()).or_default());
        let result = folder.sync(|| flush(path));
        drop(folder);
        let mut folders = lock(&self.folders);
        // New users come only through the map, which is locked.
        if folders
            .get(path)
            .is_some_and(|folder| Arc::strong_count(folder) == 1)
        {
            folders.remove(path);
        }
        result
    }
}

impl Folder {
    fn sync(&self, flush: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut turns = lock(&self.turns);
        let turn = Arc::clone(turns.next.get_or_insert_default());
        loop {
            if let Some(result) = turn.get() {
                return result.clone().map_err(io::Error::from);
            }
            if !turns.running {
                // Not yet begun, so it is still the next one.
                turns.running = true;
                turns.next = None;
                drop(turns);
                let result = flush();
                let told = result.as_ref().map(|()| ()).map_err(Failed::from);
                turns = lock(&self.turns);
                let _ = turn.set(told);
                turns.running = false;
                self.ended.notify_all();
                return result;
            }
            turns = self
                .ended
                .wait(turns)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl From<&io::Error> for Failed {
    fn from(error: &io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            kind: error.kind(),
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed.code {
            Some(code) => Self::from_raw_os_error(code),
            None => failed.kind.into(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
