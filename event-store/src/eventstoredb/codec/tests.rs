use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Custom, as_json, custom, decode, encode_imported, encode_new};
use crate::eventstoredb::names::Names;
use crate::{EventMetadata, NewEvent, Position, RecordedEvent, StreamName, StreamVersion};

fn names() -> Names {
    Names::new("daybook-").unwrap()
}

/// An event as the client gives it out, of the 2026-01-02 at 03:04:05.678901.
fn stored(custom: &str) -> eventstore::RecordedEvent {
    let metadata = [
        ("type", "Happened"),
        ("content-type", "application/json"),
        ("created", "17673230456789019"),
    ];
    let metadata: HashMap<String, String> = metadata
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    eventstore::RecordedEvent {
        stream_id: "daybook-a%20b".into(),
        id: Uuid::from_u128(7),
        revision: 3,
        event_type: "Happened".into(),
        data: Bytes::from_static(b"{}"),
        metadata,
        custom_metadata: Bytes::copy_from_slice(custom.as_bytes()),
        is_json: true,
        position: eventstore::Position {
            commit: 1_234,
            prepare: 1_234,
        },
        created: Default::default(),
    }
}

const SALT: &str = "000102030405060708090a0b0c0d0e0f";

#[test]
fn an_event_of_the_server_is_one_of_ours() {
    let custom = format!(
        r#"{{"$correlationId":"c","$causationId":"d","actor":"e","traceparent":"f","schemaVersion":2,"salt":"{SALT}"}}"#
    );
    let event = decode(&names(), stored(&custom)).unwrap();
    assert_eq!(
        event,
        RecordedEvent {
            position: Position(1_234),
            stream: StreamName::new("a b"),
            version: StreamVersion(3),
            event_id: Uuid::from_u128(7),
            event_type: "Happened".into(),
            schema_version: 2,
            recorded_at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            data: Bytes::from_static(b"{}"),
            metadata: EventMetadata {
                correlation_id: Some("c".into()),
                causation_id: Some("d".into()),
                actor: Some("e".into()),
                traceparent: Some("f".into()),
            },
            salt: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        }
    );
}

#[test]
fn an_imported_event_keeps_its_time() {
    let custom = format!(
        r#"{{"schemaVersion":1,"salt":"{SALT}","recordedAt":"2020-05-06T07:08:09.000001Z"}}"#
    );
    let event = decode(&names(), stored(&custom)).unwrap();
    let wanted: Timestamp = "2020-05-06T07:08:09.000001Z".parse().unwrap();
    assert_eq!(event.recorded_at, wanted);
    assert_eq!(event.metadata, EventMetadata::default());
}

#[test]
fn what_is_not_ours_is_damage() {
    let good = format!(r#"{{"schemaVersion":1,"salt":"{SALT}"}}"#);
    decode(&names(), stored(&good)).unwrap();
    for wrong in ["", "{}", r#"{"schemaVersion":1,"salt":"00"}"#] {
        let error = decode(&names(), stored(wrong)).unwrap_err();
        assert!(
            error.starts_with("event 3 of stream \"daybook-a%20b\": its "),
            "{error}"
        );
    }
    let mut foreign = stored(&good);
    foreign.stream_id = "daybook-%61".into();
    assert!(decode(&names(), foreign).is_err());
    let mut placeless = stored(&good);
    placeless.position.commit = u64::MAX;
    let error = decode(&names(), placeless).unwrap_err();
    assert!(error.contains("22.10 or later"), "{error}");
    let mut timeless = stored(&good);
    timeless.metadata.remove("created");
    assert!(decode(&names(), timeless).is_err());
}

#[test]
fn bodies_go_as_json_only_where_that_keeps_them() {
    let check = |data: &'static [u8], wanted: bool| {
        let data = Bytes::from_static(data);
        assert_eq!(as_json(&data).is_some(), wanted, "{data:?}");
    };
    check(b"{ \"b\" : 1.0,\n\"a\":1e2, \"a\" : 2 }", true);
    check(b"123456789012345678901234567890", true);
    check(b"null", true);
    check(b"{}\r\n", false);
    check(b" {}", false);
    check("\u{feff}{}".as_bytes(), false);
    check(b"", false);
    check(b"\x00\xff not UTF-8", false);
    check(b"\"\xff\"", false);
}

#[test]
fn an_event_without_a_type_is_refused() {
    let event = NewEvent {
        event_id: Uuid::nil(),
        event_type: "".into(),
        schema_version: 1,
        data: Bytes::new(),
        metadata: EventMetadata::default(),
    };
    assert!(encode_new(event).is_err());
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(any::<String>())
}

proptest! {
    #[test]
    fn custom_metadata_comes_back(
        texts in (text(), text(), text(), text()),
        schema_version in any::<u32>(),
        salt in any::<[u8; 16]>(),
        micros in proptest::option::of(-377_705_023_201_000_000_i64..=253_402_207_200_000_000),
    ) {
        let metadata = EventMetadata {
            correlation_id: texts.0,
            causation_id: texts.1,
            actor: texts.2,
            traceparent: texts.3,
        };
        let recorded_at = micros.map(|micros| Timestamp::from_microsecond(micros).unwrap());
        let written = custom(metadata.clone(), schema_version, salt, recorded_at);
        let json = serde_json::to_string(&written).unwrap();
        let read: Custom = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read.recorded_at, recorded_at);

        let event = decode(&names(), stored(&json)).unwrap();
        prop_assert_eq!(&event.metadata, &metadata);
        prop_assert_eq!((event.schema_version, event.salt), (schema_version, salt));
        prop_assert!(encode_imported(event).is_ok());
    }
}
