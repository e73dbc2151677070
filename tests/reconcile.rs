//! A bucket and the ledger, compared: planted faults are found and none are invented, whatever
//! happens meanwhile.
//!
//! Faults are planted by another ledger on the same bucket: what it records, this one lacks.

mod backfill;
mod filters;
mod steering;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::clients::{aws, daybook};
use crate::support::store::Store;
use crate::support::{ACCESS_KEY, Ledger, OPERATOR, SECRET_KEY, Server, UPPERCASE, eventually};

/// Who lacks what the first one has.
fn other(ledger: &Ledger) -> Ledger {
    let config = ledger.config();
    Ledger::at(config.parent().unwrap(), "other")
}

async fn put_all(server: &Server, keys: impl IntoIterator<Item = String>, body: &'static str) {
    let client = server.client();
    for key in keys {
        client.put("inbox", &key, body.into()).await.unwrap();
    }
}

fn keys(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("{prefix}{n:03}"))
}

/// Runs `daybook reconcile`: the exit code and the statement.
async fn reconcile(server: &Server, arguments: &[&str]) -> (i32, Value) {
    let command = [&["reconcile"], arguments, &["--output", "json"]].concat();
    let ran = daybook(server, &command).await;
    let statement = serde_json::from_str(&ran.out)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err));
    (ran.code, statement)
}

/// The findings of a statement, by kind and key.
fn found(statement: &Value) -> BTreeSet<(String, String)> {
    let findings = statement["findings"].as_array().unwrap();
    let found: BTreeSet<_> = findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            (text("kind"), text("key"))
        })
        .collect();
    assert_eq!(found.len(), findings.len(), "none twice: {findings:#?}");
    found
}

fn planted(faults: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let faults = faults.iter();
    faults
        .map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned()))
        .collect()
}

/// How often each key of the inbox was recorded as created.
async fn creations(server: &Server) -> BTreeMap<String, usize> {
    let mut creations = BTreeMap::new();
    let events = server.events(&["ObjectCreated"]).await;
    let inbox = events
        .iter()
        .filter(|event| event["data"]["bucket"] == "inbox");
    for event in inbox {
        let key = event["data"]["key"].as_str().unwrap().to_owned();
        *creations.entry(key).or_default() += 1;
    }
    creations
}

