//! `daybook executions`.

use anyhow::Result;
use serde_json::json;

use super::{fetch_all, limit_of, status_of};
use crate::cli::{ExecutionsArgs, Format};
use crate::client::Client;
use crate::output::{self, Column, text, time};

const QUERY: &str = "query($first: Int!, $after: String, $where: ExecutionWhere) {
  executions(first: $first, after: $after, where: $where) {
    edges { node { id status generation startedAt stoppedAt error pipelineRevision pipelineName object { bucket key } } }
    pageInfo { hasNextPage endCursor }
  }
}";

const COLUMNS: &[Column] = &[
    ("STATUS", |row| text(&row["status"])),
    ("EXECUTION", |row| text(&row["id"])),
    ("PIPELINE", |row| {
        format!(
            "{} r{}",
            text(&row["pipelineName"]),
            text(&row["pipelineRevision"])
        )
    }),
    ("OBJECT", |row| {
        format!(
            "s3://{}/{}",
            text(&row["object"]["bucket"]),
            text(&row["object"]["key"])
        )
    }),
    ("RUN", |row| text(&row["generation"])),
    ("STARTED", |row| time(&row["startedAt"])),
    ("ERROR", |row| text(&row["error"])),
];

pub(super) async fn run(client: &Client, format: Format, args: ExecutionsArgs) -> Result<()> {
    let mut filter = json!({});
    if let Some(pipeline) = args.pipeline {
        filter["pipeline"] = json!(pipeline);
    }
    if let Some(status) = status_of(args.status) {
        filter["status"] = json!([status]);
    }
    let variables = json!({ "where": filter });
    let rows = fetch_all(client, QUERY, "executions", variables, limit_of(&args.page)).await?;
    output::list(format, &rows, COLUMNS);
    Ok(())
}
