//! The bounds of the SQLite adapter, each with a name.

use std::fmt;

use crate::{Clock, system_clock};

/// How a [`SqliteEventLog`](super::SqliteEventLog) is run. The defaults are for a server on one
/// machine.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The size of a database page; it counts only when the file is created.
    pub page_size_bytes: u32,
    /// Pages of the database that the writer keeps in memory, in bytes.
    pub cache_bytes: u32,
    /// Connections for reading, and so reads at a time.
    pub readers: usize,
    /// Calls that may wait for the writer; more wait for their turn to wait.
    pub queued_calls: usize,
    /// Bytes that may wait for the writer.
    pub queued_bytes: usize,
    /// Events in one transaction, at most (a single append may be bigger).
    pub batch_events: usize,
    /// Bytes in one transaction, at most (a single append may be bigger).
    pub batch_bytes: usize,
    /// Streams whose newest version is remembered, at least; at most twice as many.
    pub cached_streams: usize,
    /// New streams that are kept out of the index of names, to go into it sorted; at most about
    /// twice as many.
    pub unindexed_streams: usize,
    /// The write-ahead log is moved into the database when it has this many pages, while more come.
    pub checkpoint_pages: u32,
    /// Room made for the write-ahead log at the start, so that a sync need not also record that the
    /// file has grown.
    pub wal_reserved_bytes: u32,
    /// Where `recorded_at` comes from.
    pub clock: Clock,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            page_size_bytes: 4 * 1024,
            cache_bytes: 4 * 1024 * 1024,
            readers: 4,
            queued_calls: 1024,
            queued_bytes: 32 * 1024 * 1024,
            batch_events: 4096,
            batch_bytes: 8 * 1024 * 1024,
            cached_streams: 16 * 1024,
            unindexed_streams: 256 * 1024,
            checkpoint_pages: 3072,
            wal_reserved_bytes: 17 * 1024 * 1024,
            clock: system_clock(),
        }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("page_size_bytes", &self.page_size_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("readers", &self.readers)
            .field("queued_calls", &self.queued_calls)
            .field("queued_bytes", &self.queued_bytes)
            .field("batch_events", &self.batch_events)
            .field("batch_bytes", &self.batch_bytes)
            .field("cached_streams", &self.cached_streams)
            .field("unindexed_streams", &self.unindexed_streams)
            .field("checkpoint_pages", &self.checkpoint_pages)
            .field("wal_reserved_bytes", &self.wal_reserved_bytes)
            .finish_non_exhaustive()
    }
}