#[tokio::test]
async fn planted_faults_are_found_recorded_and_found_no_more() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    put_all(&server, keys("a/", 20), "as it was").await;
    put_all(&server, keys("b/", 5), "as it was").await;
    assert!(server.stop().await.0.success());

    let server = other(&ledger).start().await;
    let client = server.client();
    let (changed, gone, missing) = ("a/003", "a/010", "a/new.txt");
    client
        .put("inbox", changed, "otherwise".into())
        .await
        .unwrap();
    client.delete("inbox", gone).await.unwrap();
    client.put("inbox", missing, "new".into()).await.unwrap();
    client.put("inbox", "b/x", "new".into()).await.unwrap();
    assert!(server.stop().await.0.success());

    let server = ledger.start().await;
    let before = creations(&server).await;
    let (code, dry) = reconcile(&server, &["s3://inbox/a/", "--dry-run"]).await;
    assert_eq!(code, 3, "{dry:#}");
    let faults = planted(&[("changed", changed), ("gone", gone), ("missing", missing)]);
    assert_eq!(found(&dry), faults);
    let counts = &dry["counts"];
    for (name, count) in [
        ("keys", 21),
        ("versions", 20),
        ("accounted", 18),
        ("missing", 1),
        ("gone", 1),
        ("changed", 1),
        ("recorded", 0),
    ] {
        assert_eq!(counts[name], count, "{name}: {dry:#}");
    }
    assert_eq!(creations(&server).await, before, "a dry run records none");

    let (code, all) = reconcile(&server, &["inbox"]).await;
    assert_eq!(code, 0);
    let faults = [&faults, &planted(&[("missing", "b/x")])];
    let faults: BTreeSet<_> = faults.into_iter().flatten().cloned().collect();
    assert_eq!(found(&all), faults);
    assert_eq!(all["counts"]["recorded"], 4);
    let id = all["reconcile"].as_str().unwrap();
    let by_it: Vec<_> = server
        .events(&["ObjectCreated", "ObjectRemoved"])
        .await
        .into_iter()
        .filter(|event| event["actor"] == format!("reconcile:{id}"))
        .collect();
    assert_eq!(by_it.len(), 4);
    assert!(by_it.iter().all(|event| event["causationId"] == id));
    // What it found runs like any other object.
    let object = server.settled("inbox", missing).await;
    assert_eq!(object["status"], "SUCCEEDED");

    let head = server.events(&[]).await.len();
    let (code, again) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!((code, found(&again).len()), (0, 0), "{again:#}");
    assert_eq!(again["completeness"]["objects"], 26);
    assert_eq!(again["completeness"]["unmatched"], 25);
    assert_eq!(again["completeness"]["succeeded"], 1);
    // The start and the end of it, and nothing for what is known.
    assert_eq!(server.events(&[]).await.len(), head + 2);

    let shown = daybook(&server, &["reconcile", "show", id, "--output", "jsonl"]).await;
    assert_eq!(shown.ok().lines().count(), 5);
    let listed = daybook(&server, &["reconcile", "list", "--output", "jsonl"]).await;
    assert_eq!(listed.ok().lines().count(), 3);
    let shown = daybook(&server, &["reconcile", "show", id, "--output", "json"]).await;
    let shown = shown.json();
    // The statement is as it was, whatever became of the objects since.
    assert_eq!(shown["completeness"], all["completeness"]);
    assert_eq!(shown["completeness"]["objects"], 26);
    assert_eq!(shown["now"]["succeeded"], 1, "{shown:#}");
    assert!(shown["now"]["position"].as_u64() > shown["completeness"]["position"].as_u64());
    let table = daybook(&server, &["reconcile", "show", id]).await.ok();
    assert!(
        table.contains("missing 2, changed 1; gone 1; recorded 4"),
        "{table}"
    );
}

#[tokio::test]
async fn every_version_of_a_bucket_with_versions_is_recorded_once() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let versioning = [
        "s3api",
        "put-bucket-versioning",
        "--bucket",
        "inbox",
        "--versioning-configuration",
        "Status=Enabled",
    ];
    aws(&server, &versioning).await.ok();
    put_all(&server, ["k.txt".to_owned()], "first").await;
    assert!(server.stop().await.0.success());
    let server = other(&ledger).start().await;
    for body in ["second", "third"] {
        put_all(&server, ["k.txt".to_owned(), "hidden.txt".to_owned()], body).await;
    }
    server.client().delete("inbox", "hidden.txt").await.unwrap();
    assert!(server.stop().await.0.success());

    let server = ledger.start().await;
    let (_, statement) = reconcile(&server, &["inbox"]).await;
    let counts = &statement["counts"];
    assert_eq!(counts["versions"], 5, "{statement:#}");
    assert_eq!(counts["accounted"], 1);
    assert_eq!(counts["missing"], 4);
    assert_eq!(
        creations(&server).await,
        BTreeMap::from([("hidden.txt".to_owned(), 2), ("k.txt".to_owned(), 3)])
    );
    let object = server.settled("inbox", "k.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let done = eventually("each version was run", || async {
        let done = server.events(&["ExecutionSucceeded"]).await.len();
        (done >= 5).then_some(done)
    })
    .await;
    assert_eq!(done, 5);
    // The newest version is the object, and a hidden key has none.
    let body = server.client().get("inbox", "k.txt").await.unwrap();
    assert_eq!(object["size"], body.len());
    let hidden = json!({ "bucket": "inbox", "key": "hidden.txt" });
    let hidden = server.query(OBJECT, hidden).await;
    assert_eq!(hidden["object"], Value::Null);
    let (code, again) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!((code, found(&again).len()), (0, 0), "{again:#}");
}

