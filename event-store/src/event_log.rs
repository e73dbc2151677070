//! The port of the log: what every adapter offers and must hold.
//!
//! The contract is executable: [`crate::conformance`] holds the cases, and each adapter's own test
//! file only starts them.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::blobs::BlobStore;
use crate::newest::{self, NewestOfStreams, StreamRange};
use crate::{NewEvent, Position, RecordedEvent, StreamName, StreamVersion, Subscription};

/// An append-only log of events in streams, with one order over all of them.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends to one stream, all events or none. When it returns `Ok` the events are on disk.
    ///
    /// Repeating an append (the same event ids at the same expected version) succeeds, adds
    /// nothing and returns what the first one returned.
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let mut results = self.append_each(vec![append]).await;
        results.pop().unwrap_or_else(|| {
            Err(AppendError::Unavailable(
                "the log returned no result".into(),
            ))
        })
    }

    /// Independent appends that may share a commit; one result for each, in their order. They are
    /// not atomic together: some may succeed where others conflict. Two appends to the same stream
    /// are applied in order.
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// At most `limit` events of one stream. `from` is the first version to return (inclusive) in
    /// the given direction; `None` is the start of a forward read, the end of a backward one. A
    /// stream that does not exist reads as empty.
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// At most `limit` events after `after` (exclusive), in position order.
    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The newest event of each stream of a range, in the byte order of names, as the log is at one
    /// moment. Memory stays bounded however many there are; appends go on meanwhile. It costs a
    /// read of a part of the log, or of all of it where the engine has no better way.
    async fn newest_of_streams(
        self: Arc<Self>,
        range: StreamRange,
    ) -> Result<NewestOfStreams, ReadError> {
        newest::by_fold(self, range).await
    }

    /// The position of the newest event; [`Position::START`] for an empty log.
    async fn head(&self) -> Result<Position, ReadError>;

    /// Everything after `after`: first what is there, then what comes, without a gap and without a
    /// repeat. A subscriber that finds itself ahead of the log is told so
    /// ([`ReadError::Ahead`]).
    fn subscribe(self: Arc<Self>, after: Position) -> Subscription;

    /// Takes over the next events of another log as they are: stream, version, id, type, time,
    /// body, metadata and salt, all of them or none. Where positions are contiguous, the first
    /// event has to have the one after [`EventLog::head`], and keeps it. It is for copying a whole
    /// ledger into a log that nobody else appends to; returns the new head.
    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError>;

    /// A blob store that the engine keeps beside the log, if it keeps one.
    fn blob_store(&self) -> Option<BlobStore> {
        None
    }

    /// Looks for damage that reading the events does not show, such as a dictionary without an
    /// entry, and describes each find. Safe beside readers and writers.
    async fn check_storage(&self) -> Result<Vec<String>, ReadError>;

    /// Waits until the log has stopped for good: closed, or by a failure after which it may not be
    /// touched. Then the process has to end, and the next start recovers.
    async fn stopped(&self);

    /// Finishes what waits and lets the log go. Everything asked afterwards is `Unavailable`;
    /// subscriptions end with that error.
    async fn close(&self);
}

/// One append: events for one stream at an expected version.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream to append to.
    pub stream: StreamName,
    /// What the writer believes the stream's version to be.
    pub expected: Expected,
    /// The events, in order; never empty.
    pub events: Vec<NewEvent>,
}

/// What the writer believes about the stream that it appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no events yet.
    NoStream,
    /// The stream's newest event has this version.
    Exact(StreamVersion),
}

impl Expected {
    /// The version that the first appended event gets.
    pub fn next_version(self) -> StreamVersion {
        match self {
            Expected::NoStream => StreamVersion(0),
            Expected::Exact(version) => StreamVersion(version.0 + 1),
        }
    }
}

impl From<Option<StreamVersion>> for Expected {
    fn from(version: Option<StreamVersion>) -> Self {
        version.map_or(Expected::NoStream, Expected::Exact)
    }
}

/// Where an append ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The version of the last appended event.
    pub version: StreamVersion,
    /// The position of the last appended event.
    pub position: Position,
}

/// The order in which a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Why an append did not happen.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// The stream is not at the expected version. Load it again and decide anew.
    #[error("stream {stream} is at {actual:?}, not at the expected {expected:?}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the writer expected.
        expected: Expected,
        /// The version found; `None` where the stream does not exist.
        actual: Option<StreamVersion>,
    },
    /// The append itself is wrong (empty, or over a limit). Repeating it does not help.
    #[error("append refused: {0}")]
    Invalid(String),
    /// The log cannot take it now, and nothing was written. Try again later, with the same ids.
    #[error("log unavailable: {0}")]
    Unavailable(String),
    /// It is unknown whether the append happened (a failed sync, a lost connection). Repeat it
    /// with the same ids; if the log has stopped for good, restart and recover.
    #[error("outcome of the append unknown: {0}")]
    Unknown(String),
}

/// Why a read failed.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// The log cannot answer now. Try again later.
    #[error("log unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be decoded. Stop and have it looked at.
    #[error("log damaged: {0}")]
    Damaged(String),
    /// The reader has seen events that the log does not have: it was restored from an older copy,
    /// or a standby took over that had not received them. Stop; what was derived from those events
    /// has to be derived anew.
    #[error("reader is at position {position}, ahead of the log, which ends at {head}")]
    Ahead {
        /// Where the reader is.
        position: Position,
        /// Where the log ends.
        head: Position,
    },
}
