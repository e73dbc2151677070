//! `daybook intake rejected`: what a server could not understand or believe.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cli::Format;
use crate::client::Client;
use crate::output::{self, Column, text, time};

const COLUMNS: &[Column] = &[
    ("TIME", |row| time(&row["at"])),
    ("ID", |row| text(&row["id"])),
    ("SOURCE", |row| text(&row["source"])),
    ("REASON", |row| text(&row["reason"])),
    ("RECORDS", |row| text(&row["records"])),
    ("BYTES", |row| text(&row["bodyBytes"])),
    ("DETAIL", |row| text(&row["detail"])),
];

/// Lists the newest ones.
pub(super) async fn list(client: &Client, format: Format, limit: usize) -> Result<()> {
    let path = format!("/v1/notifications/rejected?limit={limit}");
    let mut answer = client.get(&path).await?;
    let rows = match answer["rejected"].take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    };
    output::list(format, &rows, COLUMNS);
    Ok(())
}

/// Shows one, with what was kept of it.
pub(super) async fn show(client: &Client, format: Format, id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        bail!("{id:?} is not the id of a rejected delivery; `daybook intake rejected` lists them");
    }
    let answer = client
        .get(&format!("/v1/notifications/rejected/{id}"))
        .await?;
    output::document(format, &answer, || told(&answer));
    Ok(())
}

fn told(kept: &Value) -> String {
    let mut lines = vec![
        format!(
            "{} by {} for {}: {}",
            time(&kept["at"]),
            text(&kept["transport"]),
            kept["source"].as_str().unwrap_or("no source"),
            text(&kept["detail"]),
        ),
        String::new(),
    ];
    for (mark, pairs) in [("", &kept["headers"]), ("?", &kept["query"])] {
        for pair in pairs.as_array().into_iter().flatten() {
            lines.push(format!("{mark}{}: {}", text(&pair[0]), text(&pair[1])));
        }
    }
    lines.push(String::new());
    let (body, whole) = match (kept["body"].as_str(), kept["bodyBase64"].as_str()) {
        (Some(body), _) => (body.to_owned(), json!(body.len()) == kept["bodyBytes"]),
        (None, Some(bytes)) => (bytes.to_owned(), false),
        (None, None) => (String::new(), true),
    };
    lines.push(body);
    if !whole {
        lines.push(format!("({} bytes came)", text(&kept["bodyBytes"])));
    }
    let plain = lines.iter().map(|line| output::plain(line));
    plain.collect::<Vec<_>>().join("\n")
}
