//! Where time and chance enter this crate. What they give goes to the processes only (deadlines,
//! names of log streams) and never into an outcome.
#![expect(
    clippy::disallowed_methods,
    reason = "the edge: processes are told the time and given names"
)]

use jiff::Timestamp;
use uuid::Uuid;

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A new id.
pub(crate) fn new_id() -> Uuid {
    Uuid::new_v4()
}
