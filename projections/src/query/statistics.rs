//! Figures, as the fold kept them: what is true now, and what happened in a time.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::fold::{HOUR_US, MINUTE_US};
use crate::pool::{ReadModelError, Reader};

/// The figures of a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatisticsRows {
    /// Present objects by status, now.
    pub objects: BTreeMap<String, u64>,
    /// Executions by status, now.
    pub executions: BTreeMap<String, u64>,
    /// Executions by `pipeline/status`, now.
    pub pipelines: BTreeMap<String, u64>,
    /// Deliveries on record by verdict, ever.
    pub notifications: BTreeMap<String, u64>,
    /// The same by `source/verdict`.
    pub notifications_by_source: BTreeMap<String, u64>,
    /// What happened in the time, by pipeline (empty: none) and figure.
    pub totals: BTreeMap<(String, String), i64>,
    /// The same by part of the time; parts in which nothing happened are left out.
    pub series: Vec<StatisticsBucket>,
}

/// What happened in one part of a time, over all pipelines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsBucket {
    /// When it begins, in microseconds.
    pub start_us: i64,
    /// The figures by name.
    pub figures: BTreeMap<String, i64>,
}

/// The longest time that is told by the minute.
const BY_THE_MINUTE_US: i64 = 2 * HOUR_US;

impl Reader {
    /// The figures since a time (in microseconds, rounded down to a minute or an hour), or ever.
    pub async fn statistics(
        &self,
        since_us: Option<i64>,
        now_us: i64,
    ) -> Result<StatisticsRows, ReadModelError> {
        self.call(move |conn| {
            let mut rows = StatisticsRows {
                objects: counters(conn, "object_status")?,
                executions: counters(conn, "execution_status")?,
                pipelines: counters(conn, "pipeline_status")?,
                notifications: counters(conn, "notifications")?,
                notifications_by_source: counters(conn, "notifications_by_source")?,
                ..StatisticsRows::default()
            };
            match since_us {
                Some(since_us) => {
                    let by_minute = now_us - since_us <= BY_THE_MINUTE_US;
                    let width = if by_minute { MINUTE_US } else { HOUR_US };
                    series(conn, width, since_us.div_euclid(width) * width, &mut rows)?;
                }
                None => {
                    series(conn, 0, 0, &mut rows)?;
                    rows.series.clear();
                }
            }
            Ok(rows)
        })
        .await
    }

    /// How many events of each type there are.
    pub async fn event_types(&self) -> Result<BTreeMap<String, u64>, ReadModelError> {
        self.call(|conn| counters(conn, "events")).await
    }
}

fn counters(conn: &Connection, kind: &str) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = conn.prepare_cached("SELECT name, value FROM counters WHERE kind = ?1")?;
    let rows = statement.query_map([kind], |row| {
        let value: i64 = row.get(1)?;
        Ok((row.get(0)?, value.max(0).unsigned_abs()))
    })?;
    rows.collect()
}

fn series(
    conn: &Connection,
    width: i64,
    since_us: i64,
    into: &mut StatisticsRows,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT start, pipeline, name, value FROM series
         WHERE width = ?1 AND start >= ?2 ORDER BY start",
    )?;
    let mut rows = statement.query([width, since_us])?;
    while let Some(row) = rows.next()? {
        let (start_us, pipeline, name): (i64, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let value: i64 = row.get(3)?;
        *into.totals.entry((pipeline, name.clone())).or_default() += value;
        if into
            .series
            .last()
            .is_none_or(|last| last.start_us != start_us)
        {
            into.series.push(StatisticsBucket {
                start_us,
                figures: BTreeMap::new(),
            });
        }
        if let Some(last) = into.series.last_mut() {
            *last.figures.entry(name).or_default() += value;
        }
    }
    Ok(())
}
