//! The other vendors.

use super::*;

fn minio(event_name: &str, key: &str) -> Value {
    let mut record = s3_record(event_name);
    record["eventSource"] = json!("minio:s3");
    record["eventVersion"] = json!("2.0");
    record["s3"]["object"]["key"] = json!(key);
    record
}

#[test]
fn minio_encodes_keys_within_its_envelope_only() {
    let record = minio("s3:ObjectCreated:Put", "dir%2Fa+b%2Bc");
    let enveloped = json!({
        "EventName": "s3:ObjectCreated:Put", "Key": "inbox/dir/a b+c", "Records": [record]
    });
    assert_eq!(
        one(&delivery(Transport::Http, enveloped)).key.as_str(),
        "dir/a b+c"
    );
    let bare = json!({ "Records": [record] });
    assert_eq!(
        one(&delivery(Transport::Stream, bare)).key.as_str(),
        "dir%2Fa+b%2Bc"
    );
    for (name, key) in [
        ("s3:ObjectCreated:Copy", "inbox/dir/a b+c"),
        ("s3:ObjectCreated:Put", "inbox/dir%2Fa+b%2Bc"),
    ] {
        let other = json!({ "EventName": name, "Key": key, "Records": [record] });
        check(
            &delivery(Transport::Http, other),
            &["inconsistent-envelope"],
        );
    }
}

#[test]
fn minio_has_words_of_its_own() {
    let names = [
        ("s3:ObjectCreated:PutRetention", "other"),
        ("s3:ObjectCreated:PutLegalHold", "other"),
        ("s3:ObjectCreated:PutTagging", "other"),
        ("s3:ObjectCreated:DeleteTagging", "other"),
        ("s3:ObjectRemoved:NoOP", "other"),
        ("s3:ObjectRemoved:DeleteAllVersions", "removed"),
        ("s3:ObjectAccessed:Get", "other"),
        ("s3:Scanner:BigPrefix", "other"),
    ];
    for (name, expect) in names {
        let event = json!({ "Records": [minio(name, "k")] });
        check(&delivery(Transport::Stream, event), &[expect]);
    }
    // What happens to a bucket names no object.
    let event = json!({ "Records": [minio("s3:BucketCreated:*", "")] });
    check(&delivery(Transport::Stream, event), &["not-a-create"]);
}

#[test]
fn a_stream_is_documents_and_signs_of_life() {
    let event = json!({ "Records": [minio("s3:ObjectCreated:Put", "k")] });
    let stream = format!("{event}\n\n  {{\"Records\":null}}\n{event}\n");
    check(
        &delivery(Transport::Stream, stream),
        &["created", "created"],
    );
    check(&delivery(Transport::Stream, " \n"), &[]);
    check(
        &delivery(Transport::Stream, format!("{event}{{")),
        &["json-syntax"],
    );
    check(
        &delivery(Transport::Http, "{\"Records\":null}"),
        &["missing-field"],
    );
}

#[test]
fn ceph_writes_keys_as_they_are_and_sizes_as_texts_at_times() {
    let ceph = |name: &str, size: Value| {
        let mut record = s3_record(name);
        record["eventSource"] = json!("ceph:s3");
        record["s3"]["object"]["size"] = size;
        record["s3"]["object"]["sequencer"] = json!("4105A86901000000");
        json!({ "Records": [record] })
    };
    let told = one(&delivery(
        Transport::Http,
        ceph("ObjectCreated:Put", json!("12")),
    ));
    assert_eq!((told.key.as_str(), told.size), ("a+b", Some(12)));
    assert_eq!(told.order.unwrap().sequencer, "69a8054100000001");
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectCreated:Put", json!("99999999999999999999")),
        ),
        &["size-out-of-range"],
    );
    check(
        &delivery(Transport::Http, ceph("ObjectCreated:Put", json!("12k"))),
        &["wrong-type"],
    );
    check(
        &delivery(Transport::Http, ceph("ObjectSynced:Create", json!(1))),
        &["created"],
    );
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectLifecycle:Expiration:Current", json!(1)),
        ),
        &["removed"],
    );
    check(
        &delivery(
            Transport::Http,
            ceph("ObjectLifecycle:Transition:Current", json!(1)),
        ),
        &["other"],
    );
}

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
    let message = |id: &str, body: Value| json!({ "id": id, "lease_id": "l", "body": body, "metadata": { "CF-Content-Type": "json" } });
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
    let answer = json!({ "receivedMessages": [{ "ackId": "a", "message": pubsub_message("OBJECT_FINALIZE") }] });
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
        "type": "google.cloud.storage.object.v1.finalized", "subject": "objects/dir/a b+c", "data": gcs_object()
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
            "eventId": "1", "timestamp": "2026-03-04T10:11:12.345Z", "eventType": "google.storage.object.finalize",
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

