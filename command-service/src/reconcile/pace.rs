//! Not faster than so many keys a second.

use std::time::Duration;

use tokio::time::Instant;

/// Counts, and says how long to wait.
pub(super) struct Pace {
    rate: Option<u32>,
    begun: Instant,
    done: u64,
}

impl Pace {
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self {
            rate: rate.filter(|rate| *rate > 0),
            begun: Instant::now(),
            done: 0,
        }
    }

    /// One more key. Returns the moment before which there is to be no other.
    pub(super) fn count(&mut self) -> Option<Instant> {
        let rate = self.rate?;
        self.done += 1;
        let after = Duration::from_secs_f64(self.done as f64 / f64::from(rate));
        Some(self.begun + after)
    }
}
