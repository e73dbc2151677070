//! The order of this process's writes to an upstream bucket.
//!
//! The store gives no order that one could ask for, so it is made here: whoever writes to a key
//! has its turn from before the store can have the whole of the body until the ledger has the
//! event, and draws its number within. The numbers are microseconds since 1970 where that grows,
//! so that they also grow from one run to the next without being kept anywhere; a bucket of
//! another store has no folder to keep them in. Processes that share an upstream bucket are in
//! order as far as their clocks are.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use daybook_domain::ObjectKey;
use tokio::sync::OwnedMutexGuard;

use crate::clock;

/// Keys that share a lock wait for each other for no reason, which is rare with so many.
const STRIPES: usize = 1024;

pub(super) struct Order {
    last: Mutex<u64>,
    stripes: Vec<Arc<tokio::sync::Mutex<()>>>,
    hashes: RandomState,
}

/// The turn of one writer of a key.
#[derive(Debug)]
pub(super) struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            hashes: RandomState::new(),
        }
    }
}

impl Order {
    /// Waits until nobody else writes to the key. Whoever does is bounded by the time-outs for
    /// stores.
    pub(super) async fn turn(&self, key: &ObjectKey) -> Turn {
        let stripes = self.stripes.len() as u64;
        let at = usize::try_from(self.hashes.hash_one(key.as_str()) % stripes).unwrap_or(0);
        Turn {
            _held: Arc::clone(&self.stripes[at]).lock_owned().await,
        }
    }

    /// The next number: higher than every one before.
    pub(super) fn next(&self, _turn: &Turn) -> u64 {
        let since = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.saturating_add(1));
        *last
    }
}
