//! Events as the server keeps them.
//!
//! The body goes as it is: as JSON if it is JSON without space around it, else as bytes. All that
//! the server has no place for goes into the custom metadata, a JSON object: ours under our names,
//! correlation and causation under those that the server's projections know.

use bytes::Bytes;
use eventstore::EventData;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::names::Names;
use crate::clock::new_salt;
use crate::{EventMetadata, NewEvent, Position, RecordedEvent, Salt, StreamVersion};

/// The server counts time in 100 ns since 1970.
const TICKS_PER_MICROSECOND: i64 = 10;

/// What servers before 22.6 say where an event is read from its stream.
const NO_POSITION: u64 = u64::MAX;

/// The custom metadata of an event. It is storage format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Custom {
    #[serde(
        rename = "$correlationId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    correlation_id: Option<String>,
    #[serde(
        rename = "$causationId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    causation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    schema_version: u32,
    /// In hexadecimal digits.
    salt: String,
    /// Of an imported event only: when its first log took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recorded_at: Option<Timestamp>,
}

/// A new event for the server. The salt is made here.
pub(super) fn encode_new(event: NewEvent) -> Result<EventData, String> {
    let custom = custom(event.metadata, event.schema_version, new_salt(), None);
    encode(event.event_id, &event.event_type, event.data, &custom)
}

/// An event of another log for the server, time and salt included.
pub(super) fn encode_imported(event: RecordedEvent) -> Result<EventData, String> {
    let recorded_at = Some(event.recorded_at);
    let custom = custom(
        event.metadata,
        event.schema_version,
        event.salt,
        recorded_at,
    );
    encode(event.event_id, &event.event_type, event.data, &custom)
}

fn custom(
    metadata: EventMetadata,
    schema_version: u32,
    salt: Salt,
    recorded_at: Option<Timestamp>,
) -> Custom {
    Custom {
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id,
        actor: metadata.actor,
        traceparent: metadata.traceparent,
        schema_version,
        salt: hex::encode(salt),
        recorded_at,
    }
}

fn encode(
    id: uuid::Uuid,
    event_type: &str,
    data: Bytes,
    custom: &Custom,
) -> Result<EventData, String> {
    if event_type.is_empty() {
        return Err("the server takes no event without a type".into());
    }
    let wrong = |error: serde_json::Error| error.to_string();
    let encoded = match as_json(&data) {
        Some(json) => EventData::json(event_type, &json).map_err(wrong)?,
        None => EventData::binary(event_type, data),
    };
    encoded.id(id).metadata_as_json(custom).map_err(wrong)
}

/// The body as JSON, if writing it again gives the same bytes.
fn as_json(data: &Bytes) -> Option<&RawValue> {
    let json: &RawValue = serde_json::from_slice(data).ok()?;
    (json.get().len() == data.len()).then_some(json)
}

/// An event as it was read; an error describes why it cannot be one of ours.
pub(super) fn decode(
    names: &Names,
    event: eventstore::RecordedEvent,
) -> Result<RecordedEvent, String> {
    let (stream, version) = (&event.stream_id, event.revision);
    let wrong = |what: String| format!("event {version} of stream {stream:?}: {what}");
    let name = names
        .decode(&event.stream_id)
        .ok_or_else(|| wrong("the name of the stream is not one of Daybook's".into()))?;
    let custom: Custom = serde_json::from_slice(&event.custom_metadata)
        .map_err(|error| wrong(format!("its metadata is not Daybook's: {error}")))?;
    if event.position.commit == NO_POSITION {
        return Err(wrong(
            "the server does not tell its position, EventStoreDB 22.10 or later is needed".into(),
        ));
    }
    let mut salt = Salt::default();
    hex::decode_to_slice(&custom.salt, &mut salt)
        .map_err(|error| wrong(format!("its salt is not Daybook's: {error}")))?;
    let recorded_at = match custom.recorded_at {
        Some(recorded_at) => recorded_at,
        None => created(&event).map_err(wrong)?,
    };
    Ok(RecordedEvent {
        position: position(&event),
        stream: name,
        version: StreamVersion(event.revision),
        event_id: event.id,
        event_type: event.event_type.into(),
        schema_version: custom.schema_version,
        recorded_at,
        data: event.data,
        metadata: EventMetadata {
            correlation_id: custom.correlation_id,
            causation_id: custom.causation_id,
            actor: custom.actor,
            traceparent: custom.traceparent,
        },
        salt,
    })
}

/// The event's place in `$all`. Each event of an append has a log record, and so a position, of its
/// own; commit and prepare position are the same for all that come through gRPC.
pub(super) fn position(event: &eventstore::RecordedEvent) -> Position {
    Position(event.position.commit)
}

/// When the server took it. The client's own field for it has whole seconds only.
fn created(event: &eventstore::RecordedEvent) -> Result<Timestamp, String> {
    let ticks = event.metadata.get("created");
    let ticks: Option<i64> = ticks.and_then(|ticks| ticks.parse().ok());
    ticks
        .and_then(|ticks| Timestamp::from_microsecond(ticks / TICKS_PER_MICROSECOND).ok())
        .ok_or_else(|| "the server does not say when it was created".into())
}

#[cfg(test)]
mod tests;
