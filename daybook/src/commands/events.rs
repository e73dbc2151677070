//! `daybook events`: the audit trail, and what comes.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::limit_of;
use crate::cli::{EventsArgs, Format};
use crate::client::Client;
use crate::output::{self, Column, text, time};
use crate::timeline::nodes;

const NEWEST: &str = "query($last: Int!, $where: EventWhere) {
  events(last: $last, where: $where) {
    edges { node { position stream version type recordedAt actor correlationId causationId data } }
  }
}";

const AFTER: &str = "query($first: Int!, $where: EventWhere) {
  events(first: $first, where: $where) {
    edges { node { position stream version type recordedAt actor correlationId causationId data } }
  }
}";

const COLUMNS: &[Column] = &[
    ("POSITION", |row| text(&row["position"])),
    ("RECORDED", |row| time(&row["recordedAt"])),
    ("TYPE", |row| text(&row["type"])),
    ("STREAM", |row| text(&row["stream"])),
    ("ACTOR", |row| text(&row["actor"])),
];

/// How often a follower asks when nothing had come.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The most events of one answer.
const PAGE: usize = 100;

pub(super) async fn run(client: &Client, format: Format, args: EventsArgs) -> Result<()> {
    let mut filter = json!({});
    if let Some(stream) = &args.stream {
        filter["stream"] = json!(stream);
    }
    if let Some(event_type) = &args.event_type {
        filter["type"] = json!([event_type]);
    }
    let limit = limit_of(&args.page);
    let rows = match args.after {
        None => {
            let variables = json!({ "last": limit.min(PAGE), "where": filter });
            nodes(&client.query(NEWEST, variables).await?["events"])
        }
        Some(after) => page(client, &filter, after, limit.min(PAGE)).await?,
    };
    output::list(format, &rows, COLUMNS);
    if !args.follow {
        return Ok(());
    }
    let mut after = rows.last().and_then(|row| row["position"].as_u64());
    loop {
        let from = match after {
            Some(after) => after,
            None => args.after.unwrap_or(0),
        };
        let rows = page(client, &filter, from, PAGE).await?;
        for row in &rows {
            match format {
                Format::Table => output::line(output::plain(&format!(
                    "{:<9} {}  {:<24} {}  {}",
                    text(&row["position"]),
                    time(&row["recordedAt"]),
                    text(&row["type"]),
                    text(&row["stream"]),
                    text(&row["actor"])
                ))),
                Format::Json | Format::Jsonl => output::line(row),
            }
        }
        after = rows
            .last()
            .and_then(|row| row["position"].as_u64())
            .or(after);
        if rows.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn page(client: &Client, filter: &Value, after: u64, first: usize) -> Result<Vec<Value>> {
    let mut filter = filter.clone();
    filter["positionAfter"] = json!(after);
    let answer = client
        .query(AFTER, json!({ "first": first, "where": filter }))
        .await?;
    Ok(nodes(&answer["events"]))
}
