//! What is kept of an event.

use std::collections::HashSet;

use bytes::Bytes;

use super::Harness;
use super::fixture::{all, append, event, event_with, exact, given};
use crate::{Append, Direction, EventMetadata, Expected, NewEvent, StreamName, StreamVersion};

/// Each where it belongs.
pub async fn every_field_comes_back(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let mut wanted = Vec::new();
    for id in 1..4 {
        wanted.push(NewEvent {
            event_type: format!("Type{}", id % 2).into(),
            schema_version: if id == 3 { u32::MAX } else { id as u32 },
            metadata: metadata(&id.to_string()),
            ..event(u128::MAX - id)
        });
    }
    let stream = StreamName::new("a");
    log.append(Append {
        stream: stream.clone(),
        expected: Expected::NoStream,
        events: wanted.clone(),
    })
    .await
    .unwrap();
    for (version, (found, wanted)) in all(&*log).await.into_iter().zip(wanted).enumerate() {
        assert_eq!(found.stream, stream);
        assert_eq!(found.version, StreamVersion(version as u64));
        assert_eq!(found.event_id, wanted.event_id);
        assert_eq!(found.event_type, wanted.event_type);
        assert_eq!(found.schema_version, wanted.schema_version);
        assert_eq!(found.data, wanted.data);
        assert_eq!(found.metadata, wanted.metadata);
    }
}

/// JSON that a parser would write differently, and no JSON at all.
pub async fn data_comes_back_byte_by_byte(harness: &mut dyn Harness) {
    let log = harness.open().await;
    let data: Vec<Bytes> = [
        "{ \"b\" : 1.0,\n\t\"a\":1e2, \"a\" : 2 }\r\n",
        r#"{"text":"\u00e9é\/🗻\u0000","big":123456789012345678901234567890}"#,
        "\u{feff}{}",
        "null",
        "",
    ]
    .into_iter()
    .map(Bytes::from)
    .chain([Bytes::from_static(b"\x00\xff\xfe not UTF-8")])
    .collect();
    let events = data
        .iter()
        .enumerate()
        .map(|(id, data)| event_with(id as u128, data.clone()));
    log.append(Append {
        stream: StreamName::new("a"),
        expected: Expected::NoStream,
        events: events.collect(),
    })
    .await
    .unwrap();
    let found: Vec<Bytes> = all(&*log)
        .await
        .into_iter()
        .map(|event| event.data)
        .collect();
    assert_eq!(found, data);
}

/// Each of its fields, whatever the text.
pub async fn metadata_comes_back(harness: &mut dyn Harness) {
    let log = harness.open().await;
    for (id, text) in ["plain", "", "quote \" and \\ and \n", "🗻 é"]
        .into_iter()
        .enumerate()
    {
        let stream = format!("s-{id}");
        let mut wanted = append(&stream, Expected::NoStream, 1..2);
        wanted.events[0].metadata = metadata(text);
        log.append(wanted).await.unwrap();
        let stream = StreamName::new(stream);
        let found = log
            .read_stream(&stream, None, Direction::Forward, 1)
            .await
            .unwrap();
        assert_eq!(found[0].metadata, metadata(text));
    }
}

/// Absent stays absent.
pub async fn empty_metadata_comes_back(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(all(&*log).await[0].metadata, EventMetadata::default());
}

/// Random, for each event anew, and the same whenever it is read.
pub async fn salts_are_there_and_differ(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..51).await;
    given(&*log, "b", Expected::NoStream, 1..51).await;
    let events = all(&*log).await;
    let salts: HashSet<_> = events.iter().map(|event| event.salt).collect();
    assert_eq!(salts.len(), 100);
    assert!(!salts.contains(&[0; 16]));
    assert_eq!(all(&*log).await, events);
}

/// By stream and by position it is the same event.
pub async fn both_reads_give_the_same_events(harness: &mut dyn Harness) {
    let log = harness.open().await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    given(&*log, "b", Expected::NoStream, 11..14).await;
    given(&*log, "a", exact(2), 4..6).await;
    let whole = all(&*log).await;
    for name in ["a", "b"] {
        let stream = StreamName::new(name);
        let found = log
            .read_stream(&stream, None, Direction::Forward, 10)
            .await
            .unwrap();
        let wanted: Vec<_> = whole
            .iter()
            .filter(|event| event.stream == stream)
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted);
    }
}

/// Along positions, over single appends and shared ones.
pub async fn recorded_at_never_decreases(harness: &mut dyn Harness) {
    let log = harness.open().await;
    for turn in 0..20 {
        let stream = format!("s-{turn}");
        given(&*log, &stream, Expected::NoStream, 1..3).await;
        log.append_each(vec![
            append(&stream, exact(1), 3..4),
            append(&format!("t-{turn}"), Expected::NoStream, 1..2),
        ])
        .await;
    }
    let events = all(&*log).await;
    assert_eq!(events.len(), 80);
    let mut times = events.iter().map(|event| event.recorded_at);
    assert!(times.clone().is_sorted());
    assert!(times.next().is_some_and(|first| first.as_second() > 0));
}

/// The log promises no more, and what is read back is what was recorded.
pub async fn recorded_at_has_whole_microseconds(harness: &mut dyn Harness) {
    let log = harness.open().await;
    for id in 0..20 {
        given(&*log, &format!("s-{id}"), Expected::NoStream, 1..2).await;
    }
    for event in all(&*log).await {
        assert_eq!(event.recorded_at.subsec_nanosecond() % 1_000, 0);
    }
}

fn metadata(text: &str) -> EventMetadata {
    EventMetadata {
        correlation_id: Some(format!("correlation {text}")),
        causation_id: Some(format!("causation {text}")),
        actor: Some(text.to_owned()),
        traceparent: Some(format!("traceparent {text}")),
    }
}
