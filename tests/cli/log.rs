//! `daybook log`: the log checked where it is, and copied to another place.

use std::path::Path;

use daybook_event_store::sqlite::{SqliteEventLog, SqliteOptions};
use daybook_event_store::{Append, EventLog, EventMetadata, Expected, NewEvent, StreamName};
use tokio::process::Command;

use crate::support::clients::Ran;
use crate::support::{Ledger, eventually, program};

use super::{alone, three_files};

#[tokio::test]
async fn a_live_ledger_is_checked_beside_its_server() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let client = server.client();
    let writes = async {
        for number in 0..20 {
            let key = format!("more-{number}.txt");
            client.put("inbox", &key, "x".into()).await.unwrap();
        }
    };
    let data = ledger.data_dir();
    let check = [
        "log",
        "check",
        "--data-dir",
        text(&data),
        "--output",
        "json",
    ];
    let (report, ()) = tokio::join!(alone(&check), writes);
    let report = report.json();
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["events"], report["head"]);

    server.settled("inbox", "more-19.txt").await;
    assert!(server.stop().await.0.success());
    let report = alone(&check).await.json();
    assert_eq!(report["found"], 0, "{report}");
    assert_eq!(report["notChecked"], 0);
    let config = ledger.config();
    let by_config = [
        "log",
        "check",
        "--config",
        text(&config),
        "--data-dir",
        text(&data),
    ];
    let told = alone(&by_config).await.ok();
    let sha256 = report["sha256"].as_str().unwrap();
    assert!(told.contains(&format!("sha256 {sha256}")), "{told}");
    assert!(told.ends_with("nothing is found wanting\n"), "{told}");
    let url = format!("sqlite:{}", data.display());
    let line = alone(&["log", "check", &url, "--output", "jsonl"])
        .await
        .json();
    assert_eq!(line, report);
}

#[tokio::test]
async fn a_damaged_ledger_is_found_wanting() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    assert!(server.stop().await.0.success());
    let file = ledger.data_dir().join("log.sqlite");
    let log = SqliteEventLog::open(&file, SqliteOptions::default()).unwrap();
    let head = log.head().await.unwrap();
    for (number, data, version) in [(1, "{\"bucket\":", 1), (2, "{\"actor\":\"ada\"}", 9)] {
        let mut event = happened(number, data.to_owned());
        event.event_type = "PipelinePaused".into();
        event.schema_version = version;
        let append = Append {
            stream: StreamName::new(format!("pipeline-p{number}")),
            expected: Expected::NoStream,
            events: vec![event],
        };
        log.append(append).await.unwrap();
    }
    log.close().await;

    let url = format!("sqlite:{}", file.display());
    let check = ["log", "check", &url];
    let ran = alone(&check).await;
    assert_eq!(ran.code, 3, "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("its data is not JSON"), "{}", ran.out);
    assert!(
        ran.out.contains("written by a newer release; upgrade"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("2 found wanting\n"), "{}", ran.out);
    let ran = alone(&[&check[..], &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 3);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["valid"], false);
    let first = &report["findings"][0];
    assert_eq!(first["position"], head.0 + 1);
    assert_eq!(first["stream"], "pipeline-p1");
}

#[tokio::test]
async fn a_ledger_goes_on_from_a_copy_of_its_log() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let events = server.events(&[]).await;
    assert!(server.stop().await.0.success());
    let data = ledger.data_dir();
    let moved = ledger.path("moved.sqlite");
    let report = copy(&data, &moved, "json").await.json();
    assert_eq!(report["equal"], true, "{report}");
    assert_eq!(report["source"]["sha256"], report["target"]["sha256"]);
    let told = copy(&data, &moved, "table").await.ok();
    assert!(told.starts_with("copied 0 events, "), "{told}");
    assert!(told.ends_with("both logs are equal\n"), "{told}");

    std::fs::remove_file(data.join("log.sqlite")).unwrap();
    std::fs::rename(&moved, data.join("log.sqlite")).unwrap();
    let server = ledger.start().await;
    let again = server.events(&[]).await;
    assert_eq!(again[..events.len()], events);
    server
        .client()
        .put("inbox", "d.txt", "d".into())
        .await
        .unwrap();
    assert_eq!(
        server.settled("inbox", "d.txt").await["status"],
        "SUCCEEDED"
    );
}

