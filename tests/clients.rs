//! The clients that people have, as they are: the AWS command line, boto3, and plain files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::clients::{aws, daybook, python};
use crate::support::{Ledger, eventually};

/// More than the 8 MiB from which on boto3 and the AWS command line send an object in parts.
const BIG: usize = 20 * 1024 * 1024 + 1;

#[tokio::test]
async fn aws_s3_puts_lists_gets_and_removes() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    ledger.write("text", "grüße aus köln\n");
    let file = ledger.path("text");
    let (source, result) = ("s3://inbox/a b+ü.txt", "s3://results/a b+ü.txt");
    aws(&server, &["s3", "cp", file.to_str().unwrap(), source])
        .await
        .ok();
    let object = server.settled("inbox", "a b+ü.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");

    let listed = aws(&server, &["s3", "ls", "s3://results/"]).await.ok();
    assert!(listed.contains(" a b+ü.txt\n"), "{listed}");
    let got = aws(&server, &["s3", "cp", result, "-"]).await.ok();
    assert_eq!(got, "GRÜSSE AUS KÖLN\n");
    let told = daybook(&server, &["show", source]).await.ok();
    for part in [
        "s3://inbox/a b+ü.txt  SUCCEEDED  18 bytes",
        "  arrived    ObjectCreated:Put",
        "  answered   attempt 1 after ",
        ", read s3://inbox/a b+ü.txt, wrote s3://results/a b+ü.txt\n",
        "  SUCCEEDED  output {",
    ] {
        assert!(told.contains(part), "{part:?} is not told:\n{told}");
    }

    aws(&server, &["s3", "rm", result]).await.ok();
    let listed = aws(&server, &["s3", "ls", "s3://results/"]).await.ok();
    assert_eq!(listed, "");
    let told = daybook(&server, &["show", result]).await.ok();
    assert!(told.contains("  removed    by "), "{told}");
    let by = "\nwritten by execution ";
    assert!(told.contains(by), "{told}");
}

#[tokio::test]
async fn aws_s3api_is_held_to_its_checksums_and_conditions() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    ledger.write("first", "first");
    ledger.write("second", "second");
    let (first, second) = (ledger.path("first"), ledger.path("second"));
    let put = |key: &'static str, file: &std::path::Path, more: &'static [&'static str]| {
        let file = file.to_str().unwrap().to_owned();
        let server = &server;
        async move {
            let mut arguments = vec!["s3api", "put-object", "--bucket", "inbox"];
            arguments.extend(["--key", key, "--body", &file]);
            arguments.extend(more);
            aws(server, &arguments).await
        }
    };

    let answer = put("sum", &first, &["--checksum-algorithm", "SHA256"]).await;
    let sum = STANDARD.encode(Sha256::digest("first"));
    assert_eq!(answer.json()["ChecksumSHA256"], json!(sum));

    let only_new: &[&str] = &["--if-none-match", "*"];
    let refused = put("sum", &second, only_new).await.failed(255);
    assert!(refused.contains("(PreconditionFailed)"), "{refused}");
    let kept = server.client().get("inbox", "sum").await.unwrap();
    assert_eq!(kept, "first");
    put("new", &second, only_new).await.ok();

    let wrong: &[&str] = &["--checksum-sha256", OF_SOMETHING_ELSE];
    let refused = put("wrong", &first, wrong).await.failed(255);
    assert!(refused.contains("(BadDigest)"), "{refused}");
    let refused = put("sum", &second, wrong).await.failed(255);
    assert!(refused.contains("(BadDigest)"), "{refused}");
    let kept = server.client().get("inbox", "sum").await.unwrap();
    assert_eq!(kept, "first");

    let mut recorded: Vec<_> = server.events(&["ObjectCreated"]).await;
    recorded.retain(|event| event["data"]["bucket"] == "inbox");
    let keys: Vec<_> = recorded.iter().map(|event| &event["data"]["key"]).collect();
    assert_eq!(keys, ["sum", "new"], "what was refused left nothing behind");
}

#[tokio::test]
async fn boto3_uploads_in_parts_and_lists_hostile_keys() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let body: Vec<u8> = (0..BIG).map(|at| (at % 251) as u8).collect();
    ledger.write("big", &body);
    let big = ledger.path("big");
    let arguments = ["inbox".as_ref(), big.as_os_str()];
    let said = python(&server, "boto3_story.py", &arguments).await.json();
    assert_eq!(
        said,
        json!({
            "metadata": { "origin": "boto3", "note": "a b" },
            "size": BIG,
            "parts": 3,
            "sha256": hex::encode(Sha256::digest(&body)),
            "range": [format!("bytes 8388607-8388608/{BIG}"), true],
            "bodies": true,
            "listed": true,
            "below_a": ["a//b", "a/b"],
            "folders": [
                "../", "/", "a/", "grüße/", format!("{}/", "l".repeat(200)), "trailing/", "up/",
            ],
            "missing": "NoSuchKey",
            "elsewhere": "NoSuchBucket",
            "deleted": 20,
            "left": [],
        })
    );
    let arrived = server.events(&["ObjectCreated"]).await;
    let names: Vec<_> = arrived
        .iter()
        .map(|event| event["data"]["event_name"].as_str().unwrap())
        .collect();
    assert_eq!(names[0], "ObjectCreated:CompleteMultipartUpload");
    assert_eq!(names.len(), 21);
    let removed = server.events(&["ObjectRemoved"]).await;
    assert_eq!(removed.len(), 21);
}

#[tokio::test]
async fn a_plain_file_is_an_object_and_so_is_its_edit() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for (round, text) in ["as copied\n", "as edited, and longer\n"]
        .iter()
        .enumerate()
    {
        ledger.write("inbox/folder/plain.txt", text);
        let result = ledger.path("results/folder/plain.txt");
        eventually("the result of the file is there", || async {
            let found = std::fs::read_to_string(&result).ok()?;
            (found == text.to_uppercase()).then_some(())
        })
        .await;
        let arrived = eventually("its runs are over", || async {
            let object = server.settled("inbox", "folder/plain.txt").await;
            let versions = server
                .query(VERSIONS, json!({ "key": "folder/plain.txt" }))
                .await;
            let versions = versions["object"]["versions"]["nodes"].as_array()?.clone();
            let over = object["status"] == "SUCCEEDED" && versions.len() == round + 1;
            over.then_some(versions)
        })
        .await;
        for version in &arrived {
            // A file in a folder that is as new as itself may come before the folder is watched.
            let channel = version["channel"].as_str().unwrap();
            assert!(["watcher", "listing"].contains(&channel), "{channel}");
            assert_eq!(version["executions"]["nodes"][0]["status"], "SUCCEEDED");
        }
        assert_eq!(arrived[round]["size"], text.len());
    }
    let told = daybook(&server, &["show", "s3://inbox/folder/plain.txt"]).await;
    let told = told.ok();
    assert!(
        told.contains("  arrived    ObjectCreated:Put by "),
        "{told}"
    );
    assert!(
        told.contains("wrote s3://results/folder/plain.txt"),
        "{told}"
    );
}

const OF_SOMETHING_ELSE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const VERSIONS: &str = r#"
query ($key: String!) {
  object(bucket: "inbox", key: $key) {
    versions(first: 100) {
      nodes { size channel executions(first: 100) { nodes { status } } }
    }
  }
}"#;
