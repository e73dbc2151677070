//! Where time and chance enter this crate. What they give goes to the processes (deadlines, names
//! of log streams) and into signatures only, and never into an outcome.
#![expect(
    clippy::disallowed_methods,
    reason = "the edge: processes are told the time and given names, requests are signed for a time"
)]

use std::time::SystemTime;

use jiff::Timestamp;
use uuid::Uuid;

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    timestamp().as_millisecond()
}

/// The current time, for dates.
pub(crate) fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// The current time.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// A new id.
pub(crate) fn new_id() -> Uuid {
    Uuid::new_v4()
}
