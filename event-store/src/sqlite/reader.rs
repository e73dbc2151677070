//! Reading: a few read-only connections that are lent out, one for each read. In WAL mode they
//! neither wait for the writer nor keep it waiting.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::blocks::failed;
use super::check;
use super::lent::{Lent, SharedUnindexed};
use super::newest;
use super::schema::open_reader;
use crate::{
    Direction, NewestOfStreams, Position, ReadError, RecordedEvent, StreamName, StreamRange,
    StreamVersion,
};

/// Lends out connections.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Lent>>>,
    unindexed: SharedUnindexed,
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
            unindexed: SharedUnindexed::default(),
            free: Arc::new(Semaphore::new(count as usize)),
            count,
        }
    }

    pub(super) async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.read(move |lent| lent.read_all(after, limit)).await
    }

    pub(super) async fn read_stream(
        &self,
        stream: StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.read(move |lent| lent.read_stream(&stream, from, direction, limit))
            .await
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        self.read(|lent| lent.head().map_err(failed)).await
    }

    pub(super) async fn newest_of_streams(
        &self,
        range: StreamRange,
    ) -> Result<NewestOfStreams, ReadError> {
        self.refuse_if_closed()?;
        newest::begin(self.path.clone(), range).await
    }

    /// What [`check::run`] finds.
    pub(super) async fn check(&self) -> Result<Vec<String>, ReadError> {
        self.read(check::run).await
    }

    pub(super) fn refuse_if_closed(&self) -> Result<(), ReadError> {
        match self.free.is_closed() {
            true => Err(unavailable("the log is closed")),
            false => Ok(()),
        }
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
        query: impl FnOnce(&mut Lent) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = self.free.clone().acquire_owned();
        let permit = permit.await.map_err(|_| unavailable("the log is closed"))?;
        let (pool, path) = (self.idle.clone(), self.path.clone());
        let unindexed = self.unindexed.clone();
        // The connection goes back in there, so that a caller who gives up cannot lose it.
        let reading = spawn_blocking(move || {
            let lent = idle(&pool).pop();
            let mut lent = match lent {
                Some(lent) => lent,
                None => Lent::new(open_reader(&path).map_err(failed)?, unindexed),
            };
            let result = query(&mut lent);
            idle(&pool).push(lent);
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

fn idle(pool: &Mutex<Vec<Lent>>) -> MutexGuard<'_, Vec<Lent>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(why: &str) -> ReadError {
    ReadError::Unavailable(why.to_owned())
}