#[test]
fn azure_says_what_happened() {
    let types = [
        ("Microsoft.Storage.BlobCreated", "PutBlockList", "created"),
        ("Microsoft.Storage.BlobCreated", "FlushWithClose", "created"),
        ("Microsoft.Storage.BlobCreated", "SftpCommit", "created"),
        (
            "Microsoft.Storage.BlobCreated",
            "CreateFile",
            "not-committed",
        ),
        (
            "Microsoft.Storage.BlobCreated",
            "SftpCreate",
            "not-committed",
        ),
        ("Microsoft.Storage.BlobDeleted", "DeleteBlob", "removed"),
        ("Microsoft.Storage.BlobTierChanged", "SetBlobTier", "other"),
        (
            "Microsoft.EventGrid.SubscriptionDeletedEvent",
            "",
            "control-message",
        ),
        (
            "Microsoft.Resources.ResourceWriteSuccess",
            "",
            "unknown-source",
        ),
    ];
    for (name, api, expect) in types {
        check(
            &delivery(Transport::Http, json!([azure_event(name, api)])),
            &[expect],
        );
        check(&delivery(Transport::Sqs, azure_event(name, api)), &[expect]);
    }
    let told = one(&delivery(
        Transport::Http,
        json!([azure_event("Microsoft.Storage.BlobCreated", "PutBlob")]),
    ));
    assert_eq!(
        (told.account.as_deref(), told.etag.as_deref()),
        (Some("acct"), Some("0x8D"))
    );
    assert_eq!(told.key.as_str(), "in/f 1.csv");
    assert_eq!(told.order.unwrap().authority, "azure:blob/acct");
}

#[test]
fn azures_url_leads_to_its_subject() {
    let with = |subject: &str, url: &str| {
        let mut event = azure_event("Microsoft.Storage.BlobCreated", "PutBlob");
        event["subject"] = json!(format!("/blobServices/default/containers/{subject}"));
        event["data"]["url"] = json!(url);
        delivery(Transport::Http, json!([event]))
    };
    let host = "https://acct.blob.core.windows.net";
    check(
        &with("raw/blobs/a b", &format!("{host}/raw/a%20b")),
        &["created"],
    );
    check(
        &with("raw/blobs/a b", &format!("{host}/raw/a b")),
        &["created"],
    );
    check(
        &with("raw/blobs/100%", &format!("{host}/raw/100%")),
        &["created"],
    );
    check(
        &with("raw/blobs/a+b", "https://acct.dfs.core.windows.net/raw/a+b"),
        &["created"],
    );
    check(
        &with("raw/blobs//a", &format!("{host}/raw//a")),
        &["created"],
    );
    check(&with("$root/blobs/a", &format!("{host}/a")), &["created"]);
    check(
        &with("$web/blobs/a", &format!("{host}/$web/a")),
        &["created"],
    );
    check(
        &with("raw/blobs/a", "http://127.0.0.1:10000/acct/raw/a"),
        &["created"],
    );
    check(
        &with("raw/blobs/a", &format!("{host}/raw/b")),
        &["inconsistent-envelope"],
    );
    check(
        &with("raw/blobs/a", "https://other.blob.core.windows.net/raw/a"),
        &["inconsistent-envelope"],
    );
    check(&with("raw", &format!("{host}/raw/a")), &["subject-invalid"]);
    check(
        &with("raw/blobs/", &format!("{host}/raw/")),
        &["subject-invalid"],
    );
    check(
        &with("../blobs/a", &format!("{host}/../a")),
        &["bucket-invalid"],
    );
}

