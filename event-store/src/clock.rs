//! The edge where time and chance come in. Time is handed to the adapters, so that tests can turn
//! it back; the salts of audit leaves are the only chance there is.

use std::sync::Arc;

use jiff::Timestamp;

use crate::Salt;

/// Gives the present moment.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: whoever opens a log may hand in another clock"
)]
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// The salt of one event.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: a salt that could be guessed hides nothing"
)]
pub(crate) fn new_salt() -> Salt {
    rand::random()
}

/// The moment for the next event: never before the last one, in whole microseconds, since that is
/// what every adapter can store.
pub(crate) fn next_recorded_at_us(clock: &Clock, last_us: i64) -> i64 {
    clock().as_microsecond().max(last_us)
}
