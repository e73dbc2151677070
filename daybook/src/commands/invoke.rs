//! `daybook invoke`: tries one function alone, in the same host, with the same environment and the
//! same limits as a server would, and records nothing.
//!
//! It has no storage: whatever it asks of S3 is refused with a message that says so. A gateway would
//! write into the buckets that a running server watches, and what lands there is processed.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use daybook_command_service::s3_event;
use daybook_domain::execution::TriggerObject;
use daybook_domain::stored_object::ObjectVersion;
use daybook_domain::{Chain, ExecutionId};
use daybook_functions::{FunctionHost, Invocation, OutcomeResult};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::cli::{Format, InvokeArgs};
use crate::config::Config;
use crate::no_storage::NoStorage;
use crate::{output, server};

/// What S3 clients are told.
const REFUSAL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
    <Message>daybook invoke has no storage: have the object arrive at a server for that</Message></Error>";

pub(super) async fn run(format: Format, args: InvokeArgs) -> Result<ExitCode> {
    let config = Config::load(&args.config, None)?;
    let names = || {
        let names = config.functions.iter().map(|spec| spec.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let spec = config
        .functions
        .iter()
        .find(|spec| spec.name.as_str() == args.function)
        .with_context(|| {
            format!(
                "there is no function {}; there are: {}",
                args.function,
                names()
            )
        })?
        .clone();
    let payload = match (&args.event, &args.s3_object) {
        (Some(file), _) => read_event(file)?,
        (None, Some(object)) => event_of(object, &config.region)?.to_string().into(),
        (None, None) => bail!("give an event: --event FILE or --s3-object s3://BUCKET/KEY"),
    };
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("no port on loopback could be had")?;
    let storage = NoStorage {
        endpoint: format!("http://{}", listener.local_addr()?),
        region: config.region.clone(),
    };
    let refusing = Router::new().fallback(|| async {
        let xml = [(header::CONTENT_TYPE, "application/xml")];
        (StatusCode::FORBIDDEN, xml, REFUSAL)
    });
    let _refusing =
        AbortOnDropHandle::new(tokio::spawn(axum::serve(listener, refusing).into_future()));
    let run_dir = tempfile::tempdir().context("no temporary folder could be made")?;
    let options = server::host_options(&config, run_dir.path().to_owned())?;
    let host = FunctionHost::new(Arc::new(storage), options);
    let name = spec.name.clone();
    host.load(spec).await?;
    let slot = host
        .reserve(&name)
        .with_context(|| format!("function {name} has no free process"))?;
    let outcome = host.invoke(slot, invocation(payload)).await;
    host.shutdown(Duration::ZERO).await;
    eprint!("{}", outcome.logs);
    Ok(tell(format, outcome.result))
}

fn tell(format: Format, result: OutcomeResult) -> ExitCode {
    let failure = match result {
        OutcomeResult::Succeeded(answer) => {
            output::document(format, &answer, || format!("{answer:#}"));
            return ExitCode::SUCCESS;
        }
        OutcomeResult::Failed { cause, .. } | OutcomeResult::TimedOut { cause } => cause,
        OutcomeResult::Interrupted { why } => why,
    };
    let document = serde_json::from_str(&failure).unwrap_or(Value::String(failure));
    output::document(format, &document, || format!("{document:#}"));
    ExitCode::FAILURE
}

fn read_event(file: &Path) -> Result<Bytes> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
    }
    let _: Value = serde_json::from_str(&text)
        .with_context(|| format!("the event in {} is not JSON", file.display()))?;
    Ok(text.into())
}

/// The event that the arrival of an object would give; what the object is like is not looked up.
#[expect(clippy::disallowed_methods, reason = "the edge: an event of now")]
fn event_of(object: &str, region: &str) -> Result<Value> {
    let (bucket, key) = object
        .strip_prefix("s3://")
        .and_then(|path| path.split_once('/'))
        .with_context(|| format!("{object} is no object; write s3://BUCKET/KEY"))?;
    let object = TriggerObject {
        bucket: bucket
            .parse()
            .map_err(|error| anyhow!("{bucket}: {error}"))?,
        key: key.parse().map_err(|error| anyhow!("{key}: {error}"))?,
        version: ObjectVersion::default(),
    };
    let now = jiff::Timestamp::now();
    Ok(s3_event(&object, "ObjectCreated:Put", now, None, region))
}

#[expect(clippy::disallowed_methods, reason = "the edge: the id of a call")]
fn invocation(payload: Bytes) -> Invocation {
    Invocation {
        request_id: Uuid::new_v4(),
        execution: ExecutionId(Uuid::nil()),
        task: 1,
        attempt: 1,
        trigger: None,
        shadow: None,
        chain: Chain::default(),
        payload,
        timeout: None,
        traceparent: None,
        cancel: CancellationToken::new(),
    }
}
