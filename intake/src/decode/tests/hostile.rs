//! What somebody might try.

use proptest::prelude::*;

use super::*;
use crate::{Authentication, SnsSettings, SnsSignatures};

const TRANSPORTS: [Transport; 4] = [
    Transport::Http,
    Transport::Sqs,
    Transport::Lambda,
    Transport::Stream,
];

#[test]
fn two_dialects_at_once_are_none() {
    let mut both = s3_event("ObjectCreated:Put");
    for (name, value) in [
        ("detail", json!({})),
        ("detail-type", json!("Object Created")),
        ("Type", json!("Notification")),
        ("TopicArn", json!("t")),
        ("specversion", json!("1.0")),
        ("events", json!([])),
    ] {
        both[name] = value;
    }
    for transport in [Transport::Http, Transport::Lambda, Transport::Sqs] {
        check(&delivery(transport, &both), &["inconsistent-envelope"]);
    }
}

#[test]
fn what_writers_may_choose_changes_nothing() {
    let mut record = s3_record("ObjectCreated:Put");
    record["s3"]["object"]["userMetadata"] = json!({
        "x-amz-meta-Records": "1", "key": "evil", "specversion": "1.0", "Type": "Notification",
        "eventSource": "aws:sqs", "body": s3_event("ObjectCreated:Put").to_string()
    });
    let told = one(&delivery(Transport::Lambda, json!({ "Records": [record] })));
    assert_eq!(told.key.as_str(), "a b");
}

#[test]
fn unknown_shapes_are_one_refusal() {
    for body in [
        "1",
        "\"s3:TestEvent\"",
        "null",
        "true",
        "[1,2]",
        r#"{"a":1}"#,
        "{}",
        r#"[["Records"]]"#,
    ] {
        for transport in [Transport::Http, Transport::Lambda] {
            check(&delivery(transport, body), &["unrecognised-shape"]);
        }
    }
    check(&delivery(Transport::Http, ""), &["json-syntax"]);
    check(
        &delivery(Transport::Http, json!([{ "a": 1 }, r2_like()])),
        &["unrecognised-shape", "created"],
    );
}

fn r2_like() -> Value {
    json!({ "account": "a", "action": "PutObject", "bucket": "b", "object": { "key": "k" } })
}

#[test]
fn sizes_are_whole_numbers_that_fit() {
    let sizes = [
        ("0", "created"),
        ("9223372036854775807", "created"),
        ("null", "created"),
        ("9223372036854775808", "size-out-of-range"),
        ("18446744073709551616", "size-out-of-range"),
        ("-1", "size-out-of-range"),
        ("1e300", "size-out-of-range"),
        ("-1e300", "size-out-of-range"),
        ("2048.5", "wrong-type"),
        ("\"2048\"", "wrong-type"),
        ("[1]", "wrong-type"),
        ("true", "wrong-type"),
    ];
    for (size, expect) in sizes {
        let body = s3_event("ObjectCreated:Put")
            .to_string()
            .replace("\"size\":3", &format!("\"size\":{size}"));
        check(&delivery(Transport::Http, body), &[expect]);
    }
}

#[test]
fn places_lead_to_what_is_wrong() {
    let mut event = s3_event("ObjectCreated:Put");
    event["Records"][0]["s3"]["object"]["key"] = json!("%");
    let answer = json!({ "Messages": [{ "MessageId": "1", "Body": event.to_string() }] });
    let decoded = read(&delivery(Transport::Sqs, answer));
    let Told::Rejected(rejection) = &decoded.items[0].told else {
        panic!("{decoded:?}")
    };
    assert_eq!(
        rejection.place,
        "$.Messages[0].Body > $.Records[0].s3.object.key"
    );
}

