//! What one transaction is sent, and what its answer means for each append. Pure.
//!
//! The versions of streams are known only inside the transaction. So the batch is sent in the hope
//! that each stream is where the first append to it expects it to be; further appends to the same
//! stream are added as long as they go on where the one in front of them ends. The database takes
//! the streams for which the hope was right and tells where all of them are. With that,
//! everything else is decided by the rules of all adapters ([`plan`]), in order for each stream;
//! an append that turns out to be right after all goes into the next batch.

use std::collections::HashMap;

use super::codec::{EncodedAppend, EncodedEvent, expected_version, version_from_sql};
use crate::admission::{Plan, plan};
use crate::{AppendError, Appended, Position, StreamName, StreamVersion};

/// Appends on their way into one transaction.
pub(super) struct Batch<'a> {
    pub(super) streams: Vec<StreamPart<'a>>,
    pub(super) events: Vec<PlacedEvent<'a>>,
    members: Vec<Member<'a>>,
}

/// What the batch has for one stream.
pub(super) struct StreamPart<'a> {
    pub(super) stream: &'a StreamName,
    /// Where the first append expects it to be.
    pub(super) expected: Option<StreamVersion>,
    /// The place of its first event among all of the batch, from 0.
    pub(super) first_place: usize,
    /// Where it is after the events of the batch.
    last: StreamVersion,
    /// An append did not go on: what comes after it has to wait for the answer.
    closed: bool,
}

/// An event and where it belongs.
pub(super) struct PlacedEvent<'a> {
    /// The index of its stream in the batch.
    pub(super) stream: usize,
    pub(super) version: StreamVersion,
    pub(super) event: &'a EncodedEvent,
}

struct Member<'a> {
    append: &'a EncodedAppend,
    stream: usize,
    /// The place of its last event, where its events are in the batch.
    last_place: Option<usize>,
}

/// What the database answered.
#[derive(Debug)]
pub(super) struct Landed {
    /// Where the log ended before.
    pub(super) before: Position,
    /// The version at which each stream was found.
    pub(super) actual: Vec<i64>,
}

/// What becomes of an append.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its answer.
    Answer(Result<Appended, AppendError>),
    /// It is a repetition if the events of these versions have its ids, else a conflict with the
    /// version found.
    Compare {
        first: StreamVersion,
        last: StreamVersion,
        actual: Option<StreamVersion>,
    },
    /// It belongs into the next batch.
    Again,
}

impl<'a> Batch<'a> {
    /// Makes a batch of appends, in their order.
    pub(super) fn compose(appends: impl Iterator<Item = &'a EncodedAppend>) -> Self {
        let mut batch = Self {
            streams: Vec::new(),
            events: Vec::new(),
            members: Vec::new(),
        };
        let mut indices = HashMap::new();
        for append in appends {
            let known = indices.get(&append.stream).copied();
            let stream = known.unwrap_or_else(|| {
                indices.insert(&append.stream, batch.streams.len());
                batch.streams.len()
            });
            let goes_on = match known {
                None => true,
                Some(stream) => batch.goes_on(stream, append),
            };
            if known.is_none() {
                batch.streams.push(StreamPart {
                    stream: &append.stream,
                    expected: expected_version(append.expected),
                    first_place: batch.events.len(),
                    last: StreamVersion(0),
                    closed: false,
                });
            }
            if goes_on {
                batch.place(stream, append);
            } else {
                batch.streams[stream].closed = true;
            }
            batch.members.push(Member {
                append,
                stream,
                last_place: goes_on.then(|| batch.events.len() - 1),
            });
        }
        batch
    }

    fn goes_on(&self, stream: usize, append: &EncodedAppend) -> bool {
        let part = &self.streams[stream];
        let planned = plan(append.expected, Some(part.last), append.events.len());
        !part.closed && planned == Plan::Append
    }

    fn place(&mut self, stream: usize, append: &'a EncodedAppend) {
        let mut version = append.expected.next_version();
        for event in &append.events {
            self.events.push(PlacedEvent {
                stream,
                version,
                event,
            });
            version.0 += 1;
        }
        self.streams[stream].last = StreamVersion(version.0 - 1);
    }

    /// One verdict for each append, in their order, and where the log ends now.
    pub(super) fn settle(&self, landed: &Landed) -> (Vec<Verdict>, Position) {
        let mut states: Vec<StreamState> = self
            .streams
            .iter()
            .zip(&landed.actual)
            .map(|(part, actual)| StreamState::found(part, version_from_sql(*actual)))
            .collect();
        let positions = positions(landed.before, &self.events, &states);
        let verdicts = self.members.iter().map(|member| {
            let state = &mut states[member.stream];
            match member.last_place {
                Some(place) if state.taken => Verdict::Answer(Ok(Appended {
                    version: self.events[place].version,
                    position: positions[place],
                })),
                _ => state.judge(member.append),
            }
        });
        let verdicts = verdicts.collect();
        let end = positions.last().copied().unwrap_or(landed.before);
        (verdicts, end)
    }
}

/// Where a stream is after the transaction.
struct StreamState {
    /// Whether its events of the batch were taken.
    taken: bool,
    version: Option<StreamVersion>,
    /// An append of it belongs into the next batch, and so does what comes after that.
    again: bool,
}

impl StreamState {
    fn found(part: &StreamPart<'_>, actual: Option<StreamVersion>) -> Self {
        let taken = actual == part.expected;
        Self {
            taken,
            version: if taken { Some(part.last) } else { actual },
            again: false,
        }
    }

    fn judge(&mut self, append: &EncodedAppend) -> Verdict {
        let planned = plan(append.expected, self.version, append.events.len());
        if self.again || planned == Plan::Append {
            self.again = true;
            return Verdict::Again;
        }
        match planned {
            Plan::CompareIds { first, last } => Verdict::Compare {
                first,
                last,
                actual: self.version,
            },
            _ => Verdict::Answer(Err(conflict(append, self.version))),
        }
    }
}

/// The conflict of an append with the version found.
pub(super) fn conflict(append: &EncodedAppend, actual: Option<StreamVersion>) -> AppendError {
    AppendError::Conflict {
        stream: append.stream.clone(),
        expected: append.expected,
        actual,
    }
}

/// Where each event of the batch ended up, and, for one that was left out, the one before it.
fn positions(
    before: Position,
    events: &[PlacedEvent<'_>],
    states: &[StreamState],
) -> Vec<Position> {
    let mut position = before;
    let places = events.iter().map(|event| {
        position.0 += u64::from(states[event.stream].taken);
        position
    });
    places.collect()
}
