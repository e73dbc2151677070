//! Objects, their versions, and what stores told of them.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Conditions, Listing, Page, Paged, maybe_unsigned, unsigned};
use crate::pool::{ReadModelError, Reader};

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// The position of its `ObjectCreated`.
    pub position: u64,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The store's version id.
    pub version_id: Option<String>,
    /// The entity tag.
    pub etag: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// When the store last changed it, in microseconds.
    pub modified_at_us: Option<i64>,
    /// When it was recorded, in microseconds.
    pub created_at_us: i64,
    /// When its removal was recorded, in microseconds.
    pub removed_at_us: Option<i64>,
    /// How the ledger learnt of it.
    pub channel: String,
    /// The S3 event name.
    pub event_name: String,
    /// The execution that wrote it.
    pub by_execution: Option<String>,
    /// The function that wrote it.
    pub by_function: Option<String>,
    /// The attempt that wrote it.
    pub by_attempt: Option<u32>,
    /// Its status by name.
    pub status: String,
    /// Whether it is the newest version of its key.
    pub newest: bool,
    /// Whether it is the newest version and was not removed.
    pub present: bool,
}

/// What a store told of a key, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRow {
    /// The position of the event.
    pub position: u64,
    /// What became of it: `ACCEPTED`, `DUPLICATE`, `STALE` or `IGNORED`.
    pub verdict: String,
    /// The reason in a word.
    pub reason: Option<String>,
    /// The reason in words.
    pub why: String,
    /// The version that it spoke of.
    pub version_id: Option<String>,
    /// The entity tag that it spoke of.
    pub etag: Option<String>,
    /// The size that it spoke of.
    pub size: Option<u64>,
    /// How it came.
    pub channel: String,
    /// The kind of the store.
    pub source: String,
    /// The event's name as the store has it.
    pub event_name: Option<String>,
    /// When it happened, by the store's clock, in microseconds.
    pub event_time_us: Option<i64>,
    /// What puts the writes of a key in order, as the store sent it.
    pub sequencer: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// How often it had been delivered again by then.
    pub repeats: u64,
    /// When it was recorded, in microseconds.
    pub recorded_at_us: i64,
}

/// Which objects to list. Times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct ObjectFilter {
    /// In this bucket.
    pub bucket: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// With keys that start so.
    pub prefix: Option<String>,
    /// With one of these status.
    pub status: Vec<String>,
    /// With this entity tag.
    pub etag: Option<String>,
    /// Recorded at this time or later.
    pub created_after_us: Option<i64>,
    /// Recorded before this time.
    pub created_before_us: Option<i64>,
    /// Whether it must be there, or gone.
    pub present: Option<bool>,
}

/// In which order to list objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectOrder {
    /// By arrival.
    Created,
    /// By key, in bytes.
    Key,
    /// By size; those of unknown size count as the smallest.
    Size,
}

const COLUMNS: &str = "v.*, o.version IS NOT NULL AS newest, coalesce(o.present, 0) AS present";
const NEWEST: &str = "objects o JOIN object_versions v ON v.position = o.version";
const ALL: &str = "object_versions v LEFT JOIN objects o ON o.version = v.position";

