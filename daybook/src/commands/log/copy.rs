//! `daybook log copy`: a whole ledger's log from one engine to another.

use std::process::ExitCode;

use anyhow::{Context, Result};
use daybook_event_store::PageLimits;
use daybook_event_store::copy::{CopyReport, End, Summary, copy};
use daybook_event_store::open::{LogUrl, open, open_for_reading};
use daybook_event_store::sqlite::SqliteOptions;
use serde_json::json;

use super::named;
use super::progress::Told;
use crate::cli::Format;
use crate::commands::WANTING;
use crate::output;
use crate::usage::usage;

pub(super) async fn run(format: Format, from: &str, to: &str) -> Result<ExitCode> {
    let (from, to) = (named(from, None)?, named(to, None)?);
    if from == to {
        usage!("--from and --to are the same log");
    }
    let source = open_for_reading(&from)
        .await
        .context("the source cannot be opened")?;
    let target = open(&to, SqliteOptions::default())
        .await
        .context("the target cannot be opened")?;
    let mut told = Told::new();
    let copied = copy(
        End {
            log: &*source,
            contiguous: from.is_contiguous(),
        },
        End {
            log: &*target,
            contiguous: to.is_contiguous(),
        },
        PageLimits::default(),
        |progress| told.at(progress),
    )
    .await;
    told.done();
    target.close().await;
    source.close().await;
    let report = copied.context("the copy stopped; started again, it goes on where it is")?;
    let mut answer = serde_json::to_value(&report)?;
    answer["from"] = json!(from.to_string());
    answer["to"] = json!(to.to_string());
    output::document(format, &answer, || in_words(&from, &to, &report));
    Ok(if report.equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WANTING)
    })
}

fn in_words(from: &LogUrl, to: &LogUrl, report: &CopyReport) -> String {
    let side = |name: &str, url: &LogUrl, summary: &Summary| {
        format!(
            "{name} {url}\n     {} events, head {}, sha256 {}",
            summary.events, summary.head, summary.sha256
        )
    };
    let before = match report.resumed_after {
        0 => String::new(),
        events => format!(", {events} were there"),
    };
    let verdict = if report.equal {
        "both logs are equal"
    } else {
        "THE LOGS DIFFER: do not use the copy; have both checked (daybook log check)"
    };
    [
        format!("copied {} events{before}", report.copied),
        side("from", from, &report.source),
        side("to  ", to, &report.target),
        verdict.to_owned(),
    ]
    .join("\n")
}
