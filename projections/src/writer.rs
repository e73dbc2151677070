//! The one connection that writes the read model, and how what it writes gets to the disk: a little
//! at a time, since a sync of the event log waits for whatever the disk has been given before it.
//!
//! Left to itself, SQLite syncs megabytes of write-ahead log and then pages all over the file at
//! once, every few seconds. Here
//!
//! 1. each commit has the system begin to write what it added to the write-ahead log;
//! 2. from [`CHECKPOINT_PAGES`] on the pages are moved into the file without a sync, which the
//!    system then is told to write piece by piece, with pauses, by a thread;
//! 3. at the commit after that the file is synced, and the rest is moved.
//!
//! Between 2 and the sync a reader, the holder, keeps the write-ahead log from beginning anew, and no
//! connection removes it when it is closed: after a power failure it still has all of what may not
//! have got into the file. If the sync fails it is kept for the next start, which moves all of it again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use daybook_disk::begin_to_write;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::model;

/// After so many pages the write-ahead log goes into the file: the pages that every batch touches go
/// there once for many batches. Of 4 KiB each, so that the log takes 16 MiB and a little more.
pub(crate) const CHECKPOINT_PAGES: i64 = 4096;
/// What is less than this share of it is moved at once.
const LITTLE: i64 = 16;
/// When it is so many times as much, there are no more pauses.
const AHEAD: i64 = 2;
/// About how many changed pages are in a piece.
const PIECE_PAGES: i64 = 16;
/// The pause after each piece.
const PAUSE: Duration = Duration::from_millis(4);
/// What a page takes.
const PAGE_BYTES: u64 = 4096;

/// Writes the read model.
pub(crate) struct Writer {
    /// The first to go: with the connections locks go that others may wait for.
    moving: Option<Moving>,
    /// Reads, and by that holds the write-ahead log.
    holder: Connection,
    pub(crate) conn: Connection,
    /// Pages in the write-ahead log after the last commit.
    pages: Arc<AtomicI64>,
    /// How many of them are in the file as well.
    moved: i64,
    /// After so many it is time to move them.
    limit: i64,
    log: File,
    /// Closed after the connections: with any handle of it go the locks that SQLite has on it.
    file: Arc<File>,
}

/// What was moved, on its way to the disk.
struct Moving {
    pages: i64,
    hurry: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Moving {
    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.hurry.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say: what it was told to write is synced by others.
            let _ = thread.join();
        }
    }
}

impl Writer {
    /// Takes over the checkpoints of a connection to the file.
    pub(crate) fn new(conn: Connection, path: &Path) -> rusqlite::Result<Self> {
        Self::with_limit(conn, path, CHECKPOINT_PAGES)
    }

