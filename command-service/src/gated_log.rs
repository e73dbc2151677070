//! The memory log behind a gate, for tests of what happens while the log is slow or away.

use std::sync::Arc;

use async_trait::async_trait;
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{
    Append, AppendError, Appended, Direction, EventLog, Position, ReadError, RecordedEvent,
    StreamName, StreamVersion, Subscription,
};
use tokio::sync::watch;

/// What becomes of appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// They go to the log.
    Open,
    /// They wait.
    Shut,
    /// They are refused: the log is away.
    Away,
}

/// The memory log, and what it does with appends at the moment.
pub(crate) struct GatedLog {
    log: Arc<MemoryEventLog>,
    gate: watch::Sender<Gate>,
}

impl GatedLog {
    /// An open one.
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Self {
            log: MemoryEventLog::new(),
            gate: watch::Sender::new(Gate::Open),
        })
    }

    pub(crate) fn set(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }
}

#[async_trait]
impl EventLog for GatedLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut gate = self.gate.subscribe();
        let passes = gate.wait_for(|gate| *gate != Gate::Shut).await;
        if passes.is_ok_and(|gate| *gate == Gate::Away) {
            let away = || Err(AppendError::Unavailable("the log is away".to_owned()));
            return appends.iter().map(|_| away()).collect();
        }
        self.log.append_each(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read_stream(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.log.head().await
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        self.log.clone().subscribe(after)
    }

    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        self.log.import(events).await
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        self.log.check_storage().await
    }

    async fn stopped(&self) {
        self.log.stopped().await;
    }

    async fn close(&self) {
        self.log.close().await;
    }
}