#[tokio::test]
async fn a_reconcile_goes_on_after_a_kill_and_counts_what_it_had_done() {
    const OBJECTS: usize = 150;
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    assert!(server.stop().await.0.success());
    let server = other(&ledger).start().await;
    put_all(&server, keys("k", OBJECTS), "x").await;
    assert!(server.stop().await.0.success());

    let mut server = ledger.start().await;
    let request = json!({ "bucket": "inbox", "rate": 60 });
    let (status, started) = server.post("/v1/reconciles", request).await;
    assert_eq!(status, 201, "{started}");
    let id = started["reconcile"].as_str().unwrap().to_owned();
    for least in [10, 80] {
        eventually("some are recorded", || async {
            (creations(&server).await.len() >= least).then_some(())
        })
        .await;
        server.kill().await;
        server = ledger.start().await;
    }
    let path = format!("/v1/reconciles/{id}");
    let done = eventually("it is done", || async {
        let (_, text) = server.get(&path).await;
        let state: Value = serde_json::from_str(&text).unwrap();
        (state["status"] != "RUNNING").then_some(state)
    })
    .await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    for name in ["keys", "versions", "missing", "recorded"] {
        assert_eq!(done["counts"][name], OBJECTS, "{name}: {done:#}");
    }
    assert_eq!(done["counts"]["accounted"], 0);
    let show = ["reconcile", "show", &id, "--output", "json"];
    let statement = daybook(&server, &show).await.json();
    assert_eq!(found(&statement).len(), OBJECTS);
    let creations = creations(&server).await;
    assert_eq!(creations.len(), OBJECTS);
    assert!(creations.values().all(|count| *count == 1));
}

