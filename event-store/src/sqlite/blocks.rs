//! Reading blocks: which event is where, and the events at given places.

use std::ops::Range;

use bytes::Bytes;
use rusqlite::{Connection, Result, params};

use super::block::{BlockEvent, Malformed, decode, extents};
use super::codec::to_sql;
use crate::{Direction, Position, ReadError, StreamVersion};

/// A block that was read, taken apart.
pub(super) struct Block {
    pub(super) first: u64,
    pub(super) body: Bytes,
    extents: Vec<Range<usize>>,
}

impl Block {
    /// The block of so many events that ends at a position.
    pub(super) fn of(
        last: u64,
        events: usize,
        body: Bytes,
    ) -> std::result::Result<Self, Malformed> {
        let extents = extents(&body).collect::<std::result::Result<Vec<_>, _>>()?;
        if extents.len() != events {
            return Err(Malformed);
        }
        let before = last.checked_sub(events as u64).ok_or(Malformed)?;
        Ok(Self {
            first: before + 1,
            body,
            extents,
        })
    }

    /// The position of its last event.
    pub(super) fn last(&self) -> u64 {
        self.first + self.extents.len() as u64 - 1
    }

    /// Its events at and after a position.
    pub(super) fn from(
        &self,
        position: u64,
    ) -> impl Iterator<Item = (u64, std::result::Result<BlockEvent, Malformed>)> {
        let skipped = position.saturating_sub(self.first) as usize;
        let extents = self.extents.iter().skip(skipped);
        (self.first + skipped as u64..)
            .zip(extents)
            .map(|(position, extent)| (position, decode(&self.body, extent.clone())))
    }

    /// The bytes of the event at a position.
    fn bytes_at(&self, position: u64) -> Option<&[u8]> {
        let nth = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.body.get(self.extents.get(nth)?.clone())
    }

    fn has(&self, position: u64) -> bool {
        (self.first..self.first + self.extents.len() as u64).contains(&position)
    }
}

/// Calls `take` with each block that has events after `after`, in order, until it has enough.
pub(super) fn for_each_after(
    connection: &Connection,
    after: Position,
    mut take: impl FnMut(Block) -> std::result::Result<bool, ReadError>,
) -> std::result::Result<(), ReadError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT position, events, body FROM blocks WHERE position > ?1 ORDER BY position",
        )
        .map_err(failed)?;
    let mut rows = statement.query([to_sql(after.0)]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        if !take(block_of(row)?)? {
            break;
        }
    }
    Ok(())
}

/// The events at some positions; blocks are read once where those follow each other.
#[derive(Default)]
pub(super) struct BlockReader {
    block: Option<Block>,
}

impl BlockReader {
    /// The event at a position, and the block that it is in.
    pub(super) fn at(
        &mut self,
        connection: &Connection,
        position: u64,
    ) -> std::result::Result<(BlockEvent, &Block), ReadError> {
        let block = self.block(connection, position)?;
        let lost = || lost(position);
        let event = block.from(position).next();
        match event {
            Some((found, event)) if found == position => Ok((event.map_err(damaged)?, block)),
            _ => Err(lost()),
        }
    }

    /// The event at a position as it lies in its block.
    pub(super) fn bytes_at(
        &mut self,
        connection: &Connection,
        position: u64,
    ) -> std::result::Result<&[u8], ReadError> {
        let block = self.block(connection, position)?;
        block.bytes_at(position).ok_or_else(|| lost(position))
    }

    fn block(
        &mut self,
        connection: &Connection,
        position: u64,
    ) -> std::result::Result<&Block, ReadError> {
        if !self.block.as_ref().is_some_and(|block| block.has(position)) {
            self.block = Some(containing(connection, position)?);
        }
        self.block.as_ref().ok_or_else(|| lost(position))
    }
}

fn lost(position: u64) -> ReadError {
    ReadError::Damaged(format!("there is no event at {position}"))
}