impl Reader {
    /// An object: its newest version, or the one that has a version id.
    pub async fn object(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectRow>, ReadModelError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let version_id = version_id.map(str::to_owned);
        self.call(move |conn| {
            let Some(version_id) = version_id else {
                // Not the highest position: an earlier version may be the object again.
                return conn
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM {ALL} WHERE v.position =
                           (SELECT version FROM objects WHERE bucket = ?1 AND key = ?2)"
                    ))?
                    .query_row((bucket, key), object_row)
                    .optional();
            };
            conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {ALL} WHERE v.bucket = ?1 AND v.key = ?2
                   AND v.version_id = ?3 ORDER BY v.position DESC LIMIT 1"
            ))?
            .query_row((bucket, key, version_id), object_row)
            .optional()
        })
        .await
    }

    /// The object version that an event made.
    pub async fn object_at(&self, position: u64) -> Result<Option<ObjectRow>, ReadModelError> {
        Ok(self.objects_at(vec![position]).await?.pop())
    }

    /// The object versions that some events made, in any order.
    pub async fn objects_at(&self, positions: Vec<u64>) -> Result<Vec<ObjectRow>, ReadModelError> {
        self.call(move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {ALL} WHERE v.position = ?1"
            ))?;
            let mut rows = Vec::with_capacity(positions.len());
            for position in positions {
                rows.extend(
                    statement
                        .query_row([crate::fold::int(position)], object_row)
                        .optional()?,
                );
            }
            Ok(rows)
        })
        .await
    }

    /// The newest version of each key.
    pub async fn objects(
        &self,
        filter: ObjectFilter,
        order: ObjectOrder,
        descending: bool,
        page: Page,
    ) -> Result<Paged<ObjectRow>, ReadModelError> {
        self.call(move |conn| list(conn, filter, order, descending, &page))
            .await
    }

    /// All versions of a key, oldest first.
    pub async fn object_versions(
        &self,
        bucket: &str,
        key: &str,
        page: Page,
    ) -> Result<Paged<ObjectRow>, ReadModelError> {
        let mut conditions = Conditions::default();
        conditions.add(
            "v.bucket = ? AND v.key = ?",
            [bucket.to_owned().into(), key.to_owned().into()],
        );
        let listing = Listing {
            columns: COLUMNS,
            from: ALL,
            position: "v.position",
            key: None,
            descending: false,
        };
        self.call(move |conn| listing.read(conn, conditions, &page, object_row))
            .await
    }

    /// What stores told of a key, newest first.
    pub async fn notifications(
        &self,
        bucket: &str,
        key: &str,
        page: Page,
    ) -> Result<Paged<NotificationRow>, ReadModelError> {
        let mut conditions = Conditions::default();
        conditions.add(
            "bucket = ? AND key = ?",
            [bucket.to_owned().into(), key.to_owned().into()],
        );
        let listing = Listing {
            columns: "*",
            from: "notifications",
            position: "position",
            key: None,
            descending: true,
        };
        self.call(move |conn| listing.read(conn, conditions, &page, notification_row))
            .await
    }
}

fn list(
    conn: &Connection,
    filter: ObjectFilter,
    order: ObjectOrder,
    descending: bool,
    page: &Page,
) -> rusqlite::Result<Paged<ObjectRow>> {
    let mut conditions = Conditions::default();
    conditions.maybe("o.bucket = ?", filter.bucket);
    conditions.maybe("o.key = ?", filter.key);
    if let Some(prefix) = &filter.prefix {
        conditions.starts_with("o.key", prefix);
    }
    conditions.one_of("o.status", &filter.status);
    conditions.maybe("o.etag = ?", filter.etag);
    conditions.maybe("v.created_at >= ?", filter.created_after_us);
    conditions.maybe("v.created_at < ?", filter.created_before_us);
    conditions.maybe("o.present = ?", filter.present);
    let listing = Listing {
        columns: COLUMNS,
        from: NEWEST,
        position: "o.version",
        key: match order {
            ObjectOrder::Created => None,
            ObjectOrder::Key => Some("o.key"),
            ObjectOrder::Size => Some("coalesce(o.size, -1)"),
        },
        descending,
    };
    listing.read(conn, conditions, page, object_row)
}

fn object_row(row: &Row<'_>) -> rusqlite::Result<ObjectRow> {
    Ok(ObjectRow {
        position: unsigned(row, "position")?,
        bucket: row.get("bucket")?,
        key: row.get("key")?,
        version_id: row.get("version_id")?,
        etag: row.get("etag")?,
        size: maybe_unsigned(row, "size")?,
        modified_at_us: row.get("modified_at")?,
        created_at_us: row.get("created_at")?,
        removed_at_us: row.get("removed_at")?,
        channel: row.get("channel")?,
        event_name: row.get("event_name")?,
        by_execution: row.get("by_execution")?,
        by_function: row.get("by_function")?,
        by_attempt: row.get("by_attempt")?,
        status: row.get("status")?,
        newest: row.get("newest")?,
        present: row.get("present")?,
    })
}

fn notification_row(row: &Row<'_>) -> rusqlite::Result<NotificationRow> {
    Ok(NotificationRow {
        position: unsigned(row, "position")?,
        verdict: row.get("verdict")?,
        reason: row.get("reason")?,
        why: row.get("why")?,
        version_id: row.get("version_id")?,
        etag: row.get("etag")?,
        size: maybe_unsigned(row, "size")?,
        channel: row.get("channel")?,
        source: row.get("source")?,
        event_name: row.get("event_name")?,
        event_time_us: row.get("event_time")?,
        sequencer: row.get("sequencer")?,
        region: row.get("region")?,
        repeats: unsigned(row, "repeats")?,
        recorded_at_us: row.get("recorded_at")?,
    })
}
