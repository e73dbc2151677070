//! What each command does: asks a running server and prints the answer. `log` opens the log itself.

pub(crate) mod objects;

mod config;
mod events;
mod executions;
mod export;
mod functions;
mod intake;
mod invoke;
mod log;
mod logs;
mod pipeline;
mod projections;
mod reconcile;
mod rejected;
mod replay;
mod show;
mod status;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Cli, Command, IntakeCommand, Page};
use crate::client::Client;
use crate::{bench, builtin, demo, output, serve};

/// Checked and found wanting.
const WANTING: u8 = 3;

/// The most rows that the server gives at once.
const SERVER_PAGE: usize = 100;

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode> {
    let client = Client::new(&cli.server);
    let format = cli.output;
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args)).await?,
        Command::Demo(args) => demo::run(args).await?,
        Command::Bench(args) => return Box::pin(bench::run(args)).await,
        Command::Function { function } => builtin::run(function).await?,
        Command::Status => status::run(&client, format).await?,
        Command::Objects(args) => objects::run(&client, format, args).await?,
        Command::Executions(args) => executions::run(&client, format, args).await?,
        Command::Functions => functions::run(&client, format).await?,
        Command::Show { target } => show::run(&client, format, &target).await?,
        Command::Logs(args) => logs::run(&client, format, args).await?,
        Command::Invoke(args) => return invoke::run(format, args).await,
        Command::Events(args) => events::run(&client, format, args).await?,
        Command::Config(command) => return config::run(format, command).await,
        Command::Redrive {
            execution,
            reason,
            shadow,
        } => {
            let path = format!("/v1/executions/{execution}/redrive");
            let request = json!({ "reason": reason, "shadow": shadow });
            let answer = client.post(&path, request).await?;
            output::document(format, &answer, || {
                let started = format!("started execution {}", output::text(&answer["execution"]));
                match answer["shadow"].as_str() {
                    Some(prefix) => format!("{started} as a shadow; it writes below {prefix}"),
                    None => started,
                }
            });
        }
        Command::Pipeline(command) => pipeline::run(&client, format, command).await?,
        Command::Replay(command) => replay::run(&client, format, command).await?,
        Command::Reconcile(args) => return reconcile::run(&client, format, args).await,
        Command::Export(args) => export::run(&client, format, args).await?,
        Command::Verify { path } => return export::verify(format, &path),
        Command::Intake(IntakeCommand::Decode(args)) => return intake::run(format, args).await,
        Command::Intake(IntakeCommand::Rejected { id: None, limit }) => {
            rejected::list(&client, format, limit).await?;
        }
        Command::Intake(IntakeCommand::Rejected { id: Some(id), .. }) => {
            rejected::show(&client, format, &id).await?;
        }
        Command::Log(command) => return log::run(format, command).await,
        Command::Projections(command) => return projections::run(&client, format, command).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// The first rows of a connection, over as many pages as it takes.
async fn fetch_all(
    client: &Client,
    query: &str,
    field: &str,
    variables: Value,
    limit: usize,
) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut after = Value::Null;
    while rows.len() < limit {
        let mut variables = variables.clone();
        variables["first"] = json!(SERVER_PAGE.min(limit - rows.len()));
        variables["after"] = after;
        let answer = client.query(query, variables).await?;
        let connection = &answer[field];
        rows.extend(crate::timeline::nodes(connection));
        after = connection["pageInfo"]["endCursor"].clone();
        if connection["pageInfo"]["hasNextPage"] != true {
            break;
        }
    }
    Ok(rows)
}

/// How many rows a list shows; at least one.
fn limit_of(page: &Page) -> usize {
    page.limit.max(1)
}

/// Statuses are upper case on the wire; people may write them as they like.
fn status_of(status: Option<String>) -> Option<String> {
    status.map(|status| status.to_uppercase().replace('-', "_"))
}
