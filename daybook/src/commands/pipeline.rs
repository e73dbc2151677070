//! `daybook pipeline pause|resume`.

use anyhow::Result;
use serde_json::json;

use crate::cli::{Format, PipelineCommand};
use crate::client::Client;
use crate::output::{self, text};

pub(super) async fn run(client: &Client, format: Format, command: PipelineCommand) -> Result<()> {
    let (pipeline, what) = match command {
        PipelineCommand::Pause { pipeline } => (pipeline, "pause"),
        PipelineCommand::Resume { pipeline } => (pipeline, "resume"),
    };
    let path = format!("/v1/pipelines/{pipeline}/{what}");
    let answer = client.post(&path, json!({})).await?;
    output::document(format, &answer, || {
        let state = match answer["paused"] == true {
            true => "is paused: what it is owed stays pending",
            false => "runs",
        };
        format!("pipeline {} {state}", text(&answer["pipeline"]))
    });
    Ok(())
}
