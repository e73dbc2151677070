//! Repeated appends: the same ids at the same expected version are a success that adds nothing.

use futures::future::join_all;

use super::Harness;
use super::fixture::{all, append, assert_conflict, exact, given, ids};
use crate::Expected;

/// What the first one returned.
pub async fn a_whole_repeat_succeeds_and_adds_nothing(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let first = given(&*log, "a", Expected::NoStream, 1..4).await;
    let second = given(&*log, "a", Expected::NoStream, 1..4).await;
    assert_eq!(first, second);
    assert_eq!(ids(&all(&*log).await), [1, 2, 3]);
}

/// The stream has gone on since, and so have others.
pub async fn a_repeat_succeeds_after_later_events(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let first = given(&*log, "a", Expected::NoStream, 1..3).await;
    given(&*log, "b", Expected::NoStream, 10..12).await;
    given(&*log, "a", exact(1), 3..6).await;
    let again = given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(first, again);
    assert_eq!(ids(&all(&*log).await), [1, 2, 10, 11, 3, 4, 5]);
}

/// Events before and behind.
pub async fn a_repeat_inside_a_stream_succeeds(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let first = given(&*log, "a", exact(1), 3..5).await;
    given(&*log, "a", exact(3), 5..6).await;
    assert_eq!(given(&*log, "a", exact(1), 3..5).await, first);
    assert_eq!(ids(&all(&*log).await), [1, 2, 3, 4, 5]);
}

/// Also while the first is not yet committed.
pub async fn a_repeat_in_the_same_call_succeeds(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let once = append("a", Expected::NoStream, 1..3);
    let later = append("a", exact(1), 3..4);
    let results = log
        .append_each(vec![once.clone(), later, once.clone()])
        .await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results[0], results[2]);
    assert_eq!(ids(&all(&*log).await), [1, 2, 3]);
}

/// Every event of the append is there; that more followed is no matter of the repeat.
pub async fn a_repeat_with_fewer_events_succeeds(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let again = given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(again.version.0, 1);
    assert_eq!(again.position, all(&*log).await[1].position);
}

/// The part that is there and the part that is not make no repeat.
pub async fn a_repeat_with_more_events_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let result = log.append(append("a", Expected::NoStream, 1..4)).await;
    assert_conflict(&result, Some(1));
    assert_eq!(ids(&all(&*log).await), [1, 2]);
}

/// The same place, another event.
pub async fn other_ids_conflict(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let result = log.append(append("a", Expected::NoStream, 11..13)).await;
    assert_conflict(&result, Some(1));
}

/// One other event makes another append, wherever it is.
pub async fn one_other_id_among_the_same_conflicts(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    for place in 0..3 {
        let mut other = append("a", Expected::NoStream, 1..4);
        other.events[place] = super::fixture::event(99);
        assert_conflict(&log.append(other).await, Some(2));
    }
}

/// The order belongs to it.
pub async fn the_same_ids_in_another_order_conflict(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let mut other = append("a", Expected::NoStream, 1..3);
    other.events.reverse();
    assert_conflict(&log.append(other).await, Some(1));
}

/// The expected version belongs to it.
pub async fn the_same_ids_at_another_version_conflict(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let result = log.append(append("a", exact(0), 1..2)).await;
    assert_conflict(&result, Some(2));
}

/// Callers that do not know of each other try the same at the same time.
pub async fn a_repeat_by_racing_callers_adds_nothing(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let callers = (0..20).map(|_| {
        let log = log.clone();
        tokio::spawn(async move { given(&*log, "a", Expected::NoStream, 1..4).await })
    });
    let mut results: Vec<_> = join_all(callers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    results.dedup();
    assert_eq!(results.len(), 1);
    assert_eq!(ids(&all(&*log).await), [1, 2, 3]);
}
