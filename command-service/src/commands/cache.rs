//! The folds that are kept, so that the next command on a stream need not read it again.
//!
//! A cached fold may be behind the log when another process writes to the stream: then the append
//! conflicts or the aggregate refuses, the fold is forgotten and the command decided anew.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use daybook_domain::Aggregate;
use daybook_event_store::StreamVersion;
use lru::LruCache;

/// How many folds of each kind are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// A bounded cache of folds.
pub struct Cache<A: Aggregate>(Mutex<LruCache<String, (A, StreamVersion)>>);

impl<A: Aggregate> Default for Cache<A> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl<A: Aggregate> Cache<A> {
    pub(super) fn get(&self, stream: &str) -> Option<(A, StreamVersion)> {
        self.lock().get(stream).cloned()
    }

    /// Whether a fold is kept.
    pub(super) fn has(&self, stream: &str) -> bool {
        self.lock().contains(stream)
    }

    /// Keeps a fold, unless a newer one is kept: a slow reader must not put back what it read.
    pub(super) fn put(&self, stream: &str, state: A, version: StreamVersion) {
        let mut kept = self.lock();
        let newer = kept
            .peek(stream)
            .is_some_and(|(_, known)| *known >= version);
        if !newer {
            kept.put(stream.to_owned(), (state, version));
        }
    }

    /// Drops the fold of a stream: it is wrong, or will not be needed again.
    pub(crate) fn forget(&self, stream: &str) {
        self.lock().pop(stream);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, (A, StreamVersion)>> {
        // A panic between the operations leaves the map itself whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
