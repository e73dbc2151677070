//! Opening the file: the lock beside it, the version of SQLite, the tables, and the settings of
//! each connection.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use thiserror::Error;

use super::SqliteOptions;

/// Why the log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open, or this one already does. Stop that one first.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The SQLite built into this program may lose events. Build it with a newer one.
    #[error("SQLite {found} is too old for an event log, {OLDEST_SQLITE} or later is needed")]
    SqliteTooOld {
        /// The version found.
        found: String,
    },
    /// A newer release of this program has written it. Use that release.
    #[error("{} has schema version {found}, this program knows up to {known}", path.display())]
    SchemaTooNew {
        /// The database file.
        path: PathBuf,
        /// The version found in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// There is nothing to read. Check the path.
    #[error("there is no event log at {}", path.display())]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// It has an older layout, which is not read as it is. Open it for writing once, as a server
    /// does: that converts it.
    #[error("{} has the older layout {found}, not {SCHEMA_VERSION}; a server's start converts it", path.display())]
    SchemaTooOld {
        /// The database file.
        path: PathBuf,
        /// The version found in the file.
        found: i64,
    },
    /// A log of an older layout is not what it should be, and was left as it is. Have it looked at.
    #[error("{} cannot be converted to today's layout: {why}", path.display())]
    NotConvertible {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is a SQLite database of something else. Check the path.
    #[error("{} is not an event log", path.display())]
    NotAnEventLog {
        /// The database file.
        path: PathBuf,
    },
    /// The file or its lock cannot be used. Check the folder, its rights and the disk.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// SQLite cannot use the file. Check the disk; the file may be damaged.
    #[error("cannot open {}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Says in the file's header whose file it is: "Dayb".
pub(super) const APPLICATION_ID: i64 = 0x4461_7962;
/// The version of the tables below.
pub(super) const SCHEMA_VERSION: i64 = 2;
/// Earlier releases can lose committed data when two connections reset the write-ahead log.
const OLDEST_SQLITE: &str = "3.51.3";
const OLDEST_SQLITE_NUMBER: i32 = 3_051_003;

/// Streams and types are named once and referred to by number. Ids of events are not indexed: a
/// repetition is found by its stream and version. What is in a body, `block.rs` says; what
/// `stream_hashes` and `hashed` are for, `streams.rs`.
const TABLES: &str = "
    CREATE TABLE streams (
        id   INTEGER PRIMARY KEY,
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE stream_hashes (
        hash INTEGER NOT NULL,
        id   INTEGER NOT NULL,
        PRIMARY KEY (hash, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE hashed (
        to_id INTEGER NOT NULL
    ) STRICT;
    INSERT INTO hashed VALUES (0);
    CREATE TABLE event_types (
        id   INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE blocks (
        position INTEGER PRIMARY KEY, -- of its last event
        events   INTEGER NOT NULL,
        body     BLOB NOT NULL
    ) STRICT;
    CREATE TABLE appends (
        stream_id INTEGER NOT NULL,
        version   INTEGER NOT NULL,   -- of its last event
        position  INTEGER NOT NULL,   -- of its last event
        PRIMARY KEY (stream_id, version)
    ) STRICT, WITHOUT ROWID;
";

/// Refuses a SQLite that is too old.
pub(super) fn check_sqlite(number: i32, name: &str) -> Result<(), OpenError> {
    if number < OLDEST_SQLITE_NUMBER {
        return Err(OpenError::SqliteTooOld { found: name.into() });
    }
    Ok(())
}

/// Takes the lock file beside the database; it is held as long as the returned file lives. It is a
/// file of its own because closing any handle of the database file would drop SQLite's locks.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let io = |source| OpenError::Io {
        path: lock_path.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Opens the writer's connection and brings the tables up to date.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database {
        path: path.into(),
        source,
    };
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(database)?;
    configure(&connection, options.cache_bytes).map_err(database)?;
    let version = identify(path, &connection)?;
    if version == 0 {
        create(&mut connection, options.page_size_bytes).map_err(database)?;
    }
    use_wal(&connection).map_err(database)?;
    if settle(path, &connection)? {
        reserve_wal(path, options.wal_reserved_bytes)?;
    }
    sync_folder(path)?;
    Ok(connection)
}

/// Opens one beside the writer's, for checkpoints.
pub(super) fn open_beside(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    configure(&connection, 0)?;
    Ok(connection)
}

/// Opens one connection for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Refuses to read what is not there, or not an event log of ours. It changes nothing.
pub(super) fn check_readable(path: &Path) -> Result<(), OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.into() });
    }
    let connection = open_reader(path).map_err(|source| OpenError::Database {
        path: path.into(),
        source,
    })?;
    match identify(path, &connection)? {
        0 => Err(OpenError::NotAnEventLog { path: path.into() }),
        _ => Ok(()),
    }
}

