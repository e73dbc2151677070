//! The newest blocks, as they were committed, in memory: whoever follows the log closely reads them
//! here, and needs neither the database nor a thread that may wait for a disk.
//!
//! It holds what is on disk and nothing else: the writer gives it the blocks of a transaction after
//! the commit and before anybody is told of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::blocks::{Block, damaged};
use crate::{Position, ReadError, RecordedEvent, StreamName, StreamVersion};

/// What the newest blocks may take, in bytes.
const MOST_BYTES: usize = 2 << 20;

/// The newest blocks of a log; cheap to clone, and then the same.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Newest>>);

/// Blocks that follow each other, the oldest of which go when there are too many.
#[derive(Default)]
pub(super) struct Newest {
    blocks: VecDeque<Arc<NamedBlock>>,
    bytes: usize,
}

/// A block with the names that it has only the numbers of.
struct NamedBlock {
    block: Block,
    names: Vec<Names>,
    bytes: usize,
}

/// The stream and the type of an event.
pub(super) type Names = (StreamName, Arc<str>);

impl Tail {
    /// Takes in what was committed.
    pub(super) fn extend(&self, committed: Newest) {
        let mut newest = self.newest();
        for block in committed.blocks {
            newest.push_block(block);
        }
    }

    /// At most `limit` events after a position; `None` where it has not all of them.
    pub(super) fn read(
        &self,
        after: Position,
        limit: usize,
    ) -> Option<Result<Vec<RecordedEvent>, ReadError>> {
        let next = after.0.checked_add(1)?;
        let blocks = self.newest().from(next, limit)?;
        let mut events = Vec::with_capacity(limit.min(blocks.iter().map(|it| it.len()).sum()));
        for block in &blocks {
            let room = limit - events.len();
            for event in block.events(next).take(room) {
                match event {
                    Ok(event) => events.push(event),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        Some(Ok(events))
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        // A block goes in or out as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    /// Adds the block that ends at a position.
    pub(super) fn push(&mut self, last: Position, body: Vec<u8>, names: Vec<Names>) {
        // With what an entry takes beside its text, about.
        let of_name = |(stream, _): &Names| stream.as_str().len() + size_of::<Names>();
        let bytes = body.capacity() + names.iter().map(of_name).sum::<usize>();
        let block = Block::of(last.0, names.len(), Bytes::from(body));
        // It was put together a moment ago.
        let Ok(block) = block else {
            return self.clear();
        };
        self.push_block(Arc::new(NamedBlock {
            block,
            names,
            bytes,
        }));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn push_block(&mut self, block: Arc<NamedBlock>) {
        let last = self.blocks.back().map(|last| last.block.last());
        if last.is_some_and(|last| last + 1 != block.block.first) {
            self.clear();
        }
        self.bytes += block.bytes;
        self.blocks.push_back(block);
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.bytes -= oldest.bytes;
        }
    }

    /// The blocks that have so many events from a position on, or all that there are.
    fn from(&self, position: u64, limit: usize) -> Option<Vec<Arc<NamedBlock>>> {
        let (oldest, newest) = (self.blocks.front()?, self.blocks.back()?);
        if !(oldest.block.first..=newest.block.last()).contains(&position) {
            return None;
        }
        let before = |it: &Arc<NamedBlock>| it.block.last() < position;
        let start = self.blocks.partition_point(before);
        let end = position.saturating_add(limit as u64);
        let wanted = self.blocks.range(start..);
        let wanted = wanted.take_while(|it| it.block.first < end);
        Some(wanted.cloned().collect())
    }
}

impl NamedBlock {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn events(&self, from: u64) -> impl Iterator<Item = Result<RecordedEvent, ReadError>> {
        let skipped = from.saturating_sub(self.block.first) as usize;
        let names = self.names.iter().skip(skipped);
        self.block
            .from(from)
            .zip(names)
            .map(|((position, event), (stream, event_type))| {
                let event = event.map_err(damaged)?;
                let recorded_at = Timestamp::from_microsecond(event.place.recorded_at_us);
                Ok(RecordedEvent {
                    position: Position(position),
                    stream: stream.clone(),
                    version: StreamVersion(event.place.version),
                    event_id: event.event_id,
                    event_type: event_type.clone(),
                    schema_version: event.schema_version,
                    recorded_at: recorded_at.map_err(damaged)?,
                    data: self.block.body.slice(event.data),
                    metadata: event.metadata,
                    salt: event.salt,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::block::{Place, encode_body, put_event};
    use super::*;
    use crate::{EventMetadata, NewEvent};

    /// A block of events at these positions, each with a body of so many bytes.
    fn push(newest: &mut Newest, positions: std::ops::RangeInclusive<u64>, bytes: usize) {
        let (mut block, mut names) = (Vec::new(), Vec::new());
        for position in positions.clone() {
            let event = NewEvent {
                event_id: Uuid::from_u128(position.into()),
                event_type: "Happened".into(),
                schema_version: 1,
                data: Bytes::from(vec![b'x'; bytes]),
                metadata: EventMetadata::default(),
            };
            let place = Place {
                stream_id: 1,
                version: position - 1,
                type_id: 1,
                recorded_at_us: 7,
            };
            put_event(&mut block, place, &encode_body(&event, &[0; 16]));
            names.push((StreamName::new(format!("s-{position}")), "Happened".into()));
        }
        newest.push(Position(*positions.end()), block, names);
    }

    fn read(tail: &Tail, after: u64, limit: usize) -> Option<Vec<u64>> {
        let events = tail.read(Position(after), limit)?.unwrap();
        for event in &events {
            assert_eq!(event.event_id.as_u128(), event.position.0.into());
            assert_eq!(event.stream.as_str(), format!("s-{}", event.position.0));
            assert_eq!(event.version.0 + 1, event.position.0);
        }
        Some(events.into_iter().map(|event| event.position.0).collect())
    }

    #[test]
    fn tells_what_it_has_and_no_more() {
        let (tail, mut committed) = (Tail::default(), Newest::default());
        assert_eq!(read(&tail, 0, 10), None);
        push(&mut committed, 3..=5, 1);
        push(&mut committed, 6..=6, 1);
        tail.extend(committed);
        assert_eq!(read(&tail, 2, 10), Some(vec![3, 4, 5, 6]));
        assert_eq!(read(&tail, 3, 2), Some(vec![4, 5]));
        assert_eq!(read(&tail, 4, 2), Some(vec![5, 6]));
        assert_eq!(read(&tail, 5, 1), Some(vec![6]));
        // Not all that comes next, and nothing new: that is for the database to say.
        for after in [0, 1, 6, 7, u64::MAX] {
            assert_eq!(read(&tail, after, 10), None, "{after}");
        }
    }

    #[test]
    fn what_does_not_follow_begins_anew() {
        let (tail, mut committed) = (Tail::default(), Newest::default());
        push(&mut committed, 1..=2, 1);
        push(&mut committed, 4..=4, 1);
        tail.extend(committed);
        assert_eq!(read(&tail, 0, 10), None);
        assert_eq!(read(&tail, 3, 10), Some(vec![4]));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (tail, each) = (Tail::default(), MOST_BYTES / 4);
        for position in 1..=10 {
            let mut committed = Newest::default();
            push(&mut committed, position..=position, each);
            tail.extend(committed);
        }
        assert_eq!(read(&tail, 6, 10), None);
        assert_eq!(read(&tail, 7, 10), Some(vec![8, 9, 10]));
        // One that is too large by itself leaves a gap, which is not read over.
        for (position, bytes) in [(11, MOST_BYTES), (12, 1)] {
            let mut committed = Newest::default();
            push(&mut committed, position..=position, bytes);
            tail.extend(committed);
            assert_eq!(read(&tail, 10, 10), None);
        }
        assert_eq!(read(&tail, 9, 10), None);
        assert_eq!(read(&tail, 11, 10), Some(vec![12]));
    }
}
