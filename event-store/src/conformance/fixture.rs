//! What the cases are made of: events with chosen ids, appends, and bounded waiting.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, EventLog, EventMetadata, Expected, NewEvent, Position,
    RecordedEvent, StreamName, StreamVersion, Subscription,
};

/// How long a case waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A small event with this id.
pub fn event(id: u128) -> NewEvent {
    event_with(id, format!(r#"{{"id":{id}}}"#))
}

/// An event with this id and data.
pub fn event_with(id: u128, data: impl Into<Bytes>) -> NewEvent {
    NewEvent {
        event_id: Uuid::from_u128(id),
        event_type: "Happened".into(),
        schema_version: 1,
        data: data.into(),
        metadata: EventMetadata::default(),
    }
}

/// An append of small events with these ids.
pub fn append(stream: &str, expected: Expected, ids: Range<u128>) -> Append {
    Append {
        stream: StreamName::new(stream),
        expected,
        events: ids.map(event).collect(),
    }
}

/// [`Expected::Exact`] of a plain number.
pub fn exact(version: u64) -> Expected {
    Expected::Exact(StreamVersion(version))
}

/// Appends small events with these ids, or fails the test.
pub async fn given(
    log: &dyn EventLog,
    stream: &str,
    expected: Expected,
    ids: Range<u128>,
) -> Appended {
    let result = log.append(append(stream, expected, ids)).await;
    result.expect("the events of the case are appended")
}

/// Everything in the log.
pub async fn all(log: &dyn EventLog) -> Vec<RecordedEvent> {
    let events = log.read_all(Position::START, usize::MAX).await;
    events.expect("the log is read")
}

/// Ids of events as the numbers they were made from.
pub fn ids(events: &[RecordedEvent]) -> Vec<u128> {
    events
        .iter()
        .map(|event| event.event_id.as_u128())
        .collect()
}

/// Fails unless it is a conflict that names the version found.
pub fn assert_conflict(result: &Result<Appended, AppendError>, actual: Option<u64>) {
    match result {
        Err(AppendError::Conflict { actual: found, .. }) => {
            assert_eq!(*found, actual.map(StreamVersion), "the version found");
        }
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

/// Waits, but not for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.expect("it comes while the case has patience")
}

/// The next `count` events of a subscription.
pub async fn take(subscription: &mut Subscription, count: usize) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = within(subscription.next_batch(count - events.len())).await;
        events.extend(batch.expect("the subscription reads"));
    }
    events
}

/// Appends `count` events one by one to a stream of the writer's own, with ids from
/// `writer * 1_000_000`.
pub async fn write_alone(log: Arc<dyn EventLog>, writer: u128, count: u128) {
    let stream = format!("writer-{writer}");
    let mut expected = Expected::NoStream;
    for id in (writer * 1_000_000..).take(count as usize) {
        let appended = given(&*log, &stream, expected, id..id + 1).await;
        expected = Expected::Exact(appended.version);
    }
}
