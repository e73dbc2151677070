//! `daybook log check|copy`: the event log itself, opened where it is.

mod check;
mod copy;
mod progress;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use daybook_event_store::open::LogUrl;

use crate::cli::{Format, LogCommand};
use crate::usage::usage;

pub(super) async fn run(format: Format, command: LogCommand) -> Result<ExitCode> {
    match command {
        LogCommand::Check(args) => check::run(format, args).await,
        LogCommand::Copy { from, to } => copy::run(format, &from, &to).await,
    }
}

/// The log that an argument names.
fn named(text: &str, data_dir: Option<&Path>) -> Result<LogUrl> {
    match LogUrl::parse(text, data_dir) {
        Ok(url) => Ok(url),
        Err(error) => usage!("{error}"),
    }
}
