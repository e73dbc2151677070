//! Whether two read models hold the same rows.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use crate::schema::PROJECTIONS;

/// What a table holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDigest {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// The sum of the digests of its rows: the same for the same rows in any order.
    pub digest: u128,
}

/// A table in which two models differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// Some rows that only the live model has, in words.
    pub only_live: Vec<String>,
    /// Some rows that only the rebuilt model has, in words.
    pub only_rebuilt: Vec<String>,
}

/// How many differing rows are shown of each side.
const ROWS_SHOWN: usize = 3;

/// The digest of every table.
pub(crate) fn digests(conn: &Connection) -> rusqlite::Result<Vec<TableDigest>> {
    tables().map(|table| digest(conn, table)).collect()
}

/// The differing rows of a table, `conn` being the live model.
pub(crate) fn difference(
    conn: &Connection,
    rebuilt: &Path,
    table: &'static str,
) -> rusqlite::Result<Difference> {
    let rebuilt = rebuilt.to_string_lossy();
    conn.execute("ATTACH DATABASE ?1 AS rebuilt", [&rebuilt])?;
    let only = |here: &str, there: &str| {
        rows_in_words(
            conn,
            &format!(
                "SELECT * FROM {here}.{table} EXCEPT SELECT * FROM {there}.{table} \
                 LIMIT {ROWS_SHOWN}"
            ),
        )
    };
    let both = only("main", "rebuilt").and_then(|live| Ok((live, only("rebuilt", "main")?)));
    conn.execute("DETACH DATABASE rebuilt", [])?;
    let (only_live, only_rebuilt) = both?;
    Ok(Difference {
        table,
        only_live,
        only_rebuilt,
    })
}

fn tables() -> impl Iterator<Item = &'static str> {
    PROJECTIONS
        .iter()
        .flat_map(|(_, tables)| tables.iter().copied())
}

fn digest(conn: &Connection, table: &'static str) -> rusqlite::Result<TableDigest> {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let (mut count, mut sum) = (0, 0_u128);
    while let Some(row) = rows.next()? {
        let mut hash = Sha256::new();
        for column in 0..columns {
            add(&mut hash, row.get_ref(column)?);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        sum = sum.wrapping_add(u128::from_be_bytes(half));
        count += 1;
    }
    Ok(TableDigest {
        table,
        rows: count,
        digest: sum,
    })
}

/// Type and length go first, so that no two rows of different values read the same.
fn add(hash: &mut Sha256, value: ValueRef<'_>) {
    let (kind, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            return hash.update([&[1][..], &number.to_be_bytes()].concat());
        }
        ValueRef::Real(number) => return hash.update([&[2][..], &number.to_be_bytes()].concat()),
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn rows_in_words(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let mut words = Vec::with_capacity(names.len());
        for (column, name) in names.iter().enumerate() {
            let value: rusqlite::types::Value = row.get(column)?;
            words.push(format!("{name}={value:?}"));
        }
        Ok(words.join(" "))
    })?;
    rows.collect()
}
