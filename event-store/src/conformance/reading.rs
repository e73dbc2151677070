//! Reads, their order and their paging.

use std::sync::Arc;

use super::Harness;
use super::fixture::{all, append, exact, given, ids};
use crate::Direction::{Backward, Forward};
use crate::{Direction, EventLog, Expected, Position, StreamName, StreamVersion};

/// Nothing there, no error.
pub async fn an_empty_log_reads_as_empty(harness: &mut dyn Harness) {
    let log = harness.open().await;
    assert!(all(&*log).await.is_empty());
    assert_eq!(log.head().await.unwrap(), Position::START);
}

/// One order over all streams; from 1 on and without gaps where the adapter says so.
pub async fn positions_grow_in_order_of_appends(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    let events = all(&*log).await;
    assert_eq!(ids(&events), [1, 2, 11, 3, 12, 13, 4, 5]);
    assert!(
        events
            .windows(2)
            .all(|two| two[0].position < two[1].position)
    );
    assert!(events[0].position > Position::START);
    if harness.contiguous() {
        let positions: Vec<u64> = events.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

/// Whatever the size of a page.
pub async fn read_all_pages_without_gap_or_repeat(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    let whole = all(&*log).await;
    for size in 1..=9 {
        let mut after = Position::START;
        let mut paged = Vec::new();
        loop {
            let page = log.read_all(after, size).await.unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = last.position;
            paged.extend(page);
        }
        assert_eq!(paged, whole, "in pages of {size}");
    }
}

/// The position itself is exclusive.
pub async fn read_all_beyond_the_end_is_empty(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    let head = log.head().await.unwrap();
    for after in [head, Position(head.0 + 1), Position(u64::MAX)] {
        assert!(log.read_all(after, 10).await.unwrap().is_empty(), "{after}");
    }
}

/// From a version on, inclusive.
pub async fn read_stream_forward(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    check(&log, None, Forward, 10, &[1, 2, 3, 4, 5]).await;
    check(&log, None, Forward, 2, &[1, 2]).await;
    check(&log, Some(0), Forward, 1, &[1]).await;
    check(&log, Some(2), Forward, 2, &[3, 4]).await;
    check(&log, Some(4), Forward, 2, &[5]).await;
}

/// From the end, or from a version down, inclusive.
pub async fn read_stream_backward(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    check(&log, None, Backward, 10, &[5, 4, 3, 2, 1]).await;
    check(&log, None, Backward, 1, &[5]).await;
    check(&log, Some(2), Backward, 2, &[3, 2]).await;
    check(&log, Some(1), Backward, 10, &[2, 1]).await;
    check(&log, Some(0), Backward, 10, &[1]).await;
}

/// Forward there is nothing; backward there is all.
pub async fn read_stream_beyond_its_end(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    for version in [5, 6, u64::MAX] {
        check(&log, Some(version), Forward, 10, &[]).await;
        check(&log, Some(version), Backward, 2, &[5, 4]).await;
    }
}

/// No error either.
pub async fn read_stream_of_a_missing_stream_is_empty(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    for direction in [Forward, Backward] {
        let missing = StreamName::new("missing");
        let events = log.read_stream(&missing, None, direction, 10).await;
        assert!(events.unwrap().is_empty());
    }
}

/// Paging by the version after the last one gives the whole stream.
pub async fn read_stream_pages_both_ways(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    let stream = StreamName::new("a");
    for size in 1..=6 {
        let mut from = Some(0);
        let mut forward = Vec::new();
        while let Some(version) = from {
            let version = Some(StreamVersion(version));
            let page = log
                .read_stream(&stream, version, Forward, size)
                .await
                .unwrap();
            from = page.last().map(|event| event.version.0 + 1);
            forward.extend(ids(&page));
        }
        assert_eq!(forward, [1, 2, 3, 4, 5], "in pages of {size}");

        let mut from = Some(4);
        let mut backward = Vec::new();
        while let Some(version) = from {
            let version = Some(StreamVersion(version));
            let page = log
                .read_stream(&stream, version, Backward, size)
                .await
                .unwrap();
            from = page.last().and_then(|event| event.version.0.checked_sub(1));
            backward.extend(ids(&page));
        }
        assert_eq!(backward, [5, 4, 3, 2, 1], "in pages of {size}");
    }
}

/// Zero is a limit, too.
pub async fn a_limit_of_nothing_gives_nothing(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    assert!(log.read_all(Position::START, 0).await.unwrap().is_empty());
    check(&log, None, Forward, 0, &[]).await;
    check(&log, None, Backward, 0, &[]).await;
}

/// The greatest limit is no overflow.
pub async fn a_limit_without_bound_gives_all(harness: &mut dyn Harness) {
    let log = two_streams(harness).await;
    let events = log.read_all(Position(1), usize::MAX).await.unwrap();
    assert!(events.iter().all(|event| event.position.0 > 1));
    check(&log, Some(1), Forward, usize::MAX, &[2, 3, 4, 5]).await;
    check(&log, Some(1), Backward, usize::MAX, &[2, 1]).await;
}

/// It moves with each append, at once for whoever appended.
pub async fn head_is_the_newest_position(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let mut expected = Expected::NoStream;
    for id in 0..10 {
        let appended = given(&*log, "a", expected, id * 2..id * 2 + 2).await;
        assert_eq!(log.head().await.unwrap(), appended.position);
        expected = Expected::Exact(appended.version);
    }
}

/// No folding of case or trailing space, no pattern, no cut.
pub async fn stream_names_are_kept_apart_exactly(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let long = "x".repeat(1_100);
    let longer = format!("{long}x");
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "a%",
        "a_",
        "ab",
        "é",
        "e\u{301}",
        "object-b/k/../k",
        "日本 🗻",
        "",
        &long,
        &longer,
    ];
    for (id, name) in names.iter().enumerate() {
        let id = id as u128;
        given(&*log, name, Expected::NoStream, id..id + 1).await;
    }
    for (id, name) in names.iter().enumerate() {
        let name = StreamName::new(*name);
        let events = log.read_stream(&name, None, Forward, 10).await.unwrap();
        assert_eq!(ids(&events), [id as u128], "{name}");
        assert_eq!(events[0].stream, name);
    }
}

/// Stream `a` holds 1 to 5, stream `b` 11 to 13, and they alternate.
async fn two_streams(harness: &mut dyn Harness) -> Arc<dyn EventLog> {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    given(&*log, "b", Expected::NoStream, 11..12).await;
    let both = log
        .append_each(vec![
            append("a", exact(1), 3..4),
            append("b", exact(0), 12..14),
        ])
        .await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    given(&*log, "a", exact(2), 4..6).await;
    log
}

async fn check(
    log: &Arc<dyn EventLog>,
    from: Option<u64>,
    direction: Direction,
    limit: usize,
    wanted: &[u128],
) {
    let from = from.map(StreamVersion);
    let stream = StreamName::new("a");
    let events = log.read_stream(&stream, from, direction, limit).await;
    let events = events.unwrap();
    assert_eq!(
        ids(&events),
        wanted,
        "{direction:?} from {from:?} limit {limit}"
    );
    for event in events {
        assert_eq!(event.stream, stream);
        assert_eq!(event.event_id.as_u128(), u128::from(event.version.0) + 1);
    }
}
