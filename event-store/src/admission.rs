//! What every adapter checks before it appends: the limits, and whether an append is new, a
//! repetition or a conflict. Pure, so that all adapters decide alike.

use std::collections::HashMap;

use crate::{Append, AppendError, Expected, Position, RecordedEvent, StreamName, StreamVersion};

/// The most that one append may weigh: the data, metadata and type names of its events together.
pub const MAX_APPEND_BYTES: usize = 1024 * 1024;

/// Refuses an append that no log could take.
pub(crate) fn check_limits(append: &Append) -> Result<(), AppendError> {
    if append.events.is_empty() {
        return Err(AppendError::Invalid("it has no events".into()));
    }
    if let Expected::Exact(version) = append.expected
        && version.0 >= MAX_VERSION
    {
        return Err(AppendError::Invalid(format!(
            "version {} is beyond the greatest possible one",
            version.0
        )));
    }
    let bytes = weight(append);
    if bytes > MAX_APPEND_BYTES {
        return Err(AppendError::Invalid(format!(
            "it has {bytes} bytes, more than the {MAX_APPEND_BYTES} of one append"
        )));
    }
    Ok(())
}

/// The bytes of an append that count against [`MAX_APPEND_BYTES`].
pub(crate) fn weight(append: &Append) -> usize {
    append
        .events
        .iter()
        .map(|event| {
            let metadata = &event.metadata;
            let texts = [
                &metadata.correlation_id,
                &metadata.causation_id,
                &metadata.actor,
                &metadata.traceparent,
            ];
            let texts: usize = texts.into_iter().flatten().map(String::len).sum();
            event.data.len() + event.event_type.len() + texts
        })
        .sum()
}

/// What to do with an append to a stream that is at version `actual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The stream is where the writer believes it to be.
    Append,
    /// It is further on. If the events from `first` to `last` have the ids of the append, then it
    /// is a repetition, else a conflict.
    CompareIds {
        first: StreamVersion,
        last: StreamVersion,
    },
    /// The stream is elsewhere.
    Conflict,
}

/// Plans an append of `count` events (at least one).
pub(crate) fn plan(expected: Expected, actual: Option<StreamVersion>, count: usize) -> Plan {
    if expected == Expected::from(actual) {
        return Plan::Append;
    }
    let first = expected.next_version();
    let last = StreamVersion(first.0 + count as u64 - 1);
    match actual {
        Some(actual) if actual >= last => Plan::CompareIds { first, last },
        _ => Plan::Conflict,
    }
}

/// Refuses events that are not the next of a log with contiguous positions, which is at `head`,
/// took its newest event at `last_us` and has its streams at `version_of`.
pub(crate) fn check_import(
    events: &[RecordedEvent],
    head: Position,
    last_us: i64,
    version_of: impl Fn(&StreamName) -> Option<StreamVersion>,
) -> Result<(), AppendError> {
    let mut versions: HashMap<&StreamName, StreamVersion> = HashMap::new();
    let mut last_us = last_us;
    for (event, position) in events.iter().zip(head.0 + 1..) {
        let refuse = |why: String| {
            let (at, stream) = (event.position, &event.stream);
            Err(AppendError::Invalid(format!(
                "the event at {at} in stream {stream}: {why}"
            )))
        };
        if event.position.0 != position {
            return refuse(format!("the log wants position {position} next"));
        }
        let newest = versions.get(&event.stream).copied();
        let next = Expected::from(newest.or_else(|| version_of(&event.stream))).next_version();
        if event.version != next {
            let (found, next) = (event.version.0, next.0);
            return refuse(format!("it has version {found}, the stream wants {next}"));
        }
        let recorded_at_us = event.recorded_at.as_microsecond();
        if recorded_at_us < last_us {
            return refuse("it was recorded before the one in front of it".into());
        }
        last_us = recorded_at_us;
        versions.insert(&event.stream, event.version);
    }
    Ok(())
}

/// Versions stay well inside the signed 64 bits that databases offer.
const MAX_VERSION: u64 = 1 << 62;

#[cfg(test)]
mod tests;
