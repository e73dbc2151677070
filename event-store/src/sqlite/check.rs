//! Looking for damage that reading the events does not show. It runs on a reader's connection in
//! one snapshot, so that a writer beside it makes no false finds.

use rusqlite::{Connection, Result};

/// Finds of one kind that are told; more of them tell nothing more.
const FINDS_TOLD: usize = 20;

/// Each gives a line of text for each find.
const CHECKS: &[&str] = &[
    "SELECT format('stream number %d of the event at %d has no name', stream_id, min(position)) \
     FROM events WHERE stream_id NOT IN (SELECT id FROM streams) GROUP BY stream_id",
    "SELECT format('type number %d of the event at %d has no name', type_id, min(position)) \
     FROM events WHERE type_id NOT IN (SELECT id FROM event_types) GROUP BY type_id",
    "SELECT format('stream %s has no events', name) \
     FROM streams WHERE id NOT IN (SELECT stream_id FROM events)",
    "SELECT format('stream number %d has %d events up to version %d', \
                   stream_id, count(*), max(version)) \
     FROM events GROUP BY stream_id HAVING count(*) <> max(version) + 1",
    "SELECT format('the log has %d events up to position %d', count(*), max(position)) \
     FROM events HAVING count(*) <> ifnull(max(position), 0)",
];

/// Describes each find.
pub(super) fn run(connection: &Connection) -> Result<Vec<String>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut finds = Vec::new();
    for find in texts(&snapshot, &format!("PRAGMA integrity_check({FINDS_TOLD})"))? {
        if find != "ok" {
            finds.push(format!("SQLite: {find}"));
        }
    }
    for check in CHECKS {
        finds.extend(texts(&snapshot, check)?);
    }
    Ok(finds)
}

fn texts(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.take(FINDS_TOLD).collect()
}

#[cfg(test)]
mod tests;
