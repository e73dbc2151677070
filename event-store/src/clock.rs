//! Where adapters take the time from. It is handed in, so that tests can turn it back.

use std::sync::Arc;

use jiff::Timestamp;

/// Gives the present moment.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// The moment for the next event: never before the last one, in whole microseconds, since that is
/// what every adapter can store.
pub(crate) fn next_recorded_at_us(clock: &Clock, last_us: i64) -> i64 {
    clock().as_microsecond().max(last_us)
}
