//! What every resolver and handler works with, and the batched look-ups.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, Position, RecordedEvent};
use daybook_projections::{ExecutionRow, ObjectRow, Projector, Reader};
use serde_json::Value;

use crate::config::QueryConfig;

/// Shared by all requests.
pub(crate) struct State {
    pub(crate) projector: Projector,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) blobs: BlobStore,
    pub(crate) config: QueryConfig,
    pub(crate) objects: DataLoader<Objects>,
    pub(crate) executions: DataLoader<Executions>,
    pub(crate) events: DataLoader<Events>,
}

impl State {
    pub(crate) fn new(
        projector: Projector,
        log: Arc<dyn EventLog>,
        blobs: BlobStore,
        config: QueryConfig,
    ) -> Self {
        let reader = projector.reader().clone();
        Self {
            objects: DataLoader::new(Objects(reader.clone()), tokio::spawn),
            executions: DataLoader::new(Executions(reader), tokio::spawn),
            events: DataLoader::new(Events(log.clone()), tokio::spawn),
            projector,
            log,
            blobs,
            config,
        }
    }

    /// The event at a position, from the log.
    pub(crate) async fn recorded(
        &self,
        position: u64,
    ) -> async_graphql::Result<Arc<RecordedEvent>> {
        let found = self.events.load_one(position).await.map_err(unavailable)?;
        found.ok_or_else(|| {
            async_graphql::Error::new(format!("the log has no event at position {position}"))
        })
    }

    /// The body of an event, with what the blob store holds of it.
    pub(crate) async fn body(&self, recorded: &RecordedEvent) -> async_graphql::Result<Value> {
        let body = serde_json::from_slice(&recorded.data).map_err(unavailable)?;
        self.blobs.hydrate(body).await.map_err(unavailable)
    }

    /// One field of the body of an event; null where it has none.
    pub(crate) async fn field(&self, position: u64, name: &str) -> async_graphql::Result<Value> {
        let recorded = self.recorded(position).await?;
        let mut body: Value = serde_json::from_slice(&recorded.data).map_err(unavailable)?;
        let field = body.get_mut(name).map(Value::take).unwrap_or_default();
        self.hydrated(field).await
    }

    /// A value, or what the blob store holds for it.
    pub(crate) async fn hydrated(&self, value: Value) -> async_graphql::Result<Value> {
        let alone = serde_json::json!({ "value": value });
        let mut whole = self.blobs.hydrate(alone).await.map_err(unavailable)?;
        Ok(whole["value"].take())
    }

    /// A stored text: JSON of the text, or of a reference to it.
    pub(crate) async fn text(&self, stored: &str) -> async_graphql::Result<String> {
        let value = serde_json::from_str(stored).map_err(unavailable)?;
        Ok(match self.hydrated(value).await? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

/// An error of the service, not of the question: told in short, logged in full.
pub(crate) fn unavailable(error: impl std::fmt::Display) -> async_graphql::Error {
    tracing::error!(%error, "a query failed");
    async_graphql::Error::new(error.to_string())
}

/// Object versions by position.
pub(crate) struct Objects(Reader);

impl Loader<u64> for Objects {
    type Value = ObjectRow;
    type Error = Arc<daybook_projections::ReadModelError>;

    async fn load(&self, keys: &[u64]) -> Result<HashMap<u64, ObjectRow>, Self::Error> {
        let rows = self.0.objects_at(keys.to_vec()).await?;
        Ok(rows.into_iter().map(|row| (row.position, row)).collect())
    }
}

/// Executions by id.
pub(crate) struct Executions(Reader);

impl Loader<String> for Executions {
    type Value = ExecutionRow;
    type Error = Arc<daybook_projections::ReadModelError>;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, ExecutionRow>, Self::Error> {
        let rows = self.0.executions_by_id(keys.to_vec()).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }
}

/// Events by position, from the log.
pub(crate) struct Events(Arc<dyn EventLog>);

/// Positions no further apart than this are read in one go.
const NEAR: u64 = 8;
/// The most events of one read.
const MOST: u64 = 200;

impl Loader<u64> for Events {
    type Value = Arc<RecordedEvent>;
    type Error = Arc<daybook_event_store::ReadError>;

    async fn load(&self, keys: &[u64]) -> Result<HashMap<u64, Self::Value>, Self::Error> {
        let mut wanted = keys.to_vec();
        wanted.sort_unstable();
        let mut found = HashMap::with_capacity(wanted.len());
        let mut rest = wanted.as_slice();
        while let Some(&first) = rest.first() {
            let mut last = first;
            let run = rest
                .iter()
                .take_while(|&&position| {
                    let near = position - last <= NEAR && position - first < MOST;
                    last = position;
                    near
                })
                .count();
            let end = rest[run - 1];
            let count = usize::try_from(end - first + 1).unwrap_or(1);
            let before = Position(first.saturating_sub(1));
            for event in self.0.read_all(before, count).await? {
                if keys.contains(&event.position.0) {
                    found.insert(event.position.0, Arc::new(event));
                }
            }
            rest = &rest[run..];
        }
        Ok(found)
    }
}
