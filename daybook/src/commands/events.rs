//! `daybook events`: the audit trail, and what comes.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{SERVER_PAGE, limit_of};
use crate::cli::{EventsArgs, Format};
use crate::client::Client;
use crate::output::{self, Column, text, time};
use crate::timeline::nodes;

const NEWEST: &str = "query($last: Int!, $before: String, $where: EventWhere) {
  events(last: $last, before: $before, where: $where) {
    edges { node { position stream version type recordedAt actor correlationId causationId data } }
    pageInfo { hasPreviousPage startCursor }
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
        None => newest(client, &filter, limit).await?,
        Some(after) => following(client, &filter, after, limit).await?,
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
        let rows = page(client, &filter, from, SERVER_PAGE).await?;
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
            output::end_without_reader();
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// The newest events, oldest first, over as many pages as it takes.
async fn newest(client: &Client, filter: &Value, limit: usize) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut before = Value::Null;
    while rows.len() < limit {
        let last = SERVER_PAGE.min(limit - rows.len());
        let variables = json!({ "last": last, "before": before, "where": filter });
        let answer = client.query(NEWEST, variables).await?;
        let mut older = nodes(&answer["events"]);
        older.append(&mut rows);
        rows = older;
        let info = &answer["events"]["pageInfo"];
        before = info["startCursor"].clone();
        if info["hasPreviousPage"] != true {
            break;
        }
    }
    Ok(rows)
}

/// The events after a position, over as many pages as it takes.
async fn following(
    client: &Client,
    filter: &Value,
    after: u64,
    limit: usize,
) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut after = after;
    while rows.len() < limit {
        let first = SERVER_PAGE.min(limit - rows.len());
        let next = page(client, filter, after, first).await?;
        let full = next.len() == first;
        rows.extend(next);
        match rows.last().and_then(|row| row["position"].as_u64()) {
            Some(position) if full => after = position,
            _ => break,
        }
    }
    Ok(rows)
}

async fn page(client: &Client, filter: &Value, after: u64, first: usize) -> Result<Vec<Value>> {
    let mut filter = filter.clone();
    filter["positionAfter"] = json!(after);
    let answer = client
        .query(AFTER, json!({ "first": first, "where": filter }))
        .await?;
    Ok(nodes(&answer["events"]))
}
