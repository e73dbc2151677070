//! `daybook reconcile …`: progress goes to standard error, the statement to standard output.
//!
//! What a statement says comes from two sides. The comparison is the command side's (`/v1`), from the
//! log itself; what became of the objects is the query side's, at a position no earlier than the
//! comparison's end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{WANTING, fetch_all, limit_of};
use crate::cli::{Format, ReconcileArgs, ReconcileCommand, ReconcileStartArgs};
use crate::client::Client;
use crate::output::{self, Column, plain, text, time};
use crate::usage::usage;

const LIST: &str = "query($first: Int!, $after: String) {
  reconciles(first: $first, after: $after) {
    edges { node {
      id status bucketName prefix dryRun actor reason startedAt stoppedAt position
      counts { keys versions accounted missing gone changed recorded filtered unsettled unprocessed started }
    } }
    pageInfo { hasNextPage endCursor }
  }
}";

const COMPLETENESS: &str = "query($bucket: String!, $prefix: String, $minPosition: Position) {
  completeness(bucket: $bucket, prefix: $prefix, minPosition: $minPosition) {
    position objects succeeded failed timedOut aborted pending running unmatched
  }
}";

const RECORDED: &str = "query($id: ID!) {
  reconcile(id: $id) {
    startedAt stoppedAt
    completeness {
      position objects succeeded failed timedOut aborted pending running unmatched
    }
  }
}";

/// How often to ask for the end of a reconcile that is over, and how long to wait in between.
const READ_SIDE_LOOKS: usize = 200;
const READ_SIDE_PAUSE: Duration = Duration::from_millis(50);

const COLUMNS: &[Column] = &[
    ("STATUS", |row| text(&row["status"])),
    ("RECONCILE", |row| text(&row["id"])),
    ("BUCKET", |row| {
        place(&text(&row["bucketName"]), &text(&row["prefix"]))
    }),
    ("KEYS", |row| text(&row["counts"]["keys"])),
    ("MISSING", |row| text(&row["counts"]["missing"])),
    ("GONE", |row| text(&row["counts"]["gone"])),
    ("CHANGED", |row| text(&row["counts"]["changed"])),
    ("RECORDED", |row| text(&row["counts"]["recorded"])),
    ("ASKED", |row| time(&row["startedAt"])),
    ("BY", |row| text(&row["actor"])),
];

const FINDING_COLUMNS: &[Column] = &[
    ("KIND", |row| text(&row["kind"])),
    ("KEY", |row| text(&row["key"])),
    ("VERSION", |row| text(&row["versionId"])),
    ("BYTES", |row| text(&row["size"])),
    ("MODIFIED", |row| time(&row["modifiedAt"])),
    ("RECORDED", |row| text(&row["recorded"])),
];

/// How many findings a table shows.
const TABLE_FINDINGS: usize = 50;

/// How often a reconcile that runs is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How often that is said where nobody can see a line change.
const SAY_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(client: &Client, format: Format, args: ReconcileArgs) -> Result<ExitCode> {
    match args.command {
        None => start(client, format, args.start).await,
        Some(ReconcileCommand::List(page)) => {
            let rows = fetch_all(client, LIST, "reconciles", json!({}), limit_of(&page)).await?;
            output::list(format, &rows, COLUMNS);
            Ok(ExitCode::SUCCESS)
        }
        Some(ReconcileCommand::Show { reconcile }) => {
            let answer = client.get(&format!("/v1/reconciles/{reconcile}")).await?;
            let statement = statement(client, answer).await?;
            tell(format, &statement);
            Ok(ExitCode::SUCCESS)
        }
        Some(ReconcileCommand::Pause { reconcile }) => {
            steer(client, format, &reconcile, "pause").await
        }
        Some(ReconcileCommand::Resume { reconcile }) => {
            steer(client, format, &reconcile, "resume").await
        }
        Some(ReconcileCommand::Cancel { reconcile }) => {
            steer(client, format, &reconcile, "cancel").await
        }
    }
}

async fn steer(client: &Client, format: Format, id: &str, what: &str) -> Result<ExitCode> {
    let path = format!("/v1/reconciles/{id}/{what}");
    let answer = client.post(&path, json!({})).await?;
    output::document(format, &answer, || text(&answer["status"]));
    Ok(ExitCode::SUCCESS)
}

