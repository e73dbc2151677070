//! Independent appends in one call.

use super::Harness;
use super::fixture::{all, append, assert_conflict, exact, given, ids};
use crate::{AppendError, Expected};

/// Nothing in, nothing out.
pub async fn no_appends_give_no_results(harness: &mut dyn Harness) {
    let log = harness.open().await;
    assert!(log.append_each(Vec::new()).await.is_empty());
}

/// Success, conflict, refusal and repeat beside each other, each in its place.
pub async fn each_append_gets_its_own_result(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let before = given(&*log, "old", Expected::NoStream, 1..3).await;
    let results = log
        .append_each(vec![
            append("new", Expected::NoStream, 10..12),
            append("old", Expected::NoStream, 20..21),
            append("empty", Expected::NoStream, 0..0),
            append("old", Expected::NoStream, 1..3),
            append("old", exact(1), 30..31),
        ])
        .await;
    assert_eq!(results.len(), 5);
    assert_eq!(results[0].as_ref().unwrap().version.0, 1);
    assert_conflict(&results[1], Some(1));
    assert!(matches!(results[2], Err(AppendError::Invalid(_))));
    assert_eq!(results[3].as_ref().unwrap(), &before);
    assert_eq!(results[4].as_ref().unwrap().version.0, 2);
    assert_eq!(ids(&all(&*log).await), [1, 2, 10, 11, 30]);
}

/// The second sees the first.
pub async fn two_appends_to_one_stream_apply_in_order(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let results = log
        .append_each(vec![
            append("a", Expected::NoStream, 1..3),
            append("a", exact(1), 3..5),
            append("a", exact(1), 5..6),
        ])
        .await;
    assert_eq!(results[0].as_ref().unwrap().version.0, 1);
    assert_eq!(results[1].as_ref().unwrap().version.0, 3);
    assert_conflict(&results[2], Some(3));
    assert_eq!(ids(&all(&*log).await), [1, 2, 3, 4]);
}

/// No hole where the conflicting one would have been.
pub async fn a_conflict_in_between_leaves_the_others(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let results = log
        .append_each(vec![
            append("a", Expected::NoStream, 1..2),
            append("b", exact(7), 2..3),
            append("c", Expected::NoStream, 3..4),
        ])
        .await;
    assert_conflict(&results[1], None);
    let events = all(&*log).await;
    assert_eq!(ids(&events), [1, 3]);
    assert_eq!(results[2].as_ref().unwrap().position, events[1].position);
    if harness.contiguous() {
        assert_eq!(events[1].position.0, 2);
    }
}

/// More than any one transaction of an adapter may take.
pub async fn many_appends_in_one_call(harness: &mut dyn Harness) {
    const COUNT: u128 = 6_000;
    let log = harness.open().await;
    let appends = (0..COUNT)
        .map(|id| append(&format!("s-{id}"), Expected::NoStream, id..id + 1))
        .collect();
    let results = log.append_each(appends).await;
    assert_eq!(results.len(), COUNT as usize);
    let events = all(&*log).await;
    assert_eq!(ids(&events), (0..COUNT).collect::<Vec<_>>());
    for (result, event) in results.iter().zip(&events) {
        assert_eq!(result.as_ref().unwrap().position, event.position);
    }
}
