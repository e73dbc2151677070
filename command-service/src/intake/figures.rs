//! The figures that the intake keeps for `/metrics`. They count what this process did since it
//! started.

use metrics::counter;

use super::{Answered, Delivered, SourceName};

/// What the deliveries without a configured source are counted under.
const OPEN: &str = "-";

/// What became of the records of a delivery.
pub(super) fn delivered(source: Option<&SourceName>, delivered: &Delivered) {
    for record in &delivered.records {
        let verdict = match record.verdict {
            Some(Answered::Accepted) => "accepted",
            Some(Answered::Duplicate) => "duplicate",
            Some(Answered::Stale) => "stale",
            Some(Answered::Ignored) => "ignored",
            Some(Answered::Handshake) => "handshake",
            Some(Answered::Error) => "error",
            None => "unavailable",
        };
        let source = name_of(source);
        counter!("daybook_intake_records_total", "source" => source.clone(), "verdict" => verdict)
            .increment(1);
        if let (Some(Answered::Ignored), Some(reason)) = (record.verdict, &record.reason) {
            let reason = reason.clone();
            counter!("daybook_intake_ignored_total", "source" => source, "reason" => reason)
                .increment(1);
        }
    }
}

/// A delivery, or a record of one, was refused.
pub(super) fn rejected(source: Option<&SourceName>, reason: &'static str) {
    let source = name_of(source);
    counter!("daybook_intake_rejected_total", "source" => source, "reason" => reason).increment(1);
}

/// There was no room for a delivery.
pub(super) fn turned_away() {
    counter!("daybook_intake_turned_away_total").increment(1);
}

fn name_of(source: Option<&SourceName>) -> String {
    source.map_or(OPEN, SourceName::as_str).to_owned()
}
