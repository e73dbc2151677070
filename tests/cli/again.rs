//! Doing things again: redrives, replays and the rebuild of the read models.

use serde_json::{Value, json};

use crate::support::clients::{daybook, link_python};
use crate::support::{Ledger, OPERATOR, Server, eventually};

use super::{failed_execution, output, three_files};

#[tokio::test]
async fn a_redrive_is_a_new_execution_linked_to_the_old_one() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let old = failed_execution(&server).await;
    let command = [
        "redrive",
        &old,
        "--reason",
        "after the fix",
        "--output",
        "json",
    ];
    let answer = daybook(&server, &command).await.json();
    let new = answer["execution"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!(answer["redriveOf"], old);
    let execution = ended(&server, new).await;
    assert_eq!(execution["causeKind"], "REDRIVE");
    assert_eq!(execution["redriveOf"]["id"], old);
    assert_eq!(execution["actor"], "cli:tester");
    assert_eq!(execution["reason"], "after the fix");
    assert_eq!(execution["generation"], 2);
    // The file is as broken as it was.
    assert_eq!(execution["status"], "FAILED");
    let told = daybook(&server, &["show", "s3://inbox/bad.txt"]).await.ok();
    let line = format!("as redrive of {} by cli:tester (after the fix)", &old[..8]);
    assert!(told.contains(&line), "{told}");
    let text = daybook(&server, &["redrive", &old]).await.ok();
    assert!(text.starts_with("started execution "), "{text}");
}

#[tokio::test]
async fn a_replay_runs_what_failed_on_the_fixed_code() {
    let ledger = Ledger::new(&format!("{OPERATOR}{SORTING}"));
    ledger.write("code/handler.py", BROKEN);
    link_python(&ledger.path("code"));
    let server = ledger.start().await;
    let client = server.client();
    for key in ["bad-1", "bad-2", "good-1", "good-2", "bad-3"] {
        client.put("inbox", key, "x".into()).await.unwrap();
    }
    for key in ["bad-1", "bad-2", "good-1", "good-2", "bad-3"] {
        let object = server.settled("inbox", key).await;
        let expected = if key.starts_with("bad") {
            "FAILED"
        } else {
            "SUCCEEDED"
        };
        assert_eq!(object["status"], expected, "{key}");
    }
    assert!(server.stop().await.0.success());
    ledger.write("code/handler.py", FIXED);
    let server = ledger.start().await;

    let start = [
        "replay",
        "start",
        "--pipeline",
        "sort",
        "--status",
        "failed",
    ];
    let dry = [&start[..], &["--dry-run"]].concat();
    let told = daybook(&server, &dry).await.ok();
    assert!(told.starts_with("would run 3 executions again"), "{told}");
    assert_eq!(server.events(&["ReplayStarted"]).await.len(), 0);

    let real = [&start[..], &["--reason", "the handler is fixed"]].concat();
    let answer = output(&server, &real, "json").await.json();
    assert_eq!(answer["count"], 3);
    let id = answer["replay"].as_str().unwrap();
    let replay = eventually("the replay is over", || async {
        let replay = output(&server, &["replay", "show", id], "json")
            .await
            .json();
        (replay["status"] == "COMPLETED").then_some(replay)
    })
    .await;
    assert_eq!(replay["planned"], 3);
    assert_eq!(replay["done"], 3);
    assert_eq!(replay["actor"], "cli:tester");
    assert_eq!(replay["reason"], "the handler is fixed");
    let listed = output(&server, &["replay", "list"], "json").await.json();
    assert_eq!(listed, json!([replay]));
    for command in [&["replay", "list"][..], &["replay", "show", id]] {
        let table = output(&server, command, "table").await.ok();
        assert!(table.contains("  3 of 3  "), "{table}");
        let line = output(&server, command, "jsonl").await.json();
        assert_eq!(line, replay);
    }

    for key in ["bad-1", "bad-2", "bad-3"] {
        server.settled("inbox", key).await;
        let answer = server.query(RUNS, json!({ "key": key })).await;
        let runs = &answer["object"]["executions"]["nodes"];
        assert_eq!(
            *runs,
            json!([
                { "status": "FAILED", "causeKind": "TRIGGER", "replay": null, "redriveOf": null,
                  "id": runs[0]["id"], "attempts": [{ "codeRevision": 1 }] },
                { "status": "SUCCEEDED", "causeKind": "REPLAY", "replay": { "id": id },
                  "redriveOf": { "id": runs[0]["id"] },
                  "id": runs[1]["id"], "attempts": [{ "codeRevision": 2 }] },
            ])
        );
    }
    for key in ["good-1", "good-2"] {
        let answer = server.query(RUNS, json!({ "key": key })).await;
        let runs = answer["object"]["executions"]["nodes"].as_array().unwrap();
        assert_eq!(runs.len(), 1, "{key} had not failed");
    }
    let told = daybook(&server, &dry).await.ok();
    assert!(told.starts_with("would run "), "{told}");
}

#[tokio::test]
async fn a_rebuild_finds_the_read_models_equal() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let old = failed_execution(&server).await;
    daybook(&server, &["redrive", &old]).await.ok();
    server.settled("inbox", "bad.txt").await;
    let said = daybook(&server, &["projections", "rebuild"]).await.ok();
    assert!(said.contains("are equal"), "{said}");
    let one = ["projections", "rebuild", "objects"];
    let report = output(&server, &one, "json").await.json();
    assert_eq!(report["equal"], true, "{report}");
    let said = daybook(&server, &["projections", "rebuild", "nothing"]).await;
    assert!(said.failed(1).contains("nothing"));
    let objects = output(&server, &["objects"], "json").await.json();
    assert_eq!(objects.as_array().unwrap().len(), 5);
}

/// An execution, once it ended.
async fn ended(server: &Server, id: &str) -> Value {
    eventually(format!("execution {id} has ended"), || async {
        let mut answer = server.query(EXECUTION, json!({ "id": id })).await;
        let execution = answer["execution"].take();
        execution["stoppedAt"].is_string().then_some(execution)
    })
    .await
}

const SORTING: &str = r#"
[buckets.inbox]
path = "inbox"

[pipelines.sort]
on = [{ bucket = "inbox" }]
run = "sort"

[functions.sort]
runtime = "python"
code = "code"
handler = "handler.handler"
"#;

const BROKEN: &str = r#"
def handler(event, context):
    key = event["Records"][0]["s3"]["object"]["key"]
    if key.startswith("bad"):
        raise ValueError("bad " + key)
    return key
"#;

const FIXED: &str = r#"
def handler(event, context):
    return event["Records"][0]["s3"]["object"]["key"]
"#;

const EXECUTION: &str = r"
query ($id: ID!) {
  execution(id: $id) {
    status causeKind actor reason generation stoppedAt redriveOf { id }
  }
}";

const RUNS: &str = r#"
query ($key: String!) {
  object(bucket: "inbox", key: $key) {
    executions(first: 10) {
      nodes { id status causeKind replay { id } redriveOf { id } attempts { codeRevision } }
    }
  }
}"#;
