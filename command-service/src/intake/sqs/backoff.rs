//! How long to wait before the next try: longer each time, and never quite as long as others wait.

use std::time::Duration;

use crate::clock;

const FIRST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(30);

/// The pauses between tries that fail one after the other.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next pause: between half of what it may be and all of it, so that many who failed at once do
    /// not come back at once.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(MOST);
        let chance = clock::random_id().as_u64_pair().1 % 1_000;
        whole / 2 + (whole / 2).mul_f64(chance as f64 / 1_000.0)
    }
}

/// For how many seconds a message that nobody can read is hidden after it came so often: its queue's
/// redrive policy gets it soon, and if it has none, it comes seldom.
pub(super) fn hidden_secs(receives: u32, visibility: Duration) -> u64 {
    let doubled = 1_u64.checked_shl(receives.saturating_sub(1));
    doubled.unwrap_or(u64::MAX).min(visibility.as_secs())
}
