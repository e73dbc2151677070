//! `daybook replay …`.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{fetch_all, limit_of, status_of};
use crate::cli::{Format, ReplayCommand, ReplayStartArgs};
use crate::client::Client;
use crate::output::{self, Column, text, time};

const LIST: &str = "query($first: Int!, $after: String) {
  replays(first: $first, after: $after) {
    edges { node { id status planned done actor reason startedAt stoppedAt pipelineName } }
    pageInfo { hasNextPage endCursor }
  }
}";

const ONE: &str = "query($id: ID!) {
  replay(id: $id) { id status planned done actor reason startedAt stoppedAt pipelineName }
}";

const COLUMNS: &[Column] = &[
    ("STATUS", |row| text(&row["status"])),
    ("REPLAY", |row| text(&row["id"])),
    ("PIPELINE", |row| text(&row["pipelineName"])),
    ("STARTED", |row| {
        format!("{} of {}", text(&row["done"]), text(&row["planned"]))
    }),
    ("ASKED", |row| time(&row["startedAt"])),
    ("BY", |row| text(&row["actor"])),
    ("REASON", |row| text(&row["reason"])),
];

pub(super) async fn run(client: &Client, format: Format, command: ReplayCommand) -> Result<()> {
    match command {
        ReplayCommand::Start(args) => start(client, format, args).await,
        ReplayCommand::List(page) => {
            let rows = fetch_all(client, LIST, "replays", json!({}), limit_of(&page)).await?;
            output::list(format, &rows, COLUMNS);
            Ok(())
        }
        ReplayCommand::Show { replay } => {
            let mut answer = client.query(ONE, json!({ "id": replay })).await?;
            match answer["replay"].take() {
                Value::Null => bail!("the ledger knows no replay {replay}"),
                row => {
                    let table = || output::table(std::slice::from_ref(&row), COLUMNS);
                    output::document(format, &row, table);
                    Ok(())
                }
            }
        }
        ReplayCommand::Cancel { replay } => {
            let answer = client
                .post(&format!("/v1/replays/{replay}/cancel"), json!({}))
                .await?;
            output::document(format, &answer, || {
                format!(
                    "{} after {} executions",
                    text(&answer["status"]),
                    text(&answer["started"])
                )
            });
            Ok(())
        }
    }
}

async fn start(client: &Client, format: Format, args: ReplayStartArgs) -> Result<()> {
    let request = json!({
        "pipeline": args.pipeline,
        "status": status_of(args.status),
        "since": args.since,
        "until": args.until,
        "dryRun": args.dry_run,
        "reason": args.reason,
    });
    let answer = client.post("/v1/replays", request).await?;
    output::document(format, &answer, || {
        let (count, position) = (text(&answer["count"]), text(&answer["selectedAt"]));
        match answer["replay"].as_str() {
            None => format!("would run {count} executions again (chosen at position {position})"),
            Some(id) => {
                format!("replay {id} runs {count} executions again (chosen at position {position})")
            }
        }
    });
    Ok(())
}
