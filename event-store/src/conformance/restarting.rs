//! What outlives the process. Adapters that keep nothing pass by not taking part.

use super::Harness;
use super::fixture::{all, append, assert_conflict, exact, given, ids, take};
use crate::{Expected, Position};

/// Byte by byte, salts and times included.
pub async fn everything_is_still_there(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    given(&*log, "b", Expected::NoStream, 11..14).await;
    let before = all(&*log).await;
    let head = log.head().await.unwrap();
    let Some(log) = harness.reopen(log).await else {
        return;
    };
    assert_eq!(all(&*log).await, before);
    assert_eq!(log.head().await.unwrap(), head);
}

/// As if nothing had happened.
pub async fn positions_and_versions_continue(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let first = given(&*log, "a", Expected::NoStream, 1..4).await;
    let Some(log) = harness.reopen(log).await else {
        return;
    };
    let result = log.append(append("a", Expected::NoStream, 20..21)).await;
    assert_conflict(&result, Some(2));
    let next = given(&*log, "a", exact(2), 4..5).await;
    assert!(next.position > first.position);
    if harness.contiguous() {
        assert_eq!(next.position.0, first.position.0 + 1);
    }
    given(&*log, "b", Expected::NoStream, 5..6).await;
    assert_eq!(ids(&all(&*log).await), [1, 2, 3, 4, 5]);
}

/// Whoever did not get the answer asks again after the restart.
pub async fn repeats_are_still_known(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let first = given(&*log, "a", Expected::NoStream, 1..4).await;
    let Some(log) = harness.reopen(log).await else {
        return;
    };
    assert_eq!(given(&*log, "a", Expected::NoStream, 1..4).await, first);
    assert_eq!(ids(&all(&*log).await), [1, 2, 3]);
}

/// Over the whole log.
pub async fn recorded_at_never_decreases_over_a_restart(harness: &mut dyn Harness) {
    let mut log = harness.open().await;
    for turn in 0..3 {
        given(&*log, &format!("s-{turn}"), Expected::NoStream, 1..3).await;
        match harness.reopen(log).await {
            Some(again) => log = again,
            None => return,
        }
    }
    let events = all(&*log).await;
    assert_eq!(events.len(), 6);
    assert!(events.iter().map(|event| event.recorded_at).is_sorted());
}

/// From the position that it had reached.
pub async fn a_subscription_resumes(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..6).await;
    let mut subscription = log.clone().subscribe(Position::START);
    take(&mut subscription, 3).await;
    let position = subscription.position();
    drop(subscription);
    let Some(log) = harness.reopen(log).await else {
        return;
    };
    given(&*log, "a", exact(4), 6..7).await;
    let mut subscription = log.clone().subscribe(position);
    assert_eq!(ids(&take(&mut subscription, 3).await), [4, 5, 6]);
}
