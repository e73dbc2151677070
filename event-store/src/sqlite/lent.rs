//! One connection for reading and what it remembers of names. The numbers of names never change,
//! so nothing of it grows old.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::block::BlockEvent;
use super::blocks::{BlockReader, damaged, failed, for_each_after, places};
use super::streams::{Unindexed, hash_of, indexed_to};
use crate::{Direction, Position, ReadError, RecordedEvent, StreamName, StreamVersion};

/// The streams that the index of the file lacks; all readers of a log share it.
pub(super) type SharedUnindexed = Arc<Mutex<Option<Unindexed>>>;

/// A connection with its memory.
pub(super) struct Lent {
    pub(super) connection: Connection,
    pub(super) names: Names,
    unindexed: SharedUnindexed,
}

impl Lent {
    pub(super) fn new(connection: Connection, unindexed: SharedUnindexed) -> Self {
        Self {
            connection,
            names: Names::default(),
            unindexed,
        }
    }

    pub(super) fn read_all(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut events = Vec::with_capacity(limit.min(USUAL_PAGE));
        let (connection, names) = (&self.connection, &mut self.names);
        for_each_after(connection, after, |block| {
            for (position, event) in block.from(after.0.saturating_add(1)) {
                let event = event.map_err(damaged)?;
                let data = block.body.slice(event.data.clone());
                events.push(names.recorded(connection, position, event, data)?);
                if events.len() == limit {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(events)
    }

    pub(super) fn read_stream(
        &mut self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(id) = self.find_stream(stream).map_err(failed)? else {
            return Ok(Vec::new());
        };
        let (connection, names) = (&self.connection, &mut self.names);
        let mut blocks = BlockReader::default();
        let places = places(connection, id, from, direction, limit).map_err(failed)?;
        let events = places.into_iter().map(|(version, position)| {
            let (event, block) = blocks.at(connection, position.0)?;
            if (event.place.stream_id, event.place.version) != (id, version.0) {
                return Err(ReadError::Damaged(format!(
                    "the event at {position} is not number {} of stream {stream}",
                    version.0
                )));
            }
            // A copy, so that one small event does not keep its whole block in memory.
            let data = Bytes::copy_from_slice(&block.body[event.data.clone()]);
            names.recorded(connection, position.0, event, data)
        });
        events.collect()
    }

    pub(super) fn head(&self) -> rusqlite::Result<Position> {
        let head: Option<u64> = self
            .connection
            .prepare_cached("SELECT max(position) FROM blocks")?
            .query_row([], |row| row.get(0))?;
        Ok(head.map_or(Position::START, Position))
    }

    /// The number of a stream. Its name may be in the index or not yet; both are looked at in one
    /// snapshot, which is not older than what was forgotten.
    pub(super) fn find_stream(&self, stream: &StreamName) -> rusqlite::Result<Option<i64>> {
        let hash = hash_of(stream.as_str());
        let mut shared = self
            .unindexed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.connection.unchecked_transaction()?;
        let unindexed = match &mut *shared {
            Some(unindexed) => {
                unindexed.forget_to(indexed_to(&snapshot)?);
                unindexed.catch_up(&snapshot)?;
                unindexed
            }
            None => shared.insert(Unindexed::load(&snapshot, usize::MAX)?),
        };
        let mut found: Vec<i64> = unindexed.find(hash).collect();
        let mut indexed =
            snapshot.prepare_cached("SELECT id FROM stream_hashes WHERE hash = ?1")?;
        for id in indexed.query_map([hash], |row| row.get(0))? {
            found.push(id?);
        }
        let mut same = snapshot.prepare_cached("SELECT name = ?2 FROM streams WHERE id = ?1")?;
        for id in found {
            let same = same.query_row(params![id, stream.as_str()], |row| row.get(0));
            if same.optional()?.unwrap_or(false) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// Room is made for so many events of a page at once.
const USUAL_PAGE: usize = 1024;

/// Names by their numbers.
#[derive(Default)]
pub(super) struct Names {
    /// Each number has one place that it may be in.
    streams: Vec<Option<(i64, StreamName)>>,
    types: Vec<Option<Arc<str>>>,
    /// The number after the last one fetched, and how many were fetched with it.
    fetched_to: i64,
    fetched: i64,
}

/// Names of streams remembered by each connection; a power of two.
const STREAM_PLACES: usize = 16 * 1024;
/// Names fetched at once, at most, where they are wanted one after the other.
const MOST_FETCHED: i64 = 512;
/// Types remembered by each connection; there are some dozens of them.
const TYPE_PLACES: usize = 1024;

impl Names {
    #[inline]
    fn recorded(
        &mut self,
        connection: &Connection,
        position: u64,
        event: BlockEvent,
        data: Bytes,
    ) -> Result<RecordedEvent, ReadError> {
        let place = event.place;
        Ok(RecordedEvent {
            position: Position(position),
            stream: self.stream(connection, place.stream_id)?,
            version: StreamVersion(place.version),
            event_id: event.event_id,
            event_type: self.event_type(connection, place.type_id)?,
            schema_version: event.schema_version,
            recorded_at: Timestamp::from_microsecond(place.recorded_at_us).map_err(damaged)?,
            data,
            metadata: event.metadata,
            salt: event.salt,
        })
    }

    fn stream(&mut self, connection: &Connection, id: i64) -> Result<StreamName, ReadError> {
        if self.known(id).is_none() {
            self.fetch(connection, id).map_err(failed)?;
        }
        self.known(id)
            .cloned()
            .ok_or_else(|| ReadError::Damaged(format!("stream number {id} has no name")))
    }

    fn known(&self, id: i64) -> Option<&StreamName> {
        let (known, name) = self.streams.get(place_of(id))?.as_ref()?;
        (*known == id).then_some(name)
    }

    /// Fetches a name, and those after it too where they seem to be wanted in order.
    fn fetch(&mut self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        self.streams.resize(STREAM_PLACES, None);
        let in_order = id == self.fetched_to;
        self.fetched = if in_order {
            (self.fetched * 2).min(MOST_FETCHED)
        } else {
            1
        };
        self.fetched_to = id + self.fetched;
        let mut statement =
            connection.prepare_cached("SELECT id, name FROM streams WHERE id >= ?1 AND id < ?2")?;
        let mut rows = statement.query([id, self.fetched_to])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let name = StreamName::new(row.get_ref(1)?.as_str()?);
            self.streams[place_of(id)] = Some((id, name));
        }
        Ok(())
    }

    /// The name of a type.
    pub(super) fn event_type(
        &mut self,
        connection: &Connection,
        id: i64,
    ) -> Result<Arc<str>, ReadError> {
        let place = usize::try_from(id)
            .ok()
            .filter(|place| *place < TYPE_PLACES);
        if let Some(Some(name)) = place.and_then(|place| self.types.get(place)) {
            return Ok(name.clone());
        }
        let name = connection
            .prepare_cached("SELECT name FROM event_types WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
            .map_err(failed)?;
        let name: Arc<str> =
            name.ok_or_else(|| ReadError::Damaged(format!("type number {id} has no name")))?;
        if let Some(place) = place {
            self.types.resize(self.types.len().max(place + 1), None);
            self.types[place] = Some(name.clone());
        }
        Ok(name)
    }
}

fn place_of(id: i64) -> usize {
    id as usize % STREAM_PLACES
}
