//! What the writer does to the tables inside a transaction: decide an append and insert its rows.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::codec::{EncodedAppend, EncodedEvent, to_sql};
use super::names::RecentMap;
use crate::admission::{Plan, check_import, plan};
use crate::clock::next_recorded_at_us;
use crate::{AppendError, Appended, Clock, Position, RecordedEvent, StreamName, StreamVersion};

/// The newest state of the tables as the writer knows it.
pub(super) struct Tables {
    streams: RecentMap<StreamName, StreamHead>,
    types: RecentMap<Arc<str>, i64>,
    head: Position,
    last_recorded_at_us: i64,
    clock: Clock,
}

#[derive(Clone, Copy)]
struct StreamHead {
    id: i64,
    version: Option<StreamVersion>,
}

/// Names of event types remembered; there are some dozens of them.
const CACHED_TYPES: usize = 1024;

impl Tables {
    /// Reads where the log stands.
    pub(super) fn load(
        connection: &Connection,
        cached_streams: usize,
        clock: Clock,
    ) -> Result<Self> {
        let mut tables = Self {
            streams: RecentMap::new(cached_streams),
            types: RecentMap::new(CACHED_TYPES),
            head: Position::START,
            last_recorded_at_us: Timestamp::MIN.as_microsecond(),
            clock,
        };
        tables.reload(connection)?;
        Ok(tables)
    }

    /// Forgets everything and reads anew, after a transaction that was rolled back.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        self.streams.clear();
        self.types.clear();
        let last = connection
            .query_row(
                "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        self.head = Position::START;
        if let Some((position, recorded_at_us)) = last {
            self.head = Position(position.unsigned_abs());
            self.last_recorded_at_us = recorded_at_us;
        }
        Ok(())
    }

    /// The position of the newest event.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Decides one append and inserts it. The outer error is the database's: then the transaction
    /// is to be rolled back as a whole.
    pub(super) fn append(
        &mut self,
        connection: &Connection,
        append: &EncodedAppend,
    ) -> Result<std::result::Result<Appended, AppendError>> {
        let stream = self.stream_head(connection, &append.stream)?;
        let actual = stream.and_then(|stream| stream.version);
        let repeated = match (plan(append.expected, actual, append.events.len()), stream) {
            (Plan::Append, _) => return self.insert(connection, append, stream).map(Ok),
            (Plan::CompareIds { first, last }, Some(stream)) => {
                repeated(connection, stream.id, first, last, &append.events)?
            }
            _ => None,
        };
        Ok(repeated.ok_or_else(|| AppendError::Conflict {
            stream: append.stream.clone(),
            expected: append.expected,
            actual,
        }))
    }

    fn insert(
        &mut self,
        connection: &Connection,
        append: &EncodedAppend,
        stream: Option<StreamHead>,
    ) -> Result<Appended> {
        let stream_id = match stream {
            Some(stream) => stream.id,
            None => insert_name(connection, Dictionary::Streams, append.stream.as_str())?,
        };
        self.last_recorded_at_us = next_recorded_at_us(&self.clock, self.last_recorded_at_us);
        let mut version = append.expected.next_version();
        for event in &append.events {
            self.insert_event(connection, stream_id, version, event)?;
            version.0 += 1;
        }
        let version = StreamVersion(version.0 - 1);
        self.remember(&append.stream, stream_id, version);
        Ok(Appended {
            version,
            position: self.head,
        })
    }

    /// Takes over events of another log, all or none. The outer error is the database's, as with
    /// an append.
    pub(super) fn import(
        &mut self,
        connection: &Connection,
        events: &[RecordedEvent],
    ) -> Result<std::result::Result<Appended, AppendError>> {
        let mut heads: HashMap<&StreamName, Option<StreamHead>> = HashMap::new();
        for event in events {
            if !heads.contains_key(&event.stream) {
                heads.insert(&event.stream, self.stream_head(connection, &event.stream)?);
            }
        }
        let version_of = |stream: &StreamName| heads.get(stream).copied().flatten()?.version;
        let checked = check_import(events, self.head, self.last_recorded_at_us, version_of)
            .and_then(|()| events.iter().map(EncodedEvent::of_recorded).collect());
        let encoded: Vec<_> = match checked {
            Ok(encoded) => encoded,
            Err(refused) => return Ok(Err(refused)),
        };
        for (event, encoded) in events.iter().zip(encoded) {
            let stream_id = match heads.get(&event.stream).copied().flatten() {
                Some(head) => head.id,
                None => insert_name(connection, Dictionary::Streams, event.stream.as_str())?,
            };
            self.last_recorded_at_us = event.recorded_at.as_microsecond();
            self.insert_event(connection, stream_id, event.version, &encoded)?;
            heads.insert(
                &event.stream,
                Some(self.remember(&event.stream, stream_id, event.version)),
            );
        }
        Ok(Ok(Appended {
            version: events.last().map_or(StreamVersion(0), |last| last.version),
            position: self.head,
        }))
    }

