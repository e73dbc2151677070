//! Google Cloud Storage.

use super::*;

#[test]
fn pubsub_pushes_and_is_pulled() {
    let push = |message: &Value| json!({ "message": message, "subscription": "s" });
    let told = one(&delivery(
        Transport::Http,
        push(&pubsub_message("OBJECT_FINALIZE")),
    ));
    assert_eq!((told.key.as_str(), told.size), ("dir/a b+c", Some(9)));
    for (name, expect) in [
        ("OBJECT_DELETE", "removed"),
        ("OBJECT_ARCHIVE", "removed"),
        ("OBJECT_METADATA_UPDATE", "other"),
    ] {
        check(
            &delivery(Transport::Http, push(&pubsub_message(name))),
            &[expect],
        );
    }
    let mut overwritten = pubsub_message("OBJECT_DELETE");
    overwritten["attributes"]["overwrittenByGeneration"] = json!("2");
    check(&delivery(Transport::Http, push(&overwritten)), &["other"]);
    let message = pubsub_message("OBJECT_FINALIZE");
    let answer = json!({ "receivedMessages": [{ "ackId": "a", "message": message }] });
    let decoded = read(&delivery(Transport::Sqs, answer));
    assert_eq!(words(&decoded), ["created"]);
    assert_eq!(decoded.messages[0].receipt.as_deref(), Some("a"));
}

#[test]
fn pubsub_may_leave_the_description_out() {
    let mut message = pubsub_message("OBJECT_FINALIZE");
    message.as_object_mut().unwrap().remove("data");
    message["attributes"]["payloadFormat"] = json!("NONE");
    let push = json!({ "message": message, "subscription": "s" });
    let told = one(&delivery(Transport::Http, push));
    assert_eq!(
        (told.version_id.as_deref(), told.size, told.etag),
        (Some("1772619072345678"), None, None)
    );
    message["attributes"]["payloadFormat"] = json!("JSON_API_V1");
    check(
        &delivery(
            Transport::Http,
            json!({ "message": message, "subscription": "s" }),
        ),
        &["missing-field"],
    );
}

#[test]
fn what_google_says_twice_has_to_agree() {
    for (name, value) in [
        ("bucketId", "other"),
        ("objectId", "dir/a b"),
        ("objectGeneration", "7"),
    ] {
        let mut message = pubsub_message("OBJECT_FINALIZE");
        message["attributes"][name] = json!(value);
        check(
            &delivery(
                Transport::Http,
                json!({ "message": message, "subscription": "s" }),
            ),
            &["inconsistent-envelope"],
        );
    }
}

#[test]
fn google_tells_the_same_event_on_all_channels() {
    let push = json!({ "message": pubsub_message("OBJECT_FINALIZE"), "subscription": "s" });
    let pubsub = one(&delivery(Transport::Http, push.clone()));
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "//storage.googleapis.com/projects/_/buckets/landing",
        "type": "google.cloud.storage.object.v1.finalized", "subject": "objects/dir/a b+c",
        "data": gcs_object()
    });
    let structured = one(&delivery(Transport::Http, &event));
    let binary = one(&request(
        &[
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-type", "google.cloud.storage.object.v1.finalized"),
            (
                "ce-source",
                "//storage.googleapis.com/projects/_/buckets/landing",
            ),
            ("ce-subject", "objects/dir/a%20b+c"),
        ],
        gcs_object(),
    ));
    let through_eventarc = one(&delivery(
        Transport::Http,
        json!({
            "specversion": "1.0", "id": "1", "source": "//pubsub.googleapis.com/projects/p/topics/t",
            "type": "google.cloud.pubsub.topic.v1.messagePublished", "data": push
        }),
    ));
    let first_generation = one(&delivery(
        Transport::Http,
        json!({
            "eventId": "1", "timestamp": "2026-03-04T10:11:12.345Z",
            "eventType": "google.storage.object.finalize",
            "resource": "projects/_/buckets/landing/objects/dir/a b+c#1772619072345678", "data": gcs_object()
        }),
    ));
    for other in [structured, binary, through_eventarc, first_generation] {
        assert_eq!(
            (&other.identity, &other.order, &other.key),
            (&pubsub.identity, &pubsub.order, &pubsub.key)
        );
    }
}

#[test]
fn google_watches_buckets() {
    let watched = |state: &str, body: String| {
        request(
            &[("x-goog-channel-id", "c"), ("x-goog-resource-state", state)],
            body,
        )
    };
    check(&watched("sync", String::new()), &["handshake"]);
    check(&watched("exists", gcs_object().to_string()), &["created"]);
    check(
        &watched("not_exists", gcs_object().to_string()),
        &["removed"],
    );
    let mut updated = gcs_object();
    updated["metageneration"] = json!("2");
    check(&watched("exists", updated.to_string()), &["other"]);
    check(
        &watched("odd", gcs_object().to_string()),
        &["unrecognised-shape"],
    );
    // Without headers nobody knows what happened.
    check(&delivery(Transport::Http, gcs_object()), &["missing-field"]);
    check(
        &delivery(Transport::Sqs, gcs_object()),
        &["unrecognised-shape"],
    );
}
