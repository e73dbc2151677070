//! Subscriptions: everything after a position, without a gap and without a repeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;

use super::Harness;
use super::fixture::{all, exact, given, ids, take, within, write_alone};
use crate::{EventLog, Expected, Position, ReadError, RecordedEvent, StreamName};

/// First what is there, then what comes.
pub async fn catches_up_then_lives(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let mut subscription = log.clone().subscribe(Position::START);
    assert_eq!(ids(&take(&mut subscription, 3).await), [1, 2, 3]);
    for version in 2..5 {
        let id = u128::from(version) + 2;
        given(&*log, "a", exact(version), id..id + 1).await;
        assert_eq!(ids(&take(&mut subscription, 1).await), [id]);
    }
    assert_eq!(subscription.position(), log.head().await.unwrap());
}

/// The position itself is exclusive.
pub async fn starts_after_its_position(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..6).await;
    for event in all(&*log).await.into_iter().take(4) {
        let mut subscription = log.clone().subscribe(event.position);
        assert_eq!(subscription.position(), event.position);
        let next = take(&mut subscription, 1).await;
        assert_eq!(ids(&next), [event.event_id.as_u128() + 1]);
    }
}

/// What it has seen, this log never had: a restored backup, a standby that took over.
pub async fn ahead_of_the_log_it_stops(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let head = given(&*log, "a", Expected::NoStream, 1..3).await.position;
    let position = Position(head.0 + 2);
    let mut subscription = log.clone().subscribe(position);
    match within(subscription.next_batch(1)).await {
        Err(ReadError::Ahead {
            position: found,
            head: end,
        }) => assert_eq!((found, end), (position, head)),
        other => panic!("{other:?}"),
    }
}

/// Never more than asked for, and never none.
pub async fn batches_keep_their_limit(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..11).await;
    for limit in [1, 3, 10, 100] {
        let mut subscription = log.clone().subscribe(Position::START);
        let mut found = Vec::new();
        while found.len() < 10 {
            let batch = within(subscription.next_batch(limit)).await.unwrap();
            assert!((1..=limit).contains(&batch.len()));
            assert_eq!(
                batch.last().map(|event| event.position),
                Some(subscription.position())
            );
            found.extend(ids(&batch));
        }
        assert_eq!(found, (1..11).collect::<Vec<_>>());
    }
}

/// Also where each subscribed at another time.
pub async fn several_subscribers_see_one_order(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for writer in 1..6 {
        readers.push(tokio::spawn(read(log.clone(), 5 * 40, writer)));
        writers.push(tokio::spawn(write_alone(log.clone(), writer as u128, 40)));
        tokio::task::yield_now().await;
    }
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let whole = all(&*log).await;
    assert_eq!(whole.len(), 200);
    for reader in join_all(readers).await {
        assert_eq!(reader.unwrap(), whole);
    }
}

/// Ten at once, while a subscriber is at their heels.
pub async fn neither_misses_nor_repeats_under_concurrent_appends(harness: &mut dyn Harness) {
    const WRITERS: u128 = 10;
    const EACH: u128 = 60;
    let log = harness.open().await;
    let reader = tokio::spawn(read(log.clone(), (WRITERS * EACH) as usize, 7));
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write_alone(log.clone(), writer, EACH)));
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    let events = reader.await.unwrap();
    assert!(
        events
            .windows(2)
            .all(|two| two[0].position < two[1].position)
    );
    let mut streams: BTreeMap<StreamName, Vec<u64>> = BTreeMap::new();
    for event in &events {
        let versions = streams.entry(event.stream.clone()).or_default();
        versions.push(event.version.0);
    }
    assert_eq!(streams.len(), WRITERS as usize);
    for (stream, versions) in streams {
        assert_eq!(versions, (0..EACH as u64).collect::<Vec<_>>(), "{stream}");
    }
    assert_eq!(events, all(&*log).await);
}

/// A batch that was given up on comes again.
pub async fn a_cancelled_wait_loses_nothing(harness: &mut dyn Harness) {
    const COUNT: usize = 200;
    let log = harness.open().await;
    let writer = tokio::spawn(write_alone(log.clone(), 1, COUNT as u128));
    let mut subscription = log.clone().subscribe(Position::START);
    let mut found = Vec::new();
    let mut yields = 0;
    // A wait that came to nothing is followed by a longer one, however slow the adapter is.
    within(async {
        while found.len() < COUNT {
            tokio::select! {
                biased;
                batch = subscription.next_batch(3) => {
                    found.extend(batch.unwrap());
                    yields = 0;
                }
                () = yield_times(yields) => yields = yields * 2 + 1,
            }
        }
    })
    .await;
    writer.await.unwrap();
    assert_eq!(found, all(&*log).await);
}

/// Neither the log nor those who go on listening.
pub async fn a_dropped_subscriber_harms_nobody(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let mut staying = log.clone().subscribe(Position::START);
    let mut leaving = log.clone().subscribe(Position::START);
    let waiting = tokio::spawn(async move { leaving.next_batch(1).await.map(drop) });
    tokio::task::yield_now().await;
    waiting.abort();
    drop(log.clone().subscribe(Position::START));
    given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(ids(&take(&mut staying, 2).await), [1, 2]);
}

/// The same, one by one.
pub async fn as_a_stream_of_events(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..8).await;
    let events = log.clone().subscribe(Position::START).into_stream(3);
    let mut events = std::pin::pin!(events);
    for id in 1..8 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.event_id.as_u128(), id);
    }
    given(&*log, "a", exact(6), 8..9).await;
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.event_id.as_u128(), 8);
}

async fn read(log: Arc<dyn EventLog>, count: usize, limit: usize) -> Vec<RecordedEvent> {
    let mut subscription = log.subscribe(Position::START);
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(within(subscription.next_batch(limit)).await.unwrap());
    }
    events
}

async fn yield_times(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
