//! The story of an object or an execution, told from its events.
//!
//! Data comes from GraphQL (`object { events executions { events } }`); each event type has one
//! line. Times are those at which the log took the event.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::client::Client;
use crate::lineage;
use crate::output::{plain, short, text};

/// How many events of a stream and executions of an object are told, the newest ones.
const TOLD: usize = 100;

const OBJECT: &str = "query($bucket: String!, $key: String!, $told: Int!) {
  object(bucket: $bucket, key: $key) {
    bucket key versionId etag size status
    producedBy { executionId attempt attemptStatus }
    events(last: $told) { edges { node { position type recordedAt actor data } } }
    executions(last: 20) { edges { node { id events(last: $told) { edges { node { position type recordedAt actor data } } } } } }
  }
}";

/// What is on record for a key that never was an object: what a store told of it led to nothing.
const NO_OBJECT: &str = "query($stream: String!, $told: Int!) {
  events(last: $told, where: { stream: $stream }) { edges { node { position type recordedAt actor data } } }
}";

const EXECUTION: &str = "query($id: ID!, $told: Int!) {
  execution(id: $id) {
    id status generation shadow pipelineRevision pipelineName object { bucket key }
    attempts { attempt logs }
    readObjects { bucket key versionId ranges { first last } }
    writtenObjects { bucket key versionId }
    events(last: $told) { edges { node { position type recordedAt actor data } } }
  }
}";

/// The story of an object.
pub(crate) async fn object(client: &Client, bucket: &str, key: &str) -> Result<String> {
    Ok(tell_object(&fetch_object(client, bucket, key).await?))
}

/// The object with its events, as it came.
pub(crate) async fn fetch_object(client: &Client, bucket: &str, key: &str) -> Result<Value> {
    let variables = json!({ "bucket": bucket, "key": key, "told": TOLD });
    let mut answer = client.query(OBJECT, variables).await?;
    match answer["object"].take() {
        Value::Null => fetch_told(client, bucket, key).await,
        mut object => {
            lineage::add_to_object(client, &mut object).await?;
            Ok(object)
        }
    }
}

/// What was told of a key that never was an object.
async fn fetch_told(client: &Client, bucket: &str, key: &str) -> Result<Value> {
    let stream = format!("object-{bucket}/{key}");
    let variables = json!({ "stream": stream, "told": TOLD });
    let mut answer = client.query(NO_OBJECT, variables).await?;
    let events = answer["events"].take();
    match nodes(&events).is_empty() {
        true => Err(anyhow!("the ledger knows no object s3://{bucket}/{key}")),
        false => Ok(json!({ "bucket": bucket, "key": key, "status": null, "events": events })),
    }
}

/// The execution with its events, as it came.
pub(crate) async fn fetch_execution(client: &Client, id: &str) -> Result<Value> {
    let mut answer = client
        .query(EXECUTION, json!({ "id": id, "told": TOLD }))
        .await?;
    match answer["execution"].take() {
        Value::Null => Err(anyhow!("the ledger knows no execution {id}")),
        mut execution => {
            lineage::add_to_execution(client, &mut execution).await?;
            Ok(execution)
        }
    }
}

/// The story of an object: its own events and those of its executions, in the order of the log.
pub(crate) fn tell_object(object: &Value) -> String {
    let mut told = format!(
        "s3://{}/{}",
        text(&object["bucket"]),
        plain(&text(&object["key"])),
    );
    let _ = match object["status"].as_str() {
        Some(status) => write!(told, "  {status}  {} bytes", text(&object["size"])),
        None => write!(told, "  never was an object here"),
    };
    if let Some(etag) = object["etag"].as_str() {
        let _ = write!(told, "  etag {etag}");
    }
    let mut events = nodes(&object["events"]);
    for execution in nodes(&object["executions"]) {
        events.extend(nodes(&execution["events"]));
    }
    told.push_str(&lines(events));
    let by = &object["producedBy"];
    if let Some(status @ ("FAILED" | "TIMED_OUT" | "INTERRUPTED" | "ABORTED")) =
        by["attemptStatus"].as_str()
    {
        let _ = write!(
            told,
            "\nwritten by attempt {} of execution {}, which ended {status}",
            text(&by["attempt"]),
            text(&by["executionId"])
        );
    }
    told.push_str(&lineage::tell_object(object));
    told
}

