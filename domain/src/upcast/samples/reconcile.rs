//! Samples of a reconcile's events.

use super::{name, time, uuid};
use crate::ReconcileId;
use crate::reconcile::{
    Counts, Finding, FindingKind, ReconcileCancelled, ReconcileCompleted, ReconcileEvent,
    ReconcileFailed, ReconcilePaused, ReconcileProgressed, ReconcileResumed, ReconcileStarted,
    Source,
};
use crate::stored_object::{NotificationFilter, ObjectVersion};

pub(super) fn samples() -> Vec<(&'static str, ReconcileEvent)> {
    let started = |full: bool, source| ReconcileStarted {
        reconcile: ReconcileId(uuid(1)),
        bucket: name("inbox"),
        prefix: if full { "a/" } else { "" }.to_owned(),
        dry_run: full,
        source,
        position: 42,
        pipeline: full.then(|| name("uppercase")),
        revision: full.then_some(3),
        filters: if full { filters() } else { Vec::new() },
        rate: full.then_some(500),
        actor: "cli:ada".to_owned(),
        reason: full.then(|| "every night".to_owned()),
    };
    let inventory = Source::Inventory {
        manifest: "s3://reports/inbox/manifest.json".to_owned(),
    };
    let progressed = |full: bool| ReconcileProgressed {
        key: name("a/b c.txt"),
        counts: counts(full),
        findings: findings(full),
    };
    let completed = |full: bool| ReconcileCompleted {
        counts: counts(full),
        findings: findings(full),
        position: 77,
    };
    vec![
        ("filtered", started(true, inventory).into()),
        ("bare", started(false, Source::Listing).into()),
        ("unsettled", progressed(true).into()),
        ("bare", progressed(false).into()),
        ("unsettled", completed(true).into()),
        ("bare", completed(false).into()),
        (
            "full",
            ReconcilePaused {
                actor: "cli:ada".to_owned(),
            }
            .into(),
        ),
        (
            "full",
            ReconcileResumed {
                actor: "cli:bob".to_owned(),
            }
            .into(),
        ),
        (
            "full",
            ReconcileFailed {
                why: "there is no bucket inbox".to_owned(),
            }
            .into(),
        ),
        (
            "full",
            ReconcileCancelled {
                actor: "cli:ada".to_owned(),
            }
            .into(),
        ),
    ]
}

fn counts(full: bool) -> Counts {
    Counts {
        keys: 10,
        versions: 11,
        accounted: 8,
        missing: 2,
        gone: 1,
        changed: 1,
        recorded: 3,
        filtered: if full { 5 } else { 0 },
        unsettled: u64::from(full),
        unprocessed: if full { 4 } else { 0 },
        started: if full { 4 } else { 0 },
    }
}

fn filters() -> Vec<NotificationFilter> {
    let filter = |full: bool| NotificationFilter {
        prefix: full.then(|| "in/".to_owned()),
        suffix: full.then(|| ".csv".to_owned()),
        events: match full {
            true => vec!["ObjectCreated:*".to_owned()],
            false => Vec::new(),
        },
    };
    vec![filter(true), filter(false)]
}

fn findings(full: bool) -> Vec<Finding> {
    let kinds = [
        FindingKind::Missing,
        FindingKind::Gone,
        FindingKind::Changed,
        FindingKind::Unsettled,
    ];
    let finding = |kind| Finding {
        kind,
        key: name("a/b c.txt"),
        version: ObjectVersion {
            version_id: Some("v7".to_owned()),
            etag: Some("0cc175b9c0f1b6a831c399e269772661".to_owned()),
            size: Some(17),
            modified_at: Some(time()),
            stamp: Some(uuid(3)),
        },
        recorded: true,
    };
    match full {
        true => kinds.into_iter().map(finding).collect(),
        false => Vec::new(),
    }
}
