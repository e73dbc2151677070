//! The append-only event log: the port [`EventLog`], what it stores ([`RecordedEvent`]) and its
//! adapters; beside it the [`blobs`], where bodies too big for the log are kept.
//!
//! This crate knows streams, bytes and positions. It does not know what an event means; that is
//! the business of the crate `daybook-domain`. Data comes in through [`EventLog::append`] and
//! leaves through reads and catch-up subscriptions.

mod admission;
pub mod blobs;
pub mod check;
mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod copy;
mod envelope;
mod event_log;
#[cfg(feature = "eventstoredb")]
pub mod eventstoredb;
pub mod memory;
mod newest;
pub mod open;
mod pages;
pub mod postgres;
mod recorded_event;
pub mod sorter;
pub mod sqlite;
mod subscription;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use admission::MAX_APPEND_BYTES;
pub use clock::{Clock, system_clock};
pub use envelope::EnvelopeHash;
pub use event_log::{Append, AppendError, Appended, Direction, EventLog, Expected, ReadError};
pub use newest::{NewestOfStreams, StreamRange};
pub use pages::{PageLimits, Progress, Step};
pub use recorded_event::{
    EventMetadata, NewEvent, Position, RecordedEvent, Salt, StreamName, StreamVersion,
};
pub use subscription::Subscription;
