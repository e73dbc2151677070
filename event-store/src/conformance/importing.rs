//! Taking over the events of another log.

use jiff::Timestamp;

use super::Harness;
use super::fixture::{all, append, assert_conflict, exact, given, ids, take};
use crate::memory::MemoryEventLog;
use crate::{AppendError, Expected, Position, RecordedEvent};

/// Everything but what the adapter cannot give: where positions have gaps, they are its own.
pub async fn imported_events_are_kept_as_they_are(harness: &mut dyn Harness) {
    let source = source().await;
    let log = harness.open().await;
    let head = log.import(source.clone()).await.unwrap();
    assert_eq!(log.head().await.unwrap(), head);
    let copied = all(&*log).await;
    if harness.contiguous() {
        assert_eq!(copied, source);
    } else {
        let positions = copied.iter().map(|event| event.position);
        let kept: Vec<RecordedEvent> = source
            .into_iter()
            .zip(positions)
            .map(|(event, position)| RecordedEvent { position, ..event })
            .collect();
        assert_eq!(copied, kept);
    }
}

/// A copy in parts is the same copy.
pub async fn an_import_goes_on_where_the_last_one_ended(harness: &mut dyn Harness) {
    let source = source().await;
    let log = harness.open().await;
    for part in source.chunks(2) {
        log.import(part.to_vec()).await.unwrap();
    }
    assert_eq!(ids(&all(&*log).await), ids(&source));
}

/// As if they had been appended here.
pub async fn appends_go_on_after_an_import(harness: &mut dyn Harness) {
    let source = source().await;
    let log = harness.open().await;
    let head = log.import(source).await.unwrap();
    assert_conflict(&log.append(append("a", exact(0), 90..91)).await, Some(2));
    let repeated = log.append(append("b", Expected::NoStream, 11..12)).await;
    assert!(repeated.is_ok(), "{repeated:?}");
    let next = given(&*log, "a", exact(2), 91..92).await;
    assert!(next.position > head);
    if harness.contiguous() {
        assert_eq!(next.position.0, head.0 + 1);
    }
}

/// Nothing of it is taken.
pub async fn an_import_that_does_not_fit_is_refused_whole(harness: &mut dyn Harness) {
    let source = source().await;
    let log = harness.open().await;
    log.import(source[..2].to_vec()).await.unwrap();
    let mut wrong_version = source[2..].to_vec();
    wrong_version[1].version.0 += 1;
    refused(&*log, wrong_version).await;
    if harness.contiguous() {
        refused(&*log, source[3..].to_vec()).await;
        let mut into_the_past = source[2..].to_vec();
        into_the_past[1].recorded_at = Timestamp::UNIX_EPOCH;
        refused(&*log, into_the_past).await;
    }
    assert_eq!(all(&*log).await.len(), 2);
}

/// They come like any others.
pub async fn subscribers_see_imported_events(harness: &mut dyn Harness) {
    let source = source().await;
    let log = harness.open().await;
    let mut subscription = log.clone().subscribe(Position::START);
    log.import(source.clone()).await.unwrap();
    let seen = take(&mut subscription, source.len()).await;
    assert_eq!(ids(&seen), ids(&source));
}

/// Two streams that take turns.
async fn source() -> Vec<RecordedEvent> {
    let log = MemoryEventLog::new();
    given(&*log, "a", Expected::NoStream, 1..2).await;
    given(&*log, "b", Expected::NoStream, 11..13).await;
    given(&*log, "a", exact(0), 2..4).await;
    all(&*log).await
}

async fn refused(log: &dyn crate::EventLog, events: Vec<RecordedEvent>) {
    let result = log.import(events).await;
    assert!(matches!(result, Err(AppendError::Invalid(_))), "{result:?}");
}
