//! What the fake remembers, by the rules that the server's source shows: records in one order with
//! positions that have gaps, explicit expected versions, and repeats told by comparing ids place by
//! place.

use std::collections::HashMap;

use prost::bytes::Bytes;
use tonic::Status;

use super::messages::{
    AllFrom, CurrentRevision, ExpectedRevision, Place, Proposed, ReadEvent, Recorded,
    RefusedRevision, StreamFrom, StreamIdentifier, Success, SuccessPosition, SuccessRevision, Uuid,
    UuidValue, WrongExpectedVersion,
};
use crate::Clock;

/// The sum that the server allows an append by default is less than our own limit plus what it
/// counts beside the data; the documentation asks for this one.
const MAX_APPEND_SIZE: usize = 4 * 1024 * 1024;

/// Bytes of a record beside what the writer gave.
const RECORD_OVERHEAD: u64 = 90;

pub(super) struct Store {
    records: Vec<Record>,
    /// For each stream the indices of its records.
    streams: HashMap<String, Vec<usize>>,
    end: u64,
    last_ticks: i64,
    clock: Clock,
}

struct Record {
    stream: String,
    revision: u64,
    position: u64,
    id: uuid::Uuid,
    metadata: HashMap<String, String>,
    custom_metadata: Bytes,
    data: Bytes,
}

pub(super) type Appended = Result<Success, WrongExpectedVersion>;

impl Store {
    /// A database as the server begins it, with a few records of its own.
    pub(super) fn new(clock: Clock) -> Store {
        let mut store = Store {
            records: Vec::new(),
            streams: HashMap::new(),
            end: 0,
            last_ticks: 0,
            clock,
        };
        for stream in ["$users", "$$$users", "$settings", "other-daybook-a"] {
            store.write_foreign(stream);
        }
        store
    }

    /// An event that belongs to somebody else.
    pub(super) fn write_foreign(&mut self, stream: &str) {
        let metadata = HashMap::from([("type".to_owned(), "Foreign".to_owned())]);
        let id = uuid::Uuid::from_u128(self.end.into());
        self.write(stream, id, metadata, Bytes::new(), Bytes::new());
    }

    pub(super) fn append(
        &mut self,
        stream: &str,
        expected: Option<ExpectedRevision>,
        events: Vec<Proposed>,
    ) -> Result<Appended, Status> {
        check(&events)?;
        let next = match expected {
            Some(ExpectedRevision::NoStream(())) => 0,
            Some(ExpectedRevision::Revision(revision)) => revision + 1,
            None => return Err(Status::invalid_argument("no expected revision")),
        };
        let current = self
            .streams
            .get(stream)
            .map_or(0, |indices| indices.len() as u64);
        if next == current {
            for event in events {
                let id = uuid_of(event.id);
                self.write(
                    stream,
                    id,
                    event.metadata,
                    event.custom_metadata,
                    event.data,
                );
            }
            return Ok(Ok(self.success(stream, self.records.len() - 1)));
        }
        let there = self.streams.get(stream).map(Vec::as_slice);
        let there = there.unwrap_or_default().get(next as usize..);
        let there = there.unwrap_or_default();
        let same = there.len() >= events.len()
            && events
                .iter()
                .zip(there)
                .all(|(event, index)| self.records[*index].id == uuid_of(event.id.clone()));
        Ok(match same.then(|| there[events.len() - 1]) {
            Some(last) => Ok(self.success(stream, last)),
            None => Err(wrong_version(current, expected)),
        })
    }

    fn success(&self, stream: &str, index: usize) -> Success {
        let record = &self.records[index];
        assert_eq!(record.stream, stream);
        Success {
            revision: Some(SuccessRevision::Current(record.revision)),
            position: Some(SuccessPosition::Position(place(record.position))),
        }
    }

    fn write(
        &mut self,
        stream: &str,
        id: uuid::Uuid,
        mut metadata: HashMap<String, String>,
        custom_metadata: Bytes,
        data: Bytes,
    ) {
        self.last_ticks = self
            .last_ticks
            .max((self.clock)().as_microsecond() * 10 + 7);
        metadata.insert("created".into(), self.last_ticks.to_string());
        let position = self.end;
        self.end += RECORD_OVERHEAD + (custom_metadata.len() + data.len()) as u64;
        let indices = self.streams.entry(stream.into()).or_default();
        let revision = indices.len() as u64;
        indices.push(self.records.len());
        self.records.push(Record {
            stream: stream.into(),
            revision,
            position,
            id,
            metadata,
            custom_metadata,
            data,
        });
    }