#[test]
fn errors_never_repeat_much() {
    let long = "x".repeat(1 << 20);
    for member in ["eventSource", "eventVersion", "eventName", "eventTime"] {
        let mut event = s3_event("ObjectCreated:Put");
        event["Records"][0][member] = json!(long);
        event["Records"][0]["s3"]["bucket"]["name"] = json!(long);
        for item in read(&delivery(Transport::Http, event)).items {
            let Told::Rejected(rejection) = item.told else {
                panic!("{member}")
            };
            assert!(rejection.to_string().len() < 300, "{rejection}");
        }
    }
    let twice = format!(r#"{{"{long}":1,"{long}":2}}"#);
    let Told::Rejected(rejection) = &read(&delivery(Transport::Http, twice)).items[0].told else {
        panic!()
    };
    assert!(rejection.to_string().len() < 300, "{rejection}");
}

#[test]
fn bodies_records_and_messages_are_bounded() {
    let limits = |limits: Limits| Settings {
        limits,
        ..Settings::default()
    };
    let small = limits(Limits {
        max_body: 10,
        ..Limits::default()
    });
    assert_eq!(
        words(&decode(
            &delivery(Transport::Http, "x".repeat(11)),
            &small,
            now()
        )),
        ["too-large"]
    );
    let few = limits(Limits {
        max_items: 2,
        ..Limits::default()
    });
    let records = |count| json!({ "Records": vec![s3_record("ObjectCreated:Put"); count] });
    assert_eq!(
        words(&decode(&delivery(Transport::Http, records(2)), &few, now())),
        ["created", "created"]
    );
    assert_eq!(
        words(&decode(&delivery(Transport::Http, records(3)), &few, now())),
        ["too-large"]
    );
    let messages = json!({ "Messages": [{ "Body": "" }, { "Body": "" }, { "Body": "" }] });
    assert_eq!(
        words(&decode(&delivery(Transport::Sqs, messages), &few, now())),
        ["too-large"]
    );
}

#[test]
fn who_shows_no_token_is_told_nothing_else() {
    let settings = Settings {
        authentication: vec![Authentication::Bearer("t".into())],
        b2_secrets: vec!["s".into()],
        ..Settings::default()
    };
    let bodies = [
        s3_event("ObjectCreated:Put"),
        json!([azure_event("Microsoft.Storage.BlobCreated", "PutBlob")]),
        json!({ "message": pubsub_message("OBJECT_FINALIZE"), "subscription": "s" }),
        r2_like(),
        json!([]),
    ];
    for body in &bodies {
        let refused = decode(&delivery(Transport::Http, body), &settings, now());
        assert_eq!(words(&refused), ["unauthenticated"], "{body}");
        let shown = decode(
            &request(&[("authorization", "Bearer t")], body),
            &settings,
            now(),
        );
        assert_ne!(words(&shown), ["unauthenticated"], "{body}");
    }
    let options = Delivery {
        method: "OPTIONS".to_owned(),
        ..delivery(Transport::Http, "")
    };
    assert_eq!(
        words(&decode(&options, &settings, now())),
        ["unauthenticated"]
    );
    let sync = request(&[("x-goog-resource-state", "sync")], "");
    assert_eq!(words(&decode(&sync, &settings, now())), ["unauthenticated"]);
    let event = request(&[("ce-id", "1"), ("ce-type", "t")], "{}");
    assert_eq!(
        words(&decode(&event, &settings, now())),
        ["unauthenticated"]
    );
}

#[test]
fn a_source_speaks_of_its_own_stores_only() {
    let settings = Settings {
        sources: vec![Source::Minio],
        ..Settings::default()
    };
    let decoded = decode(
        &delivery(Transport::Http, s3_event("ObjectCreated:Put")),
        &settings,
        now(),
    );
    assert_eq!(words(&decoded), ["source-not-allowed"]);
}

/// Any JSON, with members that dialects have among its names and texts.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "Records",
        "eventSource",
        "aws:s3",
        "minio:s3",
        "ceph:s3",
        "aws:sqs",
        "aws:sns",
        "EventSource",
        "Sns",
        "s3",
        "object",
        "bucket",
        "key",
        "name",
        "size",
        "eventName",
        "ObjectCreated:Put",
        "eventVersion",
        "2.1",
        "Type",
        "Notification",
        "TopicArn",
        "Message",
        "Messages",
        "Body",
        "body",
        "detail",
        "detail-type",
        "source",
        "aws.s3",
        "message",
        "subscription",
        "attributes",
        "data",
        "data_base64",
        "specversion",
        "1.0",
        "id",
        "type",
        "events",
        "eventType",
        "subject",
        "context",
        "resource",
        "action",
        "account",
        "kind",
        "storage#object",
        "value",
        "event",
        "result",
        "success",
        "messages",
        "receivedMessages",
        "topic",
        "Microsoft.Storage.BlobCreated",
        "google.cloud.storage.object.v1.finalized",
        "generation",
        "Key",
        "EventName",
        "SigningCertURL",
        "Signature",
        "Timestamp",
        "{\"Records\":[{}]}",
        "brokerProperties",
    ]);
    let text = prop_oneof![3 => words.prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        text.clone().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(text.clone(), inner, 0..8)
                .prop_map(|members| Value::from(serde_json::Map::from_iter(members))),
        ]
    })
}

/// Each item belongs to a message, whatever came.
fn sound(decoded: &Decoded) -> bool {
    decoded
        .items
        .iter()
        .all(|item| item.message < decoded.messages.len())
        && decoded
            .checks
            .iter()
            .all(|check| check.message() < decoded.messages.len())
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for transport in TRANSPORTS {
            let delivery = Delivery { body: bytes.clone().into(), ..delivery(transport, "") };
            prop_assert!(sound(&read(&delivery)));
        }
    }

    #[test]
    fn no_json_is_too_much(body in any_json(), headers in any::<bool>()) {
        let settings = Settings {
            sns: SnsSettings {
                topics: vec!["*".to_owned()],
                signatures: SnsSignatures::Everywhere,
                ..SnsSettings::default()
            },
            ..Settings::default()
        };
        for transport in TRANSPORTS {
            let mut delivery = delivery(transport, &body);
            if headers {
                let some = [
                    ("ce-id", "1"),
                    ("ce-specversion", "1.0"),
                    ("eventtype", "OBJECT_FINALIZE"),
                ];
                delivery.headers = request(&some, "").headers;
            }
            prop_assert!(sound(&decode(&delivery, &settings, now())));
        }
    }

    /// A sound event with one of its values exchanged says something, and never panics.
    #[test]
    fn no_change_is_too_much(which in 0..5usize, at in any::<prop::sample::Index>(), value in any_json()) {
        let mut body = vec![
            s3_event("ObjectCreated:Put"), json!([azure_event("Microsoft.Storage.BlobCreated", "PutBlob")]),
            json!({ "message": pubsub_message("OBJECT_FINALIZE"), "subscription": "s" }), r2_like(),
            json!({
                "specversion": "1.0", "id": "1", "source": "s", "data": gcs_object(),
                "type": "google.cloud.storage.object.v1.finalized"
            }),
        ].swap_remove(which);
        let mut places = Vec::new();
        collect(&body, String::new(), &mut places);
        let place = at.get(&places);
        *body.pointer_mut(place).unwrap() = value;
        for transport in TRANSPORTS {
            prop_assert!(sound(&read(&delivery(transport, &body))));
        }
    }
}

fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(
                    value,
                    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    places,
                );
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}
