//! Events: the audit trail.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, InputObject, Result, SimpleObject};
use daybook_event_store::RecordedEvent;
use daybook_projections::{EventFilter, EventRow, StreamFilter};
use serde_json::Value;

use super::scalars::{DateTime, Long, Position};
use crate::state::State;

/// One fact, as it was recorded.
#[derive(Clone, SimpleObject)]
#[graphql(name = "Event", complex)]
pub(crate) struct EventNode {
    /// Its place in the log.
    pub(crate) position: Position,
    /// Its stream.
    stream: String,
    /// Its place in the stream, from 0.
    version: Long,
    /// The id that its writer gave it.
    event_id: ID,
    /// Its type.
    #[graphql(name = "type")]
    event_type: String,
    /// The version of the shape of `data`.
    schema_version: u32,
    /// When the log took it.
    recorded_at: DateTime,
    /// Who acted.
    actor: Option<String>,
    /// The id that all events of one story share.
    correlation_id: Option<String>,
    /// The command or event that directly caused it.
    causation_id: Option<String>,
    #[graphql(skip)]
    recorded: Option<Arc<RecordedEvent>>,
}

#[ComplexObject]
impl EventNode {
    /// Names it among all nodes.
    pub(crate) async fn id(&self) -> ID {
        ID(format!("event:{}", self.position.0))
    }

    /// What happened: the body, with its big parts.
    async fn data(&self, ctx: &Context<'_>) -> Result<Value> {
        let state = ctx.data::<Arc<State>>()?;
        match &self.recorded {
            Some(recorded) => state.body(recorded).await,
            None => {
                let recorded = state.recorded(self.position.0).await?;
                state.body(&recorded).await
            }
        }
    }
}

impl From<EventRow> for EventNode {
    fn from(row: EventRow) -> Self {
        Self {
            position: Position(row.position),
            stream: row.stream,
            version: Long(row.version),
            event_id: ID(row.event_id),
            event_type: row.event_type,
            schema_version: row.schema_version,
            recorded_at: DateTime::from_us(row.recorded_at_us),
            actor: row.actor,
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            recorded: None,
        }
    }
}

impl From<Arc<RecordedEvent>> for EventNode {
    fn from(recorded: Arc<RecordedEvent>) -> Self {
        let mut node = Self::from(EventRow::from(&*recorded));
        node.recorded = Some(recorded);
        node
    }
}

/// Which events.
#[derive(Clone, Default, InputObject)]
pub(crate) struct EventWhere {
    /// In this stream.
    stream: Option<String>,
    /// In streams whose names start so.
    stream_prefix: Option<String>,
    /// Of one of these types.
    #[graphql(name = "type")]
    event_type: Option<Vec<String>>,
    /// By this actor.
    actor: Option<String>,
    /// Of this story.
    correlation_id: Option<String>,
    /// Recorded at this time or later.
    recorded_after: Option<DateTime>,
    /// Recorded before this time.
    recorded_before: Option<DateTime>,
    /// After this position of the log.
    position_after: Option<Position>,
}

impl TryFrom<EventWhere> for EventFilter {
    type Error = async_graphql::Error;

    fn try_from(wanted: EventWhere) -> Result<Self> {
        let stream = match (wanted.stream, wanted.stream_prefix) {
            (Some(_), Some(_)) => {
                return Err(async_graphql::Error::new(
                    "give either stream or streamPrefix, not both",
                ));
            }
            (Some(name), None) => Some(StreamFilter::Exact(name)),
            (None, Some(prefix)) => Some(StreamFilter::Prefix(prefix)),
            (None, None) => None,
        };
        Ok(EventFilter {
            stream,
            types: wanted.event_type.unwrap_or_default(),
            actor: wanted.actor,
            correlation_id: wanted.correlation_id,
            recorded_after_us: wanted.recorded_after.map(DateTime::as_us),
            recorded_before_us: wanted.recorded_before.map(DateTime::as_us),
            position_after: wanted.position_after.map(|position| position.0),
        })
    }
}
