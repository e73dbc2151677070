//! The rows of an index: what a listing shows of an object version, and what tells its file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use daybook_domain::stored_object::ObjectVersion;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::IndexError;
use crate::local::stamp::{self, Birth, Stamp};

const HIDDEN: i64 = 1;
/// Also in the text of [`null_version`].
const NULL_VERSION: i64 = 2;
const MARKER: i64 = 4;
const COMPOSITE: i64 = 8;

/// What [`Row::read`] reads.
pub(crate) const COLUMNS: &str = "key, version_id, stamp, etag, size, mtime_ns, sequence, algorithms, flags, inode, born_ns, ctime_ns";

/// An object version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) stamp: Uuid,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) sequence: u64,
    /// The algorithms of its checksums, as S3 names them, with commas between.
    pub(crate) algorithms: Option<String>,
    /// Whether they are checksums of the parts' checksums.
    pub(crate) composite: bool,
    /// Whether it lies at the place for keys that cannot be paths.
    pub(crate) hidden: bool,
    /// Whether it was written without versioning.
    pub(crate) null_version: bool,
    /// Whether it is a delete marker.
    pub(crate) marker: bool,
    pub(crate) birth: Birth,
    /// When the file's inode had last changed when it was found to be recorded; 0 if that is not
    /// known. As long as it is the same, nobody has touched the file.
    pub(crate) ctime_ns: i64,
}

impl Row {
    /// Of a version whose file nobody has looked at since it was written.
    pub(crate) fn of(stamp: &Stamp, hidden: bool) -> Self {
        let algorithms = stamp.checksums.algorithms();
        Self {
            key: stamp.key.clone(),
            version_id: stamp.version_id.clone(),
            stamp: stamp.stamp,
            etag: stamp.etag.clone(),
            size: stamp.size,
            mtime_ns: stamp.mtime_ns,
            sequence: stamp.sequence,
            algorithms: (!algorithms.is_empty()).then(|| algorithms.join(",")),
            composite: stamp.checksums.composite,
            hidden,
            null_version: stamp.null_version,
            marker: stamp.marker,
            birth: stamp.place.file,
            ctime_ns: 0,
        }
    }

    /// Whether the file was looked at and has not been touched since.
    pub(crate) fn is_of(&self, meta: &Metadata) -> bool {
        self.ctime_ns == ctime_ns(meta)
            && self.birth.inode == meta.ino()
            && self.mtime_ns == stamp::mtime_ns(meta)
            && self.size == meta.len()
    }

    /// The version as the domain knows it.
    pub(crate) fn version(&self) -> ObjectVersion {
        ObjectVersion {
            version_id: Some(self.version_id.clone()),
            etag: Some(self.etag.clone()),
            size: Some(self.size),
            modified_at: jiff::Timestamp::from_nanosecond(i128::from(self.mtime_ns)).ok(),
            stamp: Some(self.stamp),
        }
    }

    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let flags: i64 = row.get(8)?;
        let key = String::from_utf8(row.get(0)?);
        let wrong = |column, error: &dyn std::fmt::Display| {
            let text = error.to_string().into();
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, text)
        };
        let stamp = row.get_ref(2)?.as_blob()?;
        Ok(Self {
            key: key.map_err(|error| wrong(0, &error))?,
            version_id: row.get(1)?,
            stamp: Uuid::from_slice(stamp).map_err(|error| wrong(2, &error))?,
            etag: row.get(3)?,
            size: row.get::<_, i64>(4)?.cast_unsigned(),
            mtime_ns: row.get(5)?,
            sequence: row.get::<_, i64>(6)?.cast_unsigned(),
            algorithms: row.get(7)?,
            composite: flags & COMPOSITE != 0,
            hidden: flags & HIDDEN != 0,
            null_version: flags & NULL_VERSION != 0,
            marker: flags & MARKER != 0,
            birth: Birth {
                inode: row.get::<_, i64>(9)?.cast_unsigned(),
                born_ns: row.get(10)?,
            },
            ctime_ns: row.get(11)?,
        })
    }

    fn flags(&self) -> i64 {
        let flag = |set: bool, flag: i64| if set { flag } else { 0 };
        flag(self.hidden, HIDDEN)
            | flag(self.null_version, NULL_VERSION)
            | flag(self.marker, MARKER)
            | flag(self.composite, COMPOSITE)
    }
}

/// When the inode last changed, in nanoseconds since 1970: nobody can set that.
pub(crate) fn ctime_ns(meta: &Metadata) -> i64 {
    meta.ctime()
        .saturating_mul(1_000_000_000)
        .saturating_add(meta.ctime_nsec())
}

/// Notes the object that a key has now.
pub(crate) fn put(index: &Connection, row: &Row) -> Result<(), IndexError> {
    put_into(
        index,
        "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        row,
    )
}

fn put_into(index: &Connection, sql: &str, row: &Row) -> Result<(), IndexError> {
    index.prepare_cached(sql)?.execute(params![
        row.key.as_bytes(),
        row.version_id,
        row.stamp.as_bytes().as_slice(),
        row.etag,
        row.size.cast_signed(),
        row.mtime_ns,
        row.sequence.cast_signed(),
        row.algorithms,
        row.flags(),
        row.birth.inode.cast_signed(),
        row.birth.born_ns,
        row.ctime_ns,
    ])?;
    Ok(())
}

