//! One lock a key, so that writes to one key take turns and others do not wait.
//!
//! Within the process tasks queue up in order. Where the folder is shared, the first of them then
//! takes the key's lock between processes, by way of a turnstile: who waits for the key holds the
//! key's turn, so that a process with a long queue of its own cannot go before it again. Nobody
//! holds the locks of two keys.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::file_lock::{Digest, FolderLock, Held, Slot};
use crate::error::StoreError;

/// The locks of the keys that are locked or waited for.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    held: Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>,
    /// For excluding other processes, if there may be any.
    between: Option<Arc<FolderLock>>,
}

/// Keeps one key locked.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    locks: Arc<KeyLocks>,
    key: Digest,
    guard: Option<OwnedMutexGuard<()>>,
    between: Option<Held>,
}

impl KeyLocks {
    pub(crate) fn new(between: Option<Arc<FolderLock>>) -> Self {
        Self {
            held: Mutex::default(),
            between,
        }
    }

    /// Locks the key. Where other processes may hold it, it is waited for so long and no longer:
    /// one that is stopped holds it until it goes on or is ended.
    pub(crate) async fn lock(
        self: &Arc<Self>,
        key: Digest,
        patience: Duration,
    ) -> Result<KeyGuard, StoreError> {
        let (lock, mut guard) = self.entry(key);
        let Some(between) = &self.between else {
            guard.guard = Some(lock.lock_owned().await);
            return Ok(guard);
        };
        let both = async {
            guard.guard = Some(lock.lock_owned().await);
            let _turn = between.hold(Slot::Turn(key)).await?;
            guard.between = Some(between.hold(Slot::Key(key)).await?);
            Ok(guard)
        };
        timeout(patience, both)
            .await
            .unwrap_or(Err(StoreError::Busy))
    }

    /// Locks the key if nobody has it.
    pub(crate) fn try_lock(self: &Arc<Self>, key: Digest) -> io::Result<Option<KeyGuard>> {
        let (lock, mut guard) = self.entry(key);
        guard.guard = lock.try_lock_owned().ok();
        if guard.guard.is_none() {
            return Ok(None);
        }
        if let Some(between) = &self.between {
            guard.between = between.try_hold(Slot::Key(key))?;
            if guard.between.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(guard))
    }

    /// The key's lock, and a guard that does not hold it yet: made first, so that a caller who
    /// stops waiting leaves no entry behind.
    fn entry(self: &Arc<Self>, key: Digest) -> (Arc<AsyncMutex<()>>, KeyGuard) {
        let lock = Arc::clone(self.held().entry(key).or_default());
        let guard = KeyGuard {
            locks: Arc::clone(self),
            key,
            guard: None,
            between: None,
        };
        (lock, guard)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Digest, Arc<AsyncMutex<()>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        // First, so that the next task of this process finds it free.
        self.between = None;
        let mut held = self.locks.held();
        self.guard = None;
        // One count is the map's own: nobody else holds or waits.
        if held
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            held.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
