//! `daybook intake decode`: what a notification tells, without a server.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::alone;
use crate::intake::record as told;
use crate::support::UPPERCASE;
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
async fn a_body_is_taken_as_a_request_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let body = json!({ "Records": [record("ObjectCreated:Put", "a", "02")] }).to_string();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body.as_bytes()).unwrap();
    let file = folder.path().join("message.json.gz");
    std::fs::write(&file, packed.finish().unwrap()).unwrap();
    let file = file.to_str().unwrap();
    for (header, code, expect) in [
        ("content-encoding: gzip", 0, "accepted"),
        ("content-encoding: br", 3, "content-encoding"),
        ("content-type: image/png", 3, "content-type"),
        ("content-type: application/json", 3, "invalid-utf8"),
    ] {
        let ran = alone(&["intake", "decode", file, "--header", header]).await;
        assert_eq!(ran.code, code, "{header}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(expect), "{header}: {}", ran.out);
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

/// A bucket at a store, one that only notifications tell of, and a source for a queue alone.
const CONFIG: &str = r#"
[buckets.orders]
upstream = { bucket = "company-orders", endpoint = "http://127.0.0.1:9", access_key = "AK", secret_key = "S" }
filter = { prefix = "in/", suffix = ".csv" }

[buckets.landing]
notified = true
filter = { events = ["s3:ObjectCreated:Put"] }

[intake]
unknown_buckets = "ignore"
max_records = 5

[intake.open]
stores = ["aws:s3"]

[intake.sources.pulled]
stores = ["aws:s3"]
buckets = { "theirs" = "landing", "new" = "named-by-the-source" }

[intake.sources.minio]
stores = ["minio:s3"]
authentication = { bearer = "minio-token" }

[intake.queues.arrivals]
url = "https://sqs.eu-central-1.amazonaws.com/123456789012/arrivals"
source = "pulled"
"#;

/// Verdict and reason of each record, `ObjectCreated:Put` of `bucket key` unless a name stands before.
async fn judged(folder: &Path, records: &[&str], options: &[&str]) -> Vec<String> {
    let record = |line: &&str| match line.split(' ').collect::<Vec<_>>()[..] {
        [bucket, key] => told("ObjectCreated:Put", bucket, key, "01", "e"),
        [name, bucket, key] => told(name, bucket, key, "01", "e"),
        _ => panic!("{line}"),
    };
    let records: Vec<_> = records.iter().map(record).collect();
    let body = json!({ "Records": records });
    let ran = decode(folder, &body, &[&["--output", "json"], options].concat()).await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let records = answer["records"].as_array().unwrap().iter();
    let words = records.map(|record| {
        let [verdict, reason] = ["verdict", "reason"].map(|it| record[it].as_str().unwrap_or("-"));
        format!("{verdict} {reason}")
    });
    words.collect()
}

#[tokio::test]
async fn a_config_says_which_buckets_there_are_and_what_they_take() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("daybook.toml");
    std::fs::write(&config, format!("{UPPERCASE}{CONFIG}")).unwrap();
    let config = config.to_str().unwrap();
    let records = [
        "company-orders in/a.csv",
        "company-orders out/a.csv",
        "company-orders in/a.txt",
        "ObjectCreated:Copy landing a",
        "theirs a",
    ];
    // Nobody says otherwise.
    let without = judged(folder.path(), &records, &[]).await;
    assert_eq!(without, ["accepted -"; 5]);
    let with = judged(folder.path(), &records, &["--config", config]).await;
    let expected = [
        "accepted -",
        "ignored prefix",
        "ignored suffix",
        "ignored event-type",
        "ignored unknown-bucket",
    ];
    assert_eq!(with, expected);
    // By its own name it is known as well, and by no other of its store's.
    let names = ["orders in/b.csv", "orders b", "company in/b.csv"];
    assert_eq!(
        judged(folder.path(), &names, &["--config", config]).await,
        ["accepted -", "ignored prefix", "ignored unknown-bucket"]
    );
    // Why, in words for people.
    let file = folder.path().join("message.json");
    let ran = alone(&[
        "intake",
        "decode",
        file.to_str().unwrap(),
        "--config",
        config,
    ])
    .await;
    assert!(ran.ok().contains("unknown_buckets"));
    // More than is read at once.
    let many = ["landing a"; 6];
    let refused = judged(folder.path(), &many, &["--config", config]).await;
    assert_eq!(refused, ["error too-large"]);
    let nothing = folder.path().join("nothing.toml");
    let wrong = ["--config", nothing.to_str().unwrap()];
    let ran = decode(folder.path(), &json!({}), &wrong).await;
    assert!(ran.failed(1).contains("nothing.toml"));
}

#[tokio::test]
async fn a_source_of_the_config_has_names_and_stores_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("daybook.toml");
    std::fs::write(&config, format!("{UPPERCASE}{CONFIG}")).unwrap();
    let config = config.to_str().unwrap();
    let from = |source| ["--config", config, "--source", source];
    let records = [
        "theirs a",
        "ObjectCreated:Copy theirs b",
        "new a",
        "other a",
    ];
    let expected = [
        "accepted -",
        "ignored event-type",
        "accepted -",
        "ignored unknown-bucket",
    ];
    // It is for a queue alone: a server has no path for it. Its rules can be asked for all the same.
    let as_request = judged(folder.path(), &records, &from("pulled")).await;
    assert_eq!(as_request, expected);
    let queued = [&from("pulled")[..], &["--transport", "sqs"]].concat();
    assert_eq!(judged(folder.path(), &records, &queued).await, expected);
    // Another one speaks of other stores. Nobody is asked for a token here.
    let refused = judged(folder.path(), &["landing a"], &from("minio")).await;
    assert_eq!(refused, ["error source-not-allowed"]);
    let ran = decode(folder.path(), &json!({}), &from("nobody")).await;
    assert!(ran.failed(2).contains("has no source \"nobody\""));
    let ran = decode(folder.path(), &json!({}), &["--source", "pulled"]).await;
    assert!(ran.failed(2).contains("--config"));
}

#[tokio::test]
async fn without_a_source_the_rules_of_the_open_path_hold() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("daybook.toml");
    let text = CONFIG.replace(
        "[intake.open]\nstores = [\"aws:s3\"]",
        "[intake.open]\nstores = [\"minio:s3\"]",
    );
    std::fs::write(&config, format!("{UPPERCASE}{text}")).unwrap();
    let options = ["--config", config.to_str().unwrap()];
    let refused = judged(folder.path(), &["landing a"], &options).await;
    assert_eq!(refused, ["error source-not-allowed"]);
}