#[tokio::test]
async fn a_copy_killed_half_way_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.sqlite");
    filled(&source, 60, 500).await;
    // A copy may be quicker than the kill.
    let mut tries = 0..20;
    let (target, head) = loop {
        let number = tries.next().expect("a copy is killed half way");
        let target = folder.path().join(format!("b{number}.sqlite"));
        let head = killed_copy(&source, &target).await;
        if head < 30_000 {
            break (target, head);
        }
    };

    let report = copy(&source, &target, "json").await.json();
    assert_eq!(report["resumedAfter"], head, "{report}");
    assert_eq!(report["copied"], 30_000 - head);
    assert_eq!(report["equal"], true);
    let check = ["log", "check", &url(&target), "--output", "json"];
    let ran = alone(&check).await;
    assert_eq!(ran.json()["sha256"], report["source"]["sha256"]);
}

/// Starts a copy and kills it when something is copied: how much.
async fn killed_copy(source: &Path, target: &Path) -> u64 {
    let mut copy = Command::new(program())
        .args(["log", "copy", "--from", &url(source), "--to", &url(target)])
        .kill_on_drop(true)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("something is copied", || async {
        (head_of(target).await? > 0).then_some(())
    })
    .await;
    copy.kill().await.unwrap();
    head_of(target).await.unwrap()
}

/// Where a log ends, if it can be opened yet.
async fn head_of(path: &Path) -> Option<u64> {
    let log = SqliteEventLog::open_read_only(path).ok()?;
    let head = log.head().await.ok()?;
    log.close().await;
    Some(head.0)
}

#[tokio::test]
async fn other_content_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (
        folder.path().join("a.sqlite"),
        folder.path().join("b.sqlite"),
    );
    filled(&source, 1, 5).await;
    filled(&target, 1, 3).await;
    let said = copy(&source, &target, "table").await.failed(1);
    assert!(said.contains("the target holds something else"), "{said}");
    let missing = copy(&folder.path().join("none"), &target, "table")
        .await
        .failed(1);
    assert!(missing.contains("there is no log at"), "{missing}");
}

#[tokio::test]
async fn mistaken_urls_are_a_matter_of_usage_and_keep_their_secrets() {
    for command in [
        &["log", "check", "mysql://ada:secret@host/db"][..],
        &["log", "copy", "--from", "sqlite", "--to", "sqlite:x"],
        &["log", "copy", "--from", "sqlite:x", "--to", "sqlite:x"],
    ] {
        let said = alone(command).await.failed(2);
        assert!(!said.contains("secret"), "{said}");
    }
}

async fn copy(from: &Path, to: &Path, format: &str) -> Ran {
    let (from, to) = (url(from), url(to));
    alone(&[
        "log", "copy", "--from", &from, "--to", &to, "--output", format,
    ])
    .await
}

/// A log of this many appends of so many events each, every event about 1 KB in a stream of its own.
async fn filled(path: &Path, appends: usize, each: usize) {
    let log = SqliteEventLog::open(path, SqliteOptions::default()).unwrap();
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
    for round in 0..appends {
        let appends = (0..each).map(|number| Append {
            stream: StreamName::new(format!("test-{round}-{number}")),
            expected: Expected::NoStream,
            events: vec![happened(round * each + number, body.clone())],
        });
        for result in log.append_each(appends.collect()).await {
            result.unwrap();
        }
    }
    log.close().await;
}

fn happened(number: usize, data: String) -> NewEvent {
    NewEvent {
        event_id: uuid::Uuid::from_u128(number as u128),
        event_type: "Happened".into(),
        schema_version: 1,
        data: data.into(),
        metadata: EventMetadata::default(),
    }
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
