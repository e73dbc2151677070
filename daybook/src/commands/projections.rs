//! `daybook projections list|rebuild`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::WANTING;
use crate::cli::{Format, ProjectionsCommand};
use crate::client::Client;
use crate::output::{self, Column, text};

/// What a table of read models shows.
pub(super) const COLUMNS: &[Column] = &[
    ("READ MODEL", |row| text(&row["name"])),
    ("POSITION", |row| text(&row["position"])),
    ("LAG", |row| text(&row["lag"])),
    ("STATE", |row| text(&row["state"])),
];

pub(super) async fn run(
    client: &Client,
    format: Format,
    command: ProjectionsCommand,
) -> Result<ExitCode> {
    match command {
        ProjectionsCommand::List => {
            let answer = client.get("/v1/projections").await?;
            let rows = answer["projections"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            output::list(format, &rows, COLUMNS);
            Ok(ExitCode::SUCCESS)
        }
        ProjectionsCommand::Rebuild { name } => {
            let report = client
                .post(&format!("/v1/projections/{name}/rebuild"), json!({}))
                .await?;
            let equal = report["equal"] == true;
            output::document(format, &report, || {
                let position = text(&report["position"]);
                if equal {
                    format!(
                        "rebuilt at position {position}; the old and the new read model are equal"
                    )
                } else {
                    format!(
                        "rebuilt at position {position}; the old read model differed:\n{:#}",
                        report["differences"]
                    )
                }
            });
            Ok(if equal {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(WANTING)
            })
        }
    }
}
