//! Azure Blob Storage, and CloudEvents as such.

use super::*;

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
    let broker = json!({ "lockToken": "t", "deliveryCount": 1 });
    let answer = json!({ "value": [{ "brokerProperties": broker, "event": event }] });
    let decoded = read(&delivery(Transport::Sqs, answer));
    assert_eq!(words(&decoded), ["created"]);
    assert_eq!(decoded.messages[0].receipt.as_deref(), Some("t"));
}

#[test]
fn event_grid_in_cloudevents_reads_alike_in_each_of_their_forms() {
    let own = azure_event("Microsoft.Storage.BlobCreated", "PutBlob");
    let expected = one(&delivery(Transport::Http, json!([own])));
    let structured = json!({
        "specversion": "1.0", "id": own["id"], "source": own["topic"], "type": own["eventType"],
        "time": own["eventTime"], "data": own["data"],
        // As the samples of the documentation write it.
        "subject": own["subject"].as_str().unwrap().trim_start_matches('/'),
    });
    let mut base64 = structured.clone();
    base64["data"] = json!(null);
    base64["data_base64"] = STANDARD.encode(own["data"].to_string()).into();
    let content = [("content-type", "application/cloudevents+json")];
    let text = |name: &str| own[name].as_str().unwrap();
    let (source, subject) = (text("topic"), text("subject").replace(' ', "%20"));
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", text("id")),
        ("ce-source", source),
        ("ce-type", text("eventType")),
        ("ce-subject", &subject),
        ("ce-time", text("eventTime")),
        ("content-type", "application/json"),
    ];
    for delivery in [
        request(&content, &structured),
        request(&content, &base64),
        request(&binary, &own["data"]),
    ] {
        assert_eq!(one(&delivery), expected);
    }
    let mut without = structured;
    without["data"] = json!(null);
    check(&request(&content, &without), &["missing-field"]);
    check(&request(&binary[..6], ""), &["missing-field"]);
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
