//! Between events and rows.
//!
//! Names are kept as text, so that people can read the tables. PostgreSQL's text holds everything
//! but U+0000, so that is escaped, and with it the sign that escapes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::admission::{check_limits, weight};
use crate::{
    Append, AppendError, EventMetadata, Expected, Position, ReadError, RecordedEvent, Salt,
    StreamName, StreamVersion,
};

/// An index takes names of this length, escaped, and not much longer ones.
const MAX_NAME_BYTES: usize = 2_600;

/// PostgreSQL's integers are signed. What is beyond them is beyond everything stored.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A moment as the database takes it.
pub(super) fn system_time(moment: Timestamp) -> SystemTime {
    let us = moment.as_microsecond();
    let distance = Duration::from_micros(us.unsigned_abs());
    if us < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// How an expected version, or one that was found, is told to the database and by it.
pub(super) fn version_to_sql(version: Option<StreamVersion>) -> i64 {
    version.map_or(-1, |version| to_sql(version.0))
}

/// The inverse.
pub(super) fn version_from_sql(version: i64) -> Option<StreamVersion> {
    u64::try_from(version).ok().map(StreamVersion)
}

/// The version that a stream has where it is as expected.
pub(super) fn expected_version(expected: Expected) -> Option<StreamVersion> {
    match expected {
        Expected::NoStream => None,
        Expected::Exact(version) => Some(version),
    }
}

/// An append that was checked and is ready to be sent.
pub(super) struct EncodedAppend {
    pub(super) stream: StreamName,
    pub(super) expected: Expected,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) bytes: usize,
}

/// An event without what only the database knows: its position and time.
pub(super) struct EncodedEvent {
    pub(super) event_id: Uuid,
    pub(super) event_type: Arc<str>,
    pub(super) schema_version: u32,
    pub(super) data: Bytes,
    pub(super) metadata: Option<String>,
    pub(super) salt: Salt,
}

/// Checks the limits and encodes.
pub(super) fn encode(append: Append) -> Result<EncodedAppend, AppendError> {
    check_limits(&append)?;
    check_name(append.stream.as_str())?;
    let bytes = weight(&append);
    let events = append
        .events
        .into_iter()
        .map(|event| {
            Ok(EncodedEvent {
                event_id: event.event_id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                data: event.data,
                metadata: encode_metadata(&event.metadata)?,
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

/// Refuses a name that no index takes.
pub(super) fn check_name(name: &str) -> Result<(), AppendError> {
    let bytes = escape(name).len();
    if bytes > MAX_NAME_BYTES {
        return Err(AppendError::Invalid(format!(
            "the stream's name has {bytes} bytes, more than {MAX_NAME_BYTES}"
        )));
    }
    Ok(())
}

/// As JSON; `None` where there is nothing. JSON itself escapes U+0000.
pub(super) fn encode_metadata(metadata: &EventMetadata) -> Result<Option<String>, AppendError> {
    if *metadata == EventMetadata::default() {
        return Ok(None);
    }
    let json = serde_json::to_string(metadata);
    json.map(Some)
        .map_err(|error| AppendError::Invalid(format!("its metadata: {error}")))
}

/// A name as PostgreSQL's text can hold it.
pub(super) fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['\\', '\0']) {
        Cow::Owned(name.replace('\\', "\\\\").replace('\0', "\\0"))
    } else {
        Cow::Borrowed(name)
    }
}

/// The inverse of [`escape`].
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        name.push(match character {
            '\\' if characters.next() == Some('0') => '\0',
            character => character,
        });
    }
    Cow::Owned(name)
}

/// The name of a stream from its column.
pub(super) fn stream_name(text: &str) -> StreamName {
    StreamName::new(&*unescape(text))
}

/// The columns that [`PageDecoder`] reads, in its order.
pub(super) const COLUMNS: &str = "e.position, e.stream_id, e.version, e.recorded_at, \
    e.schema_version, e.event_id, e.stream, e.event_type, e.data, e.metadata, e.salt";

/// Decodes the rows of one page; names that repeat in it are shared.
#[derive(Default)]
pub(super) struct PageDecoder {
    streams: HashMap<i64, StreamName>,
    types: HashMap<String, Arc<str>>,
}

impl PageDecoder {
    /// Tells the name of a stream that begins before the page.
    pub(super) fn know(&mut self, stream_id: i64, name: StreamName) {
        self.streams.insert(stream_id, name);
    }

    /// The ids of streams whose first event is neither in the page nor known.
    pub(super) fn missing(&mut self, rows: &[Row]) -> Result<Vec<i64>, ReadError> {
        let mut missing = Vec::new();
        for row in rows {
            let id = column::<i64>(row, 1)?;
            if self.streams.contains_key(&id) {
                continue;
            }
            match column::<Option<&str>>(row, 6)? {
                Some(name) => self.know(id, stream_name(name)),
                None => missing.push(id),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }

    /// One event from a row of [`COLUMNS`].
    pub(super) fn decode(&mut self, row: &Row) -> Result<RecordedEvent, ReadError> {
        let stream_id = column::<i64>(row, 1)?;
        let Some(stream) = self.streams.get(&stream_id) else {
            return Err(damaged(format!("stream {stream_id} has no name")));
        };
        let stream = stream.clone();
        let metadata = column::<Option<&str>>(row, 9)?.map(serde_json::from_str);
        let salt = column::<&[u8]>(row, 10)?;
        Ok(RecordedEvent {
            position: Position(unsigned(row, 0)?),
            stream,
            version: StreamVersion(unsigned(row, 2)?),
            recorded_at: Timestamp::try_from(column::<SystemTime>(row, 3)?).map_err(damaged)?,
            schema_version: u32::try_from(column::<i64>(row, 4)?).map_err(damaged)?,
            event_id: column(row, 5)?,
            event_type: self.event_type(column(row, 7)?),
            data: Bytes::copy_from_slice(column(row, 8)?),
            metadata: metadata.transpose().map_err(damaged)?.unwrap_or_default(),
            salt: salt.try_into().map_err(damaged)?,
        })
    }

    fn event_type(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.types.get(text) {
            return name.clone();
        }
        let name: Arc<str> = unescape(text).into();
        self.types.insert(text.to_owned(), name.clone());
        name
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, ReadError> {
    row.try_get(index).map_err(damaged)
}

fn unsigned(row: &Row, index: usize) -> Result<u64, ReadError> {
    u64::try_from(column::<i64>(row, index)?).map_err(damaged)
}

pub(super) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}
