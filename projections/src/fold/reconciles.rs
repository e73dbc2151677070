//! Reconciles: comparisons of buckets with the ledger.

use daybook_domain::reconcile::{Counts, ReconcileEvent, ReconcilePhase};
use daybook_event_store::RecordedEvent;
use rusqlite::{OptionalExtension, params};

use super::catalog::name_in;
use super::{Fold, Folded, at, int, pos};
use crate::query::{BUCKET_STATUS, became};

/// A value of the domain as a column holds it.
macro_rules! json {
    ($value:expr) => {
        serde_json::to_value($value).unwrap_or_default().to_string()
    };
}

impl Fold<'_> {
    pub(super) fn reconcile(
        &mut self,
        recorded: &RecordedEvent,
        event: &ReconcileEvent,
    ) -> Folded<()> {
        let id = name_in(recorded);
        match event {
            ReconcileEvent::ReconcileStarted(event) => self.run(
                "INSERT INTO reconciles VALUES
                   (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, ?12, NULL, NULL, ?13, NULL,
                    ?14, NULL, NULL)",
                params![
                    id,
                    pos(recorded),
                    event.bucket.as_str(),
                    event.prefix,
                    event.dry_run,
                    event.pipeline.as_ref().map(|pipeline| pipeline.as_str()),
                    json!(&event.source),
                    event.actor,
                    event.reason,
                    int(event.position),
                    ReconcilePhase::Running.as_str(),
                    json!(&Counts::default()),
                    at(recorded),
                    event.revision,
                ],
            ),
            ReconcileEvent::ReconcileProgressed(event) => self.run(
                "UPDATE reconciles SET key = ?2, counts = ?3 WHERE id = ?1",
                params![id, event.key.as_str(), json!(&event.counts)],
            ),
            ReconcileEvent::ReconcilePaused(_) => self.reconcile_phase(id, ReconcilePhase::Paused),
            ReconcileEvent::ReconcileResumed(_) => {
                self.reconcile_phase(id, ReconcilePhase::Running)
            }
            ReconcileEvent::ReconcileCompleted(event) => {
                let became = self.became_below(id)?;
                self.run(
                    "UPDATE reconciles SET counts = ?2, end_position = ?3, done_at = ?4, became = ?5
                     WHERE id = ?1",
                    params![
                        id,
                        json!(&event.counts),
                        int(event.position),
                        pos(recorded),
                        json!(became)
                    ],
                )?;
                self.reconcile_stopped(recorded, ReconcilePhase::Completed)
            }
            ReconcileEvent::ReconcileFailed(event) => {
                self.run(
                    "UPDATE reconciles SET why = ?2 WHERE id = ?1",
                    params![id, event.why],
                )?;
                self.reconcile_stopped(recorded, ReconcilePhase::Failed)
            }
            ReconcileEvent::ReconcileCancelled(_) => {
                self.reconcile_stopped(recorded, ReconcilePhase::Cancelled)
            }
        }
        .map(|_| ())
    }

    /// What has become of the objects that a reconcile compared, as it is with this event.
    fn became_below(&self, reconcile: &str) -> Folded<Vec<(String, u64)>> {
        let compared = self
            .tx
            .prepare_cached("SELECT bucket, prefix FROM reconciles WHERE id = ?1")?
            .query_row([reconcile], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((bucket, prefix)) = compared else {
            return Ok(Vec::new());
        };
        let (bucket, prefix): (String, String) = (bucket, prefix);
        // The figures of the bucket are written with the batch.
        let pending = self
            .tally
            .pending(BUCKET_STATUS, &format!("{bucket}/"))
            .map(|(status, change)| (status.to_owned(), change))
            .collect();
        became(self.tx, &bucket, &prefix, pending)
    }

    fn reconcile_phase(&self, id: &str, phase: ReconcilePhase) -> Folded<usize> {
        self.run(
            "UPDATE reconciles SET phase = ?2 WHERE id = ?1",
            params![id, phase.as_str()],
        )
    }

    fn reconcile_stopped(&self, recorded: &RecordedEvent, phase: ReconcilePhase) -> Folded<usize> {
        self.run(
            "UPDATE reconciles SET phase = ?2, stopped_at = ?3 WHERE id = ?1",
            params![name_in(recorded), phase.as_str(), at(recorded)],
        )
    }
}
