//! The bounds of reconciles. They come from the config.

use std::time::Duration;

/// What holds for each reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileLimits {
    /// How long a difference in a bucket of another store is left alone before it is looked at
    /// again: what tells of a write there may be on its way.
    pub grace: Duration,
    /// How long a reconcile waits before it tries again what could not be done.
    pub retry_after: Duration,
    /// How often it tries without getting any further.
    pub attempts: u32,
    /// How often progress is recorded, at most, while there is little to say.
    pub progress_every: Duration,
    /// How many findings one event has at most.
    pub findings_at_once: usize,
    /// How many keys are looked at again at once.
    pub keys_at_once: usize,
    /// How many keys may wait to be looked at again. Then the comparison waits for them.
    pub keys_waiting: usize,
    /// How often a key that others write to is looked at before it is left for the next reconcile.
    pub looks: u32,
}

impl Default for ReconcileLimits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            retry_after: Duration::from_secs(5),
            attempts: 12,
            progress_every: Duration::from_secs(10),
            findings_at_once: 1_000,
            keys_at_once: 64,
            keys_waiting: 10_000,
            looks: 5,
        }
    }
}
