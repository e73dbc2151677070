//! The arrival of an object, which is what an execution starts with. Where one is owed it waits in the
//! log: the worklist knows only where.

use std::sync::Arc;

use daybook_domain::Chain;
use daybook_domain::execution::TriggerObject;
use daybook_domain::stored_object::{ObjectCreated, ObjectEvent};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, Position, ReadError, RecordedEvent};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use crate::notification;
use crate::worklist::{FoldCause, correlation_of, decode};

/// The arrival of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// What arrived, and how.
    pub created: ObjectCreated,
    /// When that was recorded.
    pub at: Timestamp,
    /// What belongs together.
    pub correlation: String,
    /// The id of the event.
    pub event: String,
}

/// Why an arrival cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ArrivalError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Event(#[from] FoldCause),
    /// The worklist is not of this log.
    #[error("no object's arrival is recorded next after position {0}")]
    NotThere(Position),
}

impl Arrival {
    /// Reads the arrival that is recorded next after a position.
    pub(crate) async fn read(
        log: &Arc<dyn EventLog>,
        blobs: &BlobStore,
        after: Position,
    ) -> Result<Self, ArrivalError> {
        let events = log.read_all(after, 1).await?;
        let event = events.into_iter().next();
        let event = event.ok_or(ArrivalError::NotThere(after))?;
        match decode(&event, blobs).await? {
            ObjectEvent::ObjectCreated(created) => Ok(Self::of(created, &event)),
            _ => Err(ArrivalError::NotThere(after)),
        }
    }

    /// What an event tells.
    pub(crate) fn of(created: ObjectCreated, event: &RecordedEvent) -> Self {
        Self {
            created,
            at: event.recorded_at,
            correlation: correlation_of(event),
            event: event.event_id.to_string(),
        }
    }

    /// What an execution for it gets as its input: the event that S3 would send.
    pub(crate) fn input(&self, region: &str) -> Value {
        let created = &self.created;
        let sequencer = created.order.as_ref().map(|order| order.sequencer.as_str());
        notification::s3_event(
            &self.object(),
            &created.event_name,
            self.at,
            sequencer,
            region,
        )
    }

    /// What led to it.
    pub(crate) fn chain(&self) -> Chain {
        let by = self.created.produced_by.as_ref();
        by.map(|by| by.chain.clone()).unwrap_or_default()
    }

    /// The object version.
    pub(crate) fn object(&self) -> TriggerObject {
        TriggerObject {
            bucket: self.created.bucket.clone(),
            key: self.created.key.clone(),
            version: self.created.version.clone(),
        }
    }
}
