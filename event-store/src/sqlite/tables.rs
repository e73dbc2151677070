//! What the writer does to the tables inside a transaction: decide an append, put its events into
//! the block under way and insert the rows that find them.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Result};

use super::SqliteOptions;
use super::block::{self, Place, put_event};
use super::blocks::{BlockReader, places};
use super::codec::{EncodedAppend, EncodedEvent, HashedName, encode_recorded};
use super::names::RecentMap;
use super::statements::Statements;
use super::streams::Unindexed;
use super::tail::{self, Newest};
use crate::admission::{Plan, check_import, plan};
use crate::clock::next_recorded_at_us;
use crate::{
    AppendError, Appended, Clock, Direction, Position, RecordedEvent, StreamName, StreamVersion,
};

/// The newest state of the tables as the writer knows it.
pub(super) struct Tables {
    heads: RecentMap<HashedName, StreamHead>,
    unindexed: Unindexed,
    unindexed_streams: usize,
    types: HashMap<Arc<str>, i64>,
    /// The one used last: one type often follows itself.
    last_type: Option<(Arc<str>, i64)>,
    head: Position,
    last_recorded_at_us: i64,
    clock: Clock,
    block: Vec<u8>,
    /// Of the events in that block.
    names: Vec<tail::Names>,
    /// The position of the last event that is in a block of the database.
    blocked_to: Position,
    /// The blocks of this transaction.
    uncommitted: Newest,
}

#[derive(Clone, Copy)]
struct StreamHead {
    id: i64,
    version: Option<StreamVersion>,
}

/// Names of event types remembered; there are some dozens of them.
const CACHED_TYPES: usize = 1024;
/// A block has no more after this, but for a single big event. Reading one event reads its block.
const BLOCK_BYTES: usize = 32 * 1024;

impl Tables {
    /// Reads where the log stands.
    pub(super) fn load(connection: &Connection, options: &SqliteOptions) -> Result<Self> {
        let mut tables = Self {
            heads: RecentMap::new(options.cached_streams),
            unindexed: Unindexed::default(),
            unindexed_streams: options.unindexed_streams,
            types: HashMap::new(),
            last_type: None,
            head: Position::START,
            last_recorded_at_us: Timestamp::MIN.as_microsecond(),
            clock: options.clock.clone(),
            block: Vec::new(),
            names: Vec::new(),
            blocked_to: Position::START,
            uncommitted: Newest::default(),
        };
        tables.reload(connection)?;
        Ok(tables)
    }

