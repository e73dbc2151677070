//! Writers that race each other.

use std::collections::{BTreeMap, HashSet};

use futures::future::join_all;

use super::Harness;
use super::fixture::{all, append, assert_conflict, given, ids, write_alone};
use crate::{AppendError, Expected, StreamName};

/// Exactly one; the others are told.
pub async fn one_of_many_new_streams_wins(harness: &mut dyn Harness) {
    const RACERS: u128 = 20;
    let log = harness.open().await;
    for round in 0..5 {
        let stream = format!("s-{round}");
        let racers = (0..RACERS).map(|racer| {
            let (log, stream) = (log.clone(), stream.clone());
            tokio::spawn(async move {
                let ids = racer * 10..racer * 10 + 2;
                log.append(append(&stream, Expected::NoStream, ids)).await
            })
        });
        let results: Vec<_> = join_all(racers.collect::<Vec<_>>())
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let (won, lost): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.is_ok());
        assert_eq!(won.len(), 1);
        lost.into_iter()
            .for_each(|result| assert_conflict(result, Some(1)));
    }
    assert_eq!(all(&*log).await.len(), 10);
}

/// A conflict names the version to try next, so each gets its turn.
pub async fn writers_that_retry_all_get_through(harness: &mut dyn Harness) {
    const WRITERS: u128 = 8;
    const EACH: u128 = 20;
    let log = harness.open().await;
    let writers = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut expected = Expected::NoStream;
            for id in writer * 100..writer * 100 + EACH {
                loop {
                    match log.append(append("shared", expected, id..id + 1)).await {
                        Ok(appended) => {
                            expected = Expected::Exact(appended.version);
                            break;
                        }
                        Err(AppendError::Conflict { actual, .. }) => expected = actual.into(),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    });
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    let events = all(&*log).await;
    let versions: Vec<u64> = events.iter().map(|event| event.version.0).collect();
    assert_eq!(versions, (0..(WRITERS * EACH) as u64).collect::<Vec<_>>());
    let distinct: HashSet<u128> = ids(&events).into_iter().collect();
    assert_eq!(distinct.len(), events.len());
}

/// Each stream is whole, and no position is given twice.
pub async fn positions_are_unique_and_streams_whole(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "before", Expected::NoStream, 1..2).await;
    let writers = (1..9).map(|writer| tokio::spawn(write_alone(log.clone(), writer, 25)));
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.unwrap();
    }
    let events = all(&*log).await;
    assert_eq!(events.len(), 8 * 25 + 1);
    assert!(
        events
            .windows(2)
            .all(|two| two[0].position < two[1].position)
    );
    if harness.contiguous() {
        assert_eq!(
            events.last().map(|event| event.position.0),
            Some(events.len() as u64)
        );
    }
    let mut streams: BTreeMap<StreamName, u64> = BTreeMap::new();
    for event in events {
        let next = streams.entry(event.stream).or_default();
        assert_eq!(event.version.0, *next);
        *next += 1;
    }
}
