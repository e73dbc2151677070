//! Taking the audit trail out, and checking what was taken.

use std::path::Path;

use serde_json::Value;

use crate::support::clients::daybook;
use crate::support::{Ledger, Server};

use super::{alone, output, three_files};

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
        let ran = alone(&["verify", folder, "--output", "jsonl"]).await;
        assert_eq!(ran.code, 3, "{what}");
        let answer: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(answer["valid"], false, "{what}");
    }
    std::fs::write(&events, &whole).unwrap();
    let answer = alone(&["verify", folder, "--output", "json"]).await.json();
    assert_eq!(answer["valid"], true);
    assert_eq!(answer["sha256"], manifest["sha256"]);
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
