//! The log in memory, for tests: the same contract, gone with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::admission::{Plan, check_import, check_limits, plan};
use crate::clock::next_recorded_at_us;
use crate::{
    Append, AppendError, Appended, Clock, Direction, EventLog, Position, ReadError, RecordedEvent,
    StreamName, StreamVersion, Subscription, system_clock,
};

/// A log that lives as long as the process.
pub struct MemoryEventLog {
    state: Mutex<State>,
    head: watch::Sender<Position>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    events: Vec<RecordedEvent>,
    /// For each stream the indices of its events.
    streams: HashMap<StreamName, Vec<usize>>,
    last_recorded_at_us: i64,
}

impl MemoryEventLog {
    /// An empty log on the machine's clock.
    pub fn new() -> Arc<Self> {
        Self::with_clock(system_clock())
    }

    /// An empty log on another clock.
    pub fn with_clock(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            head: watch::Sender::new(Position::START),
            clock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic between the changes to the state, so it is whole even if poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for MemoryEventLog {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut state = self.state();
        let results = appends
            .into_iter()
            .map(|append| state.append(append, &self.clock))
            .collect();
        self.head.send_replace(state.head());
        results
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let state = self.state();
        let Some(indices) = state.streams.get(stream) else {
            return Ok(Vec::new());
        };
        let from = from.map(|version| usize::try_from(version.0).unwrap_or(usize::MAX));
        let chosen: Vec<usize> = match direction {
            Direction::Forward => {
                let start = from.unwrap_or(0);
                indices.iter().skip(start).take(limit).copied().collect()
            }
            Direction::Backward => {
                let end = from.map_or(indices.len(), |from| {
                    from.saturating_add(1).min(indices.len())
                });
                indices[..end].iter().rev().take(limit).copied().collect()
            }
        };
        Ok(chosen
            .into_iter()
            .map(|index| state.events[index].clone())
            .collect())
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        let state = self.state();
        Ok(state
            .events
            .iter()
            .skip(start)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.state().head())
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        let head = self.head.subscribe();
        Subscription::new(self, after, head)
    }

    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        let mut state = self.state();
        check_import(&events, state.head(), state.last_recorded_at_us, |stream| {
            state.version_of(stream)
        })?;
        for event in events {
            state.last_recorded_at_us = event.recorded_at.as_microsecond();
            state.push(event);
        }
        self.head.send_replace(state.head());
        Ok(state.head())
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    /// It never stops: there is no disk to fail it.
    async fn stopped(&self) {
        std::future::pending().await
    }

    async fn close(&self) {}
}

impl State {
    fn head(&self) -> Position {
        Position(self.events.len() as u64)
    }

    fn append(&mut self, append: Append, clock: &Clock) -> Result<Appended, AppendError> {
        check_limits(&append)?;
        let actual = self.version_of(&append.stream);
        let repeated = match plan(append.expected, actual, append.events.len()) {
            Plan::Append => return Ok(self.record(append, clock)),
            Plan::CompareIds { first, .. } => self.repeated(&append, first),
            Plan::Conflict => None,
        };
        repeated.ok_or(AppendError::Conflict {
            stream: append.stream,
            expected: append.expected,
            actual,
        })
    }

    fn version_of(&self, stream: &StreamName) -> Option<StreamVersion> {
        let indices = self.streams.get(stream)?;
        let version = indices.len().checked_sub(1)?;
        Some(StreamVersion(version as u64))
    }

    fn repeated(&self, append: &Append, first: StreamVersion) -> Option<Appended> {
        let indices = self.streams.get(&append.stream)?;
        let mut there = indices
            .iter()
            .skip(usize::try_from(first.0).ok()?)
            .take(append.events.len())
            .map(|index| &self.events[*index]);
        let same = there
            .clone()
            .map(|event| event.event_id)
            .eq(append.events.iter().map(|event| event.event_id));
        there.next_back().filter(|_| same).map(|event| Appended {
            version: event.version,
            position: event.position,
        })
    }

    fn record(&mut self, append: Append, clock: &Clock) -> Appended {
        let now_us = next_recorded_at_us(clock, self.last_recorded_at_us);
        self.last_recorded_at_us = now_us;
        let recorded_at =
            Timestamp::from_microsecond(now_us).expect("it comes from a timestamp of the clock");
        let mut version = append.expected.next_version();
        for event in append.events {
            self.push(RecordedEvent {
                position: Position(self.head().0 + 1),
                stream: append.stream.clone(),
                version,
                event_id: event.event_id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                recorded_at,
                data: event.data,
                metadata: event.metadata,
                salt: crate::clock::new_salt(),
            });
            version.0 += 1;
        }
        Appended {
            version: StreamVersion(version.0 - 1),
            position: self.head(),
        }
    }

    fn push(&mut self, event: RecordedEvent) {
        let index = self.events.len();
        let indices = self.streams.entry(event.stream.clone()).or_default();
        indices.push(index);
        self.events.push(event);
    }
}

#[cfg(test)]
mod tests;
