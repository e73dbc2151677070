//! Reading: a few read-only connections, used on threads that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{self, Checkpoint};

/// Why rows could not be read.
#[derive(Debug, Error)]
pub enum ReadModelError {
    /// The file cannot be read. If it lasts, delete it: it is made again from the log.
    #[error("read model cannot be read")]
    Storage(#[from] rusqlite::Error),
    /// The process is stopping. Ask again elsewhere.
    #[error("read model is closed")]
    Closed,
}

/// Reads rows. Cheap to clone. Each call sees one state of the model, between two batches.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    /// `None` for a model in memory, which has the one connection that is idle at first.
    path: Option<PathBuf>,
    size: usize,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Reader {
    /// Over a file that exists, through at most `size` connections.
    pub(crate) fn over_file(path: PathBuf, size: usize) -> Self {
        Self::new(Some(path), size.max(1), Vec::new())
    }

    /// Over a model in memory.
    pub(crate) fn over_memory(conn: Connection) -> Self {
        Self::new(None, 1, vec![conn])
    }

    fn new(path: Option<PathBuf>, size: usize, idle: Vec<Connection>) -> Self {
        let pool = Pool {
            path,
            size,
            permits: Arc::new(Semaphore::new(size)),
            idle: Mutex::new(idle),
        };
        Self {
            pool: Arc::new(pool),
        }
    }

    /// The position and event up to which the rows are derived.
    pub async fn checkpoint(&self) -> Result<Checkpoint, ReadModelError> {
        self.call(model::checkpoint).await
    }

    pub(crate) async fn call<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadModelError> {
        let pool = self.pool.clone();
        let permit = pool.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| ReadModelError::Closed)?;
        let work = move || {
            let conn = pool.take()?;
            let result = in_one_state(&conn, read);
            pool.give_back(conn, permit);
            result
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(ReadModelError::Storage),
            Err(_) => Err(ReadModelError::Closed),
        }
    }

    /// Runs something while nobody reads and no connection is open, so that the file may be put
    /// in the place of another one.
    pub(crate) async fn while_closed<T>(&self, work: impl AsyncFnOnce() -> T) -> T {
        let all = u32::try_from(self.pool.size).unwrap_or(u32::MAX);
        let permits = self.pool.permits.clone().acquire_many_owned(all).await;
        self.pool.idle().clear();
        let result = work().await;
        drop(permits);
        result
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        if let Some(conn) = self.idle().pop() {
            return Ok(conn);
        }
        match &self.path {
            Some(path) => model::open_reader(path),
            None => Err(rusqlite::Error::InvalidQuery),
        }
    }

    /// The permit goes last: whoever gets it finds the connection.
    fn give_back(&self, conn: Connection, permit: OwnedSemaphorePermit) {
        self.idle().push(conn);
        drop(permit);
    }
}

fn in_one_state<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = conn.unchecked_transaction()?;
    read(&tx)
}
