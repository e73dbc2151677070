//! Cloudflare R2 and Backblaze B2.

use super::*;

fn r2(action: &str) -> Value {
    json!({
        "account": "acc", "action": action, "bucket": "r2", "eventTime": "2026-03-04T10:11:12.345Z",
        "object": { "key": "a+b%20", "size": 1, "eTag": "e" }
    })
}

#[test]
fn r2_comes_alone_in_lists_and_through_its_queue() {
    for (action, expect) in [
        ("PutObject", "created"),
        ("CopyObject", "created"),
        ("CompleteMultipartUpload", "created"),
        ("DeleteObject", "removed"),
        ("LifecycleDeletion", "removed"),
        ("New", "other"),
    ] {
        check(&delivery(Transport::Http, r2(action)), &[expect]);
    }
    check(
        &delivery(
            Transport::Http,
            json!([r2("PutObject"), r2("DeleteObject"), 1]),
        ),
        &["created", "removed", "wrong-type"],
    );
    let put = r2("PutObject");
    let message = |id: &str, body: Value| {
        json!({
            "id": id, "lease_id": "l", "body": body, "metadata": { "CF-Content-Type": "json" }
        })
    };
    let answer = json!({ "success": true, "errors": [], "result": { "messages": [
        message("1", STANDARD.encode(put.to_string()).into()),
        message("2", put.to_string().into()),
        message("3", put.clone()),
        message("4", "%".into()),
    ] } });
    let decoded = read(&delivery(Transport::Sqs, answer));
    assert_eq!(words(&decoded), ["created", "created", "created", "base64"]);
    assert_eq!(decoded.messages[2].id.as_deref(), Some("3"));
    let mut without = r2("PutObject");
    without["account"].take();
    check(&delivery(Transport::Http, without), &["missing-field"]);
}

fn b2(event_type: &str) -> Value {
    json!({
        "accountId": "1", "bucketId": "2", "bucketName": "b2", "eventId": "e", "eventVersion": 1,
        "eventTimestamp": 1_772_619_072_345_u64, "eventType": event_type,
        "objectName": "a+b%20", "objectSize": 1, "objectVersionId": "4_z"
    })
}

#[test]
fn b2_says_what_happened() {
    let types = [
        ("b2:ObjectCreated:Replica", "created"),
        ("b2:ObjectDeleted:LifecycleRule", "removed"),
        ("b2:HideMarkerCreated:Hide", "removed"),
        ("b2:New:Thing", "other"),
        ("b2:TestEvent", "test-event"),
    ];
    for (name, expect) in types {
        check(
            &delivery(Transport::Http, json!({ "events": [b2(name)] })),
            &[expect],
        );
    }
    let told = one(&delivery(
        Transport::Http,
        json!({ "events": [b2("b2:ObjectCreated:Upload")] }),
    ));
    assert_eq!(told.key.as_str(), "a+b%20");
    assert_eq!(
        told.event_time.unwrap().to_string(),
        "2026-03-04T10:11:12.345Z"
    );
    let test =
        json!({ "events": [{ "eventVersion": 1, "eventType": "b2:TestEvent", "eventId": "t" }] });
    check(&delivery(Transport::Http, test), &["test-event"]);
    for (member, value, expect) in [
        ("eventVersion", json!(2), "unsupported-version"),
        ("eventVersion", json!("1"), "wrong-type"),
        ("eventTimestamp", json!(-5), "time-invalid"),
        ("eventTimestamp", json!(u64::MAX), "time-invalid"),
        ("eventTimestamp", json!("1"), "wrong-type"),
        ("objectName", json!(null), "missing-field"),
        ("objectName", json!(""), "key-empty"),
    ] {
        let mut event = b2("b2:ObjectCreated:Upload");
        event[member] = value;
        check(
            &delivery(Transport::Http, json!({ "events": [event] })),
            &[expect],
        );
    }
}

#[test]
fn b2_signs_only_where_a_secret_is_known() {
    let settings = Settings {
        b2_secrets: vec!["s".into()],
        ..Settings::default()
    };
    let body = json!({ "events": [b2("b2:ObjectCreated:Upload")] });
    let over_http = decode(&delivery(Transport::Http, &body), &settings, now());
    assert_eq!(words(&over_http), ["b2-signature"]);
    // Through a queue no header comes along.
    let queued = decode(&delivery(Transport::Sqs, &body), &settings, now());
    assert_eq!(words(&queued), ["created"]);
}
