//! Figures that are kept as events come, so that nobody counts big tables to read them.

use std::collections::BTreeMap;

use daybook_event_store::RecordedEvent;
use rusqlite::{Transaction, params};

use super::{Folded, at};

pub(crate) const MINUTE_US: i64 = 60_000_000;
pub(crate) const HOUR_US: i64 = 60 * MINUTE_US;
/// How long figures by the minute are kept before the newest event; those by the hour stay.
const MINUTES_KEPT_US: i64 = 48 * HOUR_US;

/// The changes of one batch.
#[derive(Default)]
pub(super) struct Tally {
    counters: BTreeMap<(String, String), i64>,
    series: BTreeMap<(i64, i64, String, &'static str), i64>,
}

impl Tally {
    /// Changes a figure that is true now.
    pub(super) fn count(&mut self, kind: &str, name: &str, change: i64) {
        *self
            .counters
            .entry((kind.to_owned(), name.to_owned()))
            .or_default() += change;
    }

    /// What this batch changes about the figures of a kind whose names begin so.
    pub(super) fn pending<'a>(
        &'a self,
        kind: &'a str,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, i64)> {
        let counters = self.counters.iter();
        counters.filter_map(move |((of, name), change)| {
            let rest = name.strip_prefix(prefix)?;
            (of == kind).then_some((rest, *change))
        })
    }

    /// Adds to a figure of the time in which an event was recorded, and to its total. `pipeline`
    /// is empty for what belongs to none.
    pub(super) fn happened(
        &mut self,
        recorded: &RecordedEvent,
        pipeline: &str,
        name: &'static str,
        amount: i64,
    ) {
        for width in [MINUTE_US, HOUR_US] {
            let start = at(recorded).div_euclid(width) * width;
            *self
                .series
                .entry((width, start, pipeline.to_owned(), name))
                .or_default() += amount;
        }
        *self
            .series
            .entry((0, 0, pipeline.to_owned(), name))
            .or_default() += amount;
    }

    pub(super) fn write(self, tx: &Transaction<'_>, last: &RecordedEvent) -> Folded<()> {
        let mut counter = tx.prepare_cached(
            "INSERT INTO counters VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = value + ?3",
        )?;
        // A change of zero is written too: whether a row exists must not depend on the batches.
        for ((kind, name), change) in self.counters {
            counter.execute(params![kind, name, change])?;
        }
        let mut series = tx.prepare_cached(
            "INSERT INTO series VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET value = value + ?5",
        )?;
        for ((width, start, pipeline, name), amount) in self.series {
            series.execute(params![width, start, pipeline, name, amount])?;
        }
        let hour = at(last).div_euclid(HOUR_US) * HOUR_US;
        tx.prepare_cached("DELETE FROM series WHERE width = ?1 AND start < ?2")?
            .execute(params![MINUTE_US, hour - MINUTES_KEPT_US])?;
        Ok(())
    }
}