/// The story of an execution.
pub(crate) fn tell_execution(execution: &Value) -> String {
    let mut told = format!(
        "execution {}  {}\npipeline {} revision {}, run {} for s3://{}/{}",
        text(&execution["id"]),
        text(&execution["status"]),
        text(&execution["pipelineName"]),
        text(&execution["pipelineRevision"]),
        text(&execution["generation"]),
        text(&execution["object"]["bucket"]),
        plain(&text(&execution["object"]["key"])),
    );
    if let Some(prefix) = execution["shadow"].as_str() {
        let _ = write!(told, "\nas a shadow: what it writes goes below {prefix}");
    }
    told.push_str(&lines(nodes(&execution["events"])));
    told.push_str(&lineage::tell_execution(execution));
    for attempt in execution["attempts"].as_array().into_iter().flatten() {
        let logs = text(&attempt["logs"]);
        if !logs.is_empty() {
            let _ = write!(told, "\n\nlogs of attempt {}:", text(&attempt["attempt"]));
        }
        for line in logs.trim_end().lines() {
            let _ = write!(told, "\n{}", plain(line));
        }
    }
    told
}

fn lines(mut events: Vec<Value>) -> String {
    events.sort_by_key(|event| event["position"].as_u64());
    let mut told = String::new();
    for event in events {
        let time = crate::output::time(&event["recordedAt"]);
        let (what, detail) = describe(&event);
        let _ = write!(told, "\n{time}  {what:<10} {}", plain(&detail));
    }
    told
}

/// One event in a word and a sentence.
fn describe(event: &Value) -> (&'static str, String) {
    let data = &event["data"];
    match event["type"].as_str().unwrap_or_default() {
        "ObjectCreated" => {
            let by = match &data["produced_by"] {
                Value::Null => format!("by {}", text(&event["actor"])),
                by => format!(
                    "by function {}, attempt {} of execution {}",
                    text(&by["function"]),
                    text(&by["attempt"]),
                    short(&text(&by["execution"]))
                ),
            };
            let repeated = if data["repeated"] == true {
                ", the same content again"
            } else {
                ""
            };
            (
                "arrived",
                format!("{} {by}{repeated}{}", text(&data["event_name"]), told(data)),
            )
        }
        "ObjectRemoved" => (
            "removed",
            format!("by {}{}", text(&event["actor"]), told(data)),
        ),
        "NotificationDisregarded" => (verdict(data), disregarded(data)),
        "ExecutionStarted" => ("started", started(data)),
        "TaskStateEntered" => ("entered", format!("state {}", text(&data["state"]))),
        "TaskScheduled" => (
            "scheduled",
            format!(
                "attempt {} of {}",
                text(&data["attempt"]),
                text(&data["function"])
            ),
        ),
        "TaskStarted" => (
            "running",
            format!(
                "attempt {} on code revision {} (sha256 {:.12}) by worker {}",
                text(&data["attempt"]),
                text(&data["code"]["revision"]),
                text(&data["code"]["sha256"]),
                short(&text(&data["worker"]))
            ),
        ),
        "TaskCommitted" => (
            "committed",
            format!(
                "attempt {} succeeded; its outputs are being published{}",
                text(&data["attempt"]),
                report(&data["report"])
            ),
        ),
        "TaskSucceeded" => (
            "answered",
            format!(
                "attempt {}{}",
                text(&data["attempt"]),
                report(&data["report"])
            ),
        ),
        "TaskFailed" => (
            "failed",
            format!(
                "attempt {}: {}: {}{}",
                text(&data["attempt"]),
                text(&data["error"]),
                message(&data["cause"]),
                report(&data["report"])
            ),
        ),
        "TaskTimedOut" => (
            "timed out",
            format!(
                "attempt {}{}",
                text(&data["attempt"]),
                report(&data["report"])
            ),
        ),
        "TaskInterrupted" => (
            "stopped",
            format!("attempt {}: {}", text(&data["attempt"]), text(&data["why"])),
        ),
        "RetryScheduled" => (
            "retry",
            format!(
                "attempt {} is due {}",
                text(&data["attempt"]),
                text(&data["due"])
            ),
        ),
        "TaskStateExited" => ("left", format!("state {}", text(&data["state"]))),
        "ExecutionSucceeded" => ("SUCCEEDED", format!("output {}", excerpt(&data["output"]))),
        "ExecutionFailed" => (
            "FAILED",
            format!("{}: {}", text(&data["error"]), message(&data["cause"])),
        ),
        "ExecutionTimedOut" => (
            "TIMED OUT",
            format!("after {} s", text(&data["timeout_seconds"])),
        ),
        "ExecutionAborted" => ("ABORTED", format!("by {}", text(&data["actor"]))),
        _ => ("event", text(&event["type"])),
    }
}

