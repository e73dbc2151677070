//! One lock a key, so that writes to one key take turns and others do not wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The locks of the keys that are locked or waited for.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    held: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

/// Keeps one key locked.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    locks: Arc<KeyLocks>,
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyLocks {
    pub(crate) async fn lock(self: &Arc<Self>, key: &str) -> KeyGuard {
        let lock = Arc::clone(self.held().entry(key.to_owned()).or_default());
        // Made first, so that a caller who stops waiting leaves no entry behind.
        let mut guard = KeyGuard {
            locks: Arc::clone(self),
            key: key.to_owned(),
            guard: None,
        };
        guard.guard = Some(lock.lock_owned().await);
        guard
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Arc<AsyncMutex<()>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
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
