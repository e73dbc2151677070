//! The encoding, written out once by hand, and what a change of any part changes.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::{EventMetadata, Position, StreamName, StreamVersion};

fn event() -> RecordedEvent {
    RecordedEvent {
        position: Position(7),
        stream: StreamName::new("run-é"),
        version: StreamVersion(3),
        event_id: Uuid::from_u128(0x0102_0304),
        event_type: "RunBegun".into(),
        schema_version: 2,
        recorded_at: Timestamp::from_microsecond(-5).unwrap(),
        data: Bytes::from_static(b"{}"),
        metadata: EventMetadata {
            actor: Some("ada".to_owned()),
            ..EventMetadata::default()
        },
        salt: [9; 16],
    }
}

fn hash(events: &[RecordedEvent]) -> String {
    let mut hash = EnvelopeHash::default();
    events.iter().for_each(|event| hash.add(event));
    hash.to_hex()
}

#[test]
fn an_event_is_encoded_as_documented() {
    let mut bytes = Sha256::digest("daybook log 1").to_vec();
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 6]);
    bytes.extend("run-é".as_bytes());
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 3]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 8]);
    bytes.extend(b"RunBegun");
    bytes.extend([0, 0, 0, 2]);
    bytes.extend([255, 255, 255, 255, 255, 255, 255, 251]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, b'{', b'}']);
    bytes.extend([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'd', b'a', 0]);
    bytes.extend([9; 16]);
    assert_eq!(hash(&[event()]), hex::encode(Sha256::digest(bytes)));
}

#[test]
fn every_part_but_the_position_counts() {
    let changes: [fn(&mut RecordedEvent); 11] = [
        |event| event.stream = StreamName::new("run-e"),
        |event| event.version.0 += 1,
        |event| event.event_id = Uuid::nil(),
        |event| event.event_type = "RunEnded".into(),
        |event| event.schema_version += 1,
        |event| event.recorded_at = Timestamp::UNIX_EPOCH,
        |event| event.data = Bytes::from_static(b"[]"),
        |event| event.metadata.actor = None,
        |event| event.metadata.correlation_id = Some(String::new()),
        |event| {
            event.metadata = EventMetadata {
                causation_id: Some("ada".into()),
                ..Default::default()
            }
        },
        |event| event.salt[15] = 0,
    ];
    let mut seen = vec![hash(&[event()])];
    for change in changes {
        let mut changed = event();
        change(&mut changed);
        seen.push(hash(&[changed]));
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
    let mut elsewhere = event();
    elsewhere.position.0 += 5;
    assert_eq!(hash(&[elsewhere]), hash(&[event()]));
}

#[test]
fn the_order_and_the_number_of_events_count() {
    let mut other = event();
    other.version.0 += 1;
    let ends = [
        hash(&[]),
        hash(&[event()]),
        hash(&[event(), event()]),
        hash(&[event(), other.clone()]),
        hash(&[other, event()]),
    ];
    for (at, one) in ends.iter().enumerate() {
        assert!(!ends[..at].contains(one), "{at}");
    }
}
