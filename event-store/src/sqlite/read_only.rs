//! A log that is only read, beside the process that writes it: what `daybook log check` and a copy
//! of a live ledger use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::options::SqliteOptions;
use super::reader::Readers;
use super::schema::{OpenError, check_readable, check_sqlite};
use crate::{
    Append, AppendError, Appended, Direction, EventLog, NewestOfStreams, Position, ReadError,
    RecordedEvent, StreamName, StreamRange, StreamVersion, Subscription,
};

/// How often subscriptions look for what another process has committed.
const POLL_EVERY: Duration = Duration::from_millis(100);

pub(super) struct ReadOnlyLog {
    readers: Arc<Readers>,
    closed: watch::Sender<bool>,
}

impl ReadOnlyLog {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        check_sqlite(rusqlite::version_number(), rusqlite::version())?;
        check_readable(path)?;
        Ok(Self {
            readers: Arc::new(Readers::new(path, SqliteOptions::default().readers)),
            closed: watch::Sender::new(false),
        })
    }
}

#[async_trait]
impl EventLog for ReadOnlyLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        appends.iter().map(|_| Err(read_only())).collect()
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let stream = stream.clone();
        self.readers
            .read_stream(stream, from, direction, limit)
            .await
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readers.read_all(after, limit).await
    }

    async fn newest_of_streams(
        self: Arc<Self>,
        range: StreamRange,
    ) -> Result<NewestOfStreams, ReadError> {
        self.readers.newest_of_streams(range).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.readers.head().await
    }

    /// It has to be called inside a tokio runtime, which does the looking.
    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        // Only a head beyond the subscriber wakes it, the first look tells where the log is.
        let (announce, head) = watch::channel(after);
        tokio::spawn(poll(
            self.readers.clone(),
            announce,
            self.closed.subscribe(),
        ));
        Subscription::new(self, after, head)
    }

    async fn import(&self, _: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        Err(read_only())
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        self.readers.check().await
    }

    async fn stopped(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    async fn close(&self) {
        self.closed.send_replace(true);
        self.readers.close().await;
    }
}

/// Announces the head until nobody listens or the log is closed.
async fn poll(
    readers: Arc<Readers>,
    announce: watch::Sender<Position>,
    mut closed: watch::Receiver<bool>,
) {
    loop {
        // A log that cannot be read now may be later; the subscription's own reads say why.
        if let Ok(head) = readers.head().await {
            announce.send_if_modified(|announced| std::mem::replace(announced, head) != head);
        }
        tokio::select! {
            () = announce.closed() => return,
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(POLL_EVERY) => {}
        }
    }
}

fn read_only() -> AppendError {
    AppendError::Unavailable("opened for reading only".into())
}

#[cfg(test)]
mod tests;
