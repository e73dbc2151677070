//! The intake as a function of AWS Lambda: behind an S3 bucket, a queue, an SNS topic or an
//! EventBridge rule it appends what stores tell to a ledger on PostgreSQL or EventStoreDB, where the
//! command services find it.
//!
//! ```text
//!  S3, SQS, SNS, EventBridge ─ invocation ─> Intake ─> event log <─ subscriptions ─ daybook serve
//!                                   │
//!                                   └─> nothing, or the messages of a queue that are to come again
//! ```
//! It keeps nothing: any number of copies run, and are frozen and ended as AWS likes. What it answers
//! is told in `answer.rs`, what it is told in `config.rs`. `deploy/` deploys it.

mod answer;
mod config;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use daybook_command_service::Ledger;
use daybook_command_service::intake::{Intake, NoSns, Sns, SnsOverHttps};
use daybook_event_store::EventLog;
use daybook_event_store::open::LogUrl;
use daybook_event_store::postgres::{PostgresEventLog, PostgresOptions};
use daybook_event_store::sqlite::SqliteOptions;
use daybook_intake::{Delivery, Transport};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use config::Config;

/// How long an append is tried again while the database is away: well below the least time-out that an
/// intake is given, so that an invocation fails with a reason and not by it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Readers of one copy, which handles one event at a time.
const READERS: usize = 4;
/// Nobody subscribes here, so that the end of the log is of little interest.
const POLL: Duration = Duration::from_secs(60);
/// How long a connection to Amazon SNS may take.
const SNS_CONNECT: Duration = Duration::from_secs(5);

/// The name of an error that passes by itself.
const UNAVAILABLE: &str = "Daybook.Unavailable";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // AWS writes the time before each line.
        .without_time()
        .init();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    let config = Config::from_environment()?;
    let intake = OnceCell::new();
    // Before the first event, while AWS gives a starting function more of the processor. Where that
    // fails, each event tries again.
    if let Err(error) = intake.get_or_try_init(|| open(&config)).await {
        tracing::warn!("{error:#}");
    }
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let (intake, config) = (&intake, &config);
        async move {
            let intake = intake.get_or_try_init(|| open(config)).await;
            let intake = intake.map_err(|error| unavailable(format!("{error:#}")))?;
            take_in(intake, event.payload.get()).await
        }
    });
    let served = lambda_runtime::run(handler).await;
    served.map_err(|error| anyhow!("{error}"))
}

/// Takes in one event, as it came.
async fn take_in(intake: &Intake, event: &str) -> Result<Value, Diagnostic> {
    let delivery = Delivery {
        transport: Transport::Lambda,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::copy_from_slice(event.as_bytes()),
    };
    let delivered = intake.deliver(None, delivery).await;
    for record in &delivered.records {
        answer::log(record);
    }
    answer::of(&delivered, event.contains(answer::QUEUE)).map_err(unavailable)
}

fn unavailable(why: String) -> Diagnostic {
    Diagnostic {
        error_type: UNAVAILABLE.to_owned(),
        error_message: why,
    }
}

async fn open(config: &Config) -> Result<Intake> {
    let log = open_log(&config.store)
        .await
        .with_context(|| format!("the event log {} cannot be opened", config.store))?;
    // What the intake records is small; a log that keeps no blobs needs none for it.
    let blobs = match log.blob_store() {
        Some(blobs) => blobs,
        None => daybook_event_store::blobs::BlobStore::open(config::SCRATCH)
            .context("the folder for scratch cannot be used")?,
    };
    let sns: Arc<dyn Sns> = match config.verify_sns {
        true => Arc::new(SnsOverHttps::new(SNS_CONNECT)),
        false => Arc::new(NoSns),
    };
    let ledger = Ledger::new(log, blobs, true);
    Intake::new(ledger, sns, config.intake()).context("the intake does not start")
}

async fn open_log(url: &LogUrl) -> Result<Arc<dyn EventLog>> {
    let LogUrl::Postgres(text) = url else {
        return Ok(daybook_event_store::open::open(url, SqliteOptions::default()).await?);
    };
    let options = PostgresOptions {
        readers: READERS,
        poll_interval: POLL,
        patience: PATIENCE,
        attempt_timeout: ATTEMPT,
        ..PostgresOptions::default()
    };
    Ok(PostgresEventLog::connect(text, options).await?)
}
