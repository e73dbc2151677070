//! When the write-ahead log is moved into the database. It is done here, since SQLite's own
//! checkpoints hide a failed sync.
//!
//! Most of it goes on beside the writer, on a thread and a connection of their own, while the writer
//! appends to the log. What it appended meanwhile is moved in further passes, each shorter than the
//! one before, and the writer itself moves the little that is left: only then is nothing left, and
//! the log begins anew.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Result};

use super::schema;

/// What is less than this share of the limit the writer moves itself.
const LITTLE: i64 = 16;
/// How many limits the log may be ahead of the thread before the writer waits for it.
const AHEAD: i64 = 4;

/// Knows how long the write-ahead log is, and has it moved when it is long enough.
pub(super) struct Checkpoints {
    /// Pages in the write-ahead log after the last commit.
    pages: Arc<AtomicI64>,
    /// How many of them are in the database as well.
    moved: i64,
    limit: i64,
    beside: Beside,
    /// Whether the thread is at it, and then how many pages were left to it.
    running: Option<i64>,
}

impl Checkpoints {
    /// Watches the commits of the writer's connection to the file.
    pub(super) fn watch(
        writer: &mut Connection,
        path: &Path,
        limit: u32,
    ) -> std::result::Result<Self, schema::OpenError> {
        let database = |source| schema::OpenError::Database {
            path: path.into(),
            source,
        };
        let pages = Arc::new(AtomicI64::new(0));
        let seen = pages.clone();
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(database)?;
        let connection = schema::open_beside(path).map_err(database)?;
        let beside = Beside::start(connection).map_err(|source| schema::OpenError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            pages,
            moved: 0,
            limit: i64::from(limit),
            beside,
            running: None,
        })
    }

    /// To be called after each commit. Readers go on meanwhile; what they still need stays for the
    /// next time. An error is one after which nothing may be written.
    pub(super) fn make_if_due(&mut self, writer: &Connection) -> Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if let Some(before) = self.running {
            let ended = match pages - self.moved < AHEAD * self.limit {
                true => self.beside.ended(),
                false => Some(self.beside.end_of_pass()),
            };
            let Some(moved) = ended else {
                return Ok(());
            };
            self.running = None;
            self.moved = moved?;
            let left = pages - self.moved;
            if left > self.limit / LITTLE && left < before / 2 {
                self.begin(left);
            } else {
                self.moved = checkpoint(writer, "PASSIVE")?;
            }
            return Ok(());
        }
        if pages < self.moved {
            // All was moved, and the log begins anew.
            self.moved = 0;
        }
        let left = pages - self.moved;
        if left >= self.limit {
            self.begin(left);
        }
        Ok(())
    }

    fn begin(&mut self, left: i64) {
        self.beside.begin();
        self.running = Some(left);
    }

    /// Moves everything, as the last thing before the file is closed.
    pub(super) fn finish(&mut self, writer: &Connection) -> Result<()> {
        if self.running.take().is_some() {
            self.beside.end_of_pass()?;
        }
        checkpoint(writer, "TRUNCATE").map(drop)
    }
}

/// The thread beside the writer. It ends with this.
struct Beside {
    /// `None` only while dropping.
    asked: Option<Sender<()>>,
    passes: Receiver<Result<i64>>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    fn start(connection: Connection) -> io::Result<Self> {
        let (asked, waiting) = channel();
        let (done, passes) = channel();
        let run = move || {
            for () in waiting {
                let moved = checkpoint(&connection, "PASSIVE");
                if done.send(moved).is_err() {
                    break;
                }
            }
        };
        let name = "event-log-checkpoints".to_owned();
        let thread = thread::Builder::new().name(name).spawn(run)?;
        Ok(Self {
            asked: Some(asked),
            passes,
            thread: Some(thread),
        })
    }

    /// Has it make a pass.
    fn begin(&self) {
        // It is there as long as this is: what becomes of the pass is heard at its end.
        let _ = self.asked.as_ref().map(|asked| asked.send(()));
    }

    /// The pages that are in the database after its pass, if that has ended.
    fn ended(&self) -> Option<Result<i64>> {
        match self.passes.try_recv() {
            Ok(moved) => Some(moved),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        }
    }

    /// The same, once it has.
    fn end_of_pass(&self) -> Result<i64> {
        self.passes.recv().map_err(|RecvError| gone())?
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes checkpoints has panicked");
        }
    }
}

/// For a thread that panicked.
fn gone() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
        Some("the thread that makes checkpoints has ended".to_owned()),
    )
}

/// The pages of the write-ahead log that are in the database afterwards.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| row.get(2))
}
