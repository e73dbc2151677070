//! The edge where time and chance come in. Everything below takes them as arguments.

use daybook_domain::Context;
use jiff::Timestamp;
use uuid::Uuid;

/// The context of one decision.
pub(crate) fn context() -> Context {
    Context {
        now: now(),
        seed: random_id().as_u64_pair().1,
    }
}

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A new id.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that draws ids"
)]
pub(crate) fn random_id() -> Uuid {
    Uuid::new_v4()
}

/// A new id that sorts by time: what is kept in its order gets them one beside the other.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that draws ids"
)]
pub(crate) fn ordered_id() -> Uuid {
    Uuid::now_v7()
}
