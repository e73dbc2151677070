//! The log on an EventStoreDB or KurrentDB server, through their official client.
//!
//! **Experimental**: its tests run against a stand-in for the server that was written from the
//! documentation and the server's source; see `docs/eventstoredb.md` for how to run the suite
//! against a real one.
//!
//! ```text
//! append ──> append.rs ── Append (expected revision) ──> server ── leader, quorum, fsync
//!               └─ read back: id, version, position <──────┤
//! reads  <── reader.rs <── stream, or $all filtered here ──┤
//! head   <── follow.rs <── $all filtered by the server ────┘
//!   └─ wakes subscriptions, which page through reads
//! ```
//!
//! A position is the commit position of an event's record in `$all`: each event of an append has
//! its own, they grow and have gaps. All calls go to the leader, so that what was appended is seen
//! at once. `address.rs` reads the connection string, `names.rs` and `codec.rs` map streams and
//! events, `faults.rs` says what an error means, `connection.rs` tries again.

mod address;
mod append;
mod codec;
mod connection;
mod faults;
mod follow;
mod import;
mod names;
mod options;
mod reader;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::address::Address;
use self::connection::Connection;
use self::faults::Fault;
pub use self::names::MAX_NAME_BYTES;
use self::names::Names;
pub use self::options::EventStoreDbOptions;
use self::reader::{FIRST_PAGE_EVENTS, Reader};
use crate::{
    Append, AppendError, Appended, Direction, EventLog, Position, ReadError, RecordedEvent,
    StreamName, StreamVersion, Subscription,
};

/// Why the log could not be reached.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The connection string or an option is wrong. It has to be changed.
    #[error("EventStoreDB URL or option refused: {0}")]
    Invalid(String),
    /// The server did not answer as it should. Once it does, try again.
    #[error("EventStoreDB at {address}: {source}")]
    Unavailable {
        /// The connection string without credentials.
        address: String,
        /// What happened.
        source: ReadError,
    },
}

/// A log on an EventStoreDB or KurrentDB server.
pub struct EventStoreDbLog {
    shared: Arc<Shared>,
    head: watch::Receiver<Position>,
    followers: [JoinHandle<()>; 2],
}

/// What the log and its followers use.
struct Shared {
    connection: Connection,
    reader: Reader,
    /// `None` once the log is closed.
    head: Mutex<Option<watch::Sender<Position>>>,
}

impl EventStoreDbLog {
    /// Connects and finds the end of the log. The URL is a connection string of the server's, such
    /// as `esdb://user:password@host:2113?tlsCaFile=ca.pem` or `kurrentdb+discover://cluster`.
    pub async fn connect(
        url: &str,
        mut options: EventStoreDbOptions,
    ) -> Result<Arc<Self>, ConnectError> {
        let address = Address::parse(url).map_err(ConnectError::Invalid)?;
        let names = Names::new(&options.stream_prefix).map_err(ConnectError::Invalid)?;
        // A page has to reach beyond the event that it begins with.
        options.page_events = options.page_events.max(FIRST_PAGE_EVENTS);
        options.lookups = options.lookups.max(1);

        let shown = address.to_string();
        let unavailable = |fault: Fault| ConnectError::Unavailable {
            address: shown.clone(),
            source: fault.into_read_error(),
        };
        let connection = Connection::new(address, options).map_err(unavailable)?;
        let reader = Reader::new(names);
        let newest = reader.head(&connection).await.map_err(unavailable)?;

        let (sender, head) = watch::channel(newest);
        let shared = Arc::new(Shared {
            connection,
            reader,
            head: Mutex::new(Some(sender)),
        });
        let followers = [
            tokio::spawn(follow::poll(shared.clone())),
            tokio::spawn(follow::listen(shared.clone())),
        ];
        Ok(Arc::new(Self {
            shared,
            head,
            followers,
        }))
    }

    fn check_open(&self) -> Result<(), String> {
        match *self.shared.head() {
            Some(_) => Ok(()),
            None => Err("the log is closed".into()),
        }
    }

    fn open_to_read(&self) -> Result<(), ReadError> {
        self.check_open().map_err(ReadError::Unavailable)
    }
}

impl Shared {
    /// Wakes the subscriptions, also where the head is where it was: one of them may have been told
    /// of an event before it could be read.
    fn announce(&self, position: Position) {
        if let Some(head) = self.head().as_ref() {
            let newest = position.max(*head.borrow());
            head.send_replace(newest);
        }
    }

    fn go_back(&self, position: Position) {
        if let Some(head) = self.head().as_ref() {
            head.send_replace(position);
        }
    }

    fn announced(&self) -> Position {
        let head = self.head();
        head.as_ref().map(|head| *head.borrow()).unwrap_or_default()
    }

    fn head(&self) -> MutexGuard<'_, Option<watch::Sender<Position>>> {
        // It is set as a whole, so it is whole even if poisoned.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for EventStoreDbLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        if let Err(closed) = self.check_open() {
            let refused = |_| Err(AppendError::Unavailable(closed.clone()));
            return appends.into_iter().map(refused).collect();
        }
        let Shared {
            connection, reader, ..
        } = &*self.shared;
        let results = append::append_each(connection, reader, appends).await;
        let newest = results.iter().flatten().map(|appended| appended.position);
        if let Some(newest) = newest.max() {
            self.shared.announce(newest);
        }
        results
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.open_to_read()?;
        let Shared {
            connection, reader, ..
        } = &*self.shared;
        let events = reader.read_stream(connection, stream, from, direction, limit);
        events.await.map_err(Fault::into_read_error)
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.open_to_read()?;
        let events = self
            .shared
            .reader
            .read_all(&self.shared.connection, after, limit);
        events.await.map_err(Fault::into_read_error)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.open_to_read()?;
        let head = self.shared.reader.head(&self.shared.connection);
        head.await.map_err(Fault::into_read_error)
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        let head = self.head.clone();
        Subscription::new(self, after, head)
    }

    /// All or none holds as far as the events can be checked beforehand. The server writes one
    /// stream at a time, so an import that is broken off leaves a part; the same import, repeated,
    /// goes on behind it.
    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        self.check_open().map_err(AppendError::Unavailable)?;
        let head = import::import(&self.shared.connection, &self.shared.reader, events).await?;
        self.shared.announce(head);
        Ok(head)
    }

    /// Finds streams with settings on the server, since those may make it delete events. What is
    /// on its disk the server checks itself.
    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        self.open_to_read()?;
        let found = self.shared.reader.stream_settings(&self.shared.connection);
        let found = found.await.map_err(Fault::into_read_error)?;
        let describe = |stream| {
            format!("stream {stream} holds settings, which may make the server delete events")
        };
        Ok(found.into_iter().map(describe).collect())
    }

    async fn stopped(&self) {
        // The head is never awaited here: the wait ends with the sender.
        let _ = self.head.clone().wait_for(|_| false).await;
    }

    async fn close(&self) {
        self.followers.iter().for_each(JoinHandle::abort);
        self.shared.head().take();
    }
}

impl Drop for EventStoreDbLog {
    fn drop(&mut self) {
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for EventStoreDbLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStoreDbLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
