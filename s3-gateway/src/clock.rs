//! The edge where time and chance come in.

use std::time::SystemTime;

use uuid::Uuid;

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: objects get the time of their writing"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// A new random id: 122 bits from the system's source.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: stamps, keys, file names"
)]
pub(crate) fn random_id() -> Uuid {
    Uuid::new_v4()
}

/// A new id that sorts by time.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: ids of versions and uploads"
)]
pub(crate) fn ordered_id() -> Uuid {
    Uuid::now_v7()
}
