//! What the log takes ([`NewEvent`]) and gives back ([`RecordedEvent`]).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A place in the log, strictly growing over all streams. The first event has position 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Position = Position(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one stream, from 0, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StreamVersion(pub u64);

/// The name of a stream, for example `execution-6f1c…`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Any text is a stream name; the domain decides what it looks like.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Random bytes kept beside each event, that salt its audit leaf. Erasable.
pub type Salt = [u8; 16];

/// Who and what an event goes back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMetadata {
    /// What belongs together: the id that all events of one story share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The command or event that directly caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Who acted: a person, a key or a part of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The W3C trace context in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// An event that wants to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Chosen by the writer, the same for each repetition of the same append.
    pub event_id: Uuid,
    /// The event's name. It is storage format.
    pub event_type: Arc<str>,
    /// The version of the shape of `data`.
    pub schema_version: u32,
    /// JSON, kept byte by byte as it came.
    pub data: Bytes,
    /// Who and what it goes back to.
    pub metadata: EventMetadata,
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// The id that the writer gave it.
    pub event_id: Uuid,
    /// The event's name.
    pub event_type: Arc<str>,
    /// The version of the shape of `data`.
    pub schema_version: u32,
    /// When the log took it (UTC, microseconds); never decreasing along positions.
    pub recorded_at: Timestamp,
    /// JSON, as it came.
    pub data: Bytes,
    /// Who and what it goes back to.
    pub metadata: EventMetadata,
    /// Salt of its audit leaf.
    pub salt: Salt,
}