    /// Forgets everything and reads anew, after a transaction that was rolled back.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        self.heads.clear();
        self.types.clear();
        self.last_type = None;
        self.block.clear();
        self.names.clear();
        self.uncommitted.clear();
        self.unindexed = Unindexed::load(connection, self.unindexed_streams)?;
        let last = connection
            .query_row(
                "SELECT position, body FROM blocks ORDER BY position DESC LIMIT 1",
                [],
                |row| {
                    let body = row.get_ref(1)?;
                    Ok((row.get(0)?, last_recorded_at_us(body.as_blob()?)?))
                },
            )
            .optional()?;
        self.head = Position::START;
        if let Some((position, recorded_at_us)) = last {
            self.head = Position(position);
            self.last_recorded_at_us = recorded_at_us;
        }
        self.blocked_to = self.head;
        Ok(())
    }

    /// The position of the newest event.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// The blocks of the transaction, which has been committed.
    pub(super) fn committed(&mut self) -> Newest {
        mem::take(&mut self.uncommitted)
    }

    /// Decides one append and inserts it. The outer error is the database's: then the transaction
    /// is to be rolled back as a whole.
    pub(super) fn append(
        &mut self,
        database: &mut Statements<'_>,
        append: &EncodedAppend,
    ) -> Result<std::result::Result<Appended, AppendError>> {
        let stream = self.stream_head(database, &append.stream)?;
        let actual = stream.and_then(|stream| stream.version);
        let repeated = match (plan(append.expected, actual, append.events.len()), stream) {
            (Plan::Append, _) => return self.insert(database, append, stream).map(Ok),
            (Plan::CompareIds { first, .. }, Some(stream)) => {
                self.repeated(database, stream.id, first, &append.events)?
            }
            _ => None,
        };
        Ok(repeated.ok_or_else(|| AppendError::Conflict {
            stream: append.stream.name.clone(),
            expected: append.expected,
            actual,
        }))
    }

    fn insert(
        &mut self,
        database: &mut Statements<'_>,
        append: &EncodedAppend,
        stream: Option<StreamHead>,
    ) -> Result<Appended> {
        let stream_id = match stream {
            Some(stream) => stream.id,
            None => self.insert_stream(database, &append.stream)?,
        };
        self.last_recorded_at_us = next_recorded_at_us(&self.clock, self.last_recorded_at_us);
        let mut version = append.expected.next_version();
        for event in &append.events {
            let name = &append.stream.name;
            self.insert_event(database, (stream_id, name), version, event)?;
            version.0 += 1;
        }
        let version = StreamVersion(version.0 - 1);
        database.insert_append(stream_id, version, self.head)?;
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
        database: &mut Statements<'_>,
        events: &[RecordedEvent],
    ) -> Result<std::result::Result<Appended, AppendError>> {
        let mut heads: HashMap<&StreamName, (HashedName, Option<StreamHead>)> = HashMap::new();
        for event in events {
            if !heads.contains_key(&event.stream) {
                let name = HashedName::new(event.stream.clone());
                let head = self.stream_head(database, &name)?;
                heads.insert(&event.stream, (name, head));
            }
        }
        let version_of = |stream: &StreamName| heads.get(stream)?.1?.version;
        if let Err(error) = check_import(events, self.head, self.last_recorded_at_us, version_of) {
            return Ok(Err(error));
        }
        for event in events {
            let Some((name, head)) = heads.get_mut(&event.stream) else {
                continue;
            };
            let stream_id = match head {
                Some(head) => head.id,
                None => self.insert_stream(database, name)?,
            };
            self.last_recorded_at_us = event.recorded_at.as_microsecond();
            let (stream, encoded) = ((stream_id, &event.stream), encode_recorded(event));
            self.insert_event(database, stream, event.version, &encoded)?;
            database.insert_append(stream_id, event.version, self.head)?;
            *head = Some(self.remember(name, stream_id, event.version));
        }
        Ok(Ok(Appended {
            version: events.last().map_or(StreamVersion(0), |last| last.version),
            position: self.head,
        }))
    }

    /// What is left to insert when everything else of the transaction is.
    pub(super) fn finish(&mut self, database: &mut Statements<'_>) -> Result<()> {
        self.flush(database)?;
        let due = self.unindexed.take_due();
        if due.is_empty() {
            return Ok(());
        }
        for (hash, id) in due {
            database.insert_hash(hash, id)?;
        }
        match self.unindexed.all_old_moved() {
            Some(id) => database.move_hashed(id),
            None => Ok(()),
        }
    }

    fn insert_event(
        &mut self,
        database: &mut Statements<'_>,
        (stream_id, name): (i64, &StreamName),
        version: StreamVersion,
        event: &EncodedEvent,
    ) -> Result<()> {
        let place = Place {
            stream_id,
            version: version.0,
            type_id: self.type_id(database, &event.event_type)?,
            recorded_at_us: self.last_recorded_at_us,
        };
        if self.block.len() + event.body.len() > BLOCK_BYTES {
            self.flush(database)?;
        }
        put_event(&mut self.block, place, &event.body);
        self.names.push((name.clone(), event.event_type.clone()));
        self.head.0 += 1;
        Ok(())
    }

    /// Inserts the block under way.
    fn flush(&mut self, database: &mut Statements<'_>) -> Result<()> {
        let events = self.head.0 - self.blocked_to.0;
        if events > 0 {
            database.insert_block(self.head, events, &self.block)?;
            let (block, names) = (mem::take(&mut self.block), mem::take(&mut self.names));
            self.uncommitted.push(self.head, block, names);
            self.blocked_to = self.head;
        }
        Ok(())
    }

    fn insert_stream(&mut self, database: &mut Statements<'_>, stream: &HashedName) -> Result<i64> {
        let id = self.unindexed.next_id();
        database.insert_stream(id, &stream.name)?;
        self.unindexed.add(stream.hash, id);
        Ok(id)
    }

    fn remember(&mut self, stream: &HashedName, id: i64, version: StreamVersion) -> StreamHead {
        let head = StreamHead {
            id,
            version: Some(version),
        };
        self.heads.insert(stream.clone(), head);
        head
    }

    /// `None` where the stream does not exist.
    fn stream_head(
        &mut self,
        database: &mut Statements<'_>,
        stream: &HashedName,
    ) -> Result<Option<StreamHead>> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(Some(*head));
        }
        let Some(id) = self.find_stream(database, stream)? else {
            return Ok(None);
        };
        let version = database.stream_version(id)?;
        let head = StreamHead { id, version };
        self.heads.insert(stream.clone(), head);
        Ok(Some(head))
    }

    fn find_stream(
        &self,
        database: &mut Statements<'_>,
        stream: &HashedName,
    ) -> Result<Option<i64>> {
        let indexed = database.find_hash(stream.hash)?;
        for id in self.unindexed.find(stream.hash).chain(indexed) {
            if database.has_name(id, &stream.name)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn type_id(&mut self, database: &mut Statements<'_>, name: &Arc<str>) -> Result<i64> {
        if let Some((last, id)) = &self.last_type
            && last == name
        {
            return Ok(*id);
        }
        let id = match self.types.get(name) {
            Some(id) => *id,
            None => database.type_id(name)?,
        };
        if self.types.len() >= CACHED_TYPES {
            self.types.clear();
        }
        self.types.insert(name.clone(), id);
        self.last_type = Some((name.clone(), id));
        Ok(id)
    }

    /// Where the append ended up the first time, if the events from `first` on have its ids.
    fn repeated(
        &mut self,
        database: &mut Statements<'_>,
        stream_id: i64,
        first: StreamVersion,
        events: &[EncodedEvent],
    ) -> Result<Option<Appended>> {
        // They may have come in this very transaction.
        self.flush(database)?;
        let connection = database.connection();
        let forward = Direction::Forward;
        let there = places(connection, stream_id, Some(first), forward, events.len())?;
        let mut blocks = BlockReader::default();
        for ((_, position), event) in there.iter().zip(events) {
            let found = blocks.at(connection, position.0).map_err(unreadable)?.0;
            if found.event_id != event.event_id {
                return Ok(None);
            }
        }
        let last = there.last().filter(|_| there.len() == events.len());
        Ok(last.map(|(version, position)| Appended {
            version: *version,
            position: *position,
        }))
    }
}

fn last_recorded_at_us(body: &[u8]) -> Result<i64> {
    let last = block::extents(body).last();
    let last = last
        .and_then(Result::ok)
        .ok_or_else(|| unreadable(block::Malformed))?;
    let event = block::decode(body, last).map_err(unreadable)?;
    Ok(event.place.recorded_at_us)
}

/// As SQLite's own finding that the file is damaged.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::from(FromSqlError::other(error))
}