async fn start(client: &Client, format: Format, args: ReconcileStartArgs) -> Result<ExitCode> {
    let (bucket, prefix) = target(args.target.as_deref().unwrap_or_default())?;
    // A pipeline is not let loose on a bucket before its count was seen.
    let counts_only = args.pipeline.is_some() && !args.yes;
    let dry_run = args.dry_run || counts_only;
    let request = json!({
        "bucket": bucket,
        "prefix": prefix,
        "dryRun": dry_run,
        "pipeline": args.pipeline,
        "revision": args.revision,
        "inventory": args.inventory,
        "rate": args.rate,
        "reason": args.reason,
    });
    let started = client.post("/v1/reconciles", request).await?;
    let id = text(&started["reconcile"]);
    if args.detach {
        output::document(format, &started, || format!("reconcile {id} runs"));
        return Ok(ExitCode::SUCCESS);
    }
    let answer = wait(client, &id).await?;
    match answer["status"].as_str() {
        Some("COMPLETED") => {}
        Some("FAILED") => bail!("{}", text(&answer["why"])),
        _ => bail!("reconcile {id} was cancelled"),
    }
    let statement = statement(client, answer).await?;
    tell(format, &statement);
    if counts_only && !args.dry_run && statement["counts"]["unprocessed"] != 0 {
        eprintln!("nothing was started; to start them, say so with --yes");
    }
    let counts = &statement["counts"];
    let differs = ["missing", "gone", "changed"]
        .iter()
        .any(|kind| counts[kind].as_u64() != Some(0));
    Ok(match args.dry_run && differs {
        true => ExitCode::from(WANTING),
        false => ExitCode::SUCCESS,
    })
}

