//! The newest event of each of many streams, in the order of their names.
//!
//! Names have no index in that order, and the newest events lie in blocks all over the file. So it is
//! read once from front to back, and sorted outside:
//!
//! ```text
//! streams, appends ─> (position, name) ── sorted by position ──> blocks in their order
//!                                                                     │
//!                    events in the order of names <── sorted by name ─┘
//! ```
//!
//! The snapshot of the file is held while blocks are read, and let go before anything is given out:
//! who takes the events may be slow, and the write-ahead log grows as long as a snapshot is held.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::block::decode;
use super::blocks::{BlockReader, damaged, failed};
use super::lent::{Lent, Names, SharedUnindexed};
use super::schema::open_reader;
use crate::newest::{PAGE_EVENTS, PAGES_AHEAD, unsorted};
use crate::sorter::{SORTER_BYTES, Sorted, Sorter};
use crate::{
    NewestOfStreams, Position, ReadError, RecordedEvent, StreamName, StreamRange, StreamVersion,
};

type Pages = mpsc::Sender<Result<Vec<RecordedEvent>, ReadError>>;

/// How many streams are looked at before it is asked again whether anybody waits for them.
const ASK_EVERY: usize = 4_096;

/// The bytes of a position before an event.
const POSITION_BYTES: usize = 8;

/// Begins to read, on a thread and a connection of its own.
pub(super) async fn begin(path: PathBuf, range: StreamRange) -> Result<NewestOfStreams, ReadError> {
    let (begun, head) = oneshot::channel();
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    spawn_blocking(move || {
        if let Err(error) = run(&path, &range, begun, &sender) {
            let _ = sender.blocking_send(Err(error));
        }
    });
    let head = head.await.map_err(|_| {
        // What went wrong before it began is in the channel, if anything is.
        ReadError::Unavailable("the log cannot be read now".into())
    });
    match head {
        Ok(head) => Ok(NewestOfStreams::new(head, pages)),
        Err(unknown) => {
            let mut pages = pages;
            match pages.recv().await {
                Some(Err(error)) => Err(error),
                _ => Err(unknown),
            }
        }
    }
}

fn run(
    path: &Path,
    range: &StreamRange,
    begun: oneshot::Sender<Position>,
    pages: &Pages,
) -> Result<(), ReadError> {
    let connection = open_reader(path).map_err(failed)?;
    let mut lent = Lent::new(connection, SharedUnindexed::default());
    let snapshot = lent.connection.unchecked_transaction().map_err(failed)?;
    let head = lent.head().map_err(failed)?;
    if begun.send(head).is_err() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let Some(places) = places(&snapshot, range, folder, pages)? else {
        return Ok(());
    };
    let Some(events) = events(&snapshot, places, folder, pages)? else {
        return Ok(());
    };
    drop(snapshot);
    give_out(&lent.connection, &mut lent.names, events, pages)
}

/// Where the newest event of each stream is, in the order of positions. `None` if nobody waits.
fn places(
    snapshot: &Connection,
    range: &StreamRange,
    folder: &Path,
    pages: &Pages,
) -> Result<Option<Sorted>, ReadError> {
    let mut sorter = Sorter::new(folder, SORTER_BYTES);
    let mut statement = snapshot
        .prepare(
            "SELECT name, (SELECT position FROM appends WHERE stream_id = id \
                           ORDER BY version DESC LIMIT 1) \
             FROM streams WHERE name >= ?1 AND (?2 IS NULL OR name < ?2)",
        )
        .map_err(failed)?;
    let mut rows = statement
        .query(params![range.prefix, range.end()])
        .map_err(failed)?;
    let mut looked_at = 0_usize;
    while let Some(row) = rows.next().map_err(failed)? {
        looked_at += 1;
        if looked_at.is_multiple_of(ASK_EVERY) && pages.is_closed() {
            return Ok(None);
        }
        let name = row.get_ref(0).map_err(failed)?.as_str().map_err(damaged)?;
        if !range.has(name) {
            continue;
        }
        let position: Option<u64> = row.get(1).map_err(failed)?;
        let position =
            position.ok_or_else(|| damaged(format!("stream {name} has a name and no event")))?;
        sorter
            .push(&position.to_be_bytes(), name.as_bytes())
            .map_err(unsorted)?;
    }
    sorter.finish().map(Some).map_err(unsorted)
}

/// The events at those places, in the order of names, each with its position before it.
fn events(
    snapshot: &Connection,
    places: Sorted,
    folder: &Path,
    pages: &Pages,
) -> Result<Option<Sorted>, ReadError> {
    let mut sorter = Sorter::new(folder, SORTER_BYTES);
    let mut blocks = BlockReader::default();
    let mut value = Vec::new();
    for (nth, place) in places.enumerate() {
        if nth.is_multiple_of(ASK_EVERY) && pages.is_closed() {
            return Ok(None);
        }
        let (position, name) = place.map_err(unsorted)?;
        let event = blocks.bytes_at(snapshot, number(&position)?)?;
        value.clear();
        value.extend_from_slice(&position);
        value.extend_from_slice(event);
        sorter.push(&name, &value).map_err(unsorted)?;
    }
    sorter.finish().map(Some).map_err(unsorted)
}

fn give_out(
    connection: &Connection,
    names: &mut Names,
    events: Sorted,
    pages: &Pages,
) -> Result<(), ReadError> {
    let mut page = Vec::with_capacity(PAGE_EVENTS);
    for event in events {
        let (name, value) = event.map_err(unsorted)?;
        page.push(recorded(connection, names, name, &value)?);
        if page.len() == PAGE_EVENTS && pages.blocking_send(Ok(std::mem::take(&mut page))).is_err()
        {
            return Ok(());
        }
    }
    if !page.is_empty() {
        let _ = pages.blocking_send(Ok(page));
    }
    Ok(())
}

fn recorded(
    connection: &Connection,
    names: &mut Names,
    name: Vec<u8>,
    value: &[u8],
) -> Result<RecordedEvent, ReadError> {
    let name = String::from_utf8(name).map_err(damaged)?;
    let (position, bytes) = value
        .split_at_checked(POSITION_BYTES)
        .ok_or_else(|| damaged("a sorted event is cut short"))?;
    let event = decode(bytes, 0..bytes.len()).map_err(damaged)?;
    let place = event.place;
    Ok(RecordedEvent {
        position: Position(number(position)?),
        stream: StreamName::new(name),
        version: StreamVersion(place.version),
        event_id: event.event_id,
        event_type: names.event_type(connection, place.type_id)?,
        schema_version: event.schema_version,
        recorded_at: Timestamp::from_microsecond(place.recorded_at_us).map_err(damaged)?,
        data: Bytes::copy_from_slice(&bytes[event.data]),
        metadata: event.metadata,
        salt: event.salt,
    })
}

fn number(bytes: &[u8]) -> Result<u64, ReadError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| damaged("a sorted position is cut short"))?;
    Ok(u64::from_be_bytes(bytes))
}
