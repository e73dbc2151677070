//! The program: command line, config, and the wiring of the services.
//!
//! `serve` and `demo` run the services in this process; `log` opens the event log itself; all other
//! commands are clients of a running server. Answers go to standard output, logs to standard error.
//! Exit codes: 0 fine, 1 failed, 2 usage, 3 checked and found wanting.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod actor;
mod bench;
mod bench_calls;
mod bench_intake;
mod bench_reconcile;
mod builtin;
mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod guard;
mod lineage;
mod listener;
mod memory;
mod no_storage;
mod operator_key;
mod output;
mod roles;
mod serve;
mod server;
mod store;
mod telemetry;
mod timeline;
mod usage;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::server::LAUNCH_COMMAND;

/// Called in a way that cannot be meant; also what clap exits with.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before any thread is there, and without what a command line needs: it costs each start.
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == LAUNCH_COMMAND)
    {
        let told = arguments.next().unwrap_or_default();
        let code = daybook_functions::launch(&told.to_string_lossy());
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let cli = cli::Cli::parse();
    // s3s logs each refused request as an error; the gateway has its own access log.
    let default = if cli.is_server() {
        "info,s3s=off"
    } else {
        "warn,s3s=off"
    };
    let filter = EnvFilter::try_from_env("DAYBOOK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    // A built-in function does one thing at a time: threads would only wake each other.
    let mut builder = match &cli.command {
        cli::Command::Function { .. } => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("daybook: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("daybook: {error:#}");
            if error.is::<usage::UsageError>() {
                return ExitCode::from(USAGE);
            }
            ExitCode::FAILURE
        }
    }
}
