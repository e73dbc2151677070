//! Between events and rows. Encoding happens where the append comes from, so that the one writer
//! only has to insert.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;
use uuid::Uuid;

use crate::admission::{check_limits, weight};
use crate::{
    Append, AppendError, EventMetadata, Expected, Position, ReadError, RecordedEvent, Salt,
    StreamName, StreamVersion,
};

/// SQLite's integers are signed. What is beyond them is beyond everything stored.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An append that was checked and is ready to be inserted.
pub(super) struct EncodedAppend {
    pub(super) stream: StreamName,
    pub(super) expected: Expected,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) bytes: usize,
}

/// An event without what only the writer knows: position, version and time.
pub(super) struct EncodedEvent {
    pub(super) event_id: Uuid,
    pub(super) event_type: Arc<str>,
    pub(super) schema_version: u32,
    pub(super) data: Bytes,
    pub(super) metadata: Vec<u8>,
    pub(super) salt: Salt,
}

impl EncodedEvent {
    /// An event that has its salt already.
    pub(super) fn of_recorded(event: &RecordedEvent) -> Result<Self, AppendError> {
        Ok(Self {
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            schema_version: event.schema_version,
            data: event.data.clone(),
            metadata: encode_metadata(&event.metadata)?,
            salt: event.salt,
        })
    }
}

/// Checks the limits and encodes.
pub(super) fn encode(append: Append) -> Result<EncodedAppend, AppendError> {
    check_limits(&append)?;
    let bytes = weight(&append);
    let events = append
        .events
        .into_iter()
        .map(|event| {
            let metadata = encode_metadata(&event.metadata)?;
            Ok(EncodedEvent {
                event_id: event.event_id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                data: event.data,
                metadata,
                salt: crate::clock::new_salt(),
            })
        })
        .collect::<Result<_, AppendError>>()?;
    Ok(EncodedAppend {
        stream: append.stream,
        expected: append.expected,
        events,
        bytes,
    })
}

fn encode_metadata(metadata: &EventMetadata) -> Result<Vec<u8>, AppendError> {
    serde_json::to_vec(metadata)
        .map_err(|error| AppendError::Invalid(format!("its metadata: {error}")))
}

/// The columns that [`PageDecoder`] reads, in its order.
pub(super) const COLUMNS: &str = "e.position, e.version, e.event_id, e.schema_version, \
    e.recorded_at, e.data, e.metadata, e.salt, e.stream_id, s.name, e.type_id, t.name";

/// Where [`COLUMNS`] come from.
pub(super) const TABLES: &str = "events e \
    JOIN streams s ON s.id = e.stream_id JOIN event_types t ON t.id = e.type_id";

/// Decodes the rows of one page; the names that repeat in it are shared.
#[derive(Default)]
pub(super) struct PageDecoder {
    streams: HashMap<i64, StreamName>,
    types: HashMap<i64, Arc<str>>,
}

impl PageDecoder {
    /// One event from a row of [`COLUMNS`].
    pub(super) fn decode(&mut self, row: &Row<'_>) -> Result<RecordedEvent, ReadError> {
        let stream = shared(&mut self.streams, row, 8, |name| StreamName::new(name))?;
        let event_type = shared(&mut self.types, row, 10, |name| Arc::from(name))?;
        let recorded_at_us = column::<i64>(row, 4)?;
        let metadata = row.get_ref(6).map_err(damaged)?;
        let metadata = metadata.as_blob().map_err(damaged)?;
        Ok(RecordedEvent {
            position: Position(unsigned(row, 0)?),
            stream,
            version: StreamVersion(unsigned(row, 1)?),
            event_id: Uuid::from_bytes(column(row, 2)?),
            event_type,
            schema_version: column(row, 3)?,
            recorded_at: Timestamp::from_microsecond(recorded_at_us).map_err(damaged)?,
            data: Bytes::from(column::<Vec<u8>>(row, 5)?),
            metadata: serde_json::from_slice(metadata).map_err(damaged)?,
            salt: column(row, 7)?,
        })
    }
}

/// The name in the column after `index`, made once for each number in column `index`.
fn shared<T: Clone>(
    names: &mut HashMap<i64, T>,
    row: &Row<'_>,
    index: usize,
    make: impl FnOnce(&str) -> T,
) -> Result<T, ReadError> {
    let id = column::<i64>(row, index)?;
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let name = row.get_ref(index + 1).map_err(damaged)?;
    let name = make(name.as_str().map_err(damaged)?);
    names.insert(id, name.clone());
    Ok(name)
}

fn column<T: FromSql>(row: &Row<'_>, index: usize) -> Result<T, ReadError> {
    row.get(index).map_err(damaged)
}

fn unsigned(row: &Row<'_>, index: usize) -> Result<u64, ReadError> {
    u64::try_from(column::<i64>(row, index)?).map_err(damaged)
}

fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}
