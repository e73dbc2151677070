//! `daybook config check|show`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use daybook_functions::FunctionHost;
use serde_json::json;

use super::WANTING;
use crate::cli::{ConfigCommand, Format};
use crate::config::{self, Config};
use crate::no_storage::NoStorage;
use crate::output;
use crate::server;

pub(super) async fn run(format: Format, command: ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check { config } => match check(&config).await {
            Ok(()) => {
                let answer = json!({ "config": config, "valid": true });
                output::document(format, &answer, || format!("{} can run", config.display()));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let text = format!("{error:#}");
                let answer = json!({ "config": config, "valid": false, "error": text });
                output::document(format, &answer, || text.clone());
                Ok(ExitCode::from(WANTING))
            }
        },
        ConfigCommand::Show { config } => {
            let shown = config::show(&Config::load(&config, None)?);
            output::document(format, &shown, || format!("{shown:#}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Whether the config is right and its functions can run here: their code, interpreters and
/// clients are there.
async fn check(path: &Path) -> Result<()> {
    let mut config = Config::load(path, None)?;
    let functions = std::mem::take(&mut config.functions);
    let run_dir = tempfile::tempdir().context("no temporary folder could be made")?;
    let options = server::host_options(&config, run_dir.path().to_owned())?;
    let host = FunctionHost::new(std::sync::Arc::new(NoStorage::default()), options);
    for function in functions {
        host.load(function).await?;
    }
    Ok(())
}