/// Only our own connections use the file, and they wait for each other for moments at most.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this after a checkpoint that emptied it.
const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;

fn configure(connection: &Connection, cache_bytes: u32) -> rusqlite::Result<()> {
    // Negative means KiB rather than pages.
    connection.pragma_update(None, "cache_size", -i64::from(cache_bytes / 1024))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Every commit is on disk before it is acknowledged. NORMAL would lose the last ones.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The writer makes the checkpoints itself: SQLite's own ignore a failed sync.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)
}

/// The schema version of the file, 0 for a new one.
fn identify(path: &Path, connection: &Connection) -> Result<i64, OpenError> {
    let read = |pragma: &str| {
        connection
            .query_row(pragma, [], |row| row.get::<_, i64>(0))
            .map_err(|source| OpenError::Database {
                path: path.into(),
                source,
            })
    };
    let application_id = read("PRAGMA application_id")?;
    let found = read("PRAGMA user_version")?;
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    if application_id == 0 && found == 0 && tables == 0 {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return Err(OpenError::NotAnEventLog { path: path.into() });
    }
    if found < SCHEMA_VERSION {
        return Err(OpenError::SchemaTooOld {
            path: path.into(),
            found,
        });
    }
    if found > SCHEMA_VERSION {
        return Err(OpenError::SchemaTooNew {
            path: path.into(),
            found,
            known: SCHEMA_VERSION,
        });
    }
    Ok(found)
}

fn create(connection: &mut Connection, page_size_bytes: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", page_size_bytes)?;
    use_wal(connection)?;
    // One transaction, so that a crash leaves an empty file or a whole one.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
}

/// Brings what was recovered onto the disk. A process that was killed may have written a commit
/// and not yet synced it: it can be read, so it may be acted upon and acknowledged as a repeat, and
/// a power failure must not take it back.
///
/// Returns whether the write-ahead log is empty now.
fn settle(path: &Path, connection: &Connection) -> Result<bool, OpenError> {
    let busy: bool = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(|source| OpenError::Database {
            path: path.into(),
            source,
        })?;
    if busy {
        // A reader in another process keeps the checkpoint from its end, but not from this.
        with_wal(path, |wal| wal.sync_all())?;
    }
    Ok(!busy)
}

/// Fills an empty write-ahead log with zeros, which SQLite takes for an empty one.
fn reserve_wal(path: &Path, bytes: u32) -> Result<(), OpenError> {
    static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
    with_wal(path, |mut wal| {
        for _ in 0..bytes as usize / CHUNK.len() {
            wal.write_all(&CHUNK)?;
        }
        wal.sync_all()
    })
}

/// SQLite's locks are on other files, so that closing this handle of it drops none.
fn with_wal(path: &Path, act: impl FnOnce(File) -> std::io::Result<()>) -> Result<(), OpenError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let file = File::options().write(true).open(&wal);
    file.and_then(act).map_err(|source| OpenError::Io {
        path: wal.into(),
        source,
    })
}

pub(super) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| OpenError::Io {
            path: folder.into(),
            source,
        })
}
