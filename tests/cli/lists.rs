//! What the ledger holds, in every format; the audit trail page by page and live; and configs.

use serde_json::{Value, json};

use crate::support::{Ledger, PATIENCE, program};

use super::{alone, failed_execution, output, three_files};

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
        (
            &["projections", "list"],
            10,
            "READ MODEL POSITION LAG STATE",
        ),
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
async fn a_hostile_key_neither_breaks_a_table_nor_steers_the_terminal() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client = server.client();
    let key = "two\nlines\u{1b}[2J";
    client.put("inbox", key, "x".into()).await.unwrap();
    server.settled("inbox", key).await;
    let target = format!("s3://inbox/{key}");
    for command in [
        &["objects"][..],
        &["events", "--type", "ObjectCreated"],
        &["show", &target],
    ] {
        let told = output(&server, command, "table").await.ok();
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.contains(r"inbox/two\nlines\u{1b}[2J"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
    let document = output(&server, &["objects"], "json").await.json();
    assert_eq!(document[0]["key"], key);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    for command in [
        &["events"][..],
        &["objects"],
        &["status"],
        &["events", "--follow"],
    ] {
        let mut child = tokio::process::Command::new(program())
            .args(["--server", &server.api])
            .args(command)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let ended = ended.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{command:?}");
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
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
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
async fn more_events_than_one_answer_holds_come_all_the_same() {
    let ledger = Ledger::uppercase();
    let server = ledger.start().await;
    let client = server.client();
    for number in 0..30 {
        let key = format!("{number}.txt");
        client.put("inbox", &key, "x".into()).await.unwrap();
    }
    for number in 0..30 {
        server.settled("inbox", &format!("{number}.txt")).await;
    }
    let head = server.events(&[]).await.len();
    assert!(head > 200, "{head} events are no two pages");
    for more in [&[][..], &["--after", "0"]] {
        let mut command = vec!["events", "--limit", "100000"];
        command.extend(more);
        let rows = output(&server, &command, "json").await.json();
        let positions = rows.as_array().unwrap().iter();
        let positions: Vec<_> = positions.map(|row| row["position"].clone()).collect();
        let expected: Vec<_> = (1..=head).map(|position| json!(position)).collect();
        assert_eq!(positions, expected, "{command:?}");
        command[2] = "150";
        let rows = output(&server, &command, "json").await.json();
        assert_eq!(rows.as_array().unwrap().len(), 150, "{command:?}");
    }
}

#[tokio::test]
async fn a_follower_ends_with_its_reader_though_nothing_comes() {
    let ledger = Ledger::uppercase();
    let server = three_files(&ledger).await;
    let mut child = tokio::process::Command::new(program())
        .args(["--server", &server.api, "events", "--follow"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // As `head -1` does.
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.contains("POSITION"), "{first}");
    drop(lines);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let ended = ended.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*said), (Some(0), ""));
}
