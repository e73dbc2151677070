//! Samples of an export's events.

use super::{time, uuid};
use crate::ExportId;
use crate::export::{ExportCompleted, ExportEvent, ExportRange, ExportStarted};

pub(super) fn samples() -> Vec<(&'static str, ExportEvent)> {
    let started = |moment, reason| ExportStarted {
        export: ExportId(uuid(1)),
        range: ExportRange {
            after: 0,
            up_to: 42,
            since: moment,
            until: moment,
        },
        format: "jsonl".to_owned(),
        actor: "cli:ada".to_owned(),
        reason,
    };
    vec![
        (
            "full",
            started(Some(time()), Some("the auditors ask".to_owned())).into(),
        ),
        ("bare", started(None, None).into()),
        (
            "full",
            ExportCompleted {
                events: 42,
                sha256: "cd".repeat(32),
                actor: "cli:ada".to_owned(),
            }
            .into(),
        ),
    ]
}