#[test]
fn event_grid_is_answered_and_pulled() {
    let mut event = azure_event("Microsoft.EventGrid.SubscriptionValidationEvent", "");
    event["data"] = json!({ "validationCode": "c\"ode", "validationUrl": "https://x" });
    let decoded = read(&delivery(Transport::Http, json!([event])));
    let reply = decoded.reply().unwrap();
    assert_eq!(&reply.body[..], br#"{"validationResponse":"c\"ode"}"#);
    event["data"]["validationCode"] = json!("c".repeat(1000));
    check(&delivery(Transport::Http, json!([event])), &["too-large"]);
    let mut event = azure_event("Microsoft.Storage.BlobCreated", "PutBlob");
    for (old, new) in [
        ("topic", "source"),
        ("eventType", "type"),
        ("eventTime", "time"),
    ] {
        event[new] = event[old].take();
    }
    event["specversion"] = json!("1.0");
    let answer = json!({ "value": [{ "brokerProperties": { "lockToken": "t", "deliveryCount": 1 }, "event": event }] });
    let decoded = read(&delivery(Transport::Sqs, answer));
    assert_eq!(words(&decoded), ["created"]);
    assert_eq!(decoded.messages[0].receipt.as_deref(), Some("t"));
}

#[test]
fn web_hooks_are_granted_to_known_origins() {
    let ask = |origin: &str, allowed: &[&str]| {
        let asked = Delivery {
            method: "OPTIONS".to_owned(),
            ..request(
                &[
                    ("webhook-request-origin", origin),
                    ("webhook-request-rate", "120"),
                ],
                "",
            )
        };
        let settings = Settings {
            allowed_origins: allowed.iter().map(|origin| (*origin).to_owned()).collect(),
            ..Settings::default()
        };
        decode(&asked, &settings, now())
    };
    let granted = ask("eventgrid.azure.net", &["EventGrid.azure.net"]);
    let headers = &granted.reply().unwrap().headers;
    assert!(headers.contains(&("webhook-allowed-origin", "eventgrid.azure.net".to_owned())));
    assert!(headers.contains(&("webhook-allowed-rate", "120".to_owned())));
    assert_eq!(
        words(&ask("evil.example", &["eventgrid.azure.net"])),
        ["origin-not-allowed"]
    );
    assert_eq!(words(&ask("evil.example", &["*"])), ["handshake"]);
    assert_eq!(words(&ask("", &["*"])), ["missing-field"]);
}

#[test]
fn cloudevents_need_their_attributes() {
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "//storage.googleapis.com/projects/_/buckets/landing",
        "type": "google.cloud.storage.object.v1.finalized", "data": gcs_object()
    });
    let structured = (
        "content-type",
        "Application/CloudEvents+JSON; charset=utf-8",
    );
    for (member, value, expect) in [
        ("id", json!(null), "ce-missing-attribute"),
        ("source", json!(""), "ce-missing-attribute"),
        ("type", json!(null), "ce-missing-attribute"),
        ("specversion", json!(null), "ce-missing-attribute"),
        ("specversion", json!("0.3"), "ce-specversion"),
        ("specversion", json!(1.0), "wrong-type"),
        ("type", json!("com.example.other"), "unknown-source"),
        ("data", json!(null), "missing-field"),
        ("data", json!("text"), "wrong-type"),
        ("data_base64", json!("e30="), "ce-ambiguous-data"),
        ("time", json!("never"), "time-invalid"),
        ("subject", json!("objects/other"), "inconsistent-envelope"),
        (
            "source",
            json!("//storage.googleapis.com/projects/_/buckets/other"),
            "inconsistent-envelope",
        ),
    ] {
        let mut event = event.clone();
        event[member] = value;
        check(&request(&[structured], &event), &[expect]);
        check(
            &request(
                &[("content-type", "application/cloudevents-batch+json")],
                json!([event]),
            ),
            &[expect],
        );
    }
    check(
        &request(
            &[
                ("ce-specversion", "1.0"),
                ("ce-id", "1"),
                ("ce-source", "s"),
            ],
            gcs_object(),
        ),
        &["ce-missing-attribute"],
    );
    check(
        &request(
            &[
                ("ce-specversion", "1.0"),
                ("ce-id", "1"),
                ("ce-source", "s"),
                ("ce-type", "t"),
            ],
            "",
        ),
        &["unknown-source"],
    );
}