    fn insert_event(
        &mut self,
        connection: &Connection,
        stream_id: i64,
        version: StreamVersion,
        event: &EncodedEvent,
    ) -> Result<()> {
        let type_id = self.type_id(connection, &event.event_type)?;
        self.head.0 += 1;
        connection
            .prepare_cached(
                "INSERT INTO events (position, stream_id, version, event_id, type_id, \
                 schema_version, recorded_at, data, metadata, salt) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                to_sql(self.head.0),
                stream_id,
                to_sql(version.0),
                event.event_id.as_bytes(),
                type_id,
                event.schema_version,
                self.last_recorded_at_us,
                &event.data[..],
                event.metadata,
                event.salt,
            ])?;
        Ok(())
    }

    fn remember(&mut self, stream: &StreamName, id: i64, version: StreamVersion) -> StreamHead {
        let head = StreamHead {
            id,
            version: Some(version),
        };
        self.streams.insert(stream.clone(), head);
        head
    }

    /// `None` where the stream does not exist.
    fn stream_head(
        &mut self,
        connection: &Connection,
        stream: &StreamName,
    ) -> Result<Option<StreamHead>> {
        if let Some(head) = self.streams.get(stream) {
            return Ok(Some(*head));
        }
        let Some(id) = find_name(connection, Dictionary::Streams, stream.as_str())? else {
            return Ok(None);
        };
        let version: Option<i64> = connection
            .prepare_cached("SELECT max(version) FROM events WHERE stream_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let head = StreamHead {
            id,
            version: version.map(|version| StreamVersion(version.unsigned_abs())),
        };
        self.streams.insert(stream.clone(), head);
        Ok(Some(head))
    }

    fn type_id(&mut self, connection: &Connection, name: &Arc<str>) -> Result<i64> {
        if let Some(id) = self.types.get(name) {
            return Ok(*id);
        }
        let id = match find_name(connection, Dictionary::Types, name)? {
            Some(id) => id,
            None => insert_name(connection, Dictionary::Types, name)?,
        };
        self.types.insert(name.clone(), id);
        Ok(id)
    }
}

/// Where the append ended up the first time, if the events of these versions have its ids.
fn repeated(
    connection: &Connection,
    stream_id: i64,
    first: StreamVersion,
    last: StreamVersion,
    events: &[EncodedEvent],
) -> Result<Option<Appended>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, event_id FROM events \
         WHERE stream_id = ?1 AND version BETWEEN ?2 AND ?3 ORDER BY version",
    )?;
    let mut rows = statement.query(params![stream_id, to_sql(first.0), to_sql(last.0)])?;
    let mut position = Position::START;
    for event in events {
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        if row.get::<_, [u8; 16]>(1)? != *event.event_id.as_bytes() {
            return Ok(None);
        }
        position = Position(row.get::<_, i64>(0)?.unsigned_abs());
    }
    Ok(Some(Appended {
        version: last,
        position,
    }))
}

/// The tables that number names.
#[derive(Clone, Copy)]
enum Dictionary {
    Streams,
    Types,
}

fn find_name(connection: &Connection, dictionary: Dictionary, name: &str) -> Result<Option<i64>> {
    let sql = match dictionary {
        Dictionary::Streams => "SELECT id FROM streams WHERE name = ?1",
        Dictionary::Types => "SELECT id FROM event_types WHERE name = ?1",
    };
    connection
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0))
        .optional()
}

fn insert_name(connection: &Connection, dictionary: Dictionary, name: &str) -> Result<i64> {
    let sql = match dictionary {
        Dictionary::Streams => "INSERT INTO streams (name) VALUES (?1)",
        Dictionary::Types => "INSERT INTO event_types (name) VALUES (?1)",
    };
    connection.prepare_cached(sql)?.execute([name])?;
    Ok(connection.last_insert_rowid())
}