/// Bucket and prefix of what was meant.
fn target(text: &str) -> Result<(String, String)> {
    let place = text.strip_prefix("s3://").unwrap_or(text);
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        usage!("{text:?} names no bucket; write BUCKET or BUCKET/PREFIX");
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

/// Waits for the end, and says meanwhile how far it is.
async fn wait(client: &Client, id: &str) -> Result<Value> {
    let alive = std::io::stderr().is_terminal();
    let mut said = Instant::now();
    let bar = alive.then(indicatif::ProgressBar::new_spinner);
    loop {
        let answer = client.get(&format!("/v1/reconciles/{id}")).await?;
        if answer["status"] != "RUNNING" && answer["status"] != "PAUSED" {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return Ok(answer);
        }
        let line = progress(&answer);
        match &bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None if said.elapsed() >= SAY_EVERY => {
                said = Instant::now();
                eprintln!("reconcile {id}: {line}");
            }
            None => {}
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn progress(answer: &Value) -> String {
    let counts = &answer["counts"];
    let mut line = format!(
        "{} keys, {} missing, {} gone, {} changed",
        text(&counts["keys"]),
        text(&counts["missing"]),
        text(&counts["gone"]),
        text(&counts["changed"]),
    );
    if answer["status"] == "PAUSED" {
        line.push_str("; paused");
    }
    if let Some(key) = answer["key"].as_str() {
        line.push_str(&format!("; at {}", plain(key)));
    }
    line
}

/// The whole statement: what was compared, what became of the objects, and what was found.
async fn statement(client: &Client, mut answer: Value) -> Result<Value> {
    let variables = json!({
        "bucket": answer["bucket"],
        "prefix": answer["prefix"],
        // Its own end is behind what it saw.
        "minPosition": answer["position"].as_u64().map(|position| position + 1),
    });
    let said = client.query(COMPLETENESS, variables).await?;
    let now = said["completeness"].clone();
    let over = !matches!(answer["status"].as_str(), Some("RUNNING" | "PAUSED"));
    let mut recorded = recorded_of(client, &answer).await?;
    // Something may have been recorded between where it saw the end of the log and its own end.
    for _ in 0..READ_SIDE_LOOKS {
        if !over || !recorded["stoppedAt"].is_null() {
            break;
        }
        tokio::time::sleep(READ_SIDE_PAUSE).await;
        recorded = recorded_of(client, &answer).await?;
    }
    answer["startedAt"] = recorded["startedAt"].clone();
    answer["stoppedAt"] = recorded["stoppedAt"].clone();
    // Of one that is not done, what has become of them until now.
    answer["completeness"] = match &recorded["completeness"] {
        Value::Null => now.clone(),
        done => done.clone(),
    };
    answer["now"] = now;
    let (id, mut findings, mut from) = (text(&answer["reconcile"]), Vec::new(), Some(0));
    while let Some(at) = from {
        let path = format!("/v1/reconciles/{id}/findings?from={at}");
        let mut page = client.get(&path).await?;
        if let Value::Array(some) = page["findings"].take() {
            findings.extend(some);
        }
        from = page["next"].as_u64();
    }
    answer["findings"] = Value::Array(findings);
    Ok(answer)
}

async fn recorded_of(client: &Client, answer: &Value) -> Result<Value> {
    let id = json!({ "id": answer["reconcile"] });
    Ok(client.query(RECORDED, id).await?["reconcile"].take())
}

fn tell(format: Format, statement: &Value) {
    let findings = statement["findings"].as_array();
    let findings = findings.map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Json => output::line(format_args!("{statement:#}")),
        // The statement first, then each finding.
        Format::Jsonl => {
            let mut head = statement.clone();
            if let Some(fields) = head.as_object_mut() {
                fields.remove("findings");
            }
            output::line(head);
            findings.iter().for_each(output::line);
        }
        Format::Table => {
            output::line(summary(statement));
            let shown = &findings[..findings.len().min(TABLE_FINDINGS)];
            if !shown.is_empty() {
                output::line(format_args!("\n{}", output::table(shown, FINDING_COLUMNS)));
            }
            if shown.len() < findings.len() {
                output::line(format_args!(
                    "and {} more; daybook reconcile show {} --output jsonl lists them all",
                    findings.len() - shown.len(),
                    text(&statement["reconcile"]),
                ));
            }
        }
    }
}

fn summary(statement: &Value) -> String {
    let (counts, became) = (&statement["counts"], &statement["completeness"]);
    let of = |from: &Value, name: &str| text(&from[name]);
    let what = match statement["dryRun"] == true {
        true => "dry run",
        false => "reconcile",
    };
    let mut lines = vec![
        format!(
            "{what} {} of {}: {}",
            of(statement, "reconcile"),
            plain(&place(&of(statement, "bucket"), &of(statement, "prefix"))),
            of(statement, "status"),
        ),
        format!(
            "from {} to {}, log position {}",
            time(&statement["startedAt"]),
            time(&statement["stoppedAt"]),
            of(statement, "position"),
        ),
        format!(
            "keys {}, versions {}: accounted for {}, missing {}, changed {}; gone {}; recorded {}",
            of(counts, "keys"),
            of(counts, "versions"),
            of(counts, "accounted"),
            of(counts, "missing"),
            of(counts, "changed"),
            of(counts, "gone"),
            of(counts, "recorded"),
        ),
        format!(
            "objects {} at position {}: succeeded {}, failed {}, timed out {}, aborted {}, pending {}, \
             running {}, unmatched {}",
            of(became, "objects"),
            of(became, "position"),
            of(became, "succeeded"),
            of(became, "failed"),
            of(became, "timedOut"),
            of(became, "aborted"),
            of(became, "pending"),
            of(became, "running"),
            of(became, "unmatched"),
        ),
    ];
    if counts["filtered"] != 0 {
        lines.push(format!(
            "not in the ledger, since the bucket's filter takes other keys: {}",
            of(counts, "filtered"),
        ));
    }
    if counts["unsettled"] != 0 {
        lines.push(format!(
            "could not be compared, since somebody was writing them: {}",
            of(counts, "unsettled"),
        ));
    }
    if let Some(pipeline) = statement["pipeline"].as_str() {
        let unprocessed = of(counts, "unprocessed");
        let unprocessed = match statement["revision"].as_u64() {
            Some(revision) => {
                format!("not processed by revision {revision} of its function: {unprocessed}")
            }
            None => format!("never run for {unprocessed}"),
        };
        lines.push(format!(
            "pipeline {pipeline}: {unprocessed}, started for {}",
            of(counts, "started"),
        ));
    }
    if let Some(why) = statement["why"].as_str() {
        lines.push(plain(why));
    }
    lines.join("\n")
}

fn place(bucket: &str, prefix: &str) -> String {
    match prefix {
        "" => format!("s3://{bucket}"),
        prefix => format!("s3://{bucket}/{prefix}"),
    }
}
