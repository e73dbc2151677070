//! The command line, as a person or a script uses it.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::clients::{Ran, daybook, finished, link_python};
use crate::support::{Ledger, OPERATOR, Server, eventually, program};

#[tokio::test]
async fn the_demo_tells_its_story() {
    let told = alone(&["demo"]).await.ok();
    insta::assert_snapshot!(redacted(&told));
}

#[tokio::test]
async fn a_kept_demo_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let arguments = ["demo", "--keep", "--dir", kept.to_str().unwrap()];
    let told = alone(&arguments).await.ok();
    let how = format!("daybook serve --config {}/daybook.toml", kept.display());
    assert!(told.contains(&how), "{told}");
    let again = alone(&arguments).await.failed(1);
    assert!(
        again.contains("exists; remove it, or name another"),
        "{again}"
    );

    let server = Ledger::at(&kept, "daybook-data").start().await;
    let objects = daybook(&server, &["objects", "--output", "json"]).await;
    assert_eq!(objects.json().as_array().unwrap().len(), 9);
    let told = daybook(&server, &["show", "s3://inbox/broken.txt"])
        .await
        .ok();
    assert!(told.contains("NotText"), "{told}");
}

#[tokio::test]
async fn lists_come_as_tables_as_json_and_as_lines() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let execution = failed_execution(&server).await;
    for (command, rows, columns) in [
        (&["objects"][..], 5, "STATUS OBJECT BYTES ARRIVED"),
        (
            &["objects", "--bucket", "inbox"],
            3,
            "STATUS OBJECT BYTES ARRIVED",
        ),
        (
            &["objects", "--bucket", "inbox", "--prefix", "b"],
            1,
            "STATUS OBJECT BYTES ARRIVED",
        ),
        (
            &["objects", "--status", "failed"],
            1,
            "STATUS OBJECT BYTES ARRIVED",
        ),
        (
            &["objects", "--limit", "2"],
            2,
            "STATUS OBJECT BYTES ARRIVED",
        ),
        (
            &["executions"],
            3,
            "STATUS EXECUTION PIPELINE OBJECT RUN STARTED ERROR",
        ),
        (
            &[
                "executions",
                "--pipeline",
                "uppercase",
                "--status",
                "SUCCEEDED",
            ],
            2,
            "STATUS EXECUTION PIPELINE OBJECT RUN STARTED ERROR",
        ),
        (
            &["events", "--type", "ObjectCreated"],
            5,
            "POSITION RECORDED TYPE STREAM ACTOR",
        ),
        (
            &["events", "--stream", "object-inbox/bad.txt"],
            1,
            "POSITION RECORDED TYPE STREAM ACTOR",
        ),
        (&["projections", "list"], 9, "READ MODEL POSITION LAG STATE"),
    ] {
        let table = output(&server, command, "table").await.ok();
        let mut lines = table.lines();
        let heading: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(heading.join(" "), columns, "{command:?}");
        assert_eq!(lines.count(), rows, "{command:?}:\n{table}");
        let document = output(&server, command, "json").await.json();
        let list = document.as_array().expect("a list");
        assert_eq!(list.len(), rows, "{command:?}");
        let text = output(&server, command, "jsonl").await.ok();
        let one_a_line: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(&one_a_line, list, "{command:?}");
    }
    let none = output(&server, &["objects", "--bucket", "nothing"], "table").await;
    assert_eq!(none.ok(), "(none)\n");

    for (command, field, expected, told) in [
        (
            &["status"][..],
            "/functions/0/name",
            "uppercase",
            "ledger at position ",
        ),
        (
            &["show", "s3://inbox/bad.txt"],
            "/status",
            "FAILED",
            "s3://inbox/bad.txt  FAILED  3 bytes",
        ),
        (
            &["show", &execution],
            "/status",
            "FAILED",
            "FAILED     NotText: ",
        ),
    ] {
        let text = output(&server, command, "table").await.ok();
        assert!(text.contains(told), "{command:?}:\n{text}");
        let document = output(&server, command, "json").await.json();
        assert_eq!(
            document.pointer(field),
            Some(&json!(expected)),
            "{command:?}"
        );
        let line = output(&server, command, "jsonl").await.ok();
        assert_eq!(line.lines().count(), 1, "{command:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), document);
    }
}

#[tokio::test]
async fn a_config_is_checked_and_shown_without_its_secrets() {
    let ledger = Ledger::uppercase();
    let config = ledger.config();
    let config = config.to_str().unwrap();
    let said = alone(&["config", "check", "--config", config]).await.ok();
    assert!(said.contains("can run"), "{said}");
    let shown = alone(&["config", "show", "--config", config]).await.ok();
    assert!(shown.contains("uppercase"), "{shown}");
    assert!(!shown.contains("a-secret-of-the-tests"), "{shown}");
    let text = std::fs::read_to_string(config).unwrap();
    ledger.write("daybook.toml", text.replace("suffix", "sufix"));
    let ran = alone(&["config", "check", "--config", config]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("sufix"), "{}", ran.out);
    let said = alone(&["config", "show", "--config", config])
        .await
        .failed(1);
    assert!(said.contains("sufix"), "{said}");
}

