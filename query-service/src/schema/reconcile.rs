//! Reconciles: comparisons of buckets with the ledger; and what became of a bucket's objects.

use async_graphql::{ID, Object, SimpleObject};
use daybook_projections::{CompletenessRow, ReconcileRow};
use serde_json::Value;

use super::enums::ReconcileStatus;
use super::scalars::{DateTime, Long, Position};

/// A comparison of a bucket with the ledger.
pub(crate) struct ReconcileNode {
    pub(crate) row: ReconcileRow,
}

/// A comparison of a bucket with the ledger.
#[Object(name = "Reconcile")]
impl ReconcileNode {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(self.row.id.clone())
    }

    /// The name of the bucket.
    async fn bucket_name(&self) -> &str {
        &self.row.bucket
    }

    /// What the keys begin with; empty for the whole bucket.
    async fn prefix(&self) -> &str {
        &self.row.prefix
    }

    /// Whether it only looks, and records nothing about objects.
    async fn dry_run(&self) -> bool {
        self.row.dry_run
    }

    /// The name of a pipeline that is to run for the objects that it has never run for.
    async fn pipeline_name(&self) -> Option<&str> {
        self.row.pipeline.as_deref()
    }

    /// The revision of the pipeline's function that is to have processed each object; null where it is
    /// enough that the pipeline ran.
    async fn revision(&self) -> Option<u32> {
        self.row.revision
    }

    /// What had become of the objects when it was done, whatever happened since; null before.
    async fn completeness(&self) -> Option<Completeness> {
        self.row.completeness.clone().map(Completeness::from)
    }

    /// Where it learns what is in the bucket.
    async fn source(&self) -> Value {
        serde_json::from_str(&self.row.source).unwrap_or_default()
    }

    /// Where it stands.
    async fn status(&self) -> ReconcileStatus {
        ReconcileStatus::of(&self.row.phase)
    }

    /// The last key of its last recorded progress.
    async fn key(&self) -> Option<&str> {
        self.row.key.as_deref()
    }

    /// What it counted, up to that key or in all.
    async fn counts(&self) -> ReconcileCounts {
        let counts: Value = serde_json::from_str(&self.row.counts).unwrap_or_default();
        let count = |name: &str| Long(counts[name].as_u64().unwrap_or(0));
        ReconcileCounts {
            keys: count("keys"),
            versions: count("versions"),
            accounted: count("accounted"),
            missing: count("missing"),
            gone: count("gone"),
            changed: count("changed"),
            recorded: count("recorded"),
            filtered: count("filtered"),
            unsettled: count("unsettled"),
            unprocessed: count("unprocessed"),
            started: count("started"),
        }
    }

    /// The position of the log when it was asked for.
    async fn asked_at(&self) -> Position {
        Position(self.row.at_position)
    }

    /// Where the log ended when it was done.
    async fn position(&self) -> Option<Position> {
        self.row.end_position.map(Position)
    }

    /// Who asked.
    async fn actor(&self) -> &str {
        &self.row.actor
    }

    /// Why, in the asker's words.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// Why it failed, if it did.
    async fn why(&self) -> Option<&str> {
        self.row.why.as_deref()
    }

    /// When it began.
    async fn started_at(&self) -> DateTime {
        DateTime::from_us(self.row.started_at_us)
    }

    /// When it ended.
    async fn stopped_at(&self) -> Option<DateTime> {
        self.row.stopped_at_us.map(DateTime::from_us)
    }
}

/// What a reconcile counted.
#[derive(SimpleObject)]
pub(crate) struct ReconcileCounts {
    /// Keys that the bucket or the ledger has an object of.
    keys: Long,
    /// Versions that the bucket shows.
    versions: Long,
    /// Versions of those that were recorded before.
    accounted: Long,
    /// In the bucket, and not in the ledger.
    missing: Long,
    /// In the ledger, and not in the bucket.
    gone: Long,
    /// With other content than was recorded.
    changed: Long,
    /// How many of the missing, gone and changed ones it recorded.
    recorded: Long,
    /// In the bucket and not in the ledger, since the bucket's filters take no notifications of their
    /// keys.
    filtered: Long,
    /// Keys that could not be compared, since somebody was writing them all the time.
    unsettled: Long,
    /// Objects that its pipeline wants and has never run for, or not with the revision.
    unprocessed: Long,
    /// How many of those it was started for.
    started: Long,
}

/// What became of the objects that are there, below a prefix of a bucket.
#[derive(SimpleObject)]
pub(crate) struct Completeness {
    /// The position of the log at which it is so.
    position: Position,
    /// How many there are.
    objects: Long,
    /// All that was to run for them has succeeded.
    succeeded: Long,
    /// Something failed.
    failed: Long,
    /// Something took too long.
    timed_out: Long,
    /// Somebody stopped something.
    aborted: Long,
    /// Nothing has run yet.
    pending: Long,
    /// Something runs.
    running: Long,
    /// No pipeline wants them.
    unmatched: Long,
}

impl From<CompletenessRow> for Completeness {
    fn from(row: CompletenessRow) -> Self {
        let count = |name: &str| {
            let of = row.statuses.iter().filter(|(status, _)| status == name);
            Long(of.map(|(_, count)| count).sum())
        };
        Self {
            position: Position(row.position),
            objects: Long(row.statuses.iter().map(|(_, count)| count).sum()),
            succeeded: count("SUCCEEDED"),
            failed: count("FAILED"),
            timed_out: count("TIMED_OUT"),
            aborted: count("ABORTED"),
            pending: count("PENDING"),
            running: count("RUNNING"),
            unmatched: count("UNMATCHED"),
        }
    }
}
