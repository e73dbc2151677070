//! Reading: a few read-only connections that are lent out, one for each read. In WAL mode they
//! neither wait for the writer nor keep it waiting.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::check;
use super::codec::{COLUMNS, PageDecoder, TABLES, to_sql};
use super::schema::open_reader;
use crate::{Direction, Position, ReadError, RecordedEvent, StreamName, StreamVersion};

/// Lends out connections.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    count: u32,
}

impl Readers {
    /// At most `count` connections, opened when first needed.
    pub(super) fn new(path: &Path, count: usize) -> Self {
        let count = u32::try_from(count)
            .unwrap_or(u32::MAX)
            .clamp(1, MAX_READERS);
        Self {
            path: path.into(),
            idle: Arc::default(),
            free: Arc::new(Semaphore::new(count as usize)),
            count,
        }
    }

    pub(super) async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM {TABLES} WHERE e.position > ?1 ORDER BY e.position LIMIT ?2"
            );
            page(
                connection,
                &sql,
                params![to_sql(after.0), to_sql(limit as u64)],
            )
        })
        .await
    }

    pub(super) async fn read_stream(
        &self,
        stream: StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let (compare, order, default) = match direction {
            Direction::Forward => (">=", "ASC", 0),
            Direction::Backward => ("<=", "DESC", i64::MAX),
        };
        let from = from.map_or(default, |version| to_sql(version.0));
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM {TABLES} \
                 WHERE e.stream_id = (SELECT id FROM streams WHERE name = ?1) \
                 AND e.version {compare} ?2 ORDER BY e.version {order} LIMIT ?3"
            );
            let limit = to_sql(limit as u64);
            page(connection, &sql, params![stream.as_str(), from, limit])
        })
        .await
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        self.read(|connection| {
            let head = connection
                .prepare_cached("SELECT max(position) FROM events")
                .and_then(|mut statement| {
                    statement.query_row([], |row| row.get::<_, Option<i64>>(0))
                })
                .map_err(failed)?;
            Ok(Position(head.unwrap_or(0).unsigned_abs()))
        })
        .await
    }

    /// What [`check::run`] finds.
    pub(super) async fn check(&self) -> Result<Vec<String>, ReadError> {
        self.read(|connection| check::run(connection).map_err(failed))
            .await
    }

    /// Waits for the reads under way; later ones are refused.
    pub(super) async fn close(&self) {
        let all = self.free.acquire_many(self.count).await;
        self.free.close();
        drop(all);
        idle(&self.idle).clear();
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = self.free.clone().acquire_owned();
        let permit = permit.await.map_err(|_| unavailable("the log is closed"))?;
        let (pool, path) = (self.idle.clone(), self.path.clone());
        // The connection goes back in there, so that a caller who gives up cannot lose it.
        let reading = spawn_blocking(move || {
            let lent = idle(&pool).pop();
            let connection = match lent {
                Some(connection) => connection,
                None => open_reader(&path).map_err(failed)?,
            };
            let result = query(&connection);
            idle(&pool).push(connection);
            drop(permit);
            result
        });
        reading
            .await
            .map_err(|error| unavailable(&format!("the read was broken off: {error}")))?
    }
}

/// More would only wait for each other.
const MAX_READERS: u32 = 64;

fn idle(pool: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

fn page(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(params).map_err(failed)?;
    let mut decoder = PageDecoder::default();
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        events.push(decoder.decode(row)?);
    }
    Ok(events)
}

fn failed(error: rusqlite::Error) -> ReadError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => ReadError::Damaged(error.to_string()),
        _ => unavailable(&error.to_string()),
    }
}

fn unavailable(why: &str) -> ReadError {
    ReadError::Unavailable(why.to_owned())
}