fn containing(connection: &Connection, position: u64) -> std::result::Result<Block, ReadError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT position, events, body FROM blocks WHERE position >= ?1 \
             ORDER BY position LIMIT 1",
        )
        .map_err(failed)?;
    let mut rows = statement.query([to_sql(position)]).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => block_of(row),
        None => Err(ReadError::Damaged(format!(
            "there is no block for {position}"
        ))),
    }
}

fn block_of(row: &rusqlite::Row<'_>) -> std::result::Result<Block, ReadError> {
    let body = row.get_ref(2).map_err(failed)?;
    let body = body.as_blob().map_err(damaged)?;
    let (last, events): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
    let last = u64::try_from(last).map_err(damaged)?;
    let events = usize::try_from(events).map_err(damaged)?;
    Block::of(last, events, Bytes::copy_from_slice(body)).map_err(damaged)
}

/// Where an event of a stream is.
pub(super) type StreamPlace = (StreamVersion, Position);

/// Where at most `limit` events of a stream are, in the order asked for. `from` is the first
/// version wanted. Each row of `appends` stands for all events since the row before it.
pub(super) fn places(
    connection: &Connection,
    stream_id: i64,
    from: Option<StreamVersion>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<StreamPlace>> {
    match direction {
        Direction::Forward => {
            let from = from.map_or(0, |from| from.0);
            forward(connection, stream_id, from, limit)
        }
        Direction::Backward => {
            let from = from.map_or(u64::MAX, |from| from.0);
            backward(connection, stream_id, from, limit)
        }
    }
}

fn forward(
    connection: &Connection,
    stream_id: i64,
    from: u64,
    limit: usize,
) -> Result<Vec<StreamPlace>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, position FROM appends \
         WHERE stream_id = ?1 AND version >= ?2 ORDER BY version",
    )?;
    let mut rows = statement.query(params![stream_id, to_sql(from)])?;
    let (mut places, mut next) = (Vec::new(), from);
    while places.len() < limit {
        let Some(row) = rows.next()? else { break };
        let last = (row.get(0)?, row.get(1)?);
        let versions = next..=last.0;
        next = last.0 + 1;
        let room = limit - places.len();
        places.extend(
            versions
                .take(room)
                .filter_map(|version| place(version, last)),
        );
    }
    Ok(places)
}

fn backward(
    connection: &Connection,
    stream_id: i64,
    from: u64,
    limit: usize,
) -> Result<Vec<StreamPlace>> {
    // The append that contains `from` may end after it.
    let mut statement = connection.prepare_cached(
        "SELECT version, position FROM appends WHERE stream_id = ?1 AND version <= ifnull( \
             (SELECT min(version) FROM appends WHERE stream_id = ?1 AND version >= ?2), ?2) \
         ORDER BY version DESC",
    )?;
    let mut rows = statement.query(params![stream_id, to_sql(from)])?;
    let mut places = Vec::new();
    let mut last: Option<(u64, u64)> = None;
    while places.len() < limit {
        let before = match rows.next()? {
            Some(row) => Some((row.get(0)?, row.get(1)?)),
            None => None,
        };
        if let Some(last) = last {
            let first = before.map_or(0, |(version, _)| version + 1);
            let versions = (first..=last.0.min(from)).rev();
            let room = limit - places.len();
            places.extend(
                versions
                    .take(room)
                    .filter_map(|version| place(version, last)),
            );
        }
        if before.is_none() {
            break;
        }
        last = before;
    }
    Ok(places)
}

/// The events of one append follow each other. Nothing is there if the table is damaged.
fn place(version: u64, (last_version, last_position): (u64, u64)) -> Option<StreamPlace> {
    let position = last_position.checked_sub(last_version - version)?;
    Some((StreamVersion(version), Position(position)))
}

pub(super) fn failed(error: rusqlite::Error) -> ReadError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => ReadError::Damaged(error.to_string()),
        _ => ReadError::Unavailable(error.to_string()),
    }
}

pub(super) fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}