#[tokio::test]
async fn what_is_written_and_removed_meanwhile_is_no_finding() {
    let ledger = Ledger::uppercase();
    let server = Arc::new(ledger.start().await);
    put_all(&server, keys("k", 40), "x").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (client, stop) = (server.client(), stop.clone());
            tokio::spawn(async move {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("k{:03}", (round * 7 + writer * 11) % 60);
                    if round % 3 == 2 {
                        client.delete("inbox", &key).await.unwrap();
                    } else {
                        let body = format!("{writer} {round}");
                        client.put("inbox", &key, body.into()).await.unwrap();
                    }
                    round += 1;
                }
            })
        })
        .collect();
    for _ in 0..8 {
        for dry in [&["inbox", "--dry-run"][..], &["inbox"]] {
            let (code, statement) = reconcile(&server, dry).await;
            assert_eq!(code, 0, "{statement:#}");
            assert_eq!(found(&statement), BTreeSet::new());
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let (code, statement) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(code, 0, "{statement:#}");
}

#[tokio::test]
async fn a_store_is_compared_with_its_versions_and_without() {
    let store = Store::start(&["company-raw", "company-cooked"]).await;
    let mut config = format!("{UPPERCASE}{OPERATOR}");
    for (path, there) in [("inbox", "company-raw"), ("results", "company-cooked")] {
        let table = format!(
            "upstream = {{ bucket = \"{there}\", endpoint = \"{}\", \
             access_key = \"{ACCESS_KEY}\", secret_key = {{ file = \"store-secret\" }} }}",
            store.endpoint
        );
        config = config.replace(&format!("path = \"{path}\""), &table);
    }
    let ledger = Ledger::new(&config);
    ledger.write("store-secret", SECRET_KEY);
    let server = ledger.start().await;
    put_all(&server, ["a b.txt".to_owned()], "x").await;
    server.settled("inbox", "a b.txt").await;
    // What others write there is not seen by the gateway.
    for body in ["one", "two"] {
        store.put("company-raw/dir/é.txt", body).await;
    }
    store.put("company-cooked/by-hand", "x").await;
    let inventory = "\"company-raw\",\"a+b.txt\",\"true\"\n\"company-raw\",\"dir/%C3%A9.txt\",\"true\"\n\
         \"company-raw\",\"gone-since\",\"true\"\n";
    ledger.write("report/data/1.csv", inventory);
    ledger.write("report/manifest.json", MANIFEST);
    let manifest = ledger.path("report/manifest.json");
    let manifest = manifest.to_str().unwrap();
    let (code, reported) =
        reconcile(&server, &["inbox", "--dry-run", "--inventory", manifest]).await;
    assert_eq!(code, 3, "{reported:#}");
    assert_eq!(reported["counts"]["missing"], 2, "{reported:#}");
    assert_eq!(reported["counts"]["gone"], 0);
    let (code, dry) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(code, 3, "{dry:#}");
    assert_eq!(dry["counts"]["missing"], 2);
    assert_eq!(dry["counts"]["accounted"], 1);
    let (_, statement) = reconcile(&server, &["inbox"]).await;
    assert_eq!(statement["counts"]["recorded"], 2, "{statement:#}");
    let object = server.settled("inbox", "dir/é.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let (_, statement) = reconcile(&server, &["results"]).await;
    assert_eq!(statement["counts"]["missing"], 1, "{statement:#}");
    assert_eq!(statement["counts"]["changed"], 0, "{statement:#}");
    let found = found(&statement);
    assert_eq!(found, planted(&[("missing", "by-hand")]));
    let (code, again) = reconcile(&server, &["inbox", "--dry-run"]).await;
    assert_eq!(code, 0, "{again:#}");
}

#[tokio::test]
async fn a_bucket_is_reconciled_when_its_time_has_come() {
    let scheduled = UPPERCASE.replace(
        "path = \"inbox\"",
        "path = \"inbox\"\nreconcile = { every = \"1s\" }",
    );
    let ledger = Ledger::new(&format!("{scheduled}{OPERATOR}"));
    let server = ledger.start().await;
    assert!(server.stop().await.0.success());
    let server = other(&ledger).start().await;
    put_all(&server, ["late.txt".to_owned()], "x").await;
    assert!(server.stop().await.0.success());
    let server = ledger.start().await;
    let object = server.settled("inbox", "late.txt").await;
    assert_eq!(object["status"], "SUCCEEDED");
    let started = server.events(&["ReconcileStarted"]).await;
    assert!(started.iter().all(|event| event["actor"] == "schedule"));
}

/// A slot of ten years began long before the ledger: what was to begin it did not run then.
#[tokio::test]
async fn a_slot_that_began_while_nothing_ran_is_made_up_for_once() {
    let scheduled = UPPERCASE.replace(
        "path = \"inbox\"",
        "path = \"inbox\"\nreconcile = { every = \"10years\", dry_run = true }",
    );
    let ledger = Ledger::new(&format!("{scheduled}{OPERATOR}"));
    let mut ended = Vec::new();
    for _ in 0..2 {
        let server = ledger.start().await;
        let completed = eventually("it is done", || async {
            let completed = server.events(&["ReconcileCompleted"]).await;
            (!completed.is_empty()).then_some(completed)
        });
        ended = completed.await;
        assert!(server.stop().await.0.success());
    }
    let [event] = &ended[..] else {
        panic!("{ended:?}");
    };
    let server = ledger.start().await;
    assert_eq!(server.events(&["ReconcileStarted"]).await.len(), 1);
    assert_eq!(event["data"]["counts"]["keys"], 0);
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_or_fails_with_its_reason() {
    let told = "[buckets.told]\nnotified = true\n";
    let ledger = Ledger::new(&format!("{UPPERCASE}{told}{OPERATOR}"));
    let server = ledger.start().await;
    let missing = daybook(&server, &["reconcile", "nowhere"]).await;
    assert!(missing.failed(1).contains("there is no bucket nowhere"));
    let told = daybook(&server, &["reconcile", "told"]).await.failed(1);
    assert!(told.contains("known from notifications alone"), "{told}");
    let none = daybook(&server, &["reconcile", "s3:///x"]).await;
    assert!(none.failed(2).contains("names no bucket"));
    let pipeline = ["reconcile", "inbox", "--pipeline", "no", "--missing-only"];
    let unknown = daybook(&server, &pipeline).await;
    assert!(unknown.failed(1).contains("there is no pipeline no"));
}

const MANIFEST: &str = r#"{
  "sourceBucket": "company-raw", "fileFormat": "CSV",
  "fileSchema": "Bucket, Key, IsLatest",
  "files": [{ "key": "inventories/company-raw/data/1.csv", "size": 1 }]
}"#;

const OBJECT: &str = "query ($bucket: String!, $key: String!) {
  object(bucket: $bucket, key: $key) { etag }
}";
