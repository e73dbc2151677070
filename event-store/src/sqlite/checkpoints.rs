//! When the write-ahead log is moved into the database. The writer does it itself, since SQLite's
//! own checkpoints hide a failed sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, Result};

/// Knows how long the write-ahead log is, and moves it when it is long enough.
pub(super) struct Checkpoints {
    /// Pages in the write-ahead log after the last commit.
    pages: Arc<AtomicI64>,
    /// How many of them the last checkpoint moved.
    moved: i64,
    limit: i64,
}

impl Checkpoints {
    /// Watches the connection's commits.
    pub(super) fn watch(connection: &mut Connection, limit: u32) -> Result<Self> {
        let pages = Arc::new(AtomicI64::new(0));
        let seen = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            pages,
            moved: 0,
            limit: i64::from(limit),
        })
    }

    /// To be called after each commit. Readers go on meanwhile; what they still need stays for the
    /// next time.
    pub(super) fn make_if_due(&mut self, connection: &Connection) -> Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved {
            // All was moved, and the log begins anew.
            self.moved = 0;
        }
        if pages - self.moved < self.limit {
            return Ok(());
        }
        self.moved = checkpoint(connection, "PASSIVE")?;
        Ok(())
    }
}

/// The pages of the write-ahead log that are in the database afterwards.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<i64> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| row.get(2))
}
