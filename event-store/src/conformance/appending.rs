//! Appends and their expected versions.

use super::Harness;
use super::fixture::{all, append, assert_conflict, event_with, exact, given, ids};
use crate::{Append, AppendError, Expected, MAX_APPEND_BYTES, StreamName, StreamVersion};

/// The version is that of the last event; so is the position.
pub async fn an_append_tells_version_and_position(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let first = given(&*log, "a", Expected::NoStream, 1..4).await;
    let second = given(&*log, "a", exact(2), 4..5).await;
    assert_eq!(first.version, StreamVersion(2));
    assert_eq!(second.version, StreamVersion(3));
    let events = all(&*log).await;
    assert_eq!(events[2].position, first.position);
    assert_eq!(events[3].position, second.position);
    if harness.contiguous() {
        assert_eq!((first.position.0, second.position.0), (3, 4));
    }
}

/// A stream can be new only once.
pub async fn no_stream_on_an_existing_one_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let result = log.append(append("a", Expected::NoStream, 10..11)).await;
    assert_conflict(&result, Some(1));
}

/// A version of a stream that does not exist.
pub async fn exact_on_a_missing_stream_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let result = log.append(append("a", exact(0), 1..2)).await;
    assert_conflict(&result, None);
    assert!(all(&*log).await.is_empty());
}

/// Somebody else was faster.
pub async fn exact_behind_the_stream_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let result = log.append(append("a", exact(1), 10..11)).await;
    assert_conflict(&result, Some(2));
}

/// The writer believes in events that are not there.
pub async fn exact_ahead_of_the_stream_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let result = log.append(append("a", exact(3), 10..11)).await;
    assert_conflict(&result, Some(2));
}

/// The log and its head are as before, and no position is used up.
pub async fn a_conflict_adds_nothing(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let before = log.head().await.unwrap();
    let result = log.append(append("a", Expected::NoStream, 10..15)).await;
    assert_conflict(&result, Some(1));
    assert_eq!(log.head().await.unwrap(), before);
    let after = given(&*log, "a", exact(1), 20..21).await;
    assert_eq!(ids(&all(&*log).await), [1, 2, 20]);
    if harness.contiguous() {
        assert_eq!(after.position.0, before.0 + 1);
    }
}

/// There must be an event.
pub async fn an_empty_append_is_invalid(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let result = log.append(append("a", Expected::NoStream, 1..1)).await;
    assert!(matches!(result, Err(AppendError::Invalid(_))), "{result:?}");
    given(&*log, "a", Expected::NoStream, 1..2).await;
}

/// All that is allowed is possible.
pub async fn an_append_at_the_limit_is_taken(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let result = log.append(weighing(MAX_APPEND_BYTES)).await;
    assert!(result.is_ok(), "{result:?}");
    let events = all(&*log).await;
    let found: usize = events.iter().map(|event| event.data.len()).sum();
    assert!(found > MAX_APPEND_BYTES / 2);
}

/// Refused as a whole, and others are still taken.
pub async fn an_append_over_the_limit_is_invalid(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let result = log.append(weighing(MAX_APPEND_BYTES + 1)).await;
    assert!(matches!(result, Err(AppendError::Invalid(_))), "{result:?}");
    assert!(all(&*log).await.is_empty());
    given(&*log, "a", Expected::NoStream, 1..2).await;
}

/// No version of a stream makes the log stumble.
pub async fn the_greatest_version_is_no_trouble(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..2).await;
    for version in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        let result = log.append(append("a", exact(version), 2..4)).await;
        assert!(
            matches!(
                result,
                Err(AppendError::Invalid(_) | AppendError::Conflict { .. })
            ),
            "{result:?}"
        );
    }
    assert_eq!(ids(&all(&*log).await), [1]);
}

/// Each stream has versions of its own.
pub async fn streams_do_not_touch_each_other(harness: &mut dyn Harness) {
    let log = harness.open().await;
    for (turn, expected) in [(0, Expected::NoStream), (1, exact(0)), (2, exact(1))] {
        for (place, stream) in ["a", "b", "c"].into_iter().enumerate() {
            let id = turn * 10 + place as u128;
            let appended = given(&*log, stream, expected, id..id + 1).await;
            assert_eq!(appended.version, StreamVersion(turn as u64));
        }
    }
    assert_eq!(ids(&all(&*log).await), [0, 1, 2, 10, 11, 12, 20, 21, 22]);
}

/// An append of two events that weighs exactly so much.
fn weighing(bytes: usize) -> Append {
    let mut events: Vec<_> = (1..3).map(|id| event_with(id, "")).collect();
    let types: usize = events.iter().map(|event| event.event_type.len()).sum();
    let data = vec![b'1'; bytes - types];
    let (first, second) = data.split_at(data.len() / 2);
    events[0].data = first.to_vec().into();
    events[1].data = second.to_vec().into();
    Append {
        stream: StreamName::new("a"),
        expected: Expected::NoStream,
        events,
    }
}