#[tokio::test]
async fn mistakes_are_told_apart_by_the_exit_code() {
    for usage in [
        &["frobnicate"][..],
        &["objects", "--frob"],
        &["status", "--output", "xml"],
        &["demo", "--dir", "somewhere"],
        &["replay", "start"],
        &["events", "--after", "x"],
        &["export", "--out", "somewhere", "--since", "yesterday"],
        &[],
    ] {
        let said = alone(usage).await.failed(2);
        assert!(said.contains("--help"), "{usage:?}: {said}");
    }
    // Nobody listens on port 1 of loopback.
    for client in [
        &["status"][..],
        &["objects"],
        &["show", "s3://inbox/x"],
        &["projections", "rebuild"],
        &["replay", "list"],
    ] {
        let mut arguments = vec!["--server", "http://127.0.0.1:1"];
        arguments.extend(client);
        let said = alone(&arguments).await.failed(1);
        assert!(said.contains("start one with `daybook serve`"), "{said}");
        assert!(said.contains("--server or DAYBOOK_SERVER"), "{said}");
    }
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    for (unknown, part) in [
        (
            &["show", "s3://inbox/nothing"][..],
            "no object s3://inbox/nothing",
        ),
        (&["show", "s3://inbox"], "s3://BUCKET/KEY"),
        (&["show", NO_EXECUTION], "no execution"),
        (&["redrive", NO_EXECUTION], NO_EXECUTION),
        (&["replay", "show", NO_EXECUTION], "no replay"),
        (
            &["replay", "start", "--pipeline", "nothing"],
            "no pipeline nothing",
        ),
    ] {
        let said = daybook(&server, unknown).await.failed(1);
        assert!(said.contains(part), "{unknown:?}: {said}");
    }
}

#[tokio::test]
async fn events_are_paged_and_followed() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let head = server.events(&[]).await.len();
    let mut after = 0;
    let mut seen = 0;
    loop {
        let position = after.to_string();
        let page = ["events", "--after", &position, "--limit", "7"];
        let page = output(&server, &page, "json").await.json();
        let page = page.as_array().unwrap().clone();
        for event in &page {
            seen += 1;
            assert_eq!(event["position"], seen);
        }
        let Some(last) = page.last() else { break };
        after = last["position"].as_u64().unwrap();
    }
    assert_eq!(seen, head);

    let mut follower = tokio::process::Command::new(program())
        .args(["--server", &server.api, "--output", "jsonl", "events"])
        .args([
            "--after",
            "0",
            "--follow",
            "--type",
            "ObjectCreated",
            "--limit",
            "2",
        ])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(
        follower.stdout.take().unwrap(),
    ));
    let client = server.client();
    let mut positions = Vec::new();
    for round in 0..8 {
        if round == 5 {
            // All that there was is told; what comes now comes live.
            client.put("inbox", "live.txt", "x".into()).await.unwrap();
            server.settled("inbox", "live.txt").await;
        }
        if round == 7 {
            client.put("inbox", "later", "x".into()).await.unwrap();
        }
        let line = tokio::time::timeout(crate::support::PATIENCE, lines.next_line()).await;
        let line = line.expect("a line in time").unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["type"], "ObjectCreated");
        positions.push(event["position"].as_u64().unwrap());
    }
    let recorded: Vec<_> = server.events(&["ObjectCreated"]).await;
    let recorded: Vec<_> = recorded
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, recorded);
}

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
    let table = daybook(&server, &["replay", "list"]).await.ok();
    assert!(table.contains("3 of 3"), "{table}");

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
async fn an_export_is_recorded_and_can_be_verified() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let before = server.events(&[]).await;
    let out = ledger.path("export");
    let manifest = export(&server, &out, &["--reason", "the auditors ask"]).await;
    assert_eq!(manifest["count"], before.len());
    let lines = lines_of(&out);
    assert_eq!(lines.len(), before.len());
    for (line, event) in lines.iter().zip(&before) {
        assert_eq!(line["specversion"], "1.0");
        assert_eq!(line["position"], event["position"]);
        assert_eq!(line["subject"], event["stream"]);
        assert_eq!(line["time"], event["recordedAt"]);
        assert_eq!(line["data"], event["data"]);
    }
    let stored = std::fs::read(out.join("manifest.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored, manifest);

    let recorded = server.events(&["ExportStarted", "ExportCompleted"]).await;
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[0]["actor"], "cli:tester");
    assert_eq!(recorded[0]["data"]["reason"], "the auditors ask");
    assert_eq!(recorded[1]["type"], "ExportCompleted");
    assert_eq!(recorded[1]["data"]["sha256"], manifest["sha256"]);

    let folder = out.to_str().unwrap();
    let again = ["export", "--out", folder];
    let said = daybook(&server, &again).await.failed(1);
    assert!(said.contains("writes over nothing"), "{said}");
    let verify = ["verify", folder];
    let said = alone(&verify).await.ok();
    assert!(said.contains("as the manifest says"), "{said}");
    let events = out.join("events.jsonl");
    let whole = std::fs::read(&events).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let last_line = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n');
    for (what, bytes) in [
        ("a changed byte", &changed[..]),
        ("a dropped line", &whole[..=last_line.unwrap()]),
        ("a missing end", &whole[..whole.len() - 1]),
        ("nothing", &[]),
    ] {
        std::fs::write(&events, bytes).unwrap();
        let ran = alone(&verify).await;
        assert_eq!(ran.code, 3, "{what}: {} {}", ran.out, ran.err);
    }
    std::fs::write(&events, &whole).unwrap();
    alone(&verify).await.ok();
    std::fs::remove_file(&events).unwrap();
    let said = alone(&verify).await.failed(1);
    assert!(said.contains("events.jsonl cannot be read"), "{said}");
}

