//! `daybook config check|show`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::WANTING;
use crate::cli::{ConfigCommand, Format};
use crate::config::{self, Config};
use crate::output;

pub(super) fn run(format: Format, command: ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check { config } => match Config::load(&config, None) {
            Ok(_) => {
                let answer = json!({ "config": config, "valid": true });
                output::document(format, &answer, || format!("{} can run", config.display()));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
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
