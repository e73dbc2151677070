//! The index of a bucket: which keys there are, so that a listing is a range scan and not a walk
//! of folders, and so that a file that vanished is missed.
//!
//! It is `.daybook/index.sqlite`, and derived: the files with their stamps are the truth. Who
//! changes a key's file changes its row next, with the key still locked, before the client hears
//! of it. Where an index is missing, damaged, of another schema or of another folder, it is made
//! anew from the files ([`super::scan`]).
//!
//! It is in WAL mode with `synchronous=NORMAL`. Whatever ends a process, nothing that was committed
//! is lost, since the system has it. A power failure may lose the last commits, which a rescan
//! finds; with `OFF` it might also leave a file that is quietly wrong, and all that `NORMAL` costs
//! is a sync at each checkpoint, once in about 1,000 writes.
//!
//! Several processes may have it open. One that throws a file away leaves the others with one that
//! has no name any more; they look at the inode before each use, and open the new one.

pub(crate) mod rows;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use daybook_domain::BucketName;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};
use thiserror::Error;

use self::rows::Row;
use super::file_lock::{FolderLock, Slot};
use super::key_path::private;
use super::stamp::Birth;

/// Says in the file's header whose file it is: "Dayi".
const APPLICATION_ID: i64 = 0x4461_7969;
/// The version of the tables below. Another one is thrown away.
const SCHEMA_VERSION: i64 = 1;

/// How long one waits for another process that writes, or that opens the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections for reading that are kept open.
const READERS: usize = 4;

/// What the write-ahead log's name has at its end.
const LOG: &str = "-wal";

/// The cache of one connection, in KiB.
const CACHE_KIB: i64 = 4096;

/// `objects` has the objects that are there, `versions` what else S3 shows of a bucket with
/// versioning: older versions and delete markers. `missed` has the objects that were removed by
/// hand, in case that their very files are put back. Keys are blobs, which compare by their bytes.
const TABLES: &str = "
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE objects (
        key        BLOB PRIMARY KEY,
        version_id TEXT NOT NULL,
        stamp      BLOB NOT NULL,
        etag       TEXT NOT NULL,
        size       INTEGER NOT NULL,
        mtime_ns   INTEGER NOT NULL,
        sequence   INTEGER NOT NULL,
        algorithms TEXT,
        flags      INTEGER NOT NULL,
        inode      INTEGER NOT NULL,
        born_ns    INTEGER,
        ctime_ns   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE versions (
        key        BLOB NOT NULL,
        version_id TEXT NOT NULL,
        stamp      BLOB NOT NULL,
        etag       TEXT NOT NULL,
        size       INTEGER NOT NULL,
        mtime_ns   INTEGER NOT NULL,
        sequence   INTEGER NOT NULL,
        algorithms TEXT,
        flags      INTEGER NOT NULL,
        inode      INTEGER NOT NULL,
        born_ns    INTEGER,
        ctime_ns   INTEGER NOT NULL,
        PRIMARY KEY (key, sequence DESC)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE missed (
        key   BLOB PRIMARY KEY,
        stamp BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What a damaged schema may have left behind goes with everything else.
const NO_TABLES: &str = "
    DROP TABLE IF EXISTS meta;
    DROP TABLE IF EXISTS objects;
    DROP TABLE IF EXISTS versions;
    DROP TABLE IF EXISTS missed;
";

/// Why the index did not do what was asked. It will be made anew before it is read again.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    #[error("the bucket's index cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<IndexError> for io::Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Io(error) => error,
            error => io::Error::other(error),
        }
    }
}

/// The index of one bucket.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    /// The gateway's own folder in the bucket's.
    folder: Birth,
    /// The bucket and that folder. An index of another one, that was copied here, says nothing.
    owner: String,
    lock: Arc<FolderLock>,
    opening: Mutex<()>,
    writer: Mutex<Option<Open>>,
    /// What those want to put who wait for the writer.
    waiting: Mutex<Vec<Waiting>>,
    readers: Mutex<Vec<Open>>,
    /// Whether something was not written that should have been.
    doubted: AtomicBool,
    /// Held by who makes the index anew.
    pub(crate) filling: Mutex<()>,
}

