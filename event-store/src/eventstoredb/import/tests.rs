use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{MAX_RUN_BYTES, METADATA_BYTES, runs};
use crate::{EventMetadata, Position, RecordedEvent, StreamName, StreamVersion};

fn event(stream: &str, bytes: usize) -> RecordedEvent {
    RecordedEvent {
        position: Position(1),
        stream: StreamName::new(stream),
        version: StreamVersion(0),
        event_id: Uuid::nil(),
        event_type: "Happened".into(),
        schema_version: 1,
        recorded_at: Timestamp::UNIX_EPOCH,
        data: Bytes::from(vec![b'1'; bytes]),
        metadata: EventMetadata::default(),
        salt: [0; 16],
    }
}

#[test]
fn neighbours_of_a_stream_go_together() {
    let check = |events: &[(&str, usize)], wanted: &[usize]| {
        let made = events.iter().map(|(stream, bytes)| event(stream, *bytes));
        let lengths: Vec<usize> = runs(made.collect()).iter().map(Vec::len).collect();
        assert_eq!(lengths, wanted, "{events:?}");
    };
    check(&[], &[]);
    check(&[("a", 1)], &[1]);
    check(&[("a", 1), ("a", 1), ("b", 1), ("a", 1)], &[2, 1, 1]);
    let half = MAX_RUN_BYTES / 2 - METADATA_BYTES;
    check(&[("a", half), ("a", half), ("a", 1), ("a", half)], &[2, 2]);
    check(&[("a", 3 * half), ("a", 3 * half)], &[1, 1]);
}
