//! `daybook objects`.

use anyhow::Result;
use serde_json::{Value, json};

use super::{fetch_all, limit_of, status_of};
use crate::cli::{Format, ObjectsArgs};
use crate::client::Client;
use crate::output::{self, Column, text, time};

const QUERY: &str = "query($first: Int!, $after: String, $where: ObjectWhere) {
  objects(first: $first, after: $after, where: $where) {
    edges { node { bucket key versionId etag size status createdAt } }
    pageInfo { hasNextPage endCursor }
  }
}";

/// What a table of objects shows.
pub(crate) const COLUMNS: &[Column] = &[
    ("STATUS", |row| text(&row["status"])),
    ("OBJECT", |row| {
        format!("s3://{}/{}", text(&row["bucket"]), text(&row["key"]))
    }),
    ("BYTES", |row| text(&row["size"])),
    ("ARRIVED", |row| time(&row["createdAt"])),
];

/// The newest objects that fit.
pub(crate) async fn fetch(client: &Client, filter: &Value, limit: usize) -> Result<Vec<Value>> {
    fetch_all(client, QUERY, "objects", json!({ "where": filter }), limit).await
}

pub(super) async fn run(client: &Client, format: Format, args: ObjectsArgs) -> Result<()> {
    let mut filter = json!({});
    for (name, value) in [("bucket", args.bucket), ("prefix", args.prefix)] {
        if let Some(value) = value {
            filter[name] = json!(value);
        }
    }
    if let Some(status) = status_of(args.status) {
        filter["status"] = json!([status]);
    }
    let rows = fetch(client, &filter, limit_of(&args.page)).await?;
    output::list(format, &rows, COLUMNS);
    Ok(())
}
