//! The file of the read model: opened, or made anew where it cannot be gone on with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use thiserror::Error;
use uuid::Uuid;

use crate::schema::{DDL, SCHEMA_VERSION};
use crate::writer::{CHECKPOINT_PAGES, Writer};

/// How far a read model is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position of the last event folded; 0 before the first.
    pub position: u64,
    /// The id of that event.
    pub event_id: Option<Uuid>,
}

/// Why a read model cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be opened or made. Check the path, the rights and the free space.
    #[error("read model {path} cannot be opened")]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A file that is to make room cannot be removed. Check the rights on the folder.
    #[error("read model {path} cannot be removed")]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread to be had. Raise the limit of the process.
    #[error("read model cannot have a thread of its own")]
    Thread(#[source] io::Error),
    /// The log cannot be read. Try again later.
    #[error("log cannot be read")]
    Log(#[from] daybook_event_store::ReadError),
}

/// How long a connection waits for another one before it gives up.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
const STATEMENTS_CACHED: usize = 128;
/// Pages that whoever folds keeps in memory, in KiB: what one batch touches is not written twice.
const CACHE_KIB: i64 = 4 << 10;
/// A power failure may take the last commits, but never half of one, and the log has them.
pub(crate) const SYNCHRONOUS: &str = "NORMAL";

/// Opens the file for writing. A file of another version of the tables, or one that is no such
/// file at all, is thrown away: it is derived.
pub(crate) fn open(path: &Path) -> Result<(Connection, Checkpoint), OpenError> {
    if path.exists() {
        match open_existing(path) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => tracing::warn!(
                path = %path.display(),
                "the read model is of another version and is made again from the log"
            ),
            Err(error) if is_damage(&error) => tracing::warn!(
                path = %path.display(), %error,
                "the read model is damaged and is made again from the log"
            ),
            Err(source) => {
                return Err(OpenError::Storage {
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
    create(path)
}

/// Makes an empty file in the place of whatever is there.
pub(crate) fn create(path: &Path) -> Result<(Connection, Checkpoint), OpenError> {
    remove(path)?;
    let make = || {
        let conn = Connection::open(path)?;
        configure(&conn)?;
        make_tables(&conn)?;
        Ok(conn)
    };
    let conn = make().map_err(|source| OpenError::Storage {
        path: path.to_owned(),
        source,
    })?;
    Ok((conn, Checkpoint::default()))
}

/// Takes over the writing of an open file.
pub(crate) fn writer(conn: Connection, path: &Path) -> Result<Writer, OpenError> {
    Writer::new(conn, path).map_err(|source| OpenError::Storage {
        path: path.to_owned(),
        source,
    })
}

/// An empty model that is gone with its connection.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let conn = Connection::open_in_memory()?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    make_tables(&conn)?;
    Ok(conn)
}

/// A connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(conn)
}

pub(crate) fn checkpoint(conn: &Connection) -> rusqlite::Result<Checkpoint> {
    conn.query_row("SELECT position, event_id FROM checkpoint", [], |row| {
        let event_id: Option<String> = row.get(1)?;
        Ok(Checkpoint {
            position: row.get::<_, i64>(0)?.unsigned_abs(),
            event_id: event_id.and_then(|id| id.parse().ok()),
        })
    })
}

/// Removes the file with what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm"] {
        let path = with_suffix(path, suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Remove { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open_existing(path: &Path) -> rusqlite::Result<Option<(Connection, Checkpoint)>> {
    let conn = Connection::open(path)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        return Ok(None);
    }
    configure(&conn)?;
    let checkpoint = checkpoint(&conn)?;
    Ok(Some((conn, checkpoint)))
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Else a statement whose plan may depend on what is bound to it is prepared anew each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", SYNCHRONOUS)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(())
}

fn make_tables(conn: &Connection) -> rusqlite::Result<()> {
    // The version last and in the same transaction: half a set of tables is of no version.
    conn.execute_batch(&format!(
        "BEGIN;\n{DDL}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;"
    ))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        rusqlite::Error::QueryReturnedNoRows => true,
        rusqlite::Error::SqliteFailure(failure, message) => {
            matches!(failure.code, DatabaseCorrupt | NotADatabase)
                || message
                    .as_deref()
                    .is_some_and(|text| text.starts_with("no such table"))
        }
        rusqlite::Error::SqlInputError { msg, .. } => msg.starts_with("no such table"),
        _ => false,
    }
}
