//! Every key that S3 allows goes the whole way: put, triggered, processed, found.

use std::collections::BTreeSet;

use crate::support::{Ledger, OPERATOR, Server};

/// `inbox` and `results` with `uppercase` for whatever arrives.
const EVERYTHING: &str = r#"
[buckets.inbox]
path = "inbox"

[buckets.results]
path = "results"

[pipelines.uppercase]
on = [{ bucket = "inbox" }]
run = "uppercase"

[functions.uppercase]
runtime = "builtin"
handler = "uppercase"
write = ["results/*"]
"#;

/// S3 user guide, "Creating object key names": at most 1,024 bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1_024;

fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a",
        "a/b",
        "a/b/",
        ".",
        "..",
        "./a",
        "../escape.txt",
        "../../../../../../tmp/escape.txt",
        "a/../b.txt",
        "a/./b.txt",
        "/",
        "//",
        "a//b.txt",
        "/leading.txt",
        "trailing/",
        "plus+plus.txt",
        "per%cent.txt",
        "escaped%2F%2e%2e%2Fb.txt",
        "with some spaces .txt",
        " ",
        "emoji 🎉/日本語.txt",
        "e\u{301} is not \u{e9}",
        "\u{e9} is not e\u{301}",
        "query?uploads&prefix=a#fragment",
        "<Key>&amp;\"'</Key>",
        "back\\slash",
        "two\nlines",
        ".daybook/tmp/inside.txt",
        ".DAYBOOK/keys",
        "AUX.txt",
        "a;b:c,d@e=f$g!h*i(j)|~",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(MAX_KEY_BYTES));
    keys.push("deep/".repeat(MAX_KEY_BYTES / 5) + "file");
    keys.push("🎉".repeat(MAX_KEY_BYTES / 4));
    assert!(keys.iter().all(|key| key.len() <= MAX_KEY_BYTES));
    keys
}

#[tokio::test]
async fn every_legal_key_goes_the_whole_way() {
    let ledger = Ledger::new(&format!("{EVERYTHING}{OPERATOR}"));
    let server = ledger.start().await;
    let s3 = server.client();
    let keys = hostile_keys();
    let body = |number: usize| format!("body {number}");
    for (number, key) in keys.iter().enumerate() {
        let put = s3.put("inbox", key, body(number).into()).await;
        put.unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }
    for (number, key) in keys.iter().enumerate() {
        check(&server, key, &body(number)).await;
    }

    // Each is a key of its own, and what is listed is what was put.
    let listed = listed(&server, "inbox").await;
    assert_eq!(listed, keys.iter().cloned().collect::<BTreeSet<_>>());
    // Nothing lies outside the buckets.
    let entries = std::fs::read_dir(ledger.path("")).unwrap();
    let names: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let expected = ["daybook.toml", "data", "inbox", "results"];
    assert_eq!(names, expected.iter().map(Into::into).collect());

    // A restart finds the same, and nothing that would be new.
    let before = server.events(&["ObjectCreated"]).await.len();
    let (status, _) = server.stop().await;
    assert!(status.success());
    let server = ledger.start().await;
    assert_eq!(server.events(&["ObjectCreated"]).await.len(), before);
    for (number, key) in keys.iter().enumerate() {
        check(&server, key, &body(number)).await;
    }
}

/// The object went through the pipeline once, and both ends hold what they should.
async fn check(server: &Server, key: &str, body: &str) {
    let object = server.settled("inbox", key).await;
    assert_eq!(object["status"], "SUCCEEDED", "{key:?}: {object:#}");
    assert_eq!(object["key"], key);
    let runs = object["executions"]["nodes"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{key:?}: {object:#}");
    assert_eq!(runs[0]["writtenObjects"][0]["key"], key, "{object:#}");
    let s3 = server.client();
    let stored = s3.get("inbox", key).await.unwrap();
    assert_eq!(stored, body.as_bytes(), "{key:?}");
    let result = s3.get("results", key).await.unwrap();
    assert_eq!(result, body.to_uppercase().as_bytes(), "{key:?}");
    let result = server.settled("results", key).await;
    assert_eq!(result["status"], "UNMATCHED", "{key:?}: {result:#}");
}

const OBJECTS: &str = r"
query ($first: Int, $after: String, $bucket: String) {
  objects(first: $first, after: $after, where: { bucket: $bucket }, orderBy: { field: KEY }) {
    nodes { key }
    pageInfo { hasNextPage endCursor }
  }
}";

async fn listed(server: &Server, bucket: &str) -> BTreeSet<String> {
    let variables = serde_json::json!({ "bucket": bucket });
    let nodes = server.all(OBJECTS, "objects", variables).await;
    let keys = nodes.iter().map(|node| node["key"].as_str().unwrap());
    let set: BTreeSet<_> = keys.map(str::to_owned).collect();
    assert_eq!(set.len(), nodes.len(), "each key is listed once");
    set
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for key in ["k".repeat(MAX_KEY_BYTES + 1), "🎉".repeat(257)] {
        let reply = server.wire().send("PUT", "inbox", &key, &[], b"x").await;
        assert_eq!((reply.status, &*reply.code()), (400, "KeyTooLongError"));
    }
    assert!(server.events(&["ObjectCreated"]).await.is_empty());
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let s3 = server.client();
    s3.put("inbox", "empty.txt", "".into()).await.unwrap();
    let object = server.settled("inbox", "empty.txt").await;
    assert_eq!(object["status"], "SUCCEEDED", "{object:#}");
    assert_eq!(object["size"], 0);
    assert_eq!(s3.get("results", "empty.txt").await.unwrap(), "");
}
