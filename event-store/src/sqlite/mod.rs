//! The log in one SQLite file: the default, for one machine.
//!
//! ```text
//! append ─> queue ─> writer ── COMMIT (fsync) ──> head (watched) ─> subscriptions
//!                       │                                               │
//!                       └────────> events.sqlite (WAL) <── readers ─────┘
//! ```
//!
//! Appends of many callers share a commit (`writer.rs`) and lie in it as one block (`block.rs`);
//! reads have connections of their own (`reader.rs`, `lent.rs`) and never wait for the writer; the
//! newest blocks are in memory as well (`tail.rs`). A
//! lock file beside the database keeps a second process from writing.

mod block;
mod blocks;
mod check;
mod checkpoints;
mod codec;
mod convert;
mod lent;
mod names;
mod newest;
mod options;
mod queue;
mod read_only;
mod reader;
mod schema;
mod statements;
mod streams;
mod tables;
mod tail;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use self::checkpoints::Checkpoints;
pub use self::options::SqliteOptions;
use self::queue::WriterQueue;
use self::read_only::ReadOnlyLog;
use self::reader::Readers;
pub use self::schema::OpenError;
use self::tables::Tables;
use self::tail::Tail;
use self::writer::{Stopped, Writer};
use crate::{
    Append, AppendError, Appended, Direction, EventLog, NewestOfStreams, Position, ReadError,
    RecordedEvent, StreamName, StreamRange, StreamVersion, Subscription,
};

/// A log in one SQLite file.
pub struct SqliteEventLog {
    queue: WriterQueue,
    readers: Readers,
    tail: Tail,
    head: watch::Receiver<Position>,
}

impl SqliteEventLog {
    /// Opens the log, and makes it if the file does not exist (its folder must). It blocks for a
    /// moment, and longer where a log of an older layout has to be converted; the file is this handle's alone until it is closed or dropped.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Arc<Self>, OpenError> {
        schema::check_sqlite(rusqlite::version_number(), rusqlite::version())?;
        let lock = schema::lock(path)?;
        convert::if_old(path, &options)?;
        let mut connection = schema::open_writer(path, &options)?;
        let database = |source| OpenError::Database {
            path: path.into(),
            source,
        };
        let checkpoints = Checkpoints::watch(&mut connection, path, options.checkpoint_pages)?;
        let tables = Tables::load(&connection, &options).map_err(database)?;

        let (requests, queue) = mpsc::channel(options.queued_calls.max(1));
        let (head_sender, head) = watch::channel(tables.head());
        let (stopped, tail) = (Stopped::default(), Tail::default());
        let writer = Writer {
            checkpoints,
            tables,
            requests: queue,
            tail: tail.clone(),
            head: head_sender,
            stopped: stopped.clone(),
            options: options.clone(),
            _lock: lock,
        };
        let thread = writer.spawn(connection).map_err(|source| OpenError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Arc::new(Self {
            queue: WriterQueue::new(requests, stopped, thread, &options),
            readers: Readers::new(path, options.readers),
            tail,
            head,
        }))
    }

    /// Opens a log for reading only, beside the process that writes it if there is one. It takes
    /// no lock, changes nothing and makes no checkpoint; what the writer commits is seen at once,
    /// except by subscriptions, which look for it from time to time. Appends are `Unavailable`.
    pub fn open_read_only(path: &Path) -> Result<Arc<dyn EventLog>, OpenError> {
        Ok(Arc::new(ReadOnlyLog::open(path)?))
    }
}

#[async_trait]
impl EventLog for SqliteEventLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.queue.append_each(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let stream = stream.clone();
        self.readers
            .read_stream(stream, from, direction, limit)
            .await
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers.refuse_if_closed()?;
        match self.tail.read(after, limit) {
            Some(events) => events,
            None => self.readers.read_all(after, limit).await,
        }
    }

    async fn newest_of_streams(
        self: Arc<Self>,
        range: StreamRange,
    ) -> Result<NewestOfStreams, ReadError> {
        self.readers.newest_of_streams(range).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.readers.head().await
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        let head = self.head.clone();
        Subscription::new(self, after, head)
    }

    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        self.queue.import(events).await
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        self.readers.check().await
    }

    async fn stopped(&self) {
        // The head is never awaited here: the wait ends with the sender, which the writer holds.
        let _ = self.head.clone().wait_for(|_| false).await;
    }

    /// It moves the write-ahead log into the database. Dropping the last handle does the same, but
    /// blocks.
    async fn close(&self) {
        self.readers.close().await;
        self.queue.close().await;
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
