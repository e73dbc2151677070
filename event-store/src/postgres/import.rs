//! Taking over the events of another log.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::SystemTime;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Transaction};

use super::codec::{check_name, encode_metadata, escape, system_time, to_sql, version_from_sql};
use super::error::describe;
use super::reader::Readers;
use crate::admission::check_import;
use crate::{AppendError, Position, RecordedEvent, StreamName, StreamVersion};

const LOCK_HEAD: &str = "SELECT position, recorded_at FROM head FOR UPDATE";

const STREAMS: &str = "SELECT w.name, f.stream_id, \
        (SELECT max(l.version) FROM events l WHERE l.stream_id = f.stream_id) \
    FROM unnest($1::text[]) AS w(name) JOIN events f ON f.stream = w.name";

const INSERT: &str = "INSERT INTO events (position, stream_id, version, recorded_at, \
        schema_version, event_id, stream, event_type, data, metadata, salt) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], \
        $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::bytea[])";

const MOVE_HEAD: &str = "UPDATE head SET position = $1, recorded_at = $2";

/// Appends the events as they are; returns where the log ends then.
pub(super) async fn import(
    readers: &Readers,
    events: &[RecordedEvent],
) -> Result<Position, AppendError> {
    for event in events {
        check_name(event.stream.as_str())?;
    }
    let session = readers.lend().await;
    let mut session = session.map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let unavailable = |error: Error| AppendError::Unavailable(describe(&error));
    let transaction = session.transaction().await.map_err(unavailable)?;
    let row = transaction
        .query_one(LOCK_HEAD, &[])
        .await
        .map_err(unavailable)?;
    let head = Position(row.get::<_, i64>(0).unsigned_abs());
    let last = Timestamp::try_from(row.get::<_, SystemTime>(1));
    let last_us = last.map_or(i64::MIN, Timestamp::as_microsecond);
    let streams = streams(&transaction, events).await.map_err(unavailable)?;
    check_import(events, head, last_us, |stream| {
        streams.get(stream).and_then(|(_, version)| *version)
    })?;
    let Some(newest) = events.last() else {
        return Ok(head);
    };
    let inserted = insert(&transaction, events, &streams).await?;
    inserted.map_err(unavailable)?;
    let moved: [&(dyn ToSql + Sync); 2] =
        [&to_sql(newest.position.0), &system_time(newest.recorded_at)];
    let moved = transaction.execute(MOVE_HEAD, &moved).await;
    moved.map_err(unavailable)?;
    let committed = transaction.commit().await;
    committed.map_err(|error| AppendError::Unknown(describe(&error)))?;
    Ok(newest.position)
}

type Streams = HashMap<StreamName, (i64, Option<StreamVersion>)>;

/// The streams of the events that are there already: their ids and versions.
async fn streams(
    transaction: &Transaction<'_>,
    events: &[RecordedEvent],
) -> Result<Streams, Error> {
    let mut names: Vec<&StreamName> = events.iter().map(|event| &event.stream).collect();
    names.sort_unstable();
    names.dedup();
    let by_text: HashMap<Cow<'_, str>, &StreamName> = names
        .into_iter()
        .map(|name| (escape(name.as_str()), name))
        .collect();
    let texts: Vec<&str> = by_text.keys().map(|text| &**text).collect();
    let rows = transaction.query(STREAMS, &[&texts]).await?;
    let mut streams = Streams::new();
    for row in rows {
        if let Some(name) = by_text.get(row.try_get::<_, &str>(0)?) {
            let version = version_from_sql(row.try_get(2)?);
            streams.insert((*name).clone(), (row.try_get(1)?, version));
        }
    }
    Ok(streams)
}

/// The outer error is that of an event.
async fn insert(
    transaction: &Transaction<'_>,
    events: &[RecordedEvent],
    streams: &Streams,
) -> Result<Result<u64, Error>, AppendError> {
    let mut ids: HashMap<&StreamName, i64> =
        streams.iter().map(|(name, (id, _))| (name, *id)).collect();
    let stream_ids: Vec<i64> = events
        .iter()
        .map(|event| *ids.entry(&event.stream).or_insert(to_sql(event.position.0)))
        .collect();
    let metadata = events.iter().map(|event| encode_metadata(&event.metadata));
    let metadata = metadata.collect::<Result<Vec<_>, _>>()?;
    let each = events.iter();
    let positions: Vec<_> = each.clone().map(|event| to_sql(event.position.0)).collect();
    let versions: Vec<_> = each.clone().map(|event| to_sql(event.version.0)).collect();
    let times: Vec<_> = each
        .clone()
        .map(|event| system_time(event.recorded_at))
        .collect();
    let schema_versions: Vec<_> = each
        .clone()
        .map(|event| i64::from(event.schema_version))
        .collect();
    let event_ids: Vec<_> = each.clone().map(|event| event.event_id).collect();
    let names: Vec<_> = each
        .clone()
        .map(|event| (event.version.0 == 0).then(|| escape(event.stream.as_str())))
        .collect();
    let types: Vec<_> = each
        .clone()
        .map(|event| escape(&event.event_type))
        .collect();
    let data: Vec<_> = each.clone().map(|event| &event.data[..]).collect();
    let salts: Vec<_> = each.map(|event| &event.salt[..]).collect();
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &positions,
        &stream_ids,
        &versions,
        &times,
        &schema_versions,
        &event_ids,
        &names,
        &types,
        &data,
        &metadata,
        &salts,
    ];
    Ok(transaction.execute(INSERT, &parameters).await)
}
