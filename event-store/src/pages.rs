//! Reading a log from one position up to another, in pages that fit in memory.

use crate::{EventLog, Position, ReadError, RecordedEvent};

/// How big the pages are in which a whole log is read.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// The most events of a page.
    pub max_events: usize,
    /// What a page should weigh, in bytes. Logs are asked for a number of events, so that is chosen
    /// by the weight of those read last; one page may weigh more when events suddenly do.
    pub target_bytes: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            target_bytes: 4 * 1024 * 1024,
        }
    }
}

/// How many events are asked for before it is known what they weigh.
const FIRST_PAGE_EVENTS: usize = 64;
/// What an event weighs beside its texts and body: ids, times, salt.
const FIXED_BYTES: usize = 80;

/// How far a walk through a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// The events done in this step.
    pub events: u64,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// The position reached in the log that is read.
    pub position: Position,
    /// The position at which the step ends.
    pub end: Position,
}

/// What is being done with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is checked.
    Checking,
    /// Its events are copied into another.
    Copying,
    /// The source of a copy is read once more, for the proof.
    ReadingSource,
    /// The target of a copy is read back, for the proof.
    ReadingTarget,
}

/// The pages of a log after one position, up to another (inclusive).
pub(crate) struct Pages<'a> {
    log: &'a dyn EventLog,
    after: Position,
    end: Position,
    limits: PageLimits,
    limit: usize,
    progress: Progress,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(
        log: &'a dyn EventLog,
        after: Position,
        end: Position,
        limits: PageLimits,
        step: Step,
    ) -> Self {
        Self {
            log,
            after,
            end,
            limits,
            limit: FIRST_PAGE_EVENTS.min(limits.max_events).max(1),
            progress: Progress {
                step,
                events: 0,
                bytes: 0,
                position: after,
                end,
            },
        }
    }

    /// The next page; `None` when the end is reached or the log has no more. After
    /// [`ReadError::Damaged`] it is known that the very next event cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        if self.after >= self.end {
            return Ok(None);
        }
        let mut events = match self.log.read_all(self.after, self.limit).await {
            Err(ReadError::Damaged(_)) if self.limit > 1 => {
                self.limit = 1;
                self.log.read_all(self.after, 1).await?
            }
            read => read?,
        };
        let Some(furthest) = events.iter().map(|event| event.position).max() else {
            return Ok(None);
        };
        if furthest <= self.after {
            return Err(ReadError::Damaged(format!(
                "what comes after position {} has position {furthest}",
                self.after
            )));
        }
        events.retain(|event| event.position <= self.end);
        self.after = furthest;
        self.count(&events);
        Ok(Some(events))
    }

    /// Goes on behind an event that cannot be read, in a log without gaps.
    pub(crate) fn skip(&mut self) -> Position {
        self.after = Position(self.after.0 + 1);
        self.after
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    fn count(&mut self, events: &[RecordedEvent]) {
        let bytes: usize = events.iter().map(weight).sum();
        self.progress.events += events.len() as u64;
        self.progress.bytes += bytes as u64;
        self.progress.position = self.after.min(self.end);
        let each = bytes / events.len().max(1);
        self.limit =
            (self.limits.target_bytes / each.max(1)).clamp(1, self.limits.max_events.max(1));
    }
}

/// What an event weighs in memory and on the way, in bytes.
pub(crate) fn weight(event: &RecordedEvent) -> usize {
    let metadata = &event.metadata;
    let texts = [
        &metadata.correlation_id,
        &metadata.causation_id,
        &metadata.actor,
        &metadata.traceparent,
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    FIXED_BYTES + event.stream.as_str().len() + event.event_type.len() + event.data.len() + texts
}

#[cfg(test)]
mod tests;
