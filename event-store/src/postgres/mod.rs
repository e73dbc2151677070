//! The log in a PostgreSQL database (15 or later), for several command services at a time.
//!
//! ```text
//! append ─> queue ─> writer ─┐                    ┌─> follower ─> head (watched) ─> subscriptions
//!   (one writer a process)   │   lock head row    │                                      │
//!                            ├─> check versions ──┤ NOTIFY, polling                      │
//!                            │   insert, COMMIT   │                                      │
//! other processes ───────────┘                    └────────────── readers (pool) <───────┘
//! ```
//!
//! Whoever appends holds the one row of the table `head` from before the positions are taken until
//! the commit: so positions become visible in their order, and a subscriber that has seen one has
//! seen all before it. See `docs/adr/0008-postgres-positions-from-the-head-row.md`.

mod batch;
mod blobs;
mod check;
mod codec;
mod error;
mod follower;
mod head;
mod import;
mod newest;
mod options;
mod queue;
mod reader;
mod schema;
mod session;
mod statements;
mod tls;
mod url;
mod wait;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

pub use self::error::OpenError;
use self::follower::Follower;
use self::head::Head;
pub use self::options::PostgresOptions;
use self::queue::Request;
use self::reader::Readers;
use self::session::Connector;
use self::writer::Writer;
use crate::blobs::BlobStore;
use crate::{
    Append, AppendError, Appended, Direction, EventLog, NewestOfStreams, Position, ReadError,
    RecordedEvent, StreamName, StreamRange, StreamVersion, Subscription,
};

/// A log in a PostgreSQL database.
pub struct PostgresEventLog {
    requests: mpsc::Sender<Request>,
    readers: Readers,
    /// `None` once closed.
    head: Mutex<Option<Head>>,
    /// Its senders are gone when the log has stopped.
    watched: watch::Receiver<Position>,
    writer: Mutex<Option<JoinHandle<()>>>,
    follower: AbortHandle,
}

impl PostgresEventLog {
    /// Connects, and makes the tables or brings them up to date. The URL may name several hosts
    /// (`postgres://user@a,b/daybook`): whichever takes writes is used, so that a promoted standby
    /// is found. `sslmode` is `disable`, `prefer` (the default), `require` or `verify-full`, the
    /// last with the system's certificate authorities or those of `sslrootcert`.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Arc<Self>, OpenError> {
        let connector = Connector::new(url, &options)?;
        schema::migrate(&connector, &options.schema).await?;
        let readers = Readers::new(&connector, &options)?;
        let position = readers.head().await;
        let position = position.map_err(|error| OpenError::Connect(error.to_string()))?;
        let (head, watched) = Head::new(position);
        let (requests, queue) = mpsc::channel(options.queued_calls.max(1));
        let channel = options.schema.clone();
        let follower = Follower {
            connector: connector.clone(),
            head: head.clone(),
            channel: channel.clone(),
            poll_interval: options.poll_interval,
            attempt_timeout: options.attempt_timeout,
        };
        let writer = Writer::new(connector, queue, head.clone(), channel, options);
        Ok(Arc::new(Self {
            requests,
            readers,
            head: Mutex::new(Some(head)),
            watched,
            writer: Mutex::new(Some(tokio::spawn(writer.run()))),
            follower: tokio::spawn(follower.run()).abort_handle(),
        }))
    }

    /// A blob store in the same database, so that several machines share it.
    pub fn blobs(&self) -> BlobStore {
        BlobStore::kept_in(blobs::PostgresBlobs::new(self.readers.clone()))
    }
}

#[async_trait]
impl EventLog for PostgresEventLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        queue::append_each(&self.requests, appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers
            .read_stream(stream, from, direction, limit)
            .await
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers.read_all(after, limit).await
    }

    async fn newest_of_streams(
        self: Arc<Self>,
        range: StreamRange,
    ) -> Result<NewestOfStreams, ReadError> {
        newest::begin(self.readers.clone(), range).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.readers.head().await
    }

    fn blob_store(&self) -> Option<BlobStore> {
        Some(self.blobs())
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        let head = self.watched.clone();
        Subscription::new(self, after, head)
    }

    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        let end = import::import(&self.readers, &events).await?;
        if let Some(head) = &*lock(&self.head) {
            head.raise(end);
        }
        Ok(end)
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        check::check(&self.readers).await
    }

    /// Only closing stops it: what PostgreSQL does with a failing disk is its own affair, and it
    /// comes back.
    async fn stopped(&self) {
        // The end is never awaited here: the wait ends with the senders.
        let _ = self.watched.clone().wait_for(|_| false).await;
    }

    async fn close(&self) {
        // An error means that it has ended already.
        let _ = self.requests.send(Request::Close).await;
        let writer = lock(&self.writer).take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
        self.follower.abort();
        lock(&self.head).take();
        self.readers.close();
    }
}

impl Drop for PostgresEventLog {
    /// The writer finishes what waits and ends by itself.
    fn drop(&mut self) {
        self.follower.abort();
    }
}

// Nothing can panic while it is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