    /// `None` where there is no such stream.
    pub(super) fn read_stream(
        &self,
        stream: &str,
        from: Option<StreamFrom>,
        backwards: bool,
        count: u64,
    ) -> Option<Vec<ReadEvent>> {
        let indices = self.streams.get(stream)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let from = match from {
            Some(StreamFrom::Revision(revision)) => usize::try_from(revision).unwrap(),
            Some(StreamFrom::End(())) => usize::MAX,
            _ => 0,
        };
        let chosen: Vec<usize> = if backwards {
            let end = from.saturating_add(1).min(indices.len());
            indices[..end].iter().rev().take(count).copied().collect()
        } else {
            indices.iter().skip(from).take(count).copied().collect()
        };
        Some(chosen.into_iter().map(|index| self.event(index)).collect())
    }

    /// Forwards the position is inclusive, backwards it is exclusive; there has to be a record.
    pub(super) fn read_all(
        &self,
        from: Option<AllFrom>,
        backwards: bool,
        count: u64,
    ) -> Result<Vec<ReadEvent>, Status> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let place = match from {
            Some(AllFrom::Position(place)) => self.index_at(place.commit_position)?,
            Some(AllFrom::End(())) => self.records.len(),
            _ => 0,
        };
        let events = |index: usize| self.event(index);
        Ok(if backwards {
            (0..place).rev().take(count).map(events).collect()
        } else {
            (place..self.records.len())
                .take(count)
                .map(events)
                .collect()
        })
    }

    fn index_at(&self, position: u64) -> Result<usize, Status> {
        let found = self
            .records
            .binary_search_by_key(&position, |record| record.position);
        let wrong = |_| Status::unknown("Unexpected ReadAllResult: InvalidPosition");
        found.map_err(wrong)
    }

    /// The next record from an index on whose stream has one of the prefixes, and its index.
    pub(super) fn next(&self, from: usize, prefixes: &[String]) -> Option<(usize, ReadEvent)> {
        let index = (from..self.records.len()).find(|index| {
            let stream = &self.records[*index].stream;
            prefixes.iter().any(|prefix| stream.starts_with(prefix))
        })?;
        Some((index, self.event(index)))
    }

    /// Where a subscription begins.
    pub(super) fn index_after(&self, from: Option<AllFrom>) -> Result<usize, Status> {
        match from {
            Some(AllFrom::Position(place)) => Ok(self.index_at(place.commit_position)? + 1),
            Some(AllFrom::End(())) => Ok(self.records.len()),
            _ => Ok(0),
        }
    }

    /// Forgets the newest records, as a server that was put back to an older copy.
    pub(super) fn put_back(&mut self, records: usize) {
        for record in self.records.drain(records..) {
            let indices = self.streams.get_mut(&record.stream).unwrap();
            indices.pop();
            if indices.is_empty() {
                self.streams.remove(&record.stream);
            }
        }
        self.end = self.records.last().map_or(0, |record| record.position) + 100_000;
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    fn event(&self, index: usize) -> ReadEvent {
        let record = &self.records[index];
        let event = Recorded {
            id: Some(Uuid {
                value: Some(UuidValue::Text(record.id.to_string())),
            }),
            stream_identifier: Some(StreamIdentifier {
                stream_name: record.stream.clone().into(),
            }),
            stream_revision: record.revision,
            prepare_position: record.position,
            commit_position: record.position,
            metadata: record.metadata.clone(),
            custom_metadata: record.custom_metadata.clone(),
            data: record.data.clone(),
        };
        ReadEvent { event: Some(event) }
    }
}

fn check(events: &[Proposed]) -> Result<(), Status> {
    let mut size = 0;
    for event in events {
        for key in ["type", "content-type"] {
            if !event.metadata.contains_key(key) {
                let missing = format!("Required Metadata Property '{key}' is missing");
                return Err(Status::invalid_argument(missing));
            }
        }
        size += event.data.len() + event.custom_metadata.len() + 2 * event.metadata["type"].len();
    }
    if size > MAX_APPEND_SIZE {
        return Err(Status::invalid_argument(format!(
            "Maximum Append Size of {MAX_APPEND_SIZE} Exceeded."
        )));
    }
    Ok(())
}

fn wrong_version(current: u64, expected: Option<ExpectedRevision>) -> WrongExpectedVersion {
    WrongExpectedVersion {
        current: Some(match current.checked_sub(1) {
            Some(revision) => CurrentRevision::Revision(revision),
            None => CurrentRevision::NoStream(()),
        }),
        expected: Some(match expected {
            Some(ExpectedRevision::Revision(revision)) => RefusedRevision::Revision(revision),
            _ => RefusedRevision::NoStream(()),
        }),
    }
}

fn uuid_of(id: Option<Uuid>) -> uuid::Uuid {
    match id.and_then(|id| id.value) {
        Some(UuidValue::Structured(halves)) => uuid::Uuid::from_u64_pair(
            halves.most_significant_bits as u64,
            halves.least_significant_bits as u64,
        ),
        Some(UuidValue::Text(text)) => text.parse().unwrap(),
        None => uuid::Uuid::nil(),
    }
}

pub(super) fn place(position: u64) -> Place {
    Place {
        commit_position: position,
        prepare_position: position,
    }
}
