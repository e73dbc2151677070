//! The newest event of each of many streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Harness;
use super::fixture::{exact, given, within};
use crate::{EventLog, Expected, RecordedEvent, StreamRange};

/// One event a stream, the newest, whichever stream it was written to last.
pub async fn newest_of_each_stream_by_name(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "b", Expected::NoStream, 1..4).await;
    given(&*log, "a", Expected::NoStream, 11..12).await;
    given(&*log, "b", exact(2), 4..5).await;
    given(&*log, "c", Expected::NoStream, 21..23).await;
    given(&*log, "a", exact(0), 12..13).await;
    let found = all(&log, StreamRange::with_prefix("")).await;
    assert_eq!(told(&found), [("a", 12), ("b", 4), ("c", 22)]);
    for event in found {
        let stream = log
            .read_stream(&event.stream, None, crate::Direction::Backward, 1)
            .await;
        assert_eq!(stream.unwrap(), [event], "it is the whole event");
    }
}

/// The order is that of bytes, and a prefix is no pattern.
pub async fn newest_of_streams_with_a_prefix(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let names = [
        "o-b/z",
        "o-b/",
        "o-b/a b",
        "o-b/A",
        "o-b/é",
        "o-b/e\u{301}",
        "o-b/日本",
        "o-b/🗻",
        "o-b/%",
        "o-b/_",
        "o-b/a/b",
        "o-b/a.b",
        "o-b/a\\",
        "o-b/a\\b",
        "o-b/a]",
        "o-b",
        "o-ba/a",
        "o-c/a",
        "o-",
        "p",
        "o-b/\u{10ffff}",
    ];
    for (id, name) in names.iter().enumerate() {
        let id = id as u128;
        given(&*log, name, Expected::NoStream, id..id + 1).await;
    }
    let mut wanted: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| name.starts_with("o-b/"))
        .collect();
    wanted.sort_unstable();
    let found = all(&log, StreamRange::with_prefix("o-b/")).await;
    assert_eq!(names_of(&found), wanted);
    let found = all(&log, StreamRange::with_prefix("o-b/\u{10ffff}")).await;
    assert_eq!(names_of(&found), ["o-b/\u{10ffff}"]);
    let none = all(&log, StreamRange::with_prefix("o-b/no")).await;
    assert!(none.is_empty());
}

/// Whoever stopped somewhere goes on behind it.
pub async fn newest_of_streams_after_a_name(harness: &mut dyn Harness) {
    let log = harness.open().await;
    for (id, name) in ["s/a", "s/b", "s/c", "t/a"].iter().enumerate() {
        let id = id as u128;
        given(&*log, name, Expected::NoStream, id..id + 1).await;
    }
    for (after, wanted) in [
        ("s/a", vec!["s/b", "s/c"]),
        ("s/aa", vec!["s/b", "s/c"]),
        ("s/c", vec![]),
        ("a", vec!["s/a", "s/b", "s/c"]),
    ] {
        let range = StreamRange {
            prefix: "s/".to_owned(),
            after: Some(after.to_owned()),
        };
        assert_eq!(names_of(&all(&log, range).await), wanted, "after {after}");
    }
}

/// What comes later is not in it, however slowly it is read.
pub async fn newest_of_streams_is_of_one_moment(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let names: Vec<String> = (0..1_500).map(|n| format!("s/{n:05}")).collect();
    let mut before = BTreeMap::new();
    for (id, name) in names.iter().enumerate() {
        let id = id as u128 * 10;
        given(&*log, name, Expected::NoStream, id..id + 1).await;
        before.insert(name.as_str(), id);
    }
    let mut newest = within(
        log.clone()
            .newest_of_streams(StreamRange::with_prefix("s/")),
    )
    .await
    .unwrap();
    let head = log.head().await.unwrap();
    assert_eq!(newest.head(), head);
    let mut found = within(newest.next_page()).await.unwrap().unwrap();
    given(&*log, "s/01499", exact(0), 99_991..99_992).await;
    given(&*log, "s/01499a", Expected::NoStream, 99_992..99_993).await;
    while let Some(page) = within(newest.next_page()).await.unwrap() {
        assert!(!page.is_empty());
        found.extend(page);
    }
    assert!(found.iter().all(|event| event.position <= head));
    let found: BTreeMap<&str, u128> = told(&found).into_iter().collect();
    assert_eq!(found, before);
}

async fn all(log: &Arc<dyn EventLog>, range: StreamRange) -> Vec<RecordedEvent> {
    let mut newest = within(log.clone().newest_of_streams(range)).await.unwrap();
    let mut found = Vec::new();
    while let Some(page) = within(newest.next_page()).await.unwrap() {
        found.extend(page);
    }
    found
}

fn told(events: &[RecordedEvent]) -> Vec<(&str, u128)> {
    let told = events.iter();
    told.map(|event| (event.stream.as_str(), event.event_id.as_u128()))
        .collect()
}

fn names_of(events: &[RecordedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.stream.as_str()).collect()
}
