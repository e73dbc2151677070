//! Big bodies in the database of the log, so that several machines share them.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::reader::Readers;
use crate::blobs::{BlobBackend, Found};

/// Writes only what is not there as it should be.
const PUT: &str = "INSERT INTO blobs (sha256, content) VALUES (decode($1, 'hex'), $2) \
    ON CONFLICT (sha256) DO UPDATE SET content = excluded.content \
    WHERE blobs.content <> excluded.content";

const SIZE: &str = "SELECT length(content)::bigint FROM blobs WHERE sha256 = decode($1, 'hex')";

const GET: &str = "SELECT length(content)::bigint, CASE WHEN length(content) = $2 THEN content END \
    FROM blobs WHERE sha256 = decode($1, 'hex')";

/// Keeps blobs in the table `blobs`.
pub(super) struct PostgresBlobs {
    sessions: Readers,
}

impl PostgresBlobs {
    pub(super) fn new(sessions: Readers) -> Self {
        Self { sessions }
    }

    /// Each of our statements can be repeated.
    async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, String> {
        let rows = self.sessions.rows(sql, parameters).await;
        rows.map_err(|error| error.to_string())
    }
}

impl fmt::Debug for PostgresBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBlobs").finish_non_exhaustive()
    }
}

#[async_trait]
impl BlobBackend for PostgresBlobs {
    async fn put(&self, sha256: &str, content: Bytes) -> Result<(), String> {
        self.rows(PUT, &[&sha256, &&content[..]]).await.map(|_| ())
    }

    async fn size(&self, sha256: &str) -> Result<Option<u64>, String> {
        let rows = self.rows(SIZE, &[&sha256]).await?;
        rows.first().map(|row| size(row, 0)).transpose()
    }

    async fn get(&self, sha256: &str, wanted: u64) -> Result<Option<Found>, String> {
        let Ok(wanted) = i32::try_from(wanted) else {
            // Longer than any value of the database.
            let found = self.size(sha256).await?;
            return Ok(found.map(Err));
        };
        let rows = self.rows(GET, &[&sha256, &wanted]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let found = match column::<Option<&[u8]>>(row, 1)? {
            Some(content) => Ok(Bytes::copy_from_slice(content)),
            None => Err(size(row, 0)?),
        };
        Ok(Some(found))
    }
}

fn size(row: &Row, index: usize) -> Result<u64, String> {
    column::<i64>(row, index).map(i64::unsigned_abs)
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, String> {
    row.try_get(index).map_err(|error| error.to_string())
}
