//! `daybook logs`: what attempts wrote. What is over comes from the ledger; what runs comes from the
//! process that runs it, as far as the server is that process, and goes on in the ledger.

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::cli::{Format, LogsArgs};
use crate::client::Client;
use crate::output;
use crate::usage::usage;

const QUERY: &str = "query($id: ID!) {
  execution(id: $id) {
    status attempts { task attempt status functionName requestId codeRevision logs }
  }
}";

/// How long between two looks at what runs.
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn run(client: &Client, format: Format, args: LogsArgs) -> Result<()> {
    if args.follow && format != Format::Table {
        usage!("--follow prints text as it comes; leave out --output");
    }
    let wanted = |attempt: &Value| args.attempt.is_none_or(|it| attempt["attempt"] == it);
    if args.follow {
        return follow(client, &args.execution, wanted).await;
    }
    let execution = fetch(client, &args.execution).await?;
    let attempts: Vec<_> = attempts(&execution)
        .filter(|it| wanted(it))
        .cloned()
        .collect();
    if let (Some(number), true) = (args.attempt, attempts.is_empty()) {
        return Err(anyhow!(
            "execution {} has no attempt {number}",
            args.execution
        ));
    }
    match format {
        Format::Table => attempts.iter().for_each(|it| print(text_of(it))),
        _ => output::list(format, &attempts, &[]),
    }
    Ok(())
}

/// What was shown of the attempt that runs.
#[derive(Default)]
struct Shown {
    attempt: (u64, u64),
    text: String,
    next: u64,
    whole: bool,
}

async fn follow(client: &Client, id: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    let mut done = 0;
    let mut shown = Shown::default();
    loop {
        show_live(client, id, &mut shown, &wanted).await;
        let execution = fetch(client, id).await?;
        for attempt in attempts(&execution).skip(done) {
            if attempt["logs"].is_null() {
                break;
            }
            done += 1;
            if wanted(attempt) {
                print(rest(attempt, &shown));
            }
            shown = Shown::default();
        }
        let status = execution["status"].as_str().unwrap_or_default();
        if !["PENDING", "RUNNING"].contains(&status) {
            return Ok(());
        }
        output::end_without_reader();
        tokio::time::sleep(POLL).await;
    }
}

/// Prints what is new of the attempt that runs. That it runs elsewhere, or not at all, is no error:
/// the ledger has its log when it is over.
async fn show_live(client: &Client, id: &str, shown: &mut Shown, wanted: impl Fn(&Value) -> bool) {
    let path = format!("/v1/executions/{id}/logs?after={}", shown.next);
    let Ok(live) = client.get(&path).await else {
        return;
    };
    let number = |name: &str| live[name].as_u64().unwrap_or_default();
    let attempt = (number("task"), number("attempt"));
    if shown.next == 0 {
        *shown = Shown {
            attempt,
            whole: true,
            ..Shown::default()
        };
    }
    // Another attempt: what was shown of this one is compared with the ledger first.
    if attempt != shown.attempt {
        return;
    }
    let text = live["text"].as_str().unwrap_or_default();
    shown.whole &= live["missed"] == 0;
    shown.next = number("next");
    shown.text.push_str(text);
    if wanted(&live) {
        print(text);
    }
}

/// What of an attempt's log was not shown yet; all of it where it is not the same text.
fn rest<'a>(attempt: &'a Value, shown: &Shown) -> &'a str {
    let text = text_of(attempt);
    let same = (attempt["task"].as_u64(), attempt["attempt"].as_u64())
        == (Some(shown.attempt.0), Some(shown.attempt.1));
    match text.strip_prefix(&shown.text) {
        Some(rest) if same && shown.whole => rest,
        _ => text,
    }
}

async fn fetch(client: &Client, id: &str) -> Result<Value> {
    let mut answer = client.query(QUERY, json!({ "id": id })).await?;
    match answer["execution"].take() {
        Value::Null => Err(anyhow!("the ledger knows no execution {id}")),
        execution => Ok(execution),
    }
}

fn attempts(execution: &Value) -> impl Iterator<Item = &Value> {
    execution["attempts"].as_array().into_iter().flatten()
}

fn text_of(attempt: &Value) -> &str {
    attempt["logs"].as_str().unwrap_or_default()
}

/// Prints log text with its lines, and without what would steer the terminal.
fn print(text: &str) {
    for line in text.split_inclusive('\n') {
        let plain = output::plain(line.trim_end_matches(['\r', '\n']));
        match line.ends_with('\n') {
            true => output::line(plain),
            false => {
                // The rest of the line comes with the next look.
                let mut stdout = std::io::stdout();
                let _ = write!(stdout, "{plain}").and_then(|()| stdout.flush());
            }
        }
    }
}
