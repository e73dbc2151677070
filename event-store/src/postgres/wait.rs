//! Waiting between attempts.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that grow to a bound.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Waits, each time twice as long.
    pub(super) async fn wait(&mut self) {
        let factor = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.attempts = self.attempts.saturating_add(1);
        tokio::time::sleep(SHORTEST.saturating_mul(factor).min(LONGEST)).await;
    }
}

/// How long somebody has been waiting, and whether that is enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    since: Instant,
    bound: Duration,
}

impl Patience {
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            since: Instant::now(),
            bound,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.since.elapsed() >= self.bound
    }
}
