//! `daybook intake decode`: what a notification tells, without a server.

use std::path::Path;

use serde_json::{Value, json};

use super::alone;
use crate::support::clients::Ran;

fn record(name: &str, key: &str, sequencer: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": name,
        "s3": {
            "bucket": { "name": "inbox" },
            "object": { "key": key, "size": 3, "eTag": "e", "sequencer": sequencer }
        }
    })
}

async fn decode(folder: &Path, body: &Value, options: &[&str]) -> Ran {
    let file = folder.join("message.json");
    std::fs::write(&file, body.to_string()).unwrap();
    let mut arguments = vec!["intake", "decode", file.to_str().unwrap()];
    arguments.extend(options);
    alone(&arguments).await
}

#[tokio::test]
async fn each_record_says_what_it_means_and_what_verdict_it_gets() {
    let folder = tempfile::tempdir().unwrap();
    let body = json!({ "Records": [
        record("ObjectCreated:Put", "a+b%2Bc", "02"),
        record("ObjectCreated:Put", "a+b%2Bc", "02"),
        record("ObjectCreated:Copy", "a+b%2Bc", "01"),
        record("ObjectTagging:Put", "x", "03"),
    ] });
    let answer = decode(folder.path(), &body, &["--output", "json"])
        .await
        .json();
    let verdicts = answer["records"].as_array().unwrap().iter();
    let verdicts: Vec<&Value> = verdicts.map(|record| &record["verdict"]).collect();
    assert_eq!(verdicts, ["accepted", "duplicate", "stale", "ignored"]);
    let first = &answer["records"][0];
    let expect = json!({
        "verdict": "accepted", "reason": null, "source": "aws:s3", "bucket": "inbox",
        "key": "a b+c", "versionId": null, "etag": "e", "size": 3, "sequencer": "02",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": "ObjectCreated:Put",
        "region": "eu-west-1", "position": null
    });
    for (name, value) in expect.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}");
    }
    assert_eq!(answer["records"][3]["reason"], "not-a-create");
    let table = decode(folder.path(), &body, &[]).await.ok();
    for part in ["VERDICT", "accepted", "a b+c", "not-a-create"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[tokio::test]
async fn errors_say_where_and_why_and_are_found_wanting() {
    let folder = tempfile::tempdir().unwrap();
    let body = json!({ "Messages": [{
        "MessageId": "1",
        "Body": json!({ "Records": [record("ObjectCreated:Put", "100%", "02")] }).to_string()
    }] });
    let ran = decode(folder.path(), &body, &["--transport", "sqs"]).await;
    assert_eq!(ran.code, 3, "{}", ran.err);
    let place = "$.Messages[0].Body > $.Records[0].s3.object.key";
    assert!(ran.out.contains(place), "{}", ran.out);
    assert!(ran.out.contains("key-bad-percent"), "{}", ran.out);
    // The same body is nothing that comes as a request.
    let ran = decode(folder.path(), &body, &["--output", "json"]).await;
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.out.contains("unrecognised-shape"), "{}", ran.out);
    let missing = alone(&["intake", "decode", "/nowhere/message.json"]).await;
    assert!(missing.failed(1).contains("/nowhere/message.json"));
    let header = alone(&["intake", "decode", "-", "--header", "no colon"]).await;
    assert!(header.failed(2).contains("no colon"));
}

#[tokio::test]
async fn headers_come_from_options_or_from_a_kept_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let body = json!({
        "kind": "storage#object", "name": "a b", "bucket": "landing", "size": "1",
        "generation": "7", "metageneration": "1"
    });
    let headers = [
        ("ce-id", "1"),
        ("ce-specversion", "1.0"),
        (
            "ce-source",
            "//storage.googleapis.com/projects/_/buckets/landing",
        ),
        ("ce-type", "google.cloud.storage.object.v1.finalized"),
    ];
    let written: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut options = vec!["--output", "json"];
    for header in &written {
        options.extend(["--header", header]);
    }
    let by_options = decode(folder.path(), &body, &options).await.json();
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let transport = json!({ "kind": "push", "method": "POST", "headers": headers });
    let kept = json!({ "transport": transport, "body": body.to_string() });
    let by_file = decode(folder.path(), &kept, &["--output", "json"])
        .await
        .json();
    assert_eq!(by_options, by_file);
    assert_eq!(by_file["records"][0]["key"], "a b");
    assert_eq!(by_file["records"][0]["versionId"], "7");
}

#[tokio::test]
async fn signatures_of_sns_are_checked_with_the_certificate_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let message = json!({ "Records": [record("ObjectCreated:Put", "a", "02")] });
    let body = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": message.to_string(), "Timestamp": "2019-03-04T11:59:00.000Z",
        "SignatureVersion": "2", "Signature": "AAAA",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem"
    });
    let unchecked = decode(folder.path(), &body, &["--output", "json"])
        .await
        .json();
    assert_eq!(unchecked["records"][0]["verdict"], "accepted");
    assert_eq!(unchecked["signature"], "not checked");
    let pem = folder.path().join("sns.pem");
    std::fs::write(&pem, "no certificate").unwrap();
    let with = ["--sns-certificate", pem.to_str().unwrap()];
    let checked = decode(folder.path(), &body, &with).await;
    assert_eq!(checked.code, 3, "{}", checked.err);
    assert!(checked.out.contains("sns-signature"), "{}", checked.out);
    let mut elsewhere = body.clone();
    elsewhere["SigningCertURL"] = json!("https://sns.eu-west-1.amazonaws.com.evil.example/a.pem");
    let refused = decode(folder.path(), &elsewhere, &[]).await;
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.out.contains("sns-cert-url"), "{}", refused.out);
}
