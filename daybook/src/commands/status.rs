//! `daybook status`: how the ledger is.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use super::projections;
use crate::cli::Format;
use crate::client::Client;
use crate::output::{self, Column, text};

const QUERY: &str = "query {
  ledger { position projections { name position lag state } }
  statistics(window: ALL) { objectsByStatus { status count } executionsByStatus { status count } }
  pipelines { name revision paused }
  functions { name revision runtime sha256 }
}";

const COUNTS: &[Column] = &[
    ("STATUS", |row| text(&row["status"])),
    ("COUNT", |row| text(&row["count"])),
];

const FUNCTIONS: &[Column] = &[
    ("FUNCTION", |row| text(&row["name"])),
    ("REVISION", |row| text(&row["revision"])),
    ("RUNTIME", |row| text(&row["runtime"])),
    ("SHA-256", |row| format!("{:.12}", text(&row["sha256"]))),
];

const PROCESSES: &[Column] = &[
    ("FUNCTION", |row| text(&row["name"])),
    ("BUSY", |row| text(&row["busy"])),
    ("IDLE", |row| text(&row["idle"])),
    ("AT MOST", |row| text(&row["concurrency"])),
    ("WAITING", |row| {
        format!("{} of {}", text(&row["waiting"]), text(&row["queue"]))
    }),
    ("START", |row| match row["backingOffMs"].as_u64() {
        Some(pause) => format!(
            "{} failed ({}), next in {pause} ms",
            text(&row["failedStarts"]),
            text(&row["lastStartFailure"])
        ),
        None => String::new(),
    }),
    ("SANDBOX", |row| {
        let lacks = row["sandboxLacks"].as_array().cloned().unwrap_or_default();
        let lacks: Vec<String> = lacks.iter().map(text).collect();
        match lacks.is_empty() {
            true => text(&row["sandbox"]),
            false => format!("{}, without {}", text(&row["sandbox"]), lacks.join(", ")),
        }
    }),
];

const QUEUES: &[Column] = &[
    ("QUEUE", |row| text(&row["name"])),
    ("WAITING", |row| text(&row["waiting"])),
    ("RECEIVED", |row| text(&row["received"])),
    ("DELETED", |row| text(&row["deleted"])),
    ("UNREADABLE", |row| text(&row["unreadable"])),
    ("PROBLEM", |row| match row["problem"].as_str() {
        Some(problem) => format!("{problem} (since {})", output::time(&row["since"])),
        None => String::new(),
    }),
];

pub(super) async fn run(client: &Client, format: Format) -> Result<()> {
    let mut answer = client.query(QUERY, json!({})).await?;
    // What a process does at the moment only that process knows; one without functions has none.
    let mut processes = client.get("/v1/functions").await.unwrap_or_default();
    answer["processes"] = processes["functions"].take();
    let mut queues = client.get("/v1/queues").await.unwrap_or_default();
    answer["queues"] = queues["queues"].take();
    output::document(format, &answer, || {
        let rows = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let mut told = format!(
            "ledger at position {}\n\n",
            text(&answer["ledger"]["position"])
        );
        for (title, rows, columns) in [
            (
                "",
                rows(&answer["ledger"]["projections"]),
                projections::COLUMNS,
            ),
            (
                "objects\n",
                rows(&answer["statistics"]["objectsByStatus"]),
                COUNTS,
            ),
            (
                "executions\n",
                rows(&answer["statistics"]["executionsByStatus"]),
                COUNTS,
            ),
            ("", rows(&answer["functions"]), FUNCTIONS),
            ("processes\n", rows(&answer["processes"]), PROCESSES),
        ] {
            let _ = writeln!(told, "{title}{}\n", output::table(&rows, columns));
        }
        let queues = rows(&answer["queues"]);
        // Most ledgers pull from none.
        if !queues.is_empty() {
            let _ = writeln!(told, "queues\n{}", output::table(&queues, QUEUES));
        }
        told.trim_end().to_owned()
    });
    Ok(())
}
