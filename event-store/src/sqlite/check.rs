//! Looking for damage that reading the events does not show. It never holds a snapshot for long,
//! except while SQLite checks its own pages, so it may run beside a busy writer.

use rusqlite::Connection;

use super::blocks::{failed, for_each_after, places};
use super::lent::Lent;
use crate::{Direction, Position, ReadError, StreamName, StreamVersion};

/// Finds that are told; more of them tell nothing more.
const FINDS_TOLD: usize = 20;
/// Events looked at in one snapshot, about.
const EVENTS_AT_ONCE: u64 = 10_000;

/// Describes what is damaged.
pub(super) fn run(lent: &mut Lent) -> Result<Vec<String>, ReadError> {
    let mut finds = pages(&lent.connection).map_err(failed)?;
    finds.extend(lengths(&lent.connection).map_err(failed)?);
    let mut seen = Position::START;
    while finds.len() < FINDS_TOLD {
        let before = seen;
        seen = events_after(lent, seen, &mut finds)?;
        if seen == before {
            break;
        }
    }
    finds.truncate(FINDS_TOLD);
    Ok(finds)
}

/// SQLite's own check, of each page and of what its indexes say.
fn pages(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let found = texts(connection, &format!("PRAGMA integrity_check({FINDS_TOLD})"))?;
    let damage = found.into_iter().filter(|text| text != "ok");
    Ok(damage.map(|text| format!("SQLite: {text}")).collect())
}

/// What follows from numbers alone.
fn lengths(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut finds = texts(
        connection,
        "SELECT format('the block of %d events up to position %d does not follow %d', \
                       events, position, before) \
         FROM (SELECT position, events, lag(position, 1, 0) OVER (ORDER BY position) AS before \
               FROM blocks) \
         WHERE position - events <> before",
    )?;
    finds.extend(texts(
        connection,
        "SELECT format('stream %s has no events', name) FROM streams \
         WHERE NOT EXISTS (SELECT 1 FROM appends WHERE stream_id = id)",
    )?);
    Ok(finds)
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.take(FINDS_TOLD).collect()
}

/// Looks at some events and returns how far it got.
fn events_after(
    lent: &mut Lent,
    after: Position,
    finds: &mut Vec<String>,
) -> Result<Position, ReadError> {
    let mut seen = Vec::new();
    for_each_after(&lent.connection, after, |block| {
        for (position, event) in block.from(after.0 + 1) {
            match event {
                Ok(event) => seen.push((position, Some(event.place))),
                Err(error) => {
                    finds.push(format!("the event at {position}: {error}"));
                    seen.push((position, None));
                }
            }
        }
        Ok((seen.len() as u64) < EVENTS_AT_ONCE)
    })?;
    let last = seen
        .last()
        .map_or(after, |(position, _)| Position(*position));
    for (position, place) in seen {
        let Some(place) = place else { continue };
        let found = places_of(
            lent,
            position,
            place.stream_id,
            place.version,
            place.type_id,
        )?;
        finds.extend(found.map(|what| format!("the event at {position}: {what}")));
        if finds.len() >= FINDS_TOLD {
            break;
        }
    }
    Ok(last)
}

/// Whether an event is found by its stream, and its names by their numbers.
fn places_of(
    lent: &Lent,
    position: u64,
    stream_id: i64,
    version: u64,
    type_id: i64,
) -> Result<Option<String>, ReadError> {
    let connection = &lent.connection;
    let from = Some(StreamVersion(version));
    let places = places(connection, stream_id, from, Direction::Forward, 1).map_err(failed)?;
    if places != [(StreamVersion(version), Position(position))] {
        let at = places.first().map(|(_, at)| at.0);
        return Ok(Some(format!(
            "version {version} of stream number {stream_id} is said to be at {at:?}"
        )));
    }
    if name_of(connection, "event_types", type_id)?.is_none() {
        return Ok(Some(format!("type number {type_id} has no name")));
    }
    if version > 0 {
        return Ok(None);
    }
    let Some(name) = name_of(connection, "streams", stream_id)? else {
        return Ok(Some(format!("stream number {stream_id} has no name")));
    };
    let found = lent
        .find_stream(&StreamName::new(name.as_str()))
        .map_err(failed)?;
    let lost = || format!("stream {name} has number {stream_id} but is found as {found:?}");
    Ok((found != Some(stream_id)).then(lost))
}

fn name_of(connection: &Connection, table: &str, id: i64) -> Result<Option<String>, ReadError> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached(&format!("SELECT name FROM {table} WHERE id = ?1"))
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map_err(failed)
}

#[cfg(test)]
mod tests;
