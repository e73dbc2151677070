//! Taking over the events of another log.
//!
//! The server appends to one stream at a time, and the order of positions has to be that of the
//! other log. So the events go in runs of one stream, each of them checked first. An import that
//! broke off is repeated as it was: what is there already is left alone.

use std::collections::HashMap;

use super::append::{Wanted, Written, newest, write_events};
use super::codec::encode_imported;
use super::connection::Connection;
use super::faults::Fault;
use super::reader::Reader;
use crate::{AppendError, Direction, Expected, Position, RecordedEvent, StreamName, StreamVersion};

/// The most that one run weighs, well below the server's limit of an append.
const MAX_RUN_BYTES: usize = 512 * 1024;

/// What an event weighs beside its body, generously.
const METADATA_BYTES: usize = 512;

/// As [`EventLog::import`](crate::EventLog::import).
pub(super) async fn import(
    connection: &Connection,
    reader: &Reader,
    events: Vec<RecordedEvent>,
) -> Result<Position, AppendError> {
    let missing = missing(connection, reader, events).await?;
    for run in runs(missing) {
        write_run(connection, reader, run).await?;
    }
    let head = reader.head(connection).await;
    head.map_err(Fault::into_append_error)
}

/// The events that are not there yet. Refuses them all if one of them is not the next of its
/// stream, or another event has its place.
async fn missing(
    connection: &Connection,
    reader: &Reader,
    events: Vec<RecordedEvent>,
) -> Result<Vec<RecordedEvent>, AppendError> {
    let mut newest_of: HashMap<StreamName, Option<StreamVersion>> = HashMap::new();
    let mut missing = Vec::new();
    for event in events {
        let known = match newest_of.get(&event.stream) {
            Some(known) => *known,
            None => newest(connection, reader, &event.stream)
                .await
                .map_err(unasked)?,
        };
        let next = Expected::from(known).next_version();
        if event.version > next {
            return Err(refused(&event, &format!("the stream wants {}", next.0)));
        }
        if event.version < next {
            newest_of.insert(event.stream.clone(), known);
            check_same(connection, reader, &event).await?;
            continue;
        }
        newest_of.insert(event.stream.clone(), Some(event.version));
        missing.push(event);
    }
    Ok(missing)
}

async fn check_same(
    connection: &Connection,
    reader: &Reader,
    event: &RecordedEvent,
) -> Result<(), AppendError> {
    let (from, direction) = (Some(event.version), Direction::Forward);
    let found = reader.read_stream(connection, &event.stream, from, direction, 1);
    let found = found.await.map_err(unasked)?;
    match found.first() {
        Some(there) if there.event_id == event.event_id => Ok(()),
        _ => Err(refused(event, "the stream has another event there")),
    }
}

/// Nothing was asked to be written yet.
fn unasked(fault: Fault) -> AppendError {
    AppendError::Unavailable(fault.into_read_error().to_string())
}

fn refused(event: &RecordedEvent, why: &str) -> AppendError {
    let (position, stream, version) = (event.position, &event.stream, event.version.0);
    AppendError::Invalid(format!(
        "the event at {position} in stream {stream} has version {version}: {why}"
    ))
}

/// Neighbours of the same stream together, as far as one append may hold them.
fn runs(events: Vec<RecordedEvent>) -> Vec<Vec<RecordedEvent>> {
    let mut runs: Vec<Vec<RecordedEvent>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let weight = event.data.len() + METADATA_BYTES;
        bytes += weight;
        match runs.last_mut() {
            Some(run) if run[0].stream == event.stream && bytes <= MAX_RUN_BYTES => run.push(event),
            _ => {
                bytes = weight;
                runs.push(vec![event]);
            }
        }
    }
    runs
}

async fn write_run(
    connection: &Connection,
    reader: &Reader,
    run: Vec<RecordedEvent>,
) -> Result<(), AppendError> {
    let first = &run[0];
    let before = first.version.0.checked_sub(1).map(StreamVersion);
    let wanted = Wanted {
        stream: first.stream.clone(),
        expected: before.into(),
        ids: run.iter().map(|event| event.event_id).collect(),
    };
    let events: Result<Vec<_>, _> = run.into_iter().map(encode_imported).collect();
    let events = events.map_err(AppendError::Invalid)?;
    let written = write_events(connection, reader, &wanted, events).await;
    match written.map_err(Fault::into_append_error)? {
        Written::There => Ok(()),
        Written::Elsewhere(_) => Err(AppendError::Invalid(format!(
            "somebody else appends to stream {}, an import needs the log for itself",
            wanted.stream
        ))),
    }
}

#[cfg(test)]
mod tests;
