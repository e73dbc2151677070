//! Reconciles, and what became of the objects of a bucket.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Conditions, Listing, Page, Paged, maybe_unsigned, unsigned};
use crate::pool::{ReadModelError, Reader};

/// A comparison of a bucket with the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileRow {
    /// The id.
    pub id: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with.
    pub prefix: String,
    /// Whether it only looks.
    pub dry_run: bool,
    /// The pipeline that is to run for what it never ran for.
    pub pipeline: Option<String>,
    /// Where it learns what is in the bucket, as JSON.
    pub source: String,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The log position when it was asked for.
    pub at_position: u64,
    /// Where it stands.
    pub phase: String,
    /// The last key that is done.
    pub key: Option<String>,
    /// What was counted, as JSON.
    pub counts: String,
    /// Where the log ended when it was done.
    pub end_position: Option<u64>,
    /// Why it failed.
    pub why: Option<String>,
    /// When it began, in microseconds.
    pub started_at_us: i64,
    /// When it ended, in microseconds.
    pub stopped_at_us: Option<i64>,
    /// The revision of the pipeline's function that is to have processed each object.
    pub revision: Option<u32>,
    /// What had become of the objects when it was done.
    pub completeness: Option<CompletenessRow>,
}

/// What became of the objects that are there, below a prefix of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletenessRow {
    /// The position of the log at which it is so.
    pub position: u64,
    /// Each status that occurs, by name, and how many objects have it.
    pub statuses: Vec<(String, u64)>,
}

impl Reader {
    /// Reconciles, the newest first.
    pub async fn reconciles(&self, page: Page) -> Result<Paged<ReconcileRow>, ReadModelError> {
        let listing = Listing {
            columns: "*",
            from: "reconciles",
            position: "position",
            key: None,
            descending: true,
        };
        self.call(move |conn| listing.read(conn, Conditions::default(), &page, reconcile_row))
            .await
    }

    /// A reconcile by its id.
    pub async fn reconcile(&self, id: &str) -> Result<Option<ReconcileRow>, ReadModelError> {
        let id = id.to_owned();
        self.call(move |conn| {
            conn.prepare_cached("SELECT * FROM reconciles WHERE id = ?1")?
                .query_row([id], reconcile_row)
                .optional()
        })
        .await
    }

    /// What became of the objects of a bucket whose keys begin so.
    pub async fn completeness(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<CompletenessRow, ReadModelError> {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        self.call(move |conn| {
            let position = conn.query_row("SELECT position FROM checkpoint", [], |row| {
                unsigned(row, "position")
            })?;
            let statuses = became(conn, &bucket, &prefix, BTreeMap::new())?;
            Ok(CompletenessRow { position, statuses })
        })
        .await
    }
}

/// The kind of the figures that tell how many objects of a bucket have a status: `BUCKET/STATUS`.
pub(crate) const BUCKET_STATUS: &str = "bucket_status";

/// Each status that objects of a bucket have whose keys begin so, and how many have it. Of a whole
/// bucket that is counted already, but for the changes of a batch that is not written yet.
pub(crate) fn became(
    conn: &Connection,
    bucket: &str,
    prefix: &str,
    mut pending: BTreeMap<String, i64>,
) -> rusqlite::Result<Vec<(String, u64)>> {
    if !prefix.is_empty() {
        return counted(conn, bucket, prefix);
    }
    let mut statement = conn.prepare_cached(
        "SELECT substr(name, length(?2) + 2) AS status, value FROM counters
         WHERE kind = ?1 AND name >= ?2 || '/' AND name < ?2 || '0'",
    )?;
    let mut rows = statement.query((BUCKET_STATUS, bucket))?;
    while let Some(row) = rows.next()? {
        *pending.entry(row.get("status")?).or_default() += row.get::<_, i64>("value")?;
    }
    let counts = pending.into_iter();
    Ok(counts
        .filter_map(|(status, count)| {
            Some((status, u64::try_from(count).ok().filter(|it| *it > 0)?))
        })
        .collect())
}

fn counted(conn: &Connection, bucket: &str, prefix: &str) -> rusqlite::Result<Vec<(String, u64)>> {
    // No index beside the key's has what is asked for, so the planner is told.
    let mut statement = conn.prepare_cached(
        "SELECT status, count(*) AS count FROM objects
         WHERE bucket = ?1 AND key >= ?2 AND substr(key, 1, ?3) = ?2 AND +present = 1
         GROUP BY +status ORDER BY status",
    )?;
    let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
    let statuses = statement.query_map((bucket, prefix, length), |row| {
        Ok((row.get("status")?, unsigned(row, "count")?))
    })?;
    statuses.collect()
}

fn reconcile_row(row: &Row<'_>) -> rusqlite::Result<ReconcileRow> {
    let became: Option<String> = row.get("became")?;
    let statuses = became.and_then(|became| serde_json::from_str(&became).ok());
    let done_at = maybe_unsigned(row, "done_at")?;
    Ok(ReconcileRow {
        id: row.get("id")?,
        bucket: row.get("bucket")?,
        prefix: row.get("prefix")?,
        dry_run: row.get("dry_run")?,
        pipeline: row.get("pipeline")?,
        source: row.get("source")?,
        actor: row.get("actor")?,
        reason: row.get("reason")?,
        at_position: unsigned(row, "at_position")?,
        phase: row.get("phase")?,
        key: row.get("key")?,
        counts: row.get("counts")?,
        end_position: maybe_unsigned(row, "end_position")?,
        why: row.get("why")?,
        started_at_us: row.get("started_at")?,
        stopped_at_us: row.get("stopped_at")?,
        revision: row.get("revision")?,
        completeness: done_at
            .zip(statuses)
            .map(|(position, statuses)| CompletenessRow { position, statuses }),
    })
}
