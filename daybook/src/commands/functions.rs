//! `daybook functions`: the code from the ledger, the processes from the command service that the
//! server has.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::Format;
use crate::client::Client;
use crate::output::{self, Column, text, time};

const QUERY: &str = "query {
  functions { name runtime handler revision sha256 packageBytes revisedAt actor }
}";

const COLUMNS: &[Column] = &[
    ("FUNCTION", |row| text(&row["name"])),
    ("RUNTIME", |row| text(&row["runtime"])),
    ("REVISION", |row| text(&row["revision"])),
    ("SHA-256", |row| format!("{:.12}", text(&row["sha256"]))),
    ("SINCE", |row| time(&row["revisedAt"])),
    ("BY", |row| text(&row["actor"])),
    ("BUSY", |row| text(&row["processes"]["busy"])),
    ("IDLE", |row| text(&row["processes"]["idle"])),
    ("STATE", state),
];

pub(super) async fn run(client: &Client, format: Format) -> Result<()> {
    let mut answer = client.query(QUERY, json!({})).await?;
    // A server with the role query alone has no processes.
    let processes = match client.get("/v1/functions").await {
        Ok(answer) => answer["functions"].as_array().cloned().unwrap_or_default(),
        Err(error) => {
            eprintln!("daybook: what the processes are doing is not known: {error:#}");
            Vec::new()
        }
    };
    let mut rows = match answer["functions"].take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    };
    for row in &mut rows {
        let here = processes.iter().find(|it| it["name"] == row["name"]);
        row["processes"] = here.cloned().unwrap_or(Value::Null);
    }
    output::list(format, &rows, COLUMNS);
    Ok(())
}

/// What is to be known of a function that does not simply work.
fn state(row: &Value) -> String {
    let here = &row["processes"];
    if here.is_null() {
        return "not here".to_owned();
    }
    if let Some(why) = here["rejected"].as_str() {
        return format!("changed code does not run: {why}");
    }
    if let Some(failure) = here["lastStartFailure"].as_str() {
        let pause = here["backingOffMs"].as_u64();
        return match pause {
            Some(ms) => format!("fails: {failure}; next try in {ms} ms"),
            None => format!("failed last: {failure}"),
        };
    }
    match here["sha256"] == row["sha256"] {
        true => "runs".to_owned(),
        false => format!("still runs revision {}", text(&here["revision"])),
    }
}