/// Notes that a key has no object.
pub(crate) fn remove(index: &Connection, key: &str) -> Result<(), IndexError> {
    let mut statement = index.prepare_cached("DELETE FROM objects WHERE key = ?1")?;
    statement.execute([key.as_bytes()])?;
    Ok(())
}

/// Notes that an object was removed by hand.
pub(crate) fn miss(index: &Connection, row: &Row) -> Result<(), IndexError> {
    remove(index, &row.key)?;
    let mut statement = index.prepare_cached("INSERT OR REPLACE INTO missed VALUES (?1, ?2)")?;
    statement.execute(params![row.key.as_bytes(), row.stamp.as_bytes().as_slice()])?;
    Ok(())
}

/// Whether the removal of this version was noticed.
pub(crate) fn is_missed(index: &Connection, stamp: &Stamp) -> Result<bool, IndexError> {
    let sql = "SELECT 1 FROM missed WHERE key = ?1 AND stamp = ?2";
    let mut statement = index.prepare_cached(sql)?;
    let stamped = stamp.stamp.as_bytes().as_slice();
    Ok(statement.exists(params![stamp.key.as_bytes(), stamped])?)
}

/// The object that a key has, as far as the index knows.
pub(crate) fn get(index: &Connection, key: &str) -> Result<Option<Row>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE key = ?1");
    let mut statement = index.prepare_cached(&sql)?;
    Ok(statement
        .query_row([key.as_bytes()], Row::read)
        .optional()?)
}

/// Notes a version that S3 knows beside the object that is there.
pub(crate) fn put_version(index: &Connection, row: &Row) -> Result<(), IndexError> {
    put_into(
        index,
        "INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        row,
    )
}

/// Notes that a version is gone.
pub(crate) fn remove_version(index: &Connection, row: &Row) -> Result<(), IndexError> {
    let sql = "DELETE FROM versions WHERE key = ?1 AND sequence = ?2";
    let mut statement = index.prepare_cached(sql)?;
    statement.execute(params![row.key.as_bytes(), row.sequence.cast_signed()])?;
    Ok(())
}

/// Notes that a key has no other versions.
pub(crate) fn forget_versions(index: &Connection, key: &str) -> Result<(), IndexError> {
    let mut statement = index.prepare_cached("DELETE FROM versions WHERE key = ?1")?;
    statement.execute([key.as_bytes()])?;
    Ok(())
}

/// The newest of a key's other versions.
pub(crate) fn newest_version(index: &Connection, key: &str) -> Result<Option<Row>, IndexError> {
    one_version(index, key, "ORDER BY sequence DESC LIMIT 1", i64::MAX)
}

/// The one that comes next after a version.
pub(crate) fn version_before(index: &Connection, row: &Row) -> Result<Option<Row>, IndexError> {
    let before = row.sequence.cast_signed();
    one_version(index, &row.key, "ORDER BY sequence DESC LIMIT 1", before)
}

/// The newest null version among a key's other versions that are older than one.
pub(crate) fn null_version(
    index: &Connection,
    key: &str,
    before: i64,
) -> Result<Option<Row>, IndexError> {
    let which = "AND flags & 2 <> 0 ORDER BY sequence DESC LIMIT 1";
    one_version(index, key, which, before)
}

fn one_version(
    index: &Connection,
    key: &str,
    which: &str,
    before: i64,
) -> Result<Option<Row>, IndexError> {
    let sql = format!("SELECT {COLUMNS} FROM versions WHERE key = ?1 AND sequence < ?2 {which}");
    let mut statement = index.prepare_cached(&sql)?;
    Ok(statement
        .query_row(params![key.as_bytes(), before], Row::read)
        .optional()?)
}

/// So many of a key's other versions that are older than one.
pub(crate) fn versions_of(
    index: &Connection,
    key: &str,
    before: i64,
    count: usize,
) -> Result<Vec<Row>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM versions WHERE key = ?1 AND sequence < ?2
         ORDER BY sequence DESC LIMIT ?3"
    );
    let mut statement = index.prepare_cached(&sql)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![key.as_bytes(), before, count], Row::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// So many versions after one of them, in the order of the table.
pub(crate) fn versions_after(
    index: &Connection,
    key: &[u8],
    sequence: i64,
    count: usize,
) -> Result<Vec<Row>, IndexError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM versions WHERE key > ?1 OR key = ?1 AND sequence < ?2
         ORDER BY key, sequence DESC LIMIT ?3"
    );
    let mut statement = index.prepare_cached(&sql)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![key, sequence, count], Row::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// So many objects from a key on, below an end.
pub(crate) fn range(
    index: &Connection,
    from: &[u8],
    end: &[u8],
    count: usize,
) -> Result<Vec<Row>, IndexError> {
    let sql =
        format!("SELECT {COLUMNS} FROM objects WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3");
    let mut statement = index.prepare_cached(&sql)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![from, end, count], Row::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Comes after all keys: no byte of UTF-8 is as high.
pub(crate) const END: &[u8] = &[0xff];

/// The first text, as bytes, after all that begin with the prefix.
pub(crate) fn behind(prefix: &str) -> Vec<u8> {
    // A byte of UTF-8 is below 0xf8, so there is always a next one.
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) => *last += 1,
        None => bytes = END.to_vec(),
    }
    bytes
}