/// What the store said of it, where one told.
fn told(data: &Value) -> String {
    let told = &data["told"];
    let mut said = Vec::new();
    for (name, value) in [
        ("at", &told["event_time"]),
        ("sequencer", &told["sequencer"]),
        ("bucket", &told["bucket"]),
    ] {
        if let Some(value) = value.as_str() {
            said.push(format!("{name} {value}"));
        }
    }
    match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join(", ")),
    }
}

/// The verdict on what led to nothing, as one word.
fn verdict(data: &Value) -> &'static str {
    match data["verdict"].as_str() {
        Some("duplicate") => "duplicate",
        Some("stale") => "stale",
        _ => "ignored",
    }
}

fn disregarded(data: &Value) -> String {
    let channel = text(&data["channel"]["notification"]);
    let event = match data["told"]["event_name"].as_str() {
        Some(name) => format!("{name} by {channel}"),
        None => format!("by {channel}"),
    };
    let again = match data["repeats"].as_u64() {
        None | Some(0 | 1) => String::new(),
        Some(times) => format!(", {times} times"),
    };
    format!("{event}{}{again}: {}", told(data), text(&data["why"]))
}

fn started(data: &Value) -> String {
    let cause = &data["cause"];
    let why = match cause["kind"].as_str() {
        Some("redrive") => {
            let reason = match cause["reason"].as_str() {
                Some(reason) => format!(" ({reason})"),
                None => String::new(),
            };
            format!(
                "as redrive of {} by {}{reason}",
                short(&text(&cause["of"])),
                text(&data["actor"])
            )
        }
        Some("replay") => format!(
            "as replay of {} by {}",
            short(&text(&cause["of"])),
            text(&data["actor"])
        ),
        Some("revision") => format!(
            "because revision {} of function {} had not processed the object, by {}",
            text(&cause["revision"]),
            text(&cause["function"]),
            text(&data["actor"])
        ),
        _ => match data["actor"].as_str() {
            // A backfill; the object was there before the pipeline, or nobody had told of it.
            Some(actor) if actor.starts_with("reconcile:") => {
                format!("because the object was there, by {actor}")
            }
            _ => "because the object arrived".to_owned(),
        },
    };
    let shadow = match data["shadow"].as_str() {
        Some(_) => ", as a shadow",
        None => "",
    };
    format!(
        "execution {} of pipeline {} revision {} {why}{shadow}",
        text(&data["execution"]),
        text(&data["pipeline"]),
        text(&data["pipeline_revision"])
    )
}

/// What an attempt touched and cost.
fn report(report: &Value) -> String {
    let mut told = String::new();
    if let Some(ms) = report["duration_ms"].as_u64() {
        let _ = write!(told, " after {ms} ms");
    }
    for (verb, list) in [("read", &report["read"]), ("wrote", &report["written"])] {
        for object in list.as_array().into_iter().flatten() {
            let verb = match object["staged"] == true {
                true => "staged",
                false => verb,
            };
            let _ = write!(
                told,
                ", {verb} s3://{}/{}{}",
                text(&object["bucket"]),
                text(&object["key"]),
                lineage::ranges(object)
            );
        }
    }
    if report["lineage_known"] == false {
        told.push_str("; lineage UNKNOWN: what it read and wrote is not known");
    }
    for refused in report["refused"].as_array().into_iter().flatten() {
        let _ = write!(told, "; refused: {}", text(refused));
    }
    told
}

/// The message of a Lambda error document, or the text as it is.
fn message(cause: &Value) -> String {
    let text = text(cause);
    let document: Option<Value> = serde_json::from_str(&text).ok();
    match document
        .as_ref()
        .and_then(|document| document["errorMessage"].as_str())
    {
        Some(message) => message.to_owned(),
        None => text,
    }
}

fn excerpt(value: &Value) -> String {
    const SHOWN: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The nodes of a connection.
pub(crate) fn nodes(connection: &Value) -> Vec<Value> {
    let edges = connection["edges"].as_array();
    edges
        .into_iter()
        .flatten()
        .map(|edge| edge["node"].clone())
        .collect()
}
