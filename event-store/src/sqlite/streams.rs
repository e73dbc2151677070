//! Finding streams by name.
//!
//! Names are hashes in disguise: each new one belongs at a random place of an index. An index of
//! 20 million names would have a page dirtied by each of them, and writing pages is what an append
//! costs. So the numbers of new streams are kept in memory, and go into the index (`stream_hashes`)
//! some time later, sorted, a few with each commit: then neighbours share a page.
//!
//! ```text
//! new stream ─> young ── full ──> old ── lowest hashes first ──> stream_hashes
//! ```
//!
//! Nothing of this has to be kept: `hashed.to_id` says up to which number all streams are in the
//! index, and what follows is read from `streams` at the start. The index has hashes; whether a
//! stream found is the one meant, its name tells.

use std::collections::BTreeSet;
use std::mem;

use rusqlite::{Connection, Result};
use sha2::{Digest, Sha256};

/// The key of a name in the index. It is storage format.
pub(super) fn hash_of(name: &str) -> i64 {
    let digest = Sha256::digest(name);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

/// Streams that are not in the index, as (hash, number).
#[derive(Default)]
pub(super) struct Unindexed {
    young: BTreeSet<(i64, i64)>,
    old: BTreeSet<(i64, i64)>,
    /// The greatest number in `old` when it was full.
    old_to: i64,
    /// The greatest number of all.
    last_id: i64,
    /// How many are to move to the index for what has come.
    owed: usize,
    capacity: usize,
}

/// Fewer would touch a page for each.
const LEAST_MOVED: usize = 64;

impl Unindexed {
    /// Reads what is not in the index. It grows up to twice the capacity.
    pub(super) fn load(connection: &Connection, capacity: usize) -> Result<Self> {
        let mut unindexed = Self {
            capacity: capacity.max(1),
            last_id: indexed_to(connection)?,
            ..Self::default()
        };
        unindexed.catch_up(connection)?;
        unindexed.owed = 0;
        Ok(unindexed)
    }

    /// Reads the streams that came since.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<()> {
        let mut statement =
            connection.prepare_cached("SELECT id, name FROM streams WHERE id > ?1 ORDER BY id")?;
        let mut rows = statement.query([self.last_id])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let name = row.get_ref(1)?;
            self.add(hash_of(name.as_str().map_err(rusqlite::Error::from)?), id);
        }
        Ok(())
    }

    /// Forgets those that the index has.
    pub(super) fn forget_to(&mut self, id: i64) {
        if id > self.old_to {
            self.young.retain(|(_, young)| *young > id);
            self.old_to = id;
            self.last_id = self.last_id.max(id);
        }
    }

    pub(super) fn add(&mut self, hash: i64, id: i64) {
        self.young.insert((hash, id));
        self.last_id = id;
        self.owed += 1;
    }

    pub(super) fn next_id(&self) -> i64 {
        self.last_id + 1
    }

    /// The numbers of the streams with this hash.
    pub(super) fn find(&self, hash: i64) -> impl Iterator<Item = i64> {
        let all = (hash, i64::MIN)..=(hash, i64::MAX);
        let (young, old) = (self.young.range(all.clone()), self.old.range(all));
        young.chain(old).map(|(_, id)| *id)
    }

    /// What is to go into the index now, in its order. It is as many as came lately, so that the
    /// old are gone when the young are as many; more, where there are more than there should be.
    pub(super) fn take_due(&mut self) -> Vec<(i64, i64)> {
        if self.old.is_empty() {
            if self.young.len() < self.capacity {
                self.owed = 0;
                return Vec::new();
            }
            self.old = mem::take(&mut self.young);
            self.old_to = self.last_id;
        }
        if self.owed < LEAST_MOVED {
            return Vec::new();
        }
        let count = self.owed * (1 + self.old.len() / self.capacity);
        self.owed = 0;
        std::iter::from_fn(|| self.old.pop_first())
            .take(count)
            .collect()
    }

    /// Up to which number all streams are in the index, once the old ones are.
    pub(super) fn all_old_moved(&self) -> Option<i64> {
        self.old.is_empty().then_some(self.old_to)
    }
}

/// Up to which number all streams are in the index.
pub(super) fn indexed_to(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT to_id FROM hashed")?
        .query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests;