/// A row that somebody waits to have put.
#[derive(Debug)]
struct Waiting {
    row: Row,
    done: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    inode: u64,
    /// The write-ahead log, once something was written.
    log: OnceLock<Option<File>>,
}

/// Doubts the index when it is dropped.
struct Doubt<'a>(&'a Index);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.doubt();
    }
}

impl Index {
    pub(crate) fn new(
        root: &Path,
        bucket: &BucketName,
        folder: Birth,
        lock: Arc<FolderLock>,
    ) -> Self {
        Self {
            path: root.join(private("index.sqlite")),
            folder,
            owner: format!("{bucket} {folder:?}"),
            lock,
            opening: Mutex::default(),
            writer: Mutex::default(),
            waiting: Mutex::default(),
            readers: Mutex::default(),
            doubted: AtomicBool::new(false),
            filling: Mutex::default(),
        }
    }

    /// Looks through the whole file, and throws it away if it is damaged.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        let checked = self.read(|index| {
            let verdict: String = index.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            Ok(verdict == "ok")
        });
        match checked {
            Ok(true) => Ok(()),
            Ok(false) => self.discard(None),
            Err(IndexError::Sqlite(error)) if is_damage(&error) => self.discard(None),
            Err(error) => Err(error),
        }
    }

    /// Reads. What is committed before this begins is seen.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let idle = locked(&self.readers).pop();
        let open = self.current(idle)?;
        let done = open
            .connection
            .unchecked_transaction()
            .map_err(IndexError::from)
            .and_then(|snapshot| {
                let done = work(&snapshot)?;
                snapshot.finish()?;
                Ok(done)
            });
        match done {
            Ok(done) => {
                let mut readers = locked(&self.readers);
                if readers.len() < READERS {
                    readers.push(open);
                }
                Ok(done)
            }
            Err(error) => Err(self.failed(error, open)),
        }
    }

    /// Writes, all of it or nothing.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.write_with(&mut locked(&self.writer), work)
    }

    fn write_with<T>(
        &self,
        writer: &mut Option<Open>,
        work: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut open = self.current(writer.take()).inspect_err(|_| self.doubt())?;
        let done = open
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(IndexError::from)
            .and_then(|transaction| {
                let done = work(&transaction)?;
                transaction.commit()?;
                Ok(done)
            });
        match done {
            Ok(done) => {
                self.committed(&open);
                *writer = Some(open);
                Ok(done)
            }
            Err(error) => Err(self.failed(error, open)),
        }
    }

    /// The same for a single statement, which is a transaction of its own.
    pub(crate) fn write_one<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut writer = locked(&self.writer);
        let open = self.current(writer.take()).inspect_err(|_| self.doubt())?;
        match work(&open.connection) {
            Ok(done) => {
                self.committed(&open);
                *writer = Some(open);
                Ok(done)
            }
            Err(error) => Err(self.failed(error, open)),
        }
    }

    /// Notes the object that a key has now, together with those that others note meanwhile: one
    /// transaction has all that came while the one before it ran.
    pub(crate) fn put(&self, row: Row) -> Result<(), IndexError> {
        let done = Arc::new(AtomicBool::new(false));
        locked(&self.waiting).push(Waiting {
            row,
            done: Arc::clone(&done),
        });
        let mut writer = locked(&self.writer);
        if done.load(Ordering::Acquire) {
            return Ok(());
        }
        // Its own is among them: whoever takes some has the writer until they are done.
        let together = std::mem::take(&mut *locked(&self.waiting));
        // If this breaks, nobody else knows of the rows.
        let doubt = Doubt(self);
        let result = self.write_with(&mut writer, |index| {
            together
                .iter()
                .try_for_each(|waiting| rows::put(index, &waiting.row))
        });
        // Where it failed the index is in doubt, for which it does not matter who says so.
        for waiting in &together {
            waiting.done.store(true, Ordering::Release);
        }
        std::mem::forget(doubt);
        result
    }

    /// Whether it was made from all files, and not doubted since.
    pub(crate) fn is_complete(&self) -> Result<bool, IndexError> {
        Ok(!self.is_doubted() && self.read(complete)?)
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
    }

    /// Something may be missing, or too much.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Release);
    }

    /// Empties it, to be filled.
    pub(crate) fn begin(&self) -> Result<(), IndexError> {
        self.doubted.store(false, Ordering::Release);
        self.write(|index| {
            Ok(index.execute_batch("DELETE FROM meta WHERE name = 'complete'; DELETE FROM objects; DELETE FROM versions; DELETE FROM missed")?)
        })
    }

    /// It has all there is.
    pub(crate) fn end(&self) -> Result<(), IndexError> {
        self.write(|index| {
            index.execute("INSERT OR REPLACE INTO meta VALUES ('complete', '1')", [])?;
            Ok(())
        })
    }

    /// The connection, or a new one if its file is not the one that has the name.
    fn current(&self, open: Option<Open>) -> Result<Open, IndexError> {
        if let Some(open) = open
            && fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == open.inode)
        {
            return Ok(open);
        }
        // No index is made in another bucket's folder, or below a mount point.
        let there = self.path.parent().map(fs::symlink_metadata).transpose()?;
        if there.is_none_or(|meta| Birth::of(&meta) != self.folder) {
            return Err(io::Error::other("the bucket's folder is another one").into());
        }
        let _opening = locked(&self.opening);
        let held = self.lock.hold_blocking(Slot::Index, PATIENCE)?;
        let _held = held.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        match self.open() {
            Err(IndexError::Sqlite(error)) if is_damage(&error) => {
                tracing::warn!(path = %self.path.display(), %error, "the index is damaged; it is made anew");
                self.remove()?;
                self.open()
            }
            opened => opened,
        }
    }

    fn open(&self) -> Result<Open, IndexError> {
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(PATIENCE)?;
        // Closing the last connection to a file that has no name any more would remove the log of
        // the one that has it now.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        if !self.is_ours(&connection)? {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(NO_TABLES)?;
            transaction.execute_batch(TABLES)?;
            transaction.execute("INSERT INTO meta VALUES ('owner', ?1)", [&self.owner])?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        let inode = fs::metadata(&self.path)?.ino();
        Ok(Open {
            connection,
            inode,
            log: OnceLock::new(),
        })
    }

    fn is_ours(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        if read("PRAGMA application_id")? != APPLICATION_ID
            || read("PRAGMA user_version")? != SCHEMA_VERSION
        {
            return Ok(false);
        }
        let owner = "SELECT value FROM meta WHERE name = 'owner'";
        let owner: Option<String> = connection
            .query_row(owner, [], |row| row.get(0))
            .optional()?;
        Ok(owner.as_deref() == Some(self.owner.as_str()))
    }

    /// Notes that something went wrong with a connection, which is closed.
    fn failed(&self, error: IndexError, open: Open) -> IndexError {
        self.doubt();
        let inode = open.inode;
        drop(open);
        if let IndexError::Sqlite(cause) = &error
            && is_damage(cause)
            && let Err(error) = self.discard(Some(inode))
        {
            tracing::error!(path = %self.path.display(), %error, "a damaged index could not be removed");
        }
        error
    }

    /// Throws the file away, if it is this one still.
    fn discard(&self, inode: Option<u64>) -> Result<(), IndexError> {
        let _opening = locked(&self.opening);
        let held = self.lock.hold_blocking(Slot::Index, PATIENCE)?;
        let _held = held.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        let there = fs::metadata(&self.path).map(|meta| meta.ino()).ok();
        if inode.is_none() || there == inode {
            tracing::warn!(path = %self.path.display(), "the index is damaged; it is made anew");
            self.remove()?;
        }
        Ok(())
    }

    /// Has what was committed written at once: no sync, but the next one will find less.
    fn committed(&self, open: &Open) {
        let find = || File::options().write(true).open(self.beside(LOG)).ok();
        if let Some(log) = open.log.get_or_init(find) {
            daybook_disk::begin_to_write(log, 0, 0);
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    fn remove(&self) -> io::Result<()> {
        for suffix in [LOG, "-shm", ""] {
            match fs::remove_file(self.beside(suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether an index was made from all files.
pub(crate) fn complete(index: &Connection) -> Result<bool, IndexError> {
    let mut statement = index.prepare_cached("SELECT 1 FROM meta WHERE name = 'complete'")?;
    Ok(statement.exists([])?)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A connection that is being used is not in there, so nothing is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