    fn with_limit(mut conn: Connection, path: &Path, limit: i64) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI64::new(0));
        let seen = pages.clone();
        // It takes the place of SQLite's own checkpoints.
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        }))?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        checkpoint(&conn)?;
        let open = |path: &Path| File::options().read(true).write(true).open(path);
        let file = open(path).map_err(failed)?;
        // With what an earlier process moved and did not sync.
        file.sync_data().map_err(failed)?;
        Ok(Self {
            moving: None,
            holder: model::open_reader(path)?,
            conn,
            pages,
            moved: 0,
            limit,
            log: open(&model::with_suffix(path, "-wal")).map_err(failed)?,
            file: Arc::new(file),
        })
    }

    /// To be called after each commit. An error is one after which nothing may be written: what is in
    /// the file may not be on disk. What else goes wrong is tried again at a later commit.
    pub(crate) fn committed(&mut self) -> rusqlite::Result<()> {
        begin_to_write(&self.log, 0, 0);
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved {
            // All was moved, and the write-ahead log began anew.
            self.moved = 0;
        }
        let left = pages - self.moved;
        match &self.moving {
            Some(moving) if moving.is_over() => self.go_on(left),
            Some(moving) => {
                if left >= AHEAD * self.limit {
                    moving.hurry.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
            // It did not begin anew, since somebody read from it: it does at the first commit that
            // finds nobody and nothing left.
            None if pages >= AHEAD * self.limit => {
                self.move_the_rest();
                Ok(())
            }
            None if left >= self.limit => self.begin(),
            None => Ok(()),
        }
    }

    /// Moves the pages into the file, and has them written there.
    fn begin(&mut self) -> rusqlite::Result<()> {
        if let Err(error) = self.hold() {
            tracing::warn!(%error, "the read model's pages are not moved now");
            return self.let_go();
        }
        self.conn.pragma_update(None, "synchronous", "OFF")?;
        let moved = checkpoint(&self.conn);
        self.conn
            .pragma_update(None, "synchronous", model::SYNCHRONOUS)?;
        let before = self.moved;
        match moved {
            Ok(moved) => self.moved = moved,
            Err(error) => tracing::warn!(%error, "the read model's pages were not all moved"),
        }
        let pages = self.moved - before;
        if pages <= 0 {
            // Somebody reads what was there before, or nobody knows what was moved.
            self.file.sync_data().map_err(failed)?;
            return self.let_go();
        }
        let hurry = Arc::new(AtomicBool::new(false));
        let (file, hurried) = (self.file.clone(), hurry.clone());
        let thread = thread::Builder::new()
            .name("model-writeback".to_owned())
            .spawn(move || write_slowly(&file, pages, &hurried));
        self.moving = Some(Moving {
            pages,
            hurry,
            // Without one it is the sync that writes them.
            thread: thread.ok(),
        });
        Ok(())
    }

    /// Syncs what was moved, and goes on with what came meanwhile: the same again while it becomes
    /// less, then all of it.
    fn go_on(&mut self, left: i64) -> rusqlite::Result<()> {
        let Some(before) = self.moving.take() else {
            return Ok(());
        };
        self.file.sync_data().map_err(failed)?;
        self.let_go()?;
        if left > self.limit / LITTLE && left < before.pages / 2 {
            return self.begin();
        }
        self.move_the_rest();
        Ok(())
    }

    /// Moves what there is, with a sync.
    fn move_the_rest(&mut self) {
        match checkpoint(&self.conn) {
            Ok(moved) => self.moved = moved,
            Err(error) => tracing::warn!(%error, "the read model's pages were not moved"),
        }
    }

    /// From now on the write-ahead log does not begin anew, and what is in it is on disk.
    fn hold(&self) -> rusqlite::Result<()> {
        self.holder.execute_batch("BEGIN")?;
        model::checkpoint(&self.holder)?;
        self.log.sync_data().map_err(failed)
    }

    fn let_go(&self) -> rusqlite::Result<()> {
        match self.holder.is_autocommit() {
            true => Ok(()),
            false => self.holder.execute_batch("ROLLBACK"),
        }
    }

    /// The connection, with all that was moved on disk, and the file that is to be closed after it.
    pub(crate) fn into_parts(mut self) -> io::Result<(Connection, Arc<File>)> {
        self.moving = None;
        self.file.sync_data()?;
        Ok((self.conn, self.file))
    }
}

/// Has what changed in a file written piece by piece. No sync: that comes later, and finds little.
fn write_slowly(file: &File, pages: i64, hurry: &AtomicBool) {
    let bytes = file.metadata().map_or(0, |meta| meta.len());
    let pieces = u64::try_from(pages / PIECE_PAGES).unwrap_or(0).max(1);
    let piece = (bytes / pieces)
        .next_multiple_of(PAGE_BYTES)
        .max(PAGE_BYTES);
    let mut from = 0;
    while from < bytes {
        begin_to_write(file, from, piece);
        from += piece;
        if !hurry.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
        }
    }
}

/// Moves what readers do not need any more. The pages of the write-ahead log that are in the file
/// afterwards.
fn checkpoint(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| row.get(2))
}

fn failed(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
        Some(error.to_string()),
    )
}

#[cfg(test)]
mod tests;
