//! The audit trail: every event, without its body, which is read from the log.

use daybook_event_store::RecordedEvent;
use rusqlite::{OptionalExtension, Row};

use super::{Conditions, Listing, Page, Paged, unsigned};
use crate::pool::{ReadModelError, Reader};

/// An event as the audit trail lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub version: u64,
    /// Its id.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// The version of its body's shape.
    pub schema_version: u32,
    /// When the log took it, in microseconds.
    pub recorded_at_us: i64,
    /// Who acted.
    pub actor: Option<String>,
    /// What belongs together.
    pub correlation_id: Option<String>,
    /// What caused it.
    pub causation_id: Option<String>,
}

impl From<&RecordedEvent> for EventRow {
    fn from(recorded: &RecordedEvent) -> Self {
        Self {
            position: recorded.position.0,
            stream: recorded.stream.to_string(),
            version: recorded.version.0,
            event_id: recorded.event_id.to_string(),
            event_type: recorded.event_type.to_string(),
            schema_version: recorded.schema_version,
            recorded_at_us: recorded.recorded_at.as_microsecond(),
            actor: recorded.metadata.actor.clone(),
            correlation_id: recorded.metadata.correlation_id.clone(),
            causation_id: recorded.metadata.causation_id.clone(),
        }
    }
}

/// Which events to list. Times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// In these streams.
    pub stream: Option<StreamFilter>,
    /// Of one of these types.
    pub types: Vec<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this story.
    pub correlation_id: Option<String>,
    /// Recorded at this time or later.
    pub recorded_after_us: Option<i64>,
    /// Recorded before this time.
    pub recorded_before_us: Option<i64>,
    /// After this position of the log.
    pub position_after: Option<u64>,
}

/// Which streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFilter {
    /// The one of this name.
    Exact(String),
    /// Those whose names start so.
    Prefix(String),
}

impl EventFilter {
    /// Whether an event is one of them.
    pub fn matches(&self, event: &EventRow) -> bool {
        let stream = match &self.stream {
            None => true,
            Some(StreamFilter::Exact(name)) => event.stream == *name,
            Some(StreamFilter::Prefix(prefix)) => event.stream.starts_with(prefix),
        };
        stream
            && (self.types.is_empty() || self.types.contains(&event.event_type))
            && (self.actor.is_none() || self.actor == event.actor)
            && (self.correlation_id.is_none() || self.correlation_id == event.correlation_id)
            && self
                .recorded_after_us
                .is_none_or(|time_us| event.recorded_at_us >= time_us)
            && self
                .recorded_before_us
                .is_none_or(|time_us| event.recorded_at_us < time_us)
            && self
                .position_after
                .is_none_or(|position| event.position > position)
    }
}

impl Reader {
    /// The event at a position.
    pub async fn event(&self, position: u64) -> Result<Option<EventRow>, ReadModelError> {
        self.call(move |conn| {
            conn.prepare_cached("SELECT * FROM events WHERE position = ?1")?
                .query_row([crate::fold::int(position)], event_row)
                .optional()
        })
        .await
    }

    /// Events, oldest first.
    pub async fn events(
        &self,
        filter: EventFilter,
        page: Page,
    ) -> Result<Paged<EventRow>, ReadModelError> {
        let mut conditions = Conditions::default();
        match &filter.stream {
            None => {}
            Some(StreamFilter::Exact(name)) => {
                conditions.add("stream = ?", [name.clone().into()]);
            }
            Some(StreamFilter::Prefix(prefix)) => conditions.starts_with("stream", prefix),
        }
        conditions.one_of("type", &filter.types);
        conditions.maybe("actor = ?", filter.actor);
        conditions.maybe("correlation_id = ?", filter.correlation_id);
        conditions.maybe("recorded_at >= ?", filter.recorded_after_us);
        conditions.maybe("recorded_at < ?", filter.recorded_before_us);
        // The log's positions end where SQLite's integers do: after a greater one is nothing.
        let position_after = filter.position_after.map(crate::fold::int);
        conditions.maybe("position > ?", position_after);
        let listing = Listing {
            columns: "*",
            from: "events",
            position: "position",
            key: None,
            descending: false,
        };
        self.call(move |conn| listing.read(conn, conditions, &page, event_row))
            .await
    }
}

fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        position: unsigned(row, "position")?,
        stream: row.get("stream")?,
        version: unsigned(row, "version")?,
        event_id: row.get("event_id")?,
        event_type: row.get("type")?,
        schema_version: row.get("schema_version")?,
        recorded_at_us: row.get("recorded_at")?,
        actor: row.get("actor")?,
        correlation_id: row.get("correlation_id")?,
        causation_id: row.get("causation_id")?,
    })
}
