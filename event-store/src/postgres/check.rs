//! Looking for damage that reading the events does not show.

use tokio_postgres::Row;

use super::codec::damaged;
use super::reader::Readers;
use crate::ReadError;

/// One statement each, so that each looks at one moment of the log.
const HEAD_AND_EVENTS: &str = "SELECT h.position, coalesce(e.newest, 0), e.count, \
        h.recorded_at >= coalesce(e.recorded_at, '-infinity') \
    FROM head h, (SELECT max(position) AS newest, count(*) AS count, \
        max(recorded_at) AS recorded_at FROM events) e";

const NAMELESS: &str = "SELECT DISTINCT e.stream_id FROM events e \
    LEFT JOIN events f ON f.position = e.stream_id \
    WHERE f.stream IS NULL OR f.stream_id <> f.position \
    ORDER BY e.stream_id LIMIT 100";

const INVALID_INDEXES: &str = "SELECT c.relname::text FROM pg_index i \
    JOIN pg_class c ON c.oid = i.indexrelid \
    WHERE i.indrelid = 'events'::regclass AND NOT (i.indisvalid AND i.indisready)";

/// Describes each find.
pub(super) async fn check(readers: &Readers) -> Result<Vec<String>, ReadError> {
    let mut finds = Vec::new();
    let rows = readers.rows(HEAD_AND_EVENTS, &[]).await?;
    if rows.len() != 1 {
        finds.push(format!("the head has {} rows, not one", rows.len()));
    }
    for row in &rows {
        check_head(row, &mut finds)?;
    }
    for row in readers.rows(NAMELESS, &[]).await? {
        let id: i64 = row.try_get(0).map_err(damaged)?;
        finds.push(format!("stream {id} has no first event with its name"));
    }
    for row in readers.rows(INVALID_INDEXES, &[]).await? {
        let name: &str = row.try_get(0).map_err(damaged)?;
        finds.push(format!("the index {name} is not valid"));
    }
    Ok(finds)
}

fn check_head(row: &Row, finds: &mut Vec<String>) -> Result<(), ReadError> {
    let head: i64 = row.try_get(0).map_err(damaged)?;
    let newest: i64 = row.try_get(1).map_err(damaged)?;
    let count: i64 = row.try_get(2).map_err(damaged)?;
    let in_time: bool = row.try_get(3).map_err(damaged)?;
    if head != newest {
        finds.push(format!(
            "the head is at {head}, the newest event at {newest}"
        ));
    }
    if count != newest {
        finds.push(format!("there are {count} events up to position {newest}"));
    }
    if !in_time {
        finds.push("an event was recorded after the time of the head".into());
    }
    Ok(())
}