#[tokio::test]
async fn an_export_is_narrowed_by_time() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let all = server.events(&[]).await;
    let time = |event: &Value| event["recordedAt"].as_str().unwrap().to_owned();
    // Both ends are times at which something was recorded: it counts at the start, not at the end.
    let (since, until) = (time(&all[all.len() / 3]), time(&all[all.len() * 2 / 3]));
    let narrowed: Vec<_> = all
        .iter()
        .filter(|event| (&since..&until).contains(&&time(event)))
        .map(|event| event["position"].clone())
        .collect();
    assert!(!narrowed.is_empty() && narrowed.len() < all.len());
    let out = ledger.path("export");
    let range = ["--since", &since, "--until", &until];
    let manifest = export(&server, &out, &range).await;
    assert_eq!(manifest["count"], narrowed.len());
    let lines = lines_of(&out);
    let positions: Vec<_> = lines.iter().map(|line| line["position"].clone()).collect();
    assert_eq!(positions, narrowed);
    alone(&["verify", out.to_str().unwrap()]).await.ok();
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

/// Three files in `inbox`, one of them no text, and their outcomes.
async fn three_files(ledger: &Ledger) -> Server {
    let server = ledger.start().await;
    let client = server.client();
    for (key, body) in [
        ("a.txt", &b"a"[..]),
        ("bad.txt", b"x\xff\xfe"),
        ("c.txt", b"ccc"),
    ] {
        let body = bytes::Bytes::copy_from_slice(body);
        client.put("inbox", key, body).await.unwrap();
        server.settled("inbox", key).await;
    }
    server
}

/// The first execution for `bad.txt`.
async fn failed_execution(server: &Server) -> String {
    let object = server.settled("inbox", "bad.txt").await;
    let execution = &object["executions"]["nodes"][0];
    assert_eq!(execution["status"], "FAILED");
    execution["id"].as_str().unwrap().to_owned()
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

async fn output(server: &Server, command: &[&str], format: &str) -> Ran {
    let mut arguments = command.to_vec();
    arguments.extend(["--output", format]);
    daybook(server, &arguments).await
}

/// The command line without a server.
async fn alone(arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(program());
    command
        .args(arguments)
        .env("USER", "tester")
        .env_remove("DAYBOOK_SERVER");
    finished(command).await
}

async fn export(server: &Server, out: &Path, more: &[&str]) -> Value {
    let mut arguments = vec![
        "export",
        "--format",
        "jsonl",
        "--out",
        out.to_str().unwrap(),
    ];
    arguments.extend(more);
    output(server, &arguments, "json").await.json()
}

fn lines_of(export: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(export.join("events.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a CloudEvent"))
        .collect()
}

/// What the demo told, without what differs from one run to the next: times, ids, digests of code,
/// durations, and the order in which objects arrived at the same time.
fn redacted(told: &str) -> String {
    let mut lines: Vec<String> = told
        .lines()
        .map(|line| {
            let mut words: Vec<String> = line.split(' ').map(word).collect();
            for at in 2..words.len() {
                if words[at - 2] == "after" && words[at].starts_with("ms") {
                    words[at - 1] = "[number]".to_owned();
                }
            }
            words.join(" ")
        })
        .collect();
    let listed = |line: &String| {
        let statuses = ["SUCCEEDED", "FAILED", "UNMATCHED"];
        let first = line.split_whitespace().next();
        first.is_some_and(|first| statuses.contains(&first)) && line.contains("  s3://")
    };
    let from = lines.iter().position(listed).expect("a table of objects");
    let to = from + lines[from..].iter().take_while(|line| listed(line)).count();
    lines[from..to].sort();
    lines.join("\n")
}

fn word(word: &str) -> String {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shape: String = word
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    let bare = word.trim_end_matches(')');
    match shape.as_str() {
        "0000-00-00" => "[date]".to_owned(),
        "00:00:00.000" => "[time]".to_owned(),
        _ if word.len() == 36 && word.split('-').count() == 5 => "[id]".to_owned(),
        _ if word.len() == 8 && hex(word) => "[short-id]".to_owned(),
        _ if bare.len() == 12 && hex(bare) => word.replace(bare, "[sha256]"),
        _ => word.to_owned(),
    }
}

const NO_EXECUTION: &str = "00000000-0000-4000-8000-000000000000";

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
